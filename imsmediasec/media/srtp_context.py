"""One master key in one direction: lifetimes, indices, and the choice between libsrtp and the engine.

SRTP runs on libsrtp while it can, and moves to the engine for good when a packet needs it: a roll-over
counter that does not start at 0, or a packet longer than the binding takes. On moving, every index up to the
highest counts as used, so that nothing passes twice; packets that were under way out of order at that moment
are lost. SRTCP always runs on the engine, which carries the index over a re-key.

`process` is the hot path: one call around `Session.protect`. It compares the sequence number and SSRC with
those that are due. A run of packets in sequence is counted when it ends, at the latest with its round of
65536; a run that could reach a mark of the lifetime is not begun, and its packets are counted one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from imsmediasec.keys import MasterKey, SessionParams
from imsmediasec.media import srtp_libsrtp as libsrtp
from imsmediasec.media.srtp_engine import RtcpOpener, RtcpSealer, RtpOpener, RtpSealer
from imsmediasec.media.srtp_index import Start, estimate
from imsmediasec.media.srtp_kdf import derive_srtcp, derive_srtp
from imsmediasec.media.srtp_meter import Meter, OnExpiring
from imsmediasec.media.srtp_packet import RTP_FIXED_HEADER
from imsmediasec.media.srtp_transforms import Transform, build_transform
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction

MIN_WINDOW = 64
"""Packets in the replay window at least (RFC 3711 3.3.2)."""

_ROUND = 1 << 16
_NOTHING_DUE = -1


def _ignore(rtcp: bool) -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ContextSetup:
    """All that a context is made of, the master key aside."""

    direction: Direction
    suite: SrtpSuite
    params: SessionParams
    fast: bool
    """libsrtp has this suite and these parameters."""
    start: Mapping[bytes, Start] = field(default_factory=dict)
    """Where each SSRC (4 octets) stood under the key before. Receiving: read when its first packet comes."""
    rtcp_start: Mapping[bytes, int] = field(default_factory=dict)
    """Sending: the next SRTCP index by SSRC."""
    threshold: int | None = None
    """Packets left at which `on_expiring` is called; None: `srtp_meter.default_threshold`."""
    on_expiring: OnExpiring = _ignore


class MasterContext:
    """One master key, one direction. Not for two threads at once."""

    __slots__ = (
        "_base",
        "_due",
        "_engine",
        "_highest",
        "_meter",
        "_operation",
        "_rtcp",
        "_rtcp_meter",
        "_run_start",
        "_setup",
        "_ssrc",
        "_transform",
    )

    def __init__(self, master: MasterKey, setup: ContextSetup) -> None:
        """The lengths of the key and salt must fit the suite; the master key itself is not kept."""
        suite = setup.suite
        self._setup = setup
        self._meter = _meter(master, suite.max_srtp_lifetime, setup, rtcp=False)
        self._rtcp_meter = _meter(master, suite.max_srtcp_lifetime, setup, rtcp=True)
        self._transform = _srtp_transform(master, setup)
        self._rtcp = _rtcp_engine(master, setup)
        self._highest: dict[bytes, int] = {}
        self._forget_run()
        self._engine: RtpSealer | RtpOpener | None = None
        self._operation: Callable[[bytes], bytes]
        if setup.fast:
            session = libsrtp.open_session(suite, master, setup.direction, window_size(setup.params))
            self._operation = self._sealing(session.protect) if self._sends else session.unprotect
        else:
            self._move_to(self._new_engine())

    def process(self, packet: bytes) -> bytes:
        """RTP to SRTP, or back. Raises what `SrtpStream.protect` or `unprotect` does."""
        try:
            if packet[2] << 8 | packet[3] == self._due and packet.startswith(self._ssrc, 8):
                result = self._operation(packet)
                self._due += 1
                return result
        except libsrtp.FAULTS as fault:
            return self._after_fault(packet, fault)
        return self._process_counted(packet)

    def process_rtcp(self, packet: bytes) -> bytes:
        """RTCP to SRTCP, or back."""
        meter = self._rtcp_meter
        if meter.used == meter.stop:
            meter.at_stop()
        result = self._rtcp.process(packet)
        meter.used += 1
        return result

    @property
    def on_libsrtp(self) -> bool:
        """True while SRTP runs on libsrtp."""
        return self._engine is None

    @property
    def highest(self) -> dict[bytes, int]:
        """The highest index so far, by SSRC (4 octets)."""
        if self._engine is not None:
            return self._engine.highest
        self._end_run()
        return dict(self._highest)

    @property
    def rtcp_next(self) -> dict[bytes, int]:
        """Sending: the next SRTCP index, by SSRC. Receiving: empty, as packets name theirs."""
        return self._rtcp.next_index if isinstance(self._rtcp, RtcpSealer) else {}

    def resume(self, start: Mapping[bytes, Start], rtcp_start: Mapping[bytes, int]) -> None:
        """Sending with this key again, after another: no SSRC falls back behind where it stands now."""
        if not isinstance(self._rtcp, RtcpSealer):
            return
        self._rtcp.skip_to(rtcp_start)
        used = self.highest
        for ssrc, place in start.items():
            used[ssrc] = max(place.top, used.get(ssrc, 0))
        if used != self.highest:
            self._highest = used
            self._engine = None
            self._forget_run()
            self._move_to(self._new_engine())

    def close(self) -> None:
        """Drop the session keys; every later `process` raises LocalError. `highest` stays."""
        self._highest = self.highest
        self._forget_run()
        self._engine = None
        self._meter.close()
        self._rtcp_meter.close()
        del self._transform, self._rtcp, self._operation

    @property
    def _sends(self) -> bool:
        return self._setup.direction is Direction.SEND

    # What follows runs only for packets out of the ordinary.

    def _sealing(self, protect: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        """`protect`, but an SSRC that goes on in a later round than libsrtp's first moves to the engine."""
        start = self._setup.start
        pending = {ssrc for ssrc, place in start.items() if place.expected(0) >= _ROUND or place.roc}
        if not pending:
            return protect

        def seal(packet: bytes) -> bytes:
            ssrc = packet[8:12]
            if ssrc in pending:
                if start[ssrc].expected(packet[2] << 8 | packet[3]) >= _ROUND:
                    return self._process_on_engine(packet)
                sealed = protect(packet)
                pending.remove(ssrc)
                if not pending:
                    self._operation = protect
                return sealed
            return protect(packet)

        return seal

    def _process_counted(self, packet: bytes) -> bytes:
        """Another SSRC, a gap, a late packet or a new round; any packet close to a mark of the lifetime."""
        self._end_run()
        meter = self._meter
        if meter.used == meter.stop:
            meter.at_stop()
        try:
            result = self._operation(packet)
        except libsrtp.FAULTS as fault:
            return self._after_fault(packet, fault)
        meter.used += 1
        if self._engine is None:
            self._begin_run(packet)
        return result

    def _after_fault(self, packet: bytes, fault: Exception) -> bytes:
        self._end_run()
        if libsrtp.is_too_long(fault) or self._may_continue(packet):
            result = self._process_on_engine(packet)
            self._meter.used += 1
            return result
        libsrtp.translate(fault, self._setup.direction)

    def _may_continue(self, packet: bytes) -> bool:
        """True if this is a new SSRC to receive from, whose counter may not have started at 0."""
        if self._sends or not isinstance(packet, bytes) or len(packet) < RTP_FIXED_HEADER:
            return False
        ssrc = packet[8:12]
        place = None if ssrc in self._highest else self._setup.start.get(ssrc)
        return place is not None and max(place.candidates(packet[2] << 8 | packet[3])) >= _ROUND

    def _process_on_engine(self, packet: bytes) -> bytes:
        """Moves only if the packet passes."""
        engine = self._new_engine()
        result = engine.process(packet)
        self._move_to(engine)
        return result

    def _new_engine(self) -> RtpSealer | RtpOpener:
        setup = self._setup
        kind = RtpSealer if self._sends else RtpOpener
        return kind(self._transform, window_size(setup.params), setup.start, self.highest)

    def _move_to(self, engine: RtpSealer | RtpOpener) -> None:
        self._engine = engine
        self._operation = engine.process
        self._forget_run()

    def _begin_run(self, packet: bytes) -> None:
        """After a packet on libsrtp. From the highest sequence number of its SSRC on, those in sequence need
        no look at the lifetime until the round ends, unless a mark comes first."""
        ssrc, sequence = packet[8:12], packet[2] << 8 | packet[3]
        highest = self._highest.get(ssrc)
        highest = sequence if highest is None else max(highest, estimate(highest, sequence))
        self._highest[ssrc] = highest
        due = (highest & 0xFFFF) + 1
        if self._meter.stop - self._meter.used >= _ROUND - due:
            self._ssrc, self._base, self._run_start, self._due = ssrc, highest & ~0xFFFF, due, due

    def _end_run(self) -> None:
        if self._due != _NOTHING_DUE:
            self._meter.used += self._due - self._run_start
            self._highest[self._ssrc] = self._base + self._due - 1
            self._forget_run()

    def _forget_run(self) -> None:
        self._ssrc, self._base, self._run_start, self._due = b"", 0, 0, _NOTHING_DUE


def window_size(params: SessionParams) -> int:
    """Packets in the replay window."""
    return max(MIN_WINDOW, params.window_size_hint)


def _meter(master: MasterKey, maximum: int, setup: ContextSetup, *, rtcp: bool) -> Meter:
    limit = maximum if master.lifetime is None else min(master.lifetime, maximum)
    return Meter(limit, setup.threshold, rtcp=rtcp, on_expiring=setup.on_expiring)


def _srtp_transform(master: MasterKey, setup: ContextSetup) -> Transform:
    keys = derive_srtp(setup.suite, master)
    transform = build_transform(setup.suite, setup.params, keys, setup.suite.srtp_tag_length)
    keys.wipe()
    return transform


def _rtcp_engine(master: MasterKey, setup: ContextSetup) -> RtcpSealer | RtcpOpener:
    keys = derive_srtcp(setup.suite, master)
    transform = build_transform(setup.suite, setup.params, keys, setup.suite.srtcp_tag_length)
    keys.wipe()
    if setup.direction is Direction.SEND:
        return RtcpSealer(transform, setup.rtcp_start)
    return RtcpOpener(transform, window_size(setup.params))
