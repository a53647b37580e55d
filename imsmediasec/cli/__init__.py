"""The command `imsmediasec`."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. The commands need the extra "agent"."""
    try:
        from imsmediasec.cli.commands import cli
    except ModuleNotFoundError as error:
        sys.exit(f"imsmediasec: {error.name} is missing; install it with: pip install 'imsmediasec[agent]'")
    cli()
