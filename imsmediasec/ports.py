"""Protocols by which the core talks to what it does not own: SRTP layers and media planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from imsmediasec.keys import SessionParams, SrtpKeys
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction


@dataclass(frozen=True, kw_only=True, slots=True)
class SrtpCapabilities:
    """What an SRTP layer can run. Nothing beyond it is ever offered or accepted."""

    suites: tuple[SrtpSuite, ...]
    mki: bool = True
    max_mki_length: int = 128
    multiple_keys: bool = True
    key_derivation_rate: bool = False
    unencrypted: bool = True
    """UNENCRYPTED_SRTP and UNENCRYPTED_SRTCP."""
    unauthenticated: bool = True
    max_window: int = 32768

    def refusal(self, suite: SrtpSuite, params: SessionParams) -> str | None:
        """Why this suite with these parameters cannot run here, or None if it can."""
        if suite not in self.suites:
            return f"suite {suite.name} is not available in the SRTP layer"
        if params.kdr and not self.key_derivation_rate:
            return "KDR: the SRTP layer derives session keys once only"
        if (params.unencrypted_srtp or params.unencrypted_srtcp) and not self.unencrypted:
            return "UNENCRYPTED_SRTP or UNENCRYPTED_SRTCP is not available in the SRTP layer"
        if params.unauthenticated_srtp and not self.unauthenticated:
            return "UNAUTHENTICATED_SRTP is not available in the SRTP layer"
        if params.window_size_hint > self.max_window:
            return f"WSH {params.window_size_hint}: the replay window has at most {self.max_window} packets"
        return None


class SrtpStream(Protocol):
    """One direction of one media stream under one `SrtpKeys`.

    The `*_rtcp` methods do the same for SRTCP. All take and give whole packets.
    """

    def protect(self, packet: bytes) -> bytes:
        """RTP in, SRTP out. Raises LocalError, KeyLifetimeExhausted."""

    def unprotect(self, packet: bytes) -> bytes:
        """SRTP in, RTP out. Raises MalformedInput, AuthenticationFailed, ReplayDetected, KeyLifetimeExhausted."""

    def protect_rtcp(self, packet: bytes) -> bytes: ...

    def unprotect_rtcp(self, packet: bytes) -> bytes: ...

    @property
    def roc(self) -> Mapping[int, int]:
        """The roll-over counter now, by SSRC: give it to the next key on the same transport."""

    def retire(self) -> None:
        """Forget and wipe the keys; every later call raises LocalError."""


class SrtpBackend(Protocol):
    """An SRTP layer."""

    @property
    def capabilities(self) -> SrtpCapabilities: ...

    def open(self, direction: Direction, keys: SrtpKeys) -> SrtpStream:
        """Raises LocalError if the keys do not fit the suite or the layer cannot run it."""
