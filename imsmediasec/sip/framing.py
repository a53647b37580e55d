"""`StreamFramer`: messages and keep-alives out of a byte stream (RFC 3261 18.3, RFC 5626 3.5.1)."""

from __future__ import annotations

import re
from enum import Enum

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.message import MAX_HEAD, MAX_OCTETS

# A field with its folds. Content-Length is read here as `SipMessage.content_length` reads it.
_LENGTH = re.compile(rb"\n(?:content-length|l)[ \t]*:((?:[^\n]|\n[ \t])*)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")


class Keepalive(Enum):
    """What a stream carries between messages (RFC 5626 3.5.1)."""

    PING = "ping"
    """Two empty lines: the other side wants a PONG."""
    PONG = "pong"
    """One empty line. The first half of a PING that comes in two pieces is reported as this too."""


PING = b"\r\n\r\n"
PONG = b"\r\n"


class StreamFramer:
    """Cuts the octets of one TCP or TLS connection into messages.

    `feed` gives whole messages, ready for `SipMessage.parse`, and keep-alives, in order. After
    `MalformedInput` no boundary is known any more: close the connection. Memory is bounded by
    `max_octets` and one read.

    `opened_here`: this side opened the connection, sends the pings and gets the pongs (RFC 5626 3.5.1);
    then two empty lines that come apart are two pongs. Otherwise they are the halves of one ping.
    """

    def __init__(self, *, max_octets: int = MAX_OCTETS, opened_here: bool = False) -> None:
        self._opened_here = opened_here
        self._max_octets = max_octets
        self._buffer = bytearray()
        self._searched = 0  # no end of the header before this place
        self._needed = 0  # length of the whole message, once known
        self._half = False  # the last thing on the line was one empty line
        self._broken: MalformedInput | None = None

    @property
    def pending(self) -> int:
        """Octets of a message that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes | Keepalive]:
        """Take in `data`; what is complete now.

        `MalformedInput`: no usable Content-Length (18.3), or a message beyond the limits. What was
        complete before the fault in the same `data` is lost with the connection.
        """
        if self._broken is not None:
            raise self._broken
        self._buffer += data
        found: list[bytes | Keepalive] = []
        try:
            while self._buffer:
                item = self._next()
                if item is None:
                    break
                found.append(item)
        except MalformedInput as error:
            self._broken = error
            self._buffer.clear()
            raise
        return found

    def _next(self) -> bytes | Keepalive | None:
        buffer = self._buffer
        if buffer[0] in b"\r\n":
            return self._keepalive()
        self._half = False
        if not self._needed:
            self._needed = self._measure()
        if not self._needed or len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._searched = self._needed = 0
        return message

    def _keepalive(self) -> Keepalive | None:
        buffer = self._buffer
        if buffer == b"\r":
            return None
        if buffer[:1] == b"\r" and buffer[:2] != PONG:
            raise MalformedInput("a CR without LF between messages", clause="RFC 3261 18.3")
        if buffer[:4] == PING and (self._opened_here or not self._half):
            del buffer[:4]
            return Keepalive.PING
        del buffer[: 2 if buffer[0] == 0x0D else 1]
        self._half = not self._half or self._opened_here
        return Keepalive.PONG if self._half else Keepalive.PING

    def _measure(self) -> int:
        buffer = self._buffer
        match = _HEAD_END.search(buffer, self._searched)
        if match is None:
            if len(buffer) > MAX_HEAD:
                raise MalformedInput("the header is too long", sip_status_hint=513)
            self._searched = max(0, len(buffer) - 2)
            return 0
        if match.end() > MAX_HEAD:
            raise MalformedInput("the header is too long", sip_status_hint=513)
        values = {value.strip(b" \t\r\n") for value in _LENGTH.findall(bytes(buffer[: match.start() + 1]))}
        lengths = {value.lstrip(b"0") or value[-1:] for value in values}
        if len(lengths) != 1:
            raise MalformedInput("a stream needs one Content-Length", clause="RFC 3261 18.3")
        digits = lengths.pop()
        if not (digits.isdigit() and len(digits) <= 10 and match.end() + int(digits) <= self._max_octets):
            raise MalformedInput("Content-Length is no number, or too large", clause="RFC 3261 20.14")
        return match.end() + int(digits)
