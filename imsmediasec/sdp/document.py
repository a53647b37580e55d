"""`SessionDescription`: an SDP body that can be read, edited and written without loss (RFC 8866).

The text is kept as its lines. Reading looks into them, editing replaces, removes or adds single
lines; all others leave as they came: order, line ends, unknown attributes, odd octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from imsmediasec.errors import MalformedInput
from imsmediasec.sdp.crypto import CryptoAttribute

MAX_OCTETS = 262_144
"""Longer input is refused: no real session description comes near it."""

_LINE = re.compile(r"[a-z]=[^\0]*\Z")
# All lines at once: the common case costs one call. Each step is decided by one character.
_ALL_LINES = re.compile(r"(?:[a-z]=[^\n\0]*\n)*(?:[a-z]=[^\n\0]*)?\Z")
# RFC 8866 5.14. More than one WSP and a trailing blank are seen from real peers and do no harm.
_MEDIA = re.compile(r"m=([!-~]+)[ \t]+(\d{1,6})(?:/(\d{1,9}))?[ \t]+([!-~]+)((?:[ \t]+[!-~]+)*)[ \t]*\r?\Z")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


class Section:
    """The lines of the session level, or of one m-line; each without its line feed."""

    __slots__ = ("_attributes", "_ending", "_lines")

    def __init__(self, lines: list[str], ending: str) -> None:
        self._lines = lines
        self._ending = ending  # what a new line gets before its line feed: "\r" or ""
        self._attributes: dict[str, list[str]] | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without line ends."""
        return tuple(line.rstrip("\r") for line in self._lines)

    def values(self, name: str) -> list[str]:
        """Values of all a=`name` lines in order; "" for a property attribute. Do not change the list."""
        return self._scan().get(name, [])

    def value(self, name: str) -> str | None:
        """Value of the first a=`name` line, or None."""
        values = self._scan().get(name)
        return values[0] if values else None

    def has(self, name: str) -> bool:
        return name in self._scan()

    def line(self, kind: str) -> str | None:
        """What stands behind ``kind=`` in its first line, or None."""
        for line in self._lines:
            if line[0] == kind:
                return line[2:].rstrip("\r")
        return None

    @property
    def direction(self) -> str | None:
        """sendrecv, sendonly, recvonly or inactive as written here, or None."""
        attributes = self._scan()
        for direction in _DIRECTIONS:
            if direction in attributes:
                return direction
        return None

    def replace_line(self, kind: str, value: str) -> None:
        """Put `value` behind ``kind=`` in its first line; add the line at the end if there is none."""
        new = _checked(f"{kind}={value}")
        for position, line in enumerate(self._lines):
            if line[0] == kind:
                self._lines[position] = new + line[len(line.rstrip("\r")) :]
                break
        else:
            self._lines.append(new + self._ending)
        self._attributes = None

    def insert_second(self, kind: str, value: str) -> None:
        """Add a line right behind the first one: c= behind m= (RFC 8866 5)."""
        self._lines.insert(1, _checked(f"{kind}={value}") + self._ending)
        self._attributes = None

    def replace_attribute(self, name: str, value: str) -> bool:
        """Put `value` into the first a=`name` line; False if there is none."""
        for position, line in enumerate(self._lines):
            if _attribute_name(line) == name:
                self._lines[position] = _checked(f"a={name}:{value}" if value else f"a={name}") + self._ending
                self._attributes = None
                return True
        return False

    def remove_attributes(self, *names: str) -> int | None:
        """Remove all lines of these attributes; the place of the first, or None if there was none."""
        if not any(name in self._scan() for name in names):
            return None
        first: int | None = None
        kept: list[str] = []
        for line in self._lines:
            if _attribute_name(line) in names:
                first = len(kept) if first is None else first
            else:
                kept.append(line)
        self._lines = kept
        self._attributes = None
        return first

    def remove_lines(self, kind: str) -> None:
        """Remove all lines ``kind=…``; the m= and v= lines stay."""
        self._lines = [line for line in self._lines if line[0] != kind or kind in "mv"]
        self._attributes = None

    def add_attributes(self, attributes: Iterable[str], at: int | None = None) -> None:
        """Add lines, each "name" or "name:value", at a place from `remove_attributes`, or at the end."""
        new = [_checked(f"a={attribute}") + self._ending for attribute in attributes]
        place = len(self._lines) if at is None else at
        self._lines[place:place] = new
        self._attributes = None

    def _scan(self) -> dict[str, list[str]]:
        attributes = self._attributes
        if attributes is None:
            attributes = {}
            for line in self._lines:
                if line[0] == "a":
                    name, _, value = line[2:].rstrip("\r").partition(":")
                    if name in attributes:
                        attributes[name].append(value)
                    else:
                        attributes[name] = [value]
            self._attributes = attributes
        return attributes


