"""Keys as they travel between key management, `Negotiation` and the SRTP layer."""

from __future__ import annotations

from dataclasses import dataclass, field

from imsmediasec.records import quick_init
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MasterKey:
    """An SRTP master key with its salt and limits (RFC 3711 3.2.1)."""

    key: Secret
    salt: Secret
    lifetime: int | None = None
    """Packets that this key may protect, for SRTP and for SRTCP each; None: the suite's maximum."""
    mki: int | None = None
    """Value of the master key identifier, or None if packets carry none."""
    mki_length: int | None = None
    """Octets of the MKI field in each packet, 1 to 128."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SessionParams:
    """RFC 4568 6.3: what changes how packets look. The defaults are RFC 3711's."""

    kdr: int = 0
    """log2 of the key derivation rate, 1 to 24; 0: derive once."""
    unencrypted_srtp: bool = False
    unencrypted_srtcp: bool = False
    unauthenticated_srtp: bool = False
    window_size_hint: int = 64
    """Replay window in packets, at least 64."""

    @property
    def is_default(self) -> bool:
        """True if a stack that knows no session parameter at all runs the same packets."""
        return not (self.kdr or self.unencrypted_srtp or self.unencrypted_srtcp or self.unauthenticated_srtp)


DEFAULT_PARAMS = SessionParams()


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SrtpKeys:
    """All that an SRTP stream needs for one direction: suite, master keys, parameters, start ROC."""

    suite: SrtpSuite
    master_keys: tuple[MasterKey, ...]
    """At least one. The first is used for sending; with several, every one has an MKI."""
    params: SessionParams = DEFAULT_PARAMS
    roc: dict[int, int] = field(default_factory=dict)
    """Roll-over counter to start from, by SSRC; absent: 0. Sending uses it as it is; a receiver tries
    it and then 0, and keeps what authenticates, since peers differ (RFC 3711 3.3.1, RFC 4568 7.1.4)."""
    same_transport: bool = True
    """True: a stream that already runs hands its roll-over counters on to this key (RFC 3711 3.3.1).
    False: address or port changed, so the counter starts at 0 (RFC 4568 7.1.4)."""

    def wipe(self) -> None:
        """Overwrite the key material."""
        for master in self.master_keys:
            master.key.wipe()
            master.salt.wipe()
