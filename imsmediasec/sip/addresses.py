"""Header values that carry an address: From, To, Contact, Route, P-Asserted-Identity, History-Info, …"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.grammar import LWS, Parameters, number, quote, unquote
from imsmediasec.sip.uri import SipUri, Uri, parse_uri

# Each blank can be taken in one way only, so that a run of them costs linear time.
_NAME_ADDR = re.compile(
    rf'("(?:[^"\\]|\\.)*"[{LWS}]*|[-.!%*_+`\'~0-9A-Za-z{LWS}\x80-\xff]*)<([^<>]*)>[{LWS}]*(?:;(.*))?\Z',
    re.DOTALL,
)
_CAUSE = re.compile(r";[ \t]*cause[ \t]*=[ \t]*(\d{3})(?!\d)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class NameAddr:
    """name-addr or addr-spec with header parameters (RFC 3261 20.10, 25.1)."""

    display_name: str = ""
    """As people read it: without quotes, UTF-8 decoded."""
    uri: Uri
    parameters: Parameters = field(default_factory=Parameters)
    """Of the header field, such as tag; those inside <> belong to the URI."""

    @classmethod
    def parse(cls, value: str) -> NameAddr:
        """Read one element (lists: `HeaderFields.get_list`). `MalformedInput` if it breaks the grammar."""
        value = value.strip(LWS)
        if "<" in value:
            match = _NAME_ADDR.match(value)
            if match is None:
                raise MalformedInput("the address breaks the grammar", clause="RFC 3261 25.1", offset=0)
            name = unquote(match[1].strip(LWS)).encode("latin-1").decode("utf-8", "replace")
            return cls(
                display_name=name,
                uri=parse_uri(match[2].strip(LWS)),
                parameters=Parameters.parse(match[3] or ""),
            )
        # Without <> all parameters are the header's (RFC 3261 20.10), and "?" or "," may not stand here.
        address, _, parameters = value.partition(";")
        uri = parse_uri(address.rstrip(LWS))
        if isinstance(uri, SipUri) and uri.headers:
            raise MalformedInput("a URI with headers needs <>", clause="RFC 3261 20.10", offset=0)
        return cls(uri=uri, parameters=Parameters.parse(parameters))

    @property
    def tag(self) -> str | None:
        return self.parameters.get("tag")

    def __str__(self) -> str:
        name = self.display_name.encode("utf-8").decode("latin-1")
        return f"{quote(name)} <{self.uri}>{self.parameters}" if name else f"<{self.uri}>{self.parameters}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryEntry:
    """One element of History-Info (RFC 7044 5)."""

    address: NameAddr
    index: tuple[int, ...]
    """(1, 2) for ``index=1.2``."""

    @classmethod
    def parse(cls, value: str) -> HistoryEntry:
        """Read one element. `MalformedInput` if it has no valid index."""
        address = NameAddr.parse(value)
        text = address.parameters.text("index")
        clause = "RFC 7044 5"
        if text is None or len(text) > 256:
            raise MalformedInput("a History-Info entry without an index", clause=clause)
        return cls(
            address=address,
            index=tuple(number(part, 2**31 - 1, "the index", clause) for part in text.split(".")),
        )

    @property
    def mechanism(self) -> str | None:
        """How this target came about: "rc", "mp" or "np" (RFC 7044 5), else None."""
        return next((name for name in ("rc", "mp", "np") if self.address.parameters.has(name)), None)

    @property
    def cause(self) -> int | None:
        """Why the request was retargeted from here or to here, as a SIP status, if the entry says.

        From the cause parameter of the URI (RFC 4458) or the Reason header in it (RFC 7044 10.2).
        """
        uri = self.address.uri
        if not isinstance(uri, SipUri):
            return None
        text = uri.parameters.get("cause")
        if text is not None and re.fullmatch(r"[1-6][0-9]{2}", text):
            return int(text)
        for name, value in uri.header_items:
            match = _CAUSE.search(value) if name.lower() == "reason" and value.upper().startswith("SIP") else None
            if match:
                return int(match[1])
        return None

    def __str__(self) -> str:
        dotted = ".".join(map(str, self.index))
        address = self.address
        parameters = address.parameters.replaced("index", dotted)
        return str(NameAddr(display_name=address.display_name, uri=address.uri, parameters=parameters))
