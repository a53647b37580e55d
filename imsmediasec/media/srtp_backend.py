"""`PylibsrtpBackend`: the SRTP layer that comes with the library, and the rules for keys that enter it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm

from imsmediasec.errors import LocalError
from imsmediasec.keys import MasterKey, SessionParams, SrtpKeys
from imsmediasec.media import srtp_libsrtp as libsrtp
from imsmediasec.media.srtp_context import ContextSetup, MasterContext
from imsmediasec.media.srtp_index import Start
from imsmediasec.media.srtp_meter import OnExpiring
from imsmediasec.media.srtp_ring import KeyRing
from imsmediasec.media.srtp_stream import ReceiveStream, SendStream
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.secret import Secret
from imsmediasec.suites import ALL_SUITES, Cipher, SrtpSuite
from imsmediasec.terms import Direction

_RTP = b"\x80" + bytes(15)


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendCapabilities(SrtpCapabilities):
    """With the combinations that no suite-independent flag can tell."""

    def refusal(self, suite: SrtpSuite, params: SessionParams) -> str | None:
        """Why this suite with these parameters cannot run here, or None if it can."""
        if suite.cipher is Cipher.AES_GCM and params.unauthenticated_srtp:
            return f"{suite.name} cannot leave SRTP unauthenticated (RFC 7714 8.2)"
        if params.unencrypted_srtp and params.unauthenticated_srtp:
            return "UNENCRYPTED_SRTP with UNAUTHENTICATED_SRTP leaves no protection"
        return SrtpCapabilities.refusal(self, suite, params)


class PylibsrtpBackend:
    """libsrtp by pylibsrtp where it can, an engine on `cryptography` for all else."""

    def __init__(self, *, libsrtp_suites: tuple[SrtpSuite, ...] | None = None) -> None:
        """Tries each suite once. `libsrtp_suites`: leave only these to libsrtp; () runs all on the engine."""
        allowed = ALL_SUITES if libsrtp_suites is None else libsrtp_suites
        self._fast = frozenset(suite for suite in allowed if libsrtp.runs(suite))
        self._capabilities = BackendCapabilities(
            suites=tuple(s for s in ALL_SUITES if s in self._fast or _engine_runs(s))
        )

    @property
    def capabilities(self) -> SrtpCapabilities:
        """What runs here. No key derivation rate: see `srtp_kdf`."""
        return self._capabilities

    def open(
        self,
        direction: Direction,
        keys: SrtpKeys,
        *,
        ring: KeyRing | None = None,
        start: Mapping[bytes, Start] | None = None,
        rtcp_start: Mapping[bytes, int] | None = None,
        threshold: int | None = None,
        on_expiring: OnExpiring = lambda rtcp: None,
    ) -> SendStream | ReceiveStream:
        """A stream of one direction.

        `ring`: master keys known so far, to share between streams that replace each other. `start`: where
        SSRCs (4 octets) stood, instead of `keys.roc`. `rtcp_start`: next SRTCP indices. `threshold`: packets
        left at which `on_expiring` is called once for SRTP (False) and for SRTCP (True). Raises LocalError if
        the keys do not fit the suite or the layer cannot run them; nothing has changed then.
        """
        self._check(keys)
        setup = ContextSetup(
            direction=direction,
            suite=keys.suite,
            params=keys.params,
            fast=keys.suite in self._fast and not (keys.params.unencrypted_srtp or keys.params.unauthenticated_srtp),
            start=starts(keys.roc) if start is None else start,
            rtcp_start=rtcp_start or {},
            threshold=threshold,
            on_expiring=on_expiring,
        )
        kind = SendStream if direction is Direction.SEND else ReceiveStream
        return kind(keys, setup, KeyRing() if ring is None else ring)

    def _check(self, keys: SrtpKeys) -> None:
        refusal = self._capabilities.refusal(keys.suite, keys.params)
        if refusal is not None:
            raise LocalError(refusal, clause="RFC 4568 6.3")
        if not keys.master_keys:
            raise LocalError("no master key")
        for master in keys.master_keys:
            _check_master(keys.suite, master, self._capabilities.max_mki_length)
        _check_mkis(keys.master_keys)


def starts(roc: Mapping[int, int]) -> dict[bytes, Start]:
    """Roll-over counters by SSRC, as contexts want them. Raises LocalError if a number is out of 32 bits."""
    for number in (*roc, *roc.values()):
        if not 0 <= number < 1 << 32:
            raise LocalError("SSRC and roll-over counter have 32 bits", clause="RFC 3711 3.2.1")
    return {ssrc.to_bytes(4, "big"): Start(counter) for ssrc, counter in roc.items()}


def _check_master(suite: SrtpSuite, master: MasterKey, max_mki_length: int) -> None:
    if len(master.key) != suite.key_length or len(master.salt) != suite.salt_length:
        raise LocalError(
            f"{suite.name} takes a key of {suite.key_length} and a salt of {suite.salt_length} octets, "
            f"not {len(master.key)} and {len(master.salt)}",
            clause="RFC 4568 6.1",
        )
    if master.lifetime is not None and master.lifetime < 1:
        raise LocalError("a master key protects at least one packet", clause="RFC 4568 6.1")
    if (master.mki is None) is not (master.mki_length is None):
        raise LocalError("an MKI has both a value and a length", clause="RFC 4568 6.1")
    if master.mki is not None and master.mki_length is not None:
        if not 1 <= master.mki_length <= max_mki_length:
            raise LocalError(f"an MKI has 1 to {max_mki_length} octets", clause="RFC 4568 6.1")
        if not 0 <= master.mki < 1 << 8 * master.mki_length:
            raise LocalError("the MKI does not fit its length", clause="RFC 4568 6.1")


def _check_mkis(masters: tuple[MasterKey, ...]) -> None:
    if len(masters) > 1 and any(master.mki is None for master in masters):
        raise LocalError("several master keys need an MKI each", clause="RFC 4568 6.1")
    if len({master.mki_length for master in masters}) > 1:
        raise LocalError("all MKIs of a stream have the same length", clause="RFC 3711 3.2.1")
    if len({master.mki for master in masters}) < len(masters):
        raise LocalError("two master keys have the same MKI", clause="RFC 4568 6.1")


def _engine_runs(suite: SrtpSuite) -> bool:
    """True if `cryptography` has the ciphers here: a restricted OpenSSL may lack some."""
    master = MasterKey(key=Secret(bytes(suite.key_length)), salt=Secret(bytes(suite.salt_length)))
    setup = ContextSetup(direction=Direction.SEND, suite=suite, params=SessionParams(), fast=False)
    try:
        MasterContext(master, setup).process(_RTP)
    except (UnsupportedAlgorithm, ValueError):
        return False
    return True
