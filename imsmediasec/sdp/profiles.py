"""RTP profiles in the m-line's proto field (RFC 3551, 3711, 4585, 5124, 5764).

Read without case, as some softphones do: what is RTP for one of them must not be something else here.
"""

from __future__ import annotations

_SECURE = {"RTP/AVP": "RTP/SAVP", "RTP/AVPF": "RTP/SAVPF"}
_PLAIN = {
    "RTP/SAVP": "RTP/AVP",
    "RTP/SAVPF": "RTP/AVPF",
    "UDP/TLS/RTP/SAVP": "RTP/AVP",
    "UDP/TLS/RTP/SAVPF": "RTP/AVPF",
}
_RTP = frozenset({*_SECURE, *_PLAIN})


def is_rtp(proto: str) -> bool:
    """True for every RTP profile that this library knows."""
    return proto.upper() in _RTP


def is_secure(proto: str) -> bool:
    """True if the m-line allows SRTP only, with keys from a=crypto or a=key-mgmt (RFC 4568 6)."""
    return proto.upper() in ("RTP/SAVP", "RTP/SAVPF")


def is_dtls(proto: str) -> bool:
    """True if the m-line is keyed by DTLS-SRTP (RFC 5764 8)."""
    return proto.upper() in ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")


def secure(proto: str) -> str:
    """The SRTP profile for an RTP profile; a secure one stays."""
    return _SECURE.get(proto.upper(), proto)


def plain(proto: str) -> str:
    """The RTP profile for an SRTP profile; a plain one stays."""
    return _PLAIN.get(proto.upper(), proto)
