"""How many packets a master key has protected or opened, and how many it may: RFC 3711 9.2, RFC 4568 6.1."""

from __future__ import annotations

from collections.abc import Callable

from imsmediasec.errors import KeyLifetimeExhausted, LocalError

OnExpiring = Callable[[bool], None]
"""Called once for SRTP (False) and once for SRTCP (True), when that many packets are left as the threshold
says."""


class Meter:
    """Counts packets of one kind: warns once, then stops.

    The owner adds to `used` itself, after the packet was sealed or has authenticated, and calls `at_stop`
    before any packet for which `used` equals `stop`.
    """

    __slots__ = ("_closed", "_on_expiring", "_rtcp", "limit", "stop", "used")

    def __init__(self, limit: int, threshold: int | None, *, rtcp: bool, on_expiring: OnExpiring) -> None:
        """`limit`: packets. `threshold`: packets left at which to warn, 0 for never, None for the default."""
        self.used = 0
        self.limit = limit
        self.stop = limit - (default_threshold(limit) if threshold is None else min(max(threshold, 0), limit))
        self._rtcp = rtcp
        self._on_expiring = on_expiring
        self._closed = False

    def at_stop(self) -> None:
        """Raises LocalError once closed, KeyLifetimeExhausted at the limit; else warns."""
        if self._closed:
            raise LocalError("the key was retired")
        if self.used >= self.limit:
            raise KeyLifetimeExhausted("the master key has processed all its packets", clause="RFC 3711 9.2")
        self.stop = self.limit
        self._on_expiring(self._rtcp)

    def close(self) -> None:
        """No packet any more."""
        self._closed = True
        self.stop = self.used


def default_threshold(limit: int) -> int:
    """Packets left at which a new key should be asked for: 2^16 or a hundredth, whichever is more, but at
    most half of a short lifetime. 2^16 packets are 20 minutes of speech, or a minute of busy video."""
    return max(1, min(max(1 << 16, limit // 100), limit // 2))
