"""SDP capability negotiation (RFC 5939): a=tcap, a=acap, a=pcfg and a=acfg, as far as SRTP keying needs it.

An offer whose actual configuration is plain RTP carries SRTP as a potential one:

    m=audio 49170 RTP/AVP 0
    a=tcap:1 RTP/SAVP
    a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…
    a=pcfg:1 t=1 a=1

The answer to it uses RTP/SAVP, one a=crypto, and a=acfg:1 t=1 a=1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from imsmediasec.sdp.document import MediaDescription, SessionDescription

_NUMBERED = re.compile(r"\s*(\d{1,9})\s+(\S.*)\Z")
_PCFG = re.compile(r"\s*(\d{1,9})((?:\s+\S+)*)\s*\Z")
# 3.5.1: a=[-m|-s|-ms:]mandatory,[optional] with | between alternatives.
_ATTRIBUTE_LIST = re.compile(r"(?:-(?:m|s|ms)(?::|\Z))?([\d,\[\]]*)\Z")
_MAX_ALTERNATIVES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class PotentialConfiguration:
    """One alternative of one a=pcfg line. Lower numbers are preferred (3.5.1)."""

    number: int
    proto: str | None
    """Transport protocol that it asks for; None: that of the m-line."""
    transport: int | None
    """Number of the a=tcap entry."""
    attributes: tuple[int, ...]
    """Numbers of the a=acap entries."""
    attribute_values: tuple[str, ...]
    """Those entries: "crypto:1 …", "rtpmap:…"."""

    def actual(self) -> str:
        """Value of the a=acfg line of an answer that uses this configuration (3.5.2)."""
        parts = [str(self.number)]
        if self.transport is not None:
            parts.append(f"t={self.transport}")
        if self.attributes:
            parts.append("a=" + ",".join(map(str, self.attributes)))
        return " ".join(parts)


def transport_capabilities(doc: SessionDescription, media: MediaDescription) -> dict[int, str]:
    """The protocols of a=tcap by number, of the session and this m-line (3.4.2). Unreadable lines are skipped."""
    protos: dict[int, str] = {}
    for value in (*doc.session.values("tcap"), *media.values("tcap")):
        match = _NUMBERED.match(value)
        if match is not None:
            for position, proto in enumerate(match[2].split()[:_MAX_ALTERNATIVES]):
                protos[int(match[1]) + position] = proto
    return protos


def attribute_capabilities(doc: SessionDescription, media: MediaDescription) -> dict[int, str]:
    """The attributes of a=acap by number, of the session and this m-line (3.4.1)."""
    attributes: dict[int, str] = {}
    for value in (*doc.session.values("acap"), *media.values("acap")):
        match = _NUMBERED.match(value)
        if match is not None:
            attributes[int(match[1])] = match[2]
    return attributes


def potential_configurations(doc: SessionDescription, media: MediaDescription) -> list[PotentialConfiguration]:
    """All alternatives of all readable a=pcfg lines, best first.

    One that asks for what cannot be resolved, or for an extension marked mandatory ("+"), is left
    out, as 3.6.2 wants.
    """
    found: list[PotentialConfiguration] = []
    written = media.values("pcfg")
    if not written:
        return found
    protos = transport_capabilities(doc, media)
    attributes = attribute_capabilities(doc, media)
    for value in written:
        match = _PCFG.match(value)
        if match is not None:
            found += _alternatives(int(match[1]), match[2].split(), protos, attributes)
    found.sort(key=lambda config: config.number)
    return found


def _alternatives(
    number: int, parts: list[str], protos: dict[int, str], attributes: dict[int, str]
) -> list[PotentialConfiguration]:
    transports: list[int | None] = [None]
    lists: list[tuple[int, ...]] = [()]
    for part in parts:
        name, _, text = part.partition("=")
        if name == "t":
            transports = [int(t) for t in text.split("|")[:_MAX_ALTERNATIVES] if t.isascii() and t.isdigit()]
        elif name == "a":
            chosen_lists = map(_attribute_list, text.split("|")[:_MAX_ALTERNATIVES])
            lists = [chosen for chosen in chosen_lists if chosen is not None]
        elif name.startswith("+"):
            return []
    found: list[PotentialConfiguration] = []
    for transport in transports:
        for chosen in lists:
            if len(found) == _MAX_ALTERNATIVES:
                return found
            if (transport is None or transport in protos) and all(a in attributes for a in chosen):
                found.append(
                    PotentialConfiguration(
                        number=number,
                        proto=None if transport is None else protos[transport],
                        transport=transport,
                        attributes=chosen,
                        attribute_values=tuple(attributes[a] for a in chosen),
                    )
                )
    return found


def _attribute_list(text: str) -> tuple[int, ...] | None:
    match = _ATTRIBUTE_LIST.match(text)
    if match is None:
        return None
    numbers = [n for n in match[1].replace("[", ",").replace("]", ",").split(",") if n]
    if any(len(n) > 9 for n in numbers):
        return None
    return tuple(int(n) for n in numbers)