class MediaDescription(Section):
    """One m-line and all that belongs to it."""

    __slots__ = ("_crypto", "_media")

    def __init__(self, lines: list[str], ending: str, match: re.Match[str]) -> None:
        super().__init__(lines, ending)
        self._crypto: tuple[tuple[CryptoAttribute, ...], tuple[MalformedInput, ...]] | None = None
        self._media = match

    @property
    def media_type(self) -> str:
        """ "audio", "video", "message", … in lower case."""
        return self._media[1].lower()

    @property
    def port(self) -> int:
        return int(self._media[2])

    @property
    def port_count(self) -> int:
        return int(self._media[3] or 1)

    @property
    def proto(self) -> str:
        """The transport protocol, such as "RTP/SAVP", as written."""
        return self._media[4]

    @property
    def formats(self) -> tuple[str, ...]:
        return tuple(self._media[5].split())

    @property
    def mid(self) -> str | None:
        return self.value("mid")

    @property
    def crypto(self) -> tuple[CryptoAttribute, ...]:
        """The valid a=crypto lines in order (RFC 4568)."""
        return self._read_crypto()[0]

    @property
    def crypto_errors(self) -> tuple[MalformedInput, ...]:
        """Why the other a=crypto lines are void. A void line voids itself only (RFC 4568 5.1.2)."""
        return self._read_crypto()[1]

    def set_media(self, *, proto: str | None = None, port: int | None = None) -> None:
        """Change the protocol or port of the m-line; the rest of the line stays."""
        match = self._media
        line = self._lines[0]
        spans = []
        if port is not None:
            spans.append((match.span(2), str(port)))
        if proto is not None:
            spans.append((match.span(4), proto))
        for (start, end), text in reversed(spans):
            line = line[:start] + text + line[end:]
        changed = _MEDIA.match(line)
        if changed is None:
            raise ValueError("proto and port must fit an m= line")
        self._lines[0] = line
        self._media = changed

    def _read_crypto(self) -> tuple[tuple[CryptoAttribute, ...], tuple[MalformedInput, ...]]:
        # The cache lives as long as the scan: every edit clears both.
        if self._attributes is None or self._crypto is None:
            values = self._scan().get("crypto")
            if not values:
                self._crypto = ((), ())
                return self._crypto
            good: list[CryptoAttribute] = []
            bad: list[MalformedInput] = []
            tags: set[int] = set()
            for value in values:
                try:
                    crypto = CryptoAttribute.parse_value(value)
                    if crypto.tag in tags:
                        raise MalformedInput(f"crypto tag {crypto.tag} stands twice", clause="RFC 4568 4.1")
                except MalformedInput as error:
                    bad.append(error)
                else:
                    tags.add(crypto.tag)
                    good.append(crypto)
            self._crypto = (tuple(good), tuple(bad))
        return self._crypto


class SessionDescription:
    """A whole SDP body. `str(doc)` and `bytes(doc)` give what was parsed, plus the edits."""

    __slots__ = ("_trailer", "media", "session")

    session: Section
    """The lines before the first m-line."""
    media: tuple[MediaDescription, ...]
    """One entry an m-line, in order."""
    _trailer: list[str]

    @classmethod
    def parse(cls, data: str | bytes) -> SessionDescription:
        """Read an SDP body. Lines end with CRLF or LF; the last may lack its end.

        Raises MalformedInput: too long, no ``v=0`` in front, a line that is not ``x=…``, an m-line
        that cannot be read. What stands in the other lines is not judged here.
        """
        if len(data) > MAX_OCTETS:
            raise MalformedInput(f"an SDP body of more than {MAX_OCTETS} octets is not read", clause="RFC 8866 5")
        # Octets that are no UTF-8 survive as surrogates, and leave as they came.
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "surrogateescape")
        lines = text.split("\n")
        if lines[0].rstrip("\r") != "v=0":
            raise MalformedInput("an SDP body begins with v=0", clause="RFC 8866 5.1", offset=0)
        trailer = [""] if lines[-1] == "" else []
        if trailer:
            lines.pop()
        if _ALL_LINES.match(text) is None:
            trailer = _check_lines(lines) + trailer
        self = cls.__new__(cls)
        self._trailer = trailer
        starts = [position for position, line in enumerate(lines) if line.startswith("m=")]
        ending = "\r" if lines[0].endswith("\r") else ""
        media = []
        end = len(lines)
        for start in reversed(starts):
            section = lines[start:end]
            match = _MEDIA.match(section[0])
            if match is None or int(match[2]) > 65535:
                offset = _offset(lines, start)
                raise MalformedInput("the m= line cannot be read", clause="RFC 8866 5.14", offset=offset)
            media.append(MediaDescription(section, ending, match))
            end = start
        media.reverse()
        self.session = Section(lines[:end], ending)
        self.media = tuple(media)
        return self

    def connection(self, media: MediaDescription) -> str | None:
        """What stands in the c= line that holds for this m-line, such as "IN IP4 192.0.2.1", or None."""
        return media.line("c") or self.session.line("c")

    def direction(self, media: MediaDescription) -> str:
        """The direction that holds for this m-line (RFC 8866 6.7); sendrecv if none is written."""
        return media.direction or self.session.direction or "sendrecv"

    def __str__(self) -> str:
        lines = list(self.session._lines)
        for media in self.media:
            lines += media._lines
        lines += self._trailer
        return "\n".join(lines)

    def __bytes__(self) -> bytes:
        text = str(self)
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # lone surrogates in a str that was parsed
            return text.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        kinds = ", ".join(f"{media.media_type} {media.proto}" for media in self.media)
        return f"<SessionDescription {kinds or 'without media'}>"


def _check_lines(lines: list[str]) -> list[str]:
    """Find the fault; blank lines at the very end are none: cut them off and return them."""
    for position, line in enumerate(lines):
        if _LINE.match(line) is None:
            if not any(map(str.strip, lines[position:])):
                blank = lines[position:]
                del lines[position:]
                return blank
            raise MalformedInput(
                "an SDP line is a small letter, '=' and a value",
                clause="RFC 8866 5",
                offset=_offset(lines, position),
            )
    return []


def _offset(lines: list[str], position: int) -> int:
    return sum(map(len, lines[:position])) + position


def _attribute_name(line: str) -> str | None:
    return line[2:].rstrip("\r").partition(":")[0] if line.startswith("a=") else None


def _checked(line: str) -> str:
    if "\n" in line or "\r" in line or "\0" in line:
        raise ValueError("an SDP line holds no line end")
    return line
