"""`HeaderFields`: the header fields of a message, read and edited in place (RFC 3261 7.3).

Each field is kept as the octets it came in, folds and line end included. An edit touches the value
it names and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.grammar import LWS, TOKEN, is_token, spans

MAX_FIELDS = 1000
"""More header fields in one message are refused."""

COMPACT_FORMS = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""RFC 3261 7.3.3, 3515, 3841, 3892, 4028, 6665 and 8224."""

_NAME = re.compile(rf"({TOKEN})[ \t]*:[ \t]*")
_CONTROL = re.compile(r"[\r\n\0]")


def field_key(name: str) -> str:
    """The name that two spellings of one header field share: lower case, long form."""
    name = name.lower()
    return COMPACT_FORMS.get(name, name) if len(name) == 1 else name


class _Field:
    __slots__ = ("end", "key", "raw", "start", "unfolded")

    def __init__(self, raw: str, match: re.Match[str]) -> None:
        self.raw = raw
        self.key = field_key(match[1])
        self.start = match.end() - match.start()  # of the value in `raw`, and its end
        self.end = max(self.start, len(raw.rstrip(LWS)))
        self.unfolded: str | None = None

    @property
    def name(self) -> str:
        return self.raw[: self.raw.index(":")].rstrip(" \t")

    @property
    def value(self) -> str:
        if self.unfolded is None:
            value = self.raw[self.start : self.end]
            if "\n" in value:
                value = " ".join(line.strip(LWS) for line in value.split("\n")).strip(LWS)
            self.unfolded = value
        return self.unfolded

    def replaced(self, start: int, end: int, text: str) -> _Field:
        raw = self.raw[: self.start + start] + text + self.raw[self.start + end :]
        match = _NAME.match(raw)
        assert match is not None  # the name has not changed
        return _Field(raw, match)


