"""`SessionDescription`: an SDP body that can be read, edited and written without loss (RFC 8866).

The text is kept as it came, cut at the m-lines. Reading searches it, editing replaces, removes or adds
single lines; all others leave as they came: order, line ends, unknown attributes, odd octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from imsmediasec.errors import MalformedInput
from imsmediasec.sdp.crypto import CryptoAttribute, read_plain

MAX_OCTETS = 262_144
"""Longer input is refused: no real session description comes near it."""

_VERSION = re.compile(r"v=0\r*(?=\n|\Z)")
_BAD_LINE = re.compile(r"\n(?![a-z]=|\Z)")
# Some readers take a lone CR for a line end: what stands behind it would be a line for them, and none for us.
_LONE_CR = re.compile(r"\r(?![\r\n]|\Z)")
# RFC 8866 5.14. More than one WSP and a trailing blank are seen from real peers and do no harm.
_MEDIA = re.compile(
    r"m=([!-~]+)[ \t]+(\d{1,6})(?:/(\d{1,9}))?[ \t]+([!-~]+)((?:[ \t]+[!-~]+)*)[ \t]*\r?(?=\n|\Z)", re.ASCII
)
# The attributes that are read most. A value ends before the carriage returns at the end of its line.
_MID = re.compile(r"\na=mid(?::([^\r\n]*)|)\r*(?=\n|\Z)")
_CRYPTO = re.compile(r"\na=crypto(?::([^\r\n]*)|)\r*(?=\n|\Z)")
_DIRECTION = re.compile(r"\na=(sendrecv|sendonly|recvonly|inactive)\r*(?=\n|\Z)")


class Section:
    """The lines of the session level, or of one m-line.

    The first line is v= or m=; so every other one, attributes included, has a line feed before it.
    """

    __slots__ = ("_ending", "_text")

    def __init__(self, text: str, ending: str) -> None:
        self._text = text  # with the end of each line; only the last section may lack the last one
        self._ending = ending  # what a new line gets: CRLF or LF

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without line ends."""
        return tuple(line.rstrip("\r") for line in self._text.removesuffix("\n").split("\n"))

    def values(self, name: str) -> list[str]:
        """Values of all a=`name` lines in order; "" for a property attribute."""
        text = self._text
        head = f"\na={name}"
        found: list[str] = []
        place = text.find(head)
        while place >= 0:
            place += len(head)
            end = text.find("\n", place)
            value = (text[place:end] if end >= 0 else text[place:]).rstrip("\r")
            if not value or value[0] == ":":
                found.append(value[1:])
            place = text.find(head, place)
        return found

    def value(self, name: str) -> str | None:
        """Value of the first a=`name` line, or None."""
        if f"\na={name}" in self._text:
            for value in self.values(name):
                return value
        return None

    def has(self, name: str) -> bool:
        """True if there is an a=`name` line."""
        return bool(self.values(name))

    def line(self, kind: str) -> str | None:
        """What stands behind ``kind=`` in its first line, or None."""
        text = self._text
        begin = text.find(f"\n{kind}=") + 1
        if not begin and not text.startswith(f"{kind}="):
            return None
        end = text.find("\n", begin)
        return (text[begin + 2 : end] if end >= 0 else text[begin + 2 :]).rstrip("\r")

    @property
    def direction(self) -> str | None:
        """sendrecv, sendonly, recvonly or inactive as written here first, or None."""
        match = _DIRECTION.search(self._text)
        return None if match is None else match[1]

    def replace_line(self, kind: str, value: str) -> None:
        """Put `value` behind ``kind=`` in its first line; add the line at the end if there is none."""
        new = _checked(f"{kind}={value}")
        span = self._find(f"{kind}=")
        if span is None:
            self._insert((new,), len(self._text))
        else:
            self._text = self._text[: span[0]] + new + self._text[span[1] :]

    def insert_second(self, kind: str, value: str) -> None:
        """Add a line right behind the first one: c= behind m= (RFC 8866 5)."""
        first_end = self._text.find("\n") + 1
        self._insert((_checked(f"{kind}={value}"),), first_end or len(self._text))

    def replace_attribute(self, name: str, value: str) -> bool:
        """Put `value` into the first a=`name` line; False if there is none."""
        new = _checked(f"a={name}:{value}" if value else f"a={name}")
        match = _attribute_lines((name,)).search(self._text)
        if match is None:
            return False
        begin = match.start() + 1
        self._text = self._text[:begin] + new + self._text[_end_of_line(self._text, begin) :]
        return True

    def remove_attributes(self, *names: str) -> int | None:
        """Remove all lines of these attributes, their names in any case; the place of the first, or None if there
        was none."""
        return self._cut(_attribute_lines(names))

    def remove_lines(self, kind: str) -> None:
        """Remove all lines ``kind=…``; the first line of the section stays."""
        self._cut(re.compile(rf"\n{kind}=[^\n]*"))

    def keep_first_line(self, kind: str) -> None:
        """Remove the lines ``kind=…`` behind the first of them."""
        span = self._find(f"{kind}=")
        if span is not None:
            self._cut(re.compile(rf"\n{kind}=[^\n]*"), behind=span[1])

    def add_attributes(self, attributes: Iterable[str], at: int | None = None) -> None:
        """Add lines, each "name" or "name:value", at a place from `remove_attributes`, or at the end."""
        new = [_checked(f"a={attribute}") for attribute in attributes]
        self._insert(new, len(self._text) if at is None else at)

    def _cut(self, lines: re.Pattern[str], *, behind: int = 0) -> int | None:
        text = self._text
        first: int | None = None
        kept: list[str] = []
        start = 0
        for match in lines.finditer(text, behind):
            begin = match.start() + 1
            if first is None:
                first = begin
            kept.append(text[start:begin])
            start = match.end() + 1
        if first is not None:
            self._text = "".join(kept) + text[start:]
        return first

    def _find(self, head: str) -> tuple[int, int] | None:
        """Where the first line that begins with `head` stands, without its line end."""
        text = self._text
        begin = text.find("\n" + head) + 1
        if not begin and not text.startswith(head):
            return None
        return begin, _end_of_line(text, begin)

    def _insert(self, lines: Iterable[str], place: int) -> None:
        text, ending = self._text, self._ending
        new = "".join([line + ending for line in lines])
        if place == len(text) and not text.endswith("\n"):
            # The body has no last line end, and keeps it so.
            self._text = text + ending + new.removesuffix(ending) if new else text
        else:
            self._text = text[:place] + new + text[place:]


