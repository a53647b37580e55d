"""`MediaStream`: all keys of one m-line, both directions, over any number of re-keys.

Receiving, several keys are alive at once, so that no packet is lost while both are under way. Sending, the
newest is used, and goes on where the one before stood (RFC 3711 3.3.1, 3.4), unless `SrtpKeys` says that the
transport is new, or names another counter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from imsmediasec.errors import LocalError
from imsmediasec.keys import SrtpKeys
from imsmediasec.media.srtp_backend import PylibsrtpBackend, starts
from imsmediasec.media.srtp_index import Start
from imsmediasec.media.srtp_ring import KeyRing
from imsmediasec.media.srtp_stream import PacketCall, ReceiveStream, SendStream
from imsmediasec.media.srtp_trials import Trials, no_keys
from imsmediasec.terms import Direction


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeyExpiring:
    """A master key has few packets left: re-key before they are used up, since then it stops."""

    direction: Direction
    keys: SrtpKeys
    rtcp: bool
    """True if it is SRTCP that is about to reach the limit."""


class MediaStream:
    """The SRTP of one m-line. Not for two threads at once.

    `protect` and `protect_rtcp` change with the keys: look them up for each packet. All four functions raise
    what `ports.SrtpStream` says, and LocalError while there is no key.
    """

    __slots__ = (
        "_backend",
        "_events",
        "_histories",
        "_rtcp_trials",
        "_sender",
        "_threshold",
        "_trials",
        "protect",
        "protect_rtcp",
        "unprotect",
        "unprotect_rtcp",
    )

    protect: PacketCall
    unprotect: PacketCall
    protect_rtcp: PacketCall
    unprotect_rtcp: PacketCall

    def __init__(self, backend: PylibsrtpBackend, *, threshold: int | None = None) -> None:
        """`threshold`: packets left under a master key at which `KeyExpiring` is queued; None: a fitting
        default."""
        self._backend = backend
        self._threshold = threshold
        self._events: deque[KeyExpiring] = deque()
        self._histories = {direction: _History() for direction in Direction}
        self._sender: SendStream | ReceiveStream | None = None
        self.protect = self.protect_rtcp = no_keys
        self._trials = Trials(attrgetter("unprotect"))
        self._rtcp_trials = Trials(attrgetter("unprotect_rtcp"))
        self.unprotect = self._trials.unprotect
        self.unprotect_rtcp = self._rtcp_trials.unprotect

    def install(self, direction: Direction, keys: SrtpKeys) -> None:
        """Use these keys from now on; those before stay alive until they are retired.

        Keys that are installed already become the newest again, with the state they have. Raises LocalError
        if the keys do not fit, cannot run here, or were retired before; nothing has changed then.
        """
        history = self._histories[direction]
        explicit = starts(keys.roc)
        start = _Earlier(history, explicit) if keys.same_transport else explicit
        stream = self._backend.open(
            direction,
            keys,
            ring=history.ring,
            start=dict(start) if direction is Direction.SEND else start,
            rtcp_start=history.rtcp_next() if keys.same_transport else {},
            threshold=self._threshold,
            on_expiring=partial(self._expiring, direction, keys),
        )
        for old in [known for known in history.streams if known.keys is keys]:
            self._remove(direction, old)
            old.release()
        history.streams.insert(0, stream)
        if direction is Direction.SEND:
            self._sender = stream
            self.protect, self.protect_rtcp = stream.protect, stream.protect_rtcp
        else:
            self._trials.add(stream)
            self._rtcp_trials.add(stream)

    def retire(self, direction: Direction, keys: SrtpKeys) -> None:
        """Forget and wipe these keys. Their master keys are refused from then on.

        Retiring the newest sending keys stops sending: an older one is not taken up again by itself.
        Raises LocalError if they are not installed.
        """
        history = self._histories[direction]
        stream = next((known for known in history.streams if known.keys is keys), None)
        if stream is None:
            raise LocalError("these keys are not installed")
        self._remove(direction, stream)
        stream.retire()

    def retire_all_but_newest(self, direction: Direction) -> None:
        """The re-key is complete: forget and wipe what came before it."""
        for stream in self._histories[direction].streams[1:]:
            self.retire(direction, stream.keys)

    def close(self) -> None:
        """Retire all keys of both directions."""
        for direction in Direction:
            for stream in list(self._histories[direction].streams):
                self.retire(direction, stream.keys)

    def roc(self, direction: Direction) -> dict[int, int]:
        """The roll-over counter now, by SSRC."""
        places = _Earlier(self._histories[direction], {})
        return {int.from_bytes(ssrc, "big"): place.roc for ssrc, place in places.items()}

    def next_event(self) -> KeyExpiring | None:
        """The next thing to tell, or None."""
        return self._events.popleft() if self._events else None

    def _expiring(self, direction: Direction, keys: SrtpKeys, rtcp: bool) -> None:
        self._events.append(KeyExpiring(direction=direction, keys=keys, rtcp=rtcp))

    def _remove(self, direction: Direction, stream: SendStream | ReceiveStream) -> None:
        self._histories[direction].remove(stream)
        if direction is Direction.RECEIVE:
            self._trials.remove(stream)
            self._rtcp_trials.remove(stream)
        elif stream is self._sender:
            self._sender = None
            self.protect = self.protect_rtcp = no_keys


class _History:
    """One direction: the streams alive, newest first, and where SSRCs stood under those that are gone."""

    __slots__ = ("places", "ring", "rtcp_places", "streams")

    def __init__(self) -> None:
        self.ring = KeyRing()
        self.streams: list[SendStream | ReceiveStream] = []
        self.places: dict[bytes, int] = {}
        self.rtcp_places: dict[bytes, int] = {}

    def remove(self, stream: SendStream | ReceiveStream) -> None:
        self.places |= stream.highest
        self.rtcp_places = self.rtcp_next()
        self.streams.remove(stream)

    def rtcp_next(self) -> dict[bytes, int]:
        """The next SRTCP index by SSRC: the highest that any key has come to."""
        merged = dict(self.rtcp_places)
        for stream in self.streams:
            for ssrc, index in stream.rtcp_next.items():
                merged[ssrc] = max(index, merged.get(ssrc, 0))
        return merged


class _Earlier(Mapping[bytes, Start]):
    """Where SSRCs stand, by the newest key that knows them. Read when it matters, not when a key is
    installed."""

    __slots__ = ("_explicit", "_history")

    def __init__(self, history: _History, explicit: Mapping[bytes, Start]) -> None:
        self._history = history
        self._explicit = explicit

    def __getitem__(self, ssrc: bytes) -> Start:
        known = self._known()
        if ssrc in known:
            place = Start.after(known[ssrc])
            return place if self._explicit.get(ssrc, place).roc == place.roc else self._explicit[ssrc]
        return self._explicit[ssrc]

    def __iter__(self) -> Iterator[bytes]:
        return iter({**self._known(), **self._explicit})

    def __len__(self) -> int:
        return len({**self._known(), **self._explicit})

    def _known(self) -> dict[bytes, int]:
        known = dict(self._history.places)
        for stream in reversed(self._history.streams):
            known |= stream.highest
        return known