class HeaderFields:
    """Header fields in the order they came in.

    Values are text, one character an octet (Latin-1), folds replaced by a space. Names compare
    without case, and a compact form is the same name. A value or name that cannot stand in a message
    (CR, LF, NUL, a character above U+00FF) is a `LocalError`.
    """

    __slots__ = ("_ending", "_fields")

    def __init__(self, fields: list[_Field], ending: str) -> None:
        self._fields = fields
        self._ending = ending

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Name as written and value of each field."""
        return tuple((field.name, field.value) for field in self._fields)

    def has(self, name: str) -> bool:
        return self._find(field_key(name)) is not None

    def get(self, name: str) -> str | None:
        """Value of the first field of this name, or None."""
        place = self._find(field_key(name))
        return None if place is None else self._fields[place].value

    def get_all(self, name: str) -> list[str]:
        """Value of each field of this name; lists are not taken apart."""
        key = field_key(name)
        return [field.value for field in self._fields if field.key == key]

    def get_list(self, name: str) -> list[str]:
        """The elements of a comma-separated header over all its fields (RFC 3261 7.3.1).

        Not for headers whose values hold commas of another kind, such as Date or Authorization.
        `MalformedInput` for an open quote or an empty element.
        """
        return [field.value[start:end] for field in self._all(field_key(name)) for start, end in spans(field.value)]

    def set(self, name: str, value: str, *, index: int = 0) -> None:
        """Put `value` into field `index` of this name; without any such field, add one at the end.

        `LocalError` if there are fields of this name but none of this index.
        """
        key = field_key(name)
        places = [place for place, field in enumerate(self._fields) if field.key == key]
        if not places and index == 0:
            self.append(name, value)
            return
        if not 0 <= index < len(places):
            raise LocalError(f"there is no field {name} number {index}")
        field = self._fields[places[index]]
        self._fields[places[index]] = field.replaced(0, field.end - field.start, _checked(value))

    def replace_item(self, name: str, index: int, value: str) -> None:
        """Replace element `index`, counted over all fields, of a comma-separated header.

        `LocalError` if there is no such element, `MalformedInput` as in `get_list`.
        """
        place, field, found, at = self._item(name, index)
        self._fields[place] = field.replaced(*found[at], _checked(value))

    def remove_item(self, name: str, index: int = 0) -> None:
        """Remove element `index` of a comma-separated header, and its field if it is the only one.

        `LocalError` if there is no such element, `MalformedInput` as in `get_list`.
        """
        place, field, found, at = self._item(name, index)
        if len(found) == 1:
            del self._fields[place]
        elif at == 0:
            self._fields[place] = field.replaced(found[0][0], found[1][0], "")
        else:
            self._fields[place] = field.replaced(found[at - 1][1], found[at][1], "")

    def prepend(self, name: str, value: str) -> None:
        """Add a field above the first one of this name, or above all others: Via, Route, Record-Route."""
        self._fields.insert(self._find(field_key(name)) or 0, self._new(name, value))

    def append(self, name: str, value: str) -> None:
        """Add a field below the last one of this name, or at the end."""
        key = field_key(name)
        last = [place for place, field in enumerate(self._fields) if field.key == key][-1:]
        self._fields.insert(last[0] + 1 if last else len(self._fields), self._new(name, value))

    def insert(self, name: str, value: str, *, before: str | None = None, after: str | None = None) -> None:
        """Add a field before the first field called `before`, or after the last called `after`.

        At the end if there is no such field. `LocalError` unless exactly one of the two is given.
        """
        if (before is None) == (after is None):
            raise LocalError("insert needs one of before and after")
        key = field_key(before if before is not None else str(after))
        places = [place for place, field in enumerate(self._fields) if field.key == key]
        place = len(self._fields)
        if places:
            place = places[0] if before is not None else places[-1] + 1
        self._fields.insert(place, self._new(name, value))

    def remove(self, name: str) -> int:
        """Remove all fields of this name; how many there were."""
        key = field_key(name)
        before = len(self._fields)
        self._fields = [field for field in self._fields if field.key != key]
        return before - len(self._fields)

    def _find(self, key: str) -> int | None:
        return next((place for place, field in enumerate(self._fields) if field.key == key), None)

    def _all(self, key: str) -> Iterator[_Field]:
        return (field for field in self._fields if field.key == key)

    def _item(self, name: str, index: int) -> tuple[int, _Field, list[tuple[int, int]], int]:
        key = field_key(name)
        left = index
        for place, field in enumerate(self._fields):
            if field.key == key:
                found = spans(field.raw[field.start : field.end])
                if 0 <= left < len(found):
                    return place, field, found, left
                left -= len(found)
        raise LocalError(f"there is no element {index} in {name}")

    def _new(self, name: str, value: str) -> _Field:
        if not is_token(name):
            raise LocalError("a header field name is a token", clause="RFC 3261 7.3.1")
        raw = f"{name}: {_checked(value)}{self._ending}"
        match = _NAME.match(raw)
        assert match is not None  # a token and a colon
        return _Field(raw, match)


def _checked(value: str) -> str:
    if _CONTROL.search(value) or any(ord(character) > 0xFF for character in value):
        raise LocalError("a header value is one line of octets")
    return value.strip(LWS)


def new_fields(headers: list[tuple[str, str]], ending: str) -> HeaderFields:
    """Fields from names and values, in this order. `LocalError` as in `HeaderFields`."""
    fields = HeaderFields([], ending)
    fields._fields = [fields._new(name, value) for name, value in headers]
    return fields


def parse_fields(text: str, position: int) -> tuple[list[_Field], int]:
    """Read header fields from `position` on; the fields, and where the empty line after them begins.

    `MalformedInput` for a line that is no header field, for too many of them, or if no empty line
    ends them (RFC 3261 7).
    """
    fields: list[_Field] = []
    start = position  # of the field being read
    while True:
        end = text.find("\n", position) + 1
        if not end:
            raise MalformedInput("no empty line ends the header", clause="RFC 3261 7", offset=len(text))
        first = text[position]
        if first not in " \t":
            if start != position:
                _finish(fields, text, start, position)
            start = position
            if first == "\n" or text[position:end] == "\r\n":
                return fields, position
        elif start == position:
            raise MalformedInput("a folded line continues nothing", clause="RFC 3261 7.3.1", offset=position)
        position = end


def _finish(fields: list[_Field], text: str, start: int, end: int) -> None:
    raw = text[start:end]
    match = _NAME.match(raw)
    if match is None:
        raise MalformedInput("this is not a header field", clause="RFC 3261 7.3.1", offset=start)
    if len(fields) == MAX_FIELDS:
        raise MalformedInput("too many header fields", offset=start)
    fields.append(_Field(raw, match))
