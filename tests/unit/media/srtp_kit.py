"""What the SRTP tests share: packets, keys and pairs of streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imsmediasec.keys import DEFAULT_PARAMS, MasterKey, SessionParams, SrtpKeys
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite

SSRC = 0x0A0B0C0D
_VECTORS = Path(__file__).parents[2] / "vectors" / "srtp"


def vectors(name: str) -> Any:
    return json.loads((_VECTORS / name).read_text())


def rtp(sequence: int, payload: bytes = b"speech", *, ssrc: int = SSRC, first: int = 0x80, extra: bytes = b"") -> bytes:
    """An RTP packet; `sequence` is taken modulo 2^16, `extra` stands between fixed header and payload."""
    fixed = bytes([first, 0]) + (sequence & 0xFFFF).to_bytes(2, "big") + b"\0\0\0\7" + ssrc.to_bytes(4, "big")
    return fixed + extra + payload


def rtcp(payload: bytes = b"report--", *, ssrc: int = SSRC) -> bytes:
    return b"\x80\xc8\0\2" + ssrc.to_bytes(4, "big") + payload


def master(suite: SrtpSuite, fill: int = 1, **limits: Any) -> MasterKey:
    """A master key made of one octet value, and a salt of another."""
    return MasterKey(
        key=Secret(bytes([fill]) * suite.key_length),
        salt=Secret(bytes([fill ^ 0xFF]) * suite.salt_length),
        **limits,
    )


def keys(
    suite: SrtpSuite,
    fill: int = 1,
    *,
    params: SessionParams = DEFAULT_PARAMS,
    roc: dict[int, int] | None = None,
    same_transport: bool = True,
    **limits: Any,
) -> SrtpKeys:
    """`SrtpKeys` of one `master`."""
    return SrtpKeys(
        suite=suite,
        master_keys=(master(suite, fill, **limits),),
        params=params,
        roc=roc or {},
        same_transport=same_transport,
    )
