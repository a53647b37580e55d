"""SRTP and SRTCP under one master key, on the transforms: index, replay, any start of the roll-over counter.

RFC 3711 3.3 and 3.4. Nothing here counts lifetimes or knows of MKIs. State changes only after a packet was
sealed or has authenticated, and every packet counts once: a sender too refuses an index it has used, since
the same key stream would protect two texts.
"""

from __future__ import annotations

from collections.abc import Mapping

from imsmediasec.errors import AuthenticationFailed, KeyLifetimeExhausted, LocalError, ReplayDetected
from imsmediasec.media.srtp_index import INDEX_LIMIT, ReplayWindow, Start, estimate
from imsmediasec.media.srtp_packet import check_rtcp, rtp_header_length
from imsmediasec.media.srtp_transforms import Transform

_RTCP_INDICES = 1 << 31


class _RtpEngine:
    """What both directions share: a replay window for each SSRC."""

    __slots__ = ("_size", "_start", "_transform", "_windows")

    def __init__(
        self, transform: Transform, window_size: int, start: Mapping[bytes, Start], used: Mapping[bytes, int]
    ) -> None:
        """`start`: where SSRCs (4 octets) stood under an earlier key. `used`: the highest index that each
        SSRC has used under this key already; all below counts as used."""
        self._transform = transform
        self._size = window_size
        self._start = start
        self._windows = {ssrc: ReplayWindow(window_size, top, all_seen=True) for ssrc, top in used.items()}

    @property
    def highest(self) -> dict[bytes, int]:
        """The highest index so far, by SSRC."""
        return {ssrc: window.highest for ssrc, window in self._windows.items()}

    def _mark(self, ssrc: bytes, window: ReplayWindow | None, index: int) -> None:
        if window is None:
            window = self._windows[ssrc] = ReplayWindow(self._size, index)
        window.mark(index)


class RtpSealer(_RtpEngine):
    """RTP to SRTP."""

    __slots__ = ()

    def process(self, packet: bytes) -> bytes:
        """Raises MalformedInput; LocalError for an index that was used; KeyLifetimeExhausted at index
        2^48."""
        rtp_header_length(packet)
        ssrc, sequence = packet[8:12], packet[2] << 8 | packet[3]
        window = self._windows.get(ssrc)
        if window is None:
            index = self._start.get(ssrc, Start(0)).expected(sequence)
        else:
            index = estimate(window.highest, sequence)
            if not window.is_fresh(index):
                raise LocalError("this sequence number was protected before, or is too old", clause="RFC 3711 9.1")
        if index >= INDEX_LIMIT:
            raise KeyLifetimeExhausted("the packet index has reached 2^48", clause="RFC 3711 3.3.1")
        sealed = self._transform.seal_rtp(packet, index)
        self._mark(ssrc, window, index)
        return sealed


class RtpOpener(_RtpEngine):
    """SRTP to RTP."""

    __slots__ = ()

    def process(self, packet: bytes) -> bytes:
        """Raises MalformedInput, AuthenticationFailed, ReplayDetected; LocalError if it is not bytes."""
        rtp_header_length(packet)
        ssrc, sequence = packet[8:12], packet[2] << 8 | packet[3]
        window = self._windows.get(ssrc)
        if window is None:
            candidates = self._start.get(ssrc, Start(0, sequence)).candidates(sequence)
        else:
            candidates = (estimate(window.highest, sequence),)
            if not window.is_fresh(candidates[0]):
                raise ReplayDetected("SRTP packet was seen before, or is too old", clause="RFC 3711 3.3.2")
        for index in candidates:
            if index < INDEX_LIMIT:
                try:
                    opened = self._transform.open_rtp(packet, index)
                except AuthenticationFailed:
                    continue
                self._mark(ssrc, window, index)
                return opened
        raise AuthenticationFailed("SRTP packet does not verify", clause="RFC 3711 3.3")


class RtcpSealer:
    """RTCP to SRTCP. `start`: the next index by SSRC (4 octets), continued over a re-key (RFC 3711 3.4)."""

    __slots__ = ("_next", "_transform")

    def __init__(self, transform: Transform, start: Mapping[bytes, int]) -> None:
        self._transform = transform
        self._next = dict(start)

    def process(self, packet: bytes) -> bytes:
        """Raises MalformedInput; LocalError if it is not bytes."""
        check_rtcp(packet)
        ssrc = packet[4:8]
        index = self._next.get(ssrc, 0)
        sealed = self._transform.seal_rtcp(packet, index)
        self._next[ssrc] = (index + 1) % _RTCP_INDICES
        return sealed

    def skip_to(self, start: Mapping[bytes, int]) -> None:
        """Go on from these indices where they are ahead of ours."""
        for ssrc, index in start.items():
            self._next[ssrc] = max(index, self._next.get(ssrc, 0))

    @property
    def next_index(self) -> dict[bytes, int]:
        """The index that each SSRC's next packet takes."""
        return dict(self._next)


class RtcpOpener:
    """SRTCP to RTCP."""

    __slots__ = ("_size", "_transform", "_windows")

    def __init__(self, transform: Transform, window_size: int) -> None:
        self._transform = transform
        self._size = window_size
        self._windows: dict[bytes, ReplayWindow] = {}

    def process(self, packet: bytes) -> bytes:
        """Raises MalformedInput, AuthenticationFailed, ReplayDetected; LocalError if it is not bytes."""
        index = self._transform.rtcp_index(packet)
        ssrc = packet[4:8]
        window = self._windows.get(ssrc)
        if window is not None and not window.is_fresh(index):
            raise ReplayDetected("SRTCP packet was seen before, or is too old", clause="RFC 3711 3.4")
        opened = self._transform.open_rtcp(packet)
        if window is None:
            window = self._windows[ssrc] = ReplayWindow(self._size, index)
        window.mark(index)
        return opened
