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
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from imsmediasec.records import quick_init
from imsmediasec.sdp.document import MediaDescription, SessionDescription

_NUMBERED = re.compile(r"\s*(\d{1,10})\s+(\S.*)\Z", re.ASCII)
_PCFG = re.compile(r"\s*(\d{1,10})((?:\s+\S+)*)\s*\Z", re.ASCII)
# 3.5.1: [-m|-s|-ms:] mandatory numbers, then optional ones in brackets; "|" parts alternatives before this.
_ATTRIBUTES = re.compile(r"(?:-(m|s|ms)(?::|\Z))?([\d,]*?),?(?:\[([\d,]*)\])?\Z", re.ASCII)
_MAX_ALTERNATIVES = 64
_Attributes = tuple[str, tuple[int, ...], tuple[int, ...]]


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class PotentialConfiguration:
    """One alternative of one a=pcfg line. Lower numbers are preferred (3.5.1)."""

    number: int
    proto: str | None
    """Transport protocol that it asks for; None: that of the m-line."""
    transport: int | None
    """Number of the a=tcap entry."""
    deletes: str
    """Whose attributes it deletes first: "m" (of the m-line), "s" (of the session), "ms", or ""."""
    mandatory: Mapping[int, str]
    """The a=acap entries that must be supported, by number: "crypto:1 …", "rtpmap:…"."""
    optional: Mapping[int, str]
    """Those that may be left out."""

    def actual(self, used: Collection[int]) -> str:
        """Value of the a=acfg line of an answer that uses this configuration with these optional attributes (3.5.2)."""
        parts = [str(self.number)]
        if self.transport is not None:
            parts.append(f"t={self.transport}")
        listed = list(map(str, self.mandatory))
        if used:
            listed.append(f"[{','.join(map(str, used))}]")
        if listed:
            deletes = f"-{self.deletes}:" if self.deletes else ""
            parts.append(f"a={deletes}{','.join(listed)}")
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
    out, and all are if the offer requires an extension of the framework (a=creq), as 3.6.2 wants.
    """
    found: list[PotentialConfiguration] = []
    written = media.values("pcfg")
    required = [tag for value in (*doc.session.values("creq"), *media.values("creq")) for tag in value.split(",")]
    if not written or any(tag.strip() != "cap-v0" for tag in required):
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
    lists: list[_Attributes] = [("", (), ())]
    for part in parts:
        name, _, text = part.partition("=")
        if name == "t":
            transports = [int(t) for t in text.split("|")[:_MAX_ALTERNATIVES] if t.isascii() and t.isdigit()]
        elif name == "a":
            lists = _attribute_lists(text)
        elif name.startswith("+"):
            return []
    found: list[PotentialConfiguration] = []
    for transport in transports:
        for deletes, mandatory, optional in lists:
            resolved = transport is None or transport in protos
            if len(found) < _MAX_ALTERNATIVES and resolved and all(n in attributes for n in (*mandatory, *optional)):
                found.append(
                    PotentialConfiguration(
                        number=number,
                        proto=None if transport is None else protos[transport],
                        transport=transport,
                        deletes=deletes,
                        mandatory={n: attributes[n] for n in mandatory},
                        optional={n: attributes[n] for n in optional},
                    )
                )
    return found


def _attribute_lists(text: str) -> list[_Attributes]:
    """What is deleted first, and the numbers of mandatory and optional attributes, of each readable alternative."""
    lists: list[_Attributes] = []
    deletes = ""
    for alternative in text.split("|")[:_MAX_ALTERNATIVES]:
        match = _ATTRIBUTES.match(alternative)
        if match is not None:
            deletes = match[1] or deletes  # stands in front of the first alternative, for all
            lists.append((deletes, _numbers(match[2]), _numbers(match[3] or "")))
    return lists


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number and len(number) <= 10)
