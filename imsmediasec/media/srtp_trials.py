"""Opening packets while several keys are alive: what opened the last packet is tried first, then the
newest."""

from __future__ import annotations

from collections.abc import Callable

from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MediaSecurityError,
    RemoteError,
    ReplayDetected,
)
from imsmediasec.media.srtp_stream import PacketCall, ReceiveStream, SendStream

_TRY_NEXT = (RemoteError, KeyLifetimeExhausted)


class Trials:
    """The streams that may open a packet, in the order in which to try them. One for SRTP, one for SRTCP."""

    __slots__ = ("_calls", "_order", "_pick", "unprotect")

    unprotect: PacketCall
    """Raises what the streams raise: ReplayDetected if one saw a replay, else AuthenticationFailed if one got
    so far, else what the first said; LocalError if there is no stream."""

    def __init__(self, pick: Callable[[ReceiveStream | SendStream], PacketCall]) -> None:
        """`pick`: which of a stream's functions to call."""
        self._pick = pick
        self._order: list[ReceiveStream | SendStream] = []
        self._calls: list[PacketCall] = [no_keys]
        self.unprotect = self._make_unprotect()

    def add(self, stream: ReceiveStream | SendStream) -> None:
        """A new stream: behind the one in use, before all others."""
        self._order.insert(1, stream)
        self._refresh()

    def remove(self, stream: ReceiveStream | SendStream) -> None:
        """Not this one any more."""
        self._order.remove(stream)
        self._refresh()

    def _refresh(self) -> None:
        self._calls[:] = [self._pick(stream) for stream in self._order] or [no_keys]

    def _make_unprotect(self) -> PacketCall:
        calls = self._calls
        try_others = self._try_others

        def unprotect(packet: bytes) -> bytes:
            try:
                return calls[0](packet)
            except _TRY_NEXT as error:
                return try_others(packet, error)

        return unprotect

    def _try_others(self, packet: bytes, error: MediaSecurityError) -> bytes:
        errors = [error]
        for position in range(1, len(self._calls)):
            try:
                opened = self._calls[position](packet)
            except _TRY_NEXT as other:
                errors.append(other)
            else:
                self._order.insert(0, self._order.pop(position))
                self._refresh()
                return opened
        raise _most_telling(errors) from None


def no_keys(packet: bytes) -> bytes:
    """Stands in where no stream is."""
    raise LocalError("there is no key for this direction")


def _most_telling(errors: list[MediaSecurityError]) -> MediaSecurityError:
    for kind in (ReplayDetected, AuthenticationFailed):
        for error in errors:
            if isinstance(error, kind):
                return error
    return errors[0]
