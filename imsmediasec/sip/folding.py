"""`one_line`: a header value that can stand in a header line again, whoever wrote it."""

from __future__ import annotations

import re

from imsmediasec.errors import MalformedInput

_FOLD = re.compile(r"\r?\n[ \t]+")
_CONTROL = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def one_line(value: str, *, clause: str) -> str:
    """`value` with each fold as one space (RFC 3261 7.3.1).

    `MalformedInput` for a line end that is no fold, another control character, or one above U+00FF.
    """
    line = _FOLD.sub(" ", value)
    bad = _CONTROL.search(line)
    if bad is not None:
        raise MalformedInput("a control character in a header value", clause=clause, offset=bad.start())
    return line
