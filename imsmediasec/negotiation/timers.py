"""Timers of a `Negotiation`: what is due when. No clock: the time is an argument."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from imsmediasec.events import KeysRetired
from imsmediasec.keymgmt.sdes import Random
from imsmediasec.terms import Side


@dataclass(order=True, kw_only=True, slots=True)
class Timer:
    at: float
    dialog: str = field(compare=False)
    what: str = field(compare=False)
    keys: KeysRetired | None = field(compare=False, default=None)
    """The event to report, for keys that outlive a re-key by a grace period."""


class TimerQueue:
    def __init__(self) -> None:
        self._heap: list[Timer] = []

    def add(self, timer: Timer) -> None:
        heapq.heappush(self._heap, timer)

    def next(self) -> float | None:
        return self._heap[0].at if self._heap else None

    def due(self, now: float) -> Iterator[Timer]:
        """Take out what is due, oldest first."""
        while self._heap and self._heap[0].at <= now:
            yield heapq.heappop(self._heap)

    def drop(self, dialog: str) -> list[Timer]:
        """Take out all timers of a dialog."""
        dropped = [timer for timer in self._heap if timer.dialog == dialog]
        self._heap = [timer for timer in self._heap if timer.dialog != dialog]
        heapq.heapify(self._heap)
        return dropped


def glare_delay(side: Side, random: Random) -> float:
    """Seconds to wait after a 491, in steps of 10 ms: 2.1 to 4 for the owner of the Call-ID, else 0 to 2
    (RFC 3261 14.1). The caller owns it."""
    number = int.from_bytes(random(4), "big")
    if side is Side.UAC:
        return (210 + number % 191) / 100
    return (number % 201) / 100
