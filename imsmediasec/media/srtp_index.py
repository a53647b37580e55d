"""The 48-bit packet index (roll-over counter and sequence number) and the replay window: RFC 3711 3.3.1,
3.3.2."""

from __future__ import annotations

from typing import NamedTuple

INDEX_LIMIT = 1 << 48
"""Indices are below it; a packet at it would reuse a key stream."""


class Start(NamedTuple):
    """Where one SSRC stood under the key before: the counter, and the sequence number if it is known."""

    roc: int
    sequence: int | None = None

    @classmethod
    def after(cls, index: int) -> Start:
        """Behind a packet of this index."""
        return cls(index >> 16, index & 0xFFFF)

    @property
    def top(self) -> int:
        """The highest index that it stands for."""
        return self.roc << 16 | (self.sequence or 0)

    def expected(self, sequence: int) -> int:
        """The index that a packet with this sequence number continues."""
        if self.sequence is None:
            return self.roc << 16 | sequence
        return estimate(self.roc << 16 | self.sequence, sequence)

    def candidates(self, sequence: int) -> tuple[int, ...]:
        """Indices for a receiver to try, likeliest first, without duplicates.

        The continued counter; 0, as many stacks restart it with each key; with no sequence number to
        compare, also the next counter, in case it has wrapped since.
        """
        tries = [self.expected(sequence), sequence]
        if self.sequence is None:
            tries.append(self.roc + 1 << 16 | sequence)
        return tuple(index for index in dict.fromkeys(tries) if index < INDEX_LIMIT)


def estimate(highest: int, sequence: int) -> int:
    """The index of a packet from its 16-bit sequence number and the highest index so far (RFC 3711 appendix
    A).

    It may be `INDEX_LIMIT` or more, if the counter would pass 2^32; the caller must refuse that. It is never
    negative: a sequence number that would belong before index 0 is taken as far ahead, in round 0.
    """
    roc, last = highest >> 16, highest & 0xFFFF
    if last < 0x8000:
        if sequence - last > 0x8000 and roc:
            roc -= 1
    elif last - 0x8000 > sequence:
        roc += 1
    return roc << 16 | sequence


class ReplayWindow:
    """Which of the last `size` indices were used. Bit n of the mask stands for `highest` - n."""

    __slots__ = ("_full", "_mask", "_size", "highest")

    def __init__(self, size: int, highest: int = -1, *, all_seen: bool = False) -> None:
        """`size` in packets. `all_seen`: every index up to `highest` counts as used."""
        self._size = size
        self._full = (1 << size) - 1
        self._mask = self._full if all_seen else 0
        self.highest = highest

    def is_fresh(self, index: int) -> bool:
        """False if the index was used, or is too old to tell."""
        behind = self.highest - index
        return behind < 0 or (behind < self._size and not self._mask >> behind & 1)

    def mark(self, index: int) -> None:
        """The index is now used. Only for a fresh one, and only after authentication."""
        ahead = index - self.highest
        if ahead <= 0:
            self._mask |= 1 << -ahead
            return
        self._mask = (self._mask << ahead | 1) & self._full if ahead < self._size else 1
        self.highest = index
