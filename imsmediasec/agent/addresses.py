"""Where media goes: the lines of an SDP that lead it through the relay, and no other way round.

Edits addresses only; what protects the media is the business of `imsmediasec.negotiation`.
"""

from __future__ import annotations

import ipaddress
import re

from imsmediasec.media.relay import Address
from imsmediasec.sdp import MediaDescription, SessionDescription, profiles

# Each of these could lead media round the relay, or promise what it does not do (RFC 3605, 4570, 5760, 5761, 6947,
# 7006, 8839, 9143, TS 29.079).
_MEDIA_ATTRIBUTES = (
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-mismatch",
    "bundle-only",
    "source-filter",
    "multicast-rtcp",
    "altc",
    "ccap",
    "visited-realm",
    "secondary-realm",
)
_SESSION_ATTRIBUTES = ("group", "ice-lite", *_MEDIA_ATTRIBUTES)
_CAPABILITIES = ("tcap", "acap", "pcfg", "acfg")
# What the security layer puts in; a softphone that speaks plain RTP must not see it.
_SECURITY_ATTRIBUTES = ("crypto", "key-mgmt", "fingerprint", "setup", "tls-id", *_CAPABILITIES, "3ge2ae")
_SESSION_SECURITY_ATTRIBUTES = ("crypto", "key-mgmt", "fingerprint", "setup", "tls-id", "tcap", "acap")

_PORT = re.compile(r"[0-9]{1,5}\Z")


def is_relayed(media: MediaDescription) -> bool:
    """True for m-lines whose media the relay carries: RTP over UDP, in use."""
    return media.port != 0 and profiles.is_rtp(media.proto)


def media_addresses(doc: SessionDescription, media: MediaDescription) -> tuple[Address | None, Address | None]:
    """Where RTP and RTCP of this m-line are to be sent; None: nowhere (held, refused, no address)."""
    host = _host(doc.connection(media))
    if host is None or media.port == 0:
        return None, None
    rtcp = (host, min(media.port + 1, 65535))
    written = (media.value("rtcp") or "").split()  # RFC 3605: port [nettype addrtype address]
    if written and _PORT.match(written[0]) and 0 < int(written[0]) < 65536:
        other = _host(" ".join(written[1:4])) if len(written) == 4 else host
        rtcp = (other or host, int(written[0]))
    if media.has("rtcp-mux"):
        rtcp = (host, media.port)
    return (host, media.port), rtcp


def lead_through(doc: SessionDescription, host: str, ports: dict[int, int]) -> None:
    """Make every relayed m-line point to `host` and its port; the others keep their own address.

    Only the first c= line is read here; some softphones go by the last one. So no second one passes.
    """
    where = f"IN {'IP6' if ':' in host else 'IP4'} {host}"
    own = {index: doc.connection(media) for index, media in enumerate(doc.media)}
    origin = (doc.session.line("o") or "").split(" ")
    if len(origin) == 6:
        doc.session.replace_line("o", " ".join((*origin[:3], where)))
    if doc.session.line("c") is not None:
        doc.session.replace_line("c", where)
    doc.session.keep_first_line("o")
    doc.session.keep_first_line("c")
    doc.session.remove_attributes(*_SESSION_ATTRIBUTES)
    for index, media in enumerate(doc.media):
        if profiles.is_rtp(media.proto):
            media.keep_first_line("c")
            media.remove_attributes(*_MEDIA_ATTRIBUTES)
        if index in ports:
            media.set_media(port=ports[index])
        if media.line("c") is not None or (doc.session.line("c") is None and index in ports):
            _set_connection(media, where if index in ports else own[index] or where)
        elif index not in ports and media.port and own[index] is not None:
            _set_connection(media, own[index] or where)


def make_plain(doc: SessionDescription) -> None:
    """Take the security off: what the softphone on the local side is to see."""
    relayed = False
    for media in doc.media:
        if profiles.is_rtp(media.proto):
            media.remove_attributes(*_SECURITY_ATTRIBUTES)
            media.remove_lines("k")
            media.set_media(proto=profiles.plain(media.proto))
            relayed = True
    if relayed:
        doc.session.remove_attributes(*_SESSION_SECURITY_ATTRIBUTES)
        doc.session.remove_lines("k")


def essence(sdp: str) -> str:
    """The SDP without its version and security: two of equal essence differ in keys only."""
    doc = SessionDescription.parse(sdp)
    make_plain(doc)
    doc.session.remove_lines("o")
    return str(doc)


def set_version(doc: SessionDescription, session_id: int, version: int) -> None:
    """Write session id and version into o= (RFC 8866 5.2; RFC 3264 8: each changed SDP counts up by one)."""
    origin = (doc.session.line("o") or "").split(" ")
    if len(origin) == 6:
        doc.session.replace_line("o", " ".join((origin[0], str(session_id), str(version), *origin[3:])))


def _set_connection(media: MediaDescription, where: str) -> None:
    if media.line("c") is not None:
        media.replace_line("c", where)
    else:
        media.insert_second("c", where)


def _host(connection: str | None) -> str | None:
    parts = (connection or "").split()
    if len(parts) != 3:
        return None
    host = parts[2].split("/")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None  # a name here is legal, but nobody sends one, and we do not look names up in media
    return None if address.is_unspecified else str(address)
