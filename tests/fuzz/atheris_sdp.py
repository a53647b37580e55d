"""The same target under atheris, where it is installed: python -m tests.fuzz.atheris_sdp tests/fuzz/corpus/sdp"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["imsmediasec"]):
    from tests.fuzz.targets import sdp


if __name__ == "__main__":
    atheris.Setup(sys.argv, lambda data: sdp(data) and None)
    atheris.Fuzz()
