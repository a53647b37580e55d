"""``python -m imsmediasec.cli``."""

from imsmediasec.cli import main

main()