class MediaDescription(Section):
    """One m-line and all that belongs to it."""

    __slots__ = ("_crypto", "_media")

    def __init__(self, text: str, ending: str, match: re.Match[str]) -> None:
        self._text = text
        self._ending = ending
        self._media = match
        self._crypto: tuple[str, tuple[CryptoAttribute, ...], tuple[MalformedInput, ...]] | None = None

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
        match = _MID.search(self._text)
        return None if match is None else match[1] or ""

    @property
    def crypto(self) -> tuple[CryptoAttribute, ...]:
        """The valid a=crypto lines in order (RFC 4568)."""
        return self._read_crypto()[1]

    @property
    def crypto_errors(self) -> tuple[MalformedInput, ...]:
        """Why the other a=crypto lines are void. A void line voids itself only (RFC 4568 5.1.2)."""
        return self._read_crypto()[2]

    def rewrite(self, lines: Iterable[str]) -> None:
        """Replace the whole section, m= line first. Raises ValueError if that line cannot be read."""
        text = "".join([_checked(line) + self._ending for line in lines])
        changed = _MEDIA.match(text)
        if changed is None or int(changed[2]) > 65535:
            raise ValueError("a section begins with its m= line")
        self._text = text if self._text.endswith("\n") else text.removesuffix(self._ending)
        self._media = changed

    def set_media(self, *, proto: str | None = None, port: int | None = None) -> None:
        """Change the protocol or port of the m-line; the rest of the line stays."""
        match = self._media
        text = self._text
        if proto is not None and proto != match[4]:
            text = text[: match.start(4)] + proto + text[match.end(4) :]
        if port is not None:
            text = f"{text[: match.start(2)]}{port}{text[match.end(2) :]}"
        if text is not self._text:
            changed = _MEDIA.match(text)
            if changed is None or (proto is not None and changed[4] != proto) or int(changed[2]) > 65535:
                raise ValueError("proto and port must fit an m= line")
            self._text = text
            self._media = changed

    def _read_crypto(self) -> tuple[str, tuple[CryptoAttribute, ...], tuple[MalformedInput, ...]]:
        read = self._crypto
        if read is None or read[0] is not self._text:
            values = _CRYPTO.findall(self._text)
            quick = [read_plain(value) for value in values]
            if None in quick or len({crypto.tag for crypto in quick if crypto}) != len(quick):
                read = (self._text, *_read_one_by_one(values, quick))
            else:
                read = (self._text, tuple(quick), ())  # type: ignore[arg-type]  # no None is among them
            self._crypto = read
        return read


