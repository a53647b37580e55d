"""sip/folding.py against RFC 3261 7.3.1."""

from __future__ import annotations

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.folding import one_line


@pytest.mark.parametrize(
    ("value", "line"), [("a \r\n\t b", "a  b"), ("a\n b\r\n c", "a b c"), ("a\t b\xe4", "a\t b\xe4"), ("", "")]
)
def test_folds_become_a_space(value: str, line: str) -> None:
    assert one_line(value, clause="") == line


@pytest.mark.parametrize("value", ["a\r\nb", "a\r", "a\n", "\0", "\x7f", "\u0100"])
def test_what_could_end_a_line_is_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        one_line(value, clause="")
