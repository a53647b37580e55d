"""Small scanners that the header grammars share (RFC 3261 7.3.1, 25.1).

Text is octets read as Latin-1: one character an octet, so that nothing is lost on the way. Every
scanner takes time linear in its input, whatever the input is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imsmediasec.errors import MalformedInput

TOKEN = r"[-.!%*_+`'~0-9A-Za-z]+"
HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[-0-9A-Za-z_.]+)"
LWS = " \t\r\n"

# An open quote or bracket runs to the end, with an empty group: no second attempt from the middle.
_COMMA = re.compile(r'"(?:[^"\\]|\\.)*("?)|<[^>]*(>?)|,', re.DOTALL)
_SEMICOLON = re.compile(r'"(?:[^"\\]|\\.)*("?)|<[^>]*(>?)|;', re.DOTALL)
_TOKEN = re.compile(TOKEN + r"\Z")
_PARAMETER = re.compile(rf'({TOKEN})(?:[{LWS}]*=[{LWS}]*("(?:[^"\\]|\\.)*"|[^{LWS}"<>;,]*))?\Z', re.DOTALL)


def is_token(text: str) -> bool:
    """Whether `text` is a token of RFC 3261 25.1."""
    return _TOKEN.match(text) is not None


def spans(text: str, separator: str = ",") -> list[tuple[int, int]]:
    """Where the elements of a list stand in `text`, white space round them left out.

    `separator`: "," or ";". One inside a quoted string or <> does not part. Empty text is an empty
    list; an empty element elsewhere, or an open quote or bracket, is `MalformedInput` (RFC 3261 7.3.1).
    """
    found: list[tuple[int, int]] = []
    start = 0
    for match in (_COMMA if separator == "," else _SEMICOLON).finditer(text):
        if text[match.start()] == separator:
            found.append(_stripped(text, start, match.start()))
            start = match.end()
        elif not (match[1] or match[2]):
            raise MalformedInput("a quote or bracket stays open", clause="RFC 3261 25.1", offset=match.start())
    last = _stripped(text, start, len(text))
    if not found and last[0] == last[1]:
        return []
    found.append(last)
    for begin, end in found:
        if begin == end:
            raise MalformedInput("an empty list element", clause="RFC 3261 7.3.1", offset=begin)
    return found


def split(text: str, separator: str = ",") -> list[str]:
    """The elements of a list; see `spans`."""
    return [text[start:end] for start, end in spans(text, separator)]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    begin = start + len(piece) - len(piece.lstrip(LWS))
    return begin, max(begin, start + len(piece.rstrip(LWS)))


def unquote(text: str) -> str:
    """What a quoted string says; text without quotes comes back as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quote(text: str) -> str:
    """`text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def number(text: str, limit: int, what: str, clause: str) -> int:
    """A decimal number from 0 to `limit`, digits of ASCII only; `MalformedInput` otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= limit):
        raise MalformedInput(f"{what} is not a number up to {limit}", clause=clause)
    return int(text)


@dataclass(frozen=True, slots=True)
class Parameters:
    """``;name=value`` pairs in order, as written. Names compare without case (RFC 3261 7.3.1)."""

    items: tuple[tuple[str, str | None], ...] = ()
    """Name and value; the value is None without "=", and keeps its quotes."""

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Read what stands behind the first ";". A name that comes twice is `MalformedInput`."""
        items: list[tuple[str, str | None]] = []
        seen: set[str] = set()
        for start, end in spans(text, ";"):
            match = _PARAMETER.match(text[start:end])
            if match is None:
                raise MalformedInput("a parameter breaks the grammar", clause="RFC 3261 25.1", offset=start)
            if match[1].lower() in seen:
                raise MalformedInput("a parameter stands twice", clause="RFC 3261 7.3.1", offset=start)
            seen.add(match[1].lower())
            items.append((match[1], match[2]))
        return cls(tuple(items))

    def has(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.items)

    def get(self, name: str) -> str | None:
        """The value as written; None if it is absent or has none."""
        for key, value in self.items:
            if key.lower() == name.lower():
                return value
        return None

    def text(self, name: str) -> str | None:
        """The value without quotes."""
        value = self.get(name)
        return None if value is None else unquote(value)

    def replaced(self, name: str, value: str | None) -> Parameters:
        """The same with this value, in its place or at the end."""
        if not self.has(name):
            return Parameters((*self.items, (name, value)))
        return Parameters(tuple((k, value if k.lower() == name.lower() else v) for k, v in self.items))

    def without(self, name: str) -> Parameters:
        return Parameters(tuple(item for item in self.items if item[0].lower() != name.lower()))

    def __str__(self) -> str:
        return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.items)