class SessionDescription:
    """A whole SDP body. `str(doc)` and `bytes(doc)` give what was parsed, plus the edits."""

    __slots__ = ("_trailer", "media", "session")

    session: Section
    """The lines before the first m-line."""
    media: tuple[MediaDescription, ...]
    """One entry an m-line, in order."""
    _trailer: str

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
        if _VERSION.match(text) is None:
            raise MalformedInput("an SDP body begins with v=0", clause="RFC 8866 5.1", offset=0)
        if text.count("\r") != text.count("\r\n") and (lone := _LONE_CR.search(text)) is not None:
            raise MalformedInput("a CR within an SDP line", clause="RFC 8866 9", offset=lone.start())
        self = cls.__new__(cls)
        self._trailer = ""
        if "\0" in text or _BAD_LINE.search(text) is not None:
            text, self._trailer = _cut_blank_end(text)
        ending = "\r\n" if text.startswith("\r", 3) else "\n"
        parts = text.split("\nm=")
        last = len(parts) - 1
        self.session = Section(parts[0] + "\n" if last else parts[0], ending)
        media = []
        offset = len(parts[0]) + 1
        for number in range(1, last + 1):
            section = f"m={parts[number]}" if number == last else f"m={parts[number]}\n"
            match = _MEDIA.match(section)
            if match is None or int(match[2]) > 65535:
                raise MalformedInput("the m= line cannot be read", clause="RFC 8866 5.14", offset=offset)
            media.append(MediaDescription(section, ending, match))
            offset += len(section)
        self.media = tuple(media)
        return self

    def connection(self, media: MediaDescription) -> str | None:
        """What stands in the c= line that holds for this m-line, such as "IN IP4 192.0.2.1", or None."""
        for text in (media._text, self.session._text):
            begin = text.find("\nc=") + 3
            if begin > 2:
                end = text.find("\n", begin)
                return (text[begin:end] if end >= 0 else text[begin:]).rstrip("\r")
        return None

    def direction(self, media: MediaDescription) -> str:
        """The direction that holds for this m-line (RFC 8866 6.7); sendrecv if none is written."""
        return media.direction or self.session.direction or "sendrecv"

    def __str__(self) -> str:
        return "".join([self.session._text, *[media._text for media in self.media], self._trailer])

    def __bytes__(self) -> bytes:
        text = str(self)
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # lone surrogates in a str that was parsed
            return text.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        kinds = ", ".join(f"{media.media_type} {media.proto}" for media in self.media)
        return f"<SessionDescription {kinds or 'without media'}>"


def _read_one_by_one(
    values: list[str], quick: list[CryptoAttribute | None]
) -> tuple[tuple[CryptoAttribute, ...], tuple[MalformedInput, ...]]:
    """The valid a=crypto values and the faults of the others; `quick`: those read already. A tag that stands twice
    counts the first time."""
    good: dict[int, CryptoAttribute] = {}
    bad: list[MalformedInput] = []
    for value, known in zip(values, quick, strict=True):
        try:
            crypto = known or CryptoAttribute.by_grammar(value)
            if crypto.tag in good:
                raise MalformedInput(f"crypto tag {crypto.tag} stands twice", clause="RFC 4568 4.1")
            good[crypto.tag] = crypto
        except MalformedInput as error:
            bad.append(error)
    return tuple(good.values()), tuple(bad)


def _cut_blank_end(text: str) -> tuple[str, str]:
    """Find the fault in the lines; blank lines at the very end are none: text and blank lines apart."""
    end = len(text.rstrip(" \t\r\n"))
    cut = text.find("\n", end) + 1 or len(text)
    bad = _BAD_LINE.search(text, 0, cut)
    offset = min([place for place in (text.find("\0"), -1 if bad is None else bad.end()) if place >= 0], default=None)
    if offset is not None:
        raise MalformedInput("an SDP line is a small letter, '=' and a value", clause="RFC 8866 5", offset=offset)
    return text[:cut], text[cut:]


def _end_of_line(text: str, start: int) -> int:
    """Where the line that `start` is in ends: before its carriage returns and line feed."""
    end = text.find("\n", start)
    if end < 0:
        end = len(text)
    while end > start and text[end - 1] == "\r":
        end -= 1
    return end


@lru_cache(maxsize=64)
def _attribute_lines(names: tuple[str, ...]) -> re.Pattern[str]:
    """Lines of these attributes, each with the line feed before it (a plain prefix is what `re` finds fast)."""
    return re.compile(rf"\na=(?i:{'|'.join(map(re.escape, names))})(?=[:\r\n]|\Z)[^\n]*")


def _checked(line: str) -> str:
    if "\n" in line or "\r" in line or "\0" in line:
        raise ValueError("an SDP line holds no line end")
    return line
