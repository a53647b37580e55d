"""`SipMessage`: a request or response that can be read, edited and written without loss (RFC 3261 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.addresses import NameAddr
from imsmediasec.sip.fields import HeaderFields, new_fields, parse_fields
from imsmediasec.sip.grammar import LWS, TOKEN, is_token, number

MAX_OCTETS = 262_144
"""Longer messages are refused."""
MAX_HEAD = 65_536
"""So are messages whose start-line and header fields are longer than this."""

_REQUEST_LINE = re.compile(rf"({TOKEN}) ([^\x00-\x20\x7f]+) (SIP/\d{{1,3}}\.\d{{1,3}})\Z", re.ASCII | re.IGNORECASE)
# A reason may be missing, with or without the space before it, as some peers send it.
_STATUS_LINE = re.compile(r"(SIP/\d{1,3}\.\d{1,3}) ([1-6]\d\d)(?: (.*))?\Z", re.ASCII | re.IGNORECASE | re.DOTALL)
_BARE_CR = re.compile(r"\r(?!\n)")
_URI = re.compile(r"[^\x00-\x20\x7f<>]+\Z")

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    481: "Call/Transaction Does Not Exist",
    483: "Too Many Hops",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    494: "Security Agreement Required",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
}
"""Reason phrases for statuses this library sends."""


class SipMessage(HeaderFields):
    """One SIP message. ``bytes(message)`` is what was parsed, but for the edits made since.

    Text is one character an octet (Latin-1); the body is octets. The body and credentials may hold
    keys: `repr` shows neither.
    """

    __slots__ = ("_blank", "_body", "_leading", "_line", "_trailing")

    def __init__(self, fields: HeaderFields, line: str, body: bytes) -> None:
        super().__init__(fields._fields, fields._ending)
        self._line = line  # start-line without its line end
        self._leading = ""
        self._blank = fields._ending
        self._body = body
        self._trailing = b""

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> SipMessage:
        """Read one whole message, such as a datagram or what `StreamFramer` gives.

        Tolerated: LF as line end, empty lines in front (7.5), folded and compact forms, a missing
        reason, octets after the body (18.3). `MalformedInput`, with the octet offset, for all else
        that breaks section 7, for a body shorter than Content-Length, for two Content-Length that
        differ, and for input beyond the limits of this module.
        """
        octets = bytes(data)
        if len(octets) > MAX_OCTETS:
            raise MalformedInput("the message is too long", sip_status_hint=513, offset=MAX_OCTETS)
        text = octets.decode("latin-1")
        begin = len(text) - len(text.lstrip("\r\n"))
        line_end = text.find("\n", begin) + 1
        if not line_end:
            raise MalformedInput("no start-line", clause="RFC 3261 7", offset=begin)
        line = text[begin:line_end].rstrip("\r\n")
        if not (_REQUEST_LINE.match(line) or _STATUS_LINE.match(line)):
            raise MalformedInput("the start-line breaks the grammar", clause="RFC 3261 7.1", offset=begin)
        fields, position = parse_fields(text[: begin + MAX_HEAD], line_end)
        bare = _BARE_CR.search(text, 0, position)
        if bare:
            raise MalformedInput("a CR without LF", clause="RFC 3261 25.1", offset=bare.start())
        ending = text[begin + len(line) : line_end]
        message = cls(HeaderFields(fields, ending), line, b"")
        message._leading = text[:begin]
        message._blank = "\r\n" if text[position] == "\r" else "\n"
        start = position + len(message._blank)
        length = message.content_length
        end = len(octets) if length is None else start + length
        if end > len(octets):
            raise MalformedInput("the body is shorter than Content-Length", clause="RFC 3261 18.3", offset=len(octets))
        message._body = octets[start:end]
        message._trailing = octets[end:]
        return message

    @classmethod
    def request(
        cls,
        method: str,
        uri: str,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> SipMessage:
        """A new request; Content-Type (with a body) and Content-Length are added at the end.

        `LocalError` if method, URI or a header cannot stand in a message.
        """
        line = f"{_method(method)} {_uri(uri)} SIP/2.0"
        message = cls(new_fields(list(headers), "\r\n"), line, b"")
        message.set_body(body, content_type=content_type)
        return message

    @classmethod
    def response_to(
        cls,
        request: SipMessage,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> SipMessage:
        """A new response with what RFC 3261 8.2.6.2 takes from the request, as it stands there.

        `to_tag` is added if To has none and the status is above 100. Record-Route is the caller's
        (12.1.1). `LocalError` for a response given as request, or a bad status, reason, tag or header.
        """
        if not request.is_request:
            raise LocalError("only a request is answered")
        if not 100 <= status <= 699:
            raise LocalError("a status is 100 to 699", clause="RFC 3261 7.2")
        phrase = REASONS.get(status, "") if reason is None else reason
        if re.search(r"[\r\n\0]", phrase) or not phrase.isascii():
            raise LocalError("a reason is one line of ASCII")
        copied = {"via", "from", "to", "call-id", "cseq"} | ({"timestamp"} if status == 100 else set())
        fields = HeaderFields([field for field in request._fields if field.key in copied], request._ending)
        message = cls(fields, f"SIP/2.0 {status} {phrase}", b"")
        if to_tag is not None and status > 100 and _lacks_tag(message.get("To")):
            if not is_token(to_tag):
                raise LocalError("a tag is a token", clause="RFC 3261 25.1")
            message.set("To", f"{message.get('To')};tag={to_tag}")
        for name, value in headers:
            message.append(name, value)
        message.set_body(body, content_type=content_type)
        return message

    @property
    def is_request(self) -> bool:
        return self._status_line is None

    @property
    def method(self) -> str:
        """Of a request, from its start-line; of a response, from CSeq ("" if that cannot be read)."""
        if self.is_request:
            return self._line.partition(" ")[0]
        words = (self.get("CSeq") or "").split()
        return words[1] if len(words) == 2 else ""

    @property
    def uri(self) -> str:
        """The Request-URI as written. `LocalError` for a response."""
        if not self.is_request:
            raise LocalError("a response has no Request-URI")
        return self._line.split(" ")[1]

    @property
    def status(self) -> int:
        """The status code. `LocalError` for a request."""
        match = self._status_line
        if match is None:
            raise LocalError("a request has no status")
        return int(match[2])

    @property
    def reason(self) -> str:
        """The reason phrase, or "". `LocalError` for a request."""
        match = self._status_line
        if match is None:
            raise LocalError("a request has no reason phrase")
        return match[3] or ""

    @property
    def version(self) -> str:
        """ "SIP/2.0", as written."""
        match = self._status_line
        return self._line.rpartition(" ")[2] if match is None else match[1]

    @property
    def body(self) -> bytes:
        """As far as Content-Length goes, or all that follows the header without one."""
        return self._body

    @property
    def trailing(self) -> bytes:
        """What follows the body; no part of the message (RFC 3261 18.3)."""
        return self._trailing

    @property
    def content_type(self) -> str | None:
        """Media type in lower case, without parameters, or None."""
        value = self.get("Content-Type")
        return None if value is None else value.partition(";")[0].strip(LWS).lower()

    @property
    def content_length(self) -> int | None:
        """Its number, or None without the field; `MalformedInput` if unreadable or contradictory."""
        values = {value.lstrip("0") or value[-1:] for value in self.get_all("Content-Length")}
        if len(values) > 1:
            raise MalformedInput("two Content-Length that differ", clause="RFC 3261 20.14")
        return number(values.pop(), MAX_OCTETS, "Content-Length", "RFC 3261 20.14") if values else None

    def set_uri(self, uri: str) -> None:
        """Replace the Request-URI. `LocalError` for a response, or for text that is no URI."""
        if not self.is_request:
            raise LocalError("a response has no Request-URI")
        self._line = f"{self.method} {_uri(uri)} {self.version}"

    def set_body(self, body: bytes, *, content_type: str | None = None) -> None:
        """Replace the body; Content-Length follows, and Content-Type if given (none without a body)."""
        self._body = bytes(body)
        self._trailing = b""
        if not body:
            self.remove("Content-Type")
        elif content_type is not None:
            self.set("Content-Type", content_type)
        for index in range(max(1, len(self.get_all("Content-Length")))):
            self.set("Content-Length", str(len(body)), index=index)

    def copy(self) -> SipMessage:
        """An independent copy."""
        message = SipMessage(HeaderFields(list(self._fields), self._ending), self._line, self._body)
        message._leading, message._blank, message._trailing = self._leading, self._blank, self._trailing
        return message

    def __bytes__(self) -> bytes:
        parts = [self._leading, self._line, self._ending, *(field.raw for field in self._fields), self._blank]
        return "".join(parts).encode("latin-1") + self._body + self._trailing

    def __repr__(self) -> str:
        what = self.method if self.is_request else f"{self.status} to {self.method}"
        return f"<SipMessage {what}, {len(self._fields)} header fields, body of {len(self._body)} octets>"

    @property
    def _status_line(self) -> re.Match[str] | None:
        # A request-line begins with a token, and "SIP/2.0" is none: "/" parts the two kinds.
        return _STATUS_LINE.match(self._line)


def _method(method: str) -> str:
    if not is_token(method):
        raise LocalError("a method is a token", clause="RFC 3261 7.1")
    return method


def _uri(uri: str) -> str:
    if not _URI.match(uri) or any(ord(character) > 0xFF for character in uri):
        raise LocalError("a Request-URI has no blanks and no brackets", clause="RFC 3261 7.1")
    return uri


def _lacks_tag(to: str | None) -> bool:
    # A To that cannot be read stays as it is: the answer may well be the 400 that says so.
    try:
        return to is not None and NameAddr.parse(to).tag is None
    except MalformedInput:
        return False
