"""Values of header fields that carry no address: Via, CSeq, RAck, option tags, Replaces, Max-Forwards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.grammar import HOST, LWS, TOKEN, Parameters, is_token, number

MAGIC_COOKIE = "z9hG4bK"
"""How the branch of an RFC 3261 implementation begins (8.1.1.7)."""

_VIA = re.compile(
    rf"({TOKEN})[{LWS}]*/[{LWS}]*({TOKEN})[{LWS}]*/[{LWS}]*({TOKEN})[{LWS}]+"
    rf"({HOST})(?:[{LWS}]*:[{LWS}]*(\d{{1,5}}))?[{LWS}]*(?:;(.*))?\Z",
    re.ASCII | re.DOTALL,
)
_CSEQ = re.compile(rf"(\d{{1,10}})[{LWS}]+({TOKEN})\Z", re.ASCII)
_RACK = re.compile(rf"(\d{{1,10}})[{LWS}]+(\d{{1,10}})[{LWS}]+({TOKEN})\Z", re.ASCII)
_CALL_ID = re.compile(r"[-.!%*_+`'~()<>:\\\"/\[\]?{}@0-9A-Za-z]+\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Via:
    """One Via value (RFC 3261 20.42)."""

    protocol: str = "SIP/2.0"
    transport: str
    """UDP, TCP, TLS, … as written."""
    host: str
    port: int | None = None
    parameters: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, value: str) -> Via:
        """Read one value (lists: `HeaderFields.get_list`). `MalformedInput` if it breaks the grammar."""
        match = _VIA.match(value.strip(LWS))
        if match is None:
            raise MalformedInput("Via breaks the grammar", clause="RFC 3261 20.42", offset=0)
        return cls(
            protocol=f"{match[1]}/{match[2]}",
            transport=match[3],
            host=match[4],
            port=None if match[5] is None else number(match[5], 65535, "the port", "RFC 3261 20.42"),
            parameters=Parameters.parse(match[6] or ""),
        )

    @property
    def branch(self) -> str | None:
        return self.parameters.get("branch")

    @property
    def sent_by(self) -> str:
        """host, or host:port."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def with_source(self, host: str, port: int) -> Via:
        """What a server writes into the topmost Via of a request (RFC 3261 18.2.1, RFC 3581 4).

        `received` if sent-by names another host than the packet came from, or if the client asked
        for `rport`; then `rport` with the source port too.
        """
        parameters = self.parameters
        rport = parameters.has("rport")
        if rport:
            parameters = parameters.replaced("rport", str(port))
        if rport or self.host.strip("[]").lower() != host.lower() or parameters.has("received"):
            parameters = parameters.replaced("received", host)
        return Via(
            protocol=self.protocol,
            transport=self.transport,
            host=self.host,
            port=self.port,
            parameters=parameters,
        )

    def __str__(self) -> str:
        return f"{self.protocol}/{self.transport} {self.sent_by}{self.parameters}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CSeq:
    """RFC 3261 20.16."""

    number: int
    method: str

    @classmethod
    def parse(cls, value: str) -> CSeq:
        """`MalformedInput` unless it is a number below 2**31 and a method (RFC 3261 8.1.1.5)."""
        match = _CSEQ.match(value.strip(LWS))
        if match is None:
            raise MalformedInput("CSeq breaks the grammar", clause="RFC 3261 20.16", offset=0)
        return cls(number=number(match[1], 2**31 - 1, "CSeq", "RFC 3261 8.1.1.5"), method=match[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RAck:
    """Which reliable provisional response a PRACK acknowledges (RFC 3262 7.2)."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, value: str) -> RAck:
        """`MalformedInput` if it breaks the grammar."""
        match = _RACK.match(value.strip(LWS))
        if match is None:
            raise MalformedInput("RAck breaks the grammar", clause="RFC 3262 7.2", offset=0)
        return cls(
            rseq=number(match[1], 2**32 - 1, "the response number", "RFC 3262 7.2"),
            cseq=number(match[2], 2**31 - 1, "the CSeq number", "RFC 3262 7.2"),
            method=match[3],
        )

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaces:
    """Which dialog a new one takes the place of (RFC 3891 6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False
    other: Parameters = field(default_factory=Parameters)

    @classmethod
    def parse(cls, value: str) -> Replaces:
        """`MalformedInput` unless it has a Call-ID and both tags."""
        call_id, _, tail = value.partition(";")
        parameters = Parameters.parse(tail)
        to_tag, from_tag = parameters.get("to-tag"), parameters.get("from-tag")
        if not _CALL_ID.match(call_id.strip(LWS)) or not to_tag or not from_tag:
            raise MalformedInput("Replaces needs Call-ID, to-tag and from-tag", clause="RFC 3891 6.1", offset=0)
        return cls(
            call_id=call_id.strip(LWS),
            to_tag=to_tag,
            from_tag=from_tag,
            early_only=parameters.has("early-only"),
            other=parameters.without("to-tag").without("from-tag").without("early-only"),
        )

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}{self.other}"


def parse_option_tags(values: Iterable[str]) -> tuple[str, ...]:
    """The tokens of all fields of Require, Supported, Proxy-Require, Unsupported or Allow, in order.

    An empty field and stray commas are harmless here and pass; what is no token is `MalformedInput`
    (RFC 3261 20.32).
    """
    tags = [tag.strip(LWS) for value in values for tag in value.split(",")]
    for tag in tags:
        if tag and not is_token(tag):
            raise MalformedInput("an option tag is not a token", clause="RFC 3261 20.32")
    return tuple(tag for tag in tags if tag)


def is_call_id(value: str) -> bool:
    """Whether `value` can be a Call-ID (RFC 3261 25.1; "@" wherever it stands)."""
    return _CALL_ID.match(value) is not None


def parse_max_forwards(value: str) -> int:
    """0 to 255 (RFC 3261 20.22), or `MalformedInput`."""
    return number(value.strip(LWS), 255, "Max-Forwards", "RFC 3261 20.22")
