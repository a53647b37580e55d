"""`Transaction`: what client and server transactions share: state, timers, the table (RFC 3261 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from imsmediasec.agent.endpoint import Endpoint, Transport
from imsmediasec.agent.transaction_tables import RETRANSMIT_TIMERS, Input, State, StateTimers, Table, Timers
from imsmediasec.sip import SipMessage

Key = tuple[str, ...]


class Clock(Protocol):
    """As much of an asyncio event loop as transactions need."""

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle: ...


def classify(status: int) -> Input:
    """The input that a response is."""
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.FAILURE


class Transaction:
    """One machine that runs one table. Use the two classes derived from it.

    `user_data` is the user's own; nothing here touches it.
    """

    initial: ClassVar[State]
    table: ClassVar[Table]
    state_timers: ClassVar[StateTimers]

    def __init__(
        self,
        *,
        key: Key,
        request: SipMessage,
        peer: Endpoint,
        transport: Transport,
        clock: Clock,
        timers: Timers,
        ended: Callable[[Transaction], None],
    ) -> None:
        self.key = key
        self.request = request
        self.peer = peer
        self.state = self.initial
        self.user_data: object = None
        self._transport = transport
        self._clock = clock
        self._timers = timers
        self._ended = ended
        self._last_delay = 0.0
        self._running: dict[Input, tuple[asyncio.TimerHandle, float]] = {}
        self._enter_timers()

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def terminated(self) -> bool:
        return self.state is State.TERMINATED

    def stop(self) -> None:
        """Forget everything now: no timer runs on, nothing is sent or reported any more."""
        if not self.terminated:
            self._become(State.TERMINATED)

    def handle(self, what: Input, message: SipMessage | None = None) -> bool:
        """Run one row. Whether the input did anything; after the end none does.

        The state has changed and its timers run before the actions do, so that a user called from
        an action may call back in.
        """
        if self.terminated:
            return False
        actions, state = self.table[self.state, what]
        if state is not self.state:
            self._become(state, defer_end=bool(actions))
        for action in actions:
            getattr(self, "_" + action)(what, message)
        if state is State.TERMINATED and actions:
            self._ended(self)
        return bool(actions)

    def _become(self, state: State, *, defer_end: bool = False) -> None:
        self.state = state
        kept = self.state_timers.get(state, ())
        for timer in [timer for timer in self._running if timer not in kept]:
            self._running.pop(timer)[0].cancel()
        self._enter_timers()
        if state is State.TERMINATED and not defer_end:
            self._ended(self)

    def _enter_timers(self) -> None:
        reliable = self.peer.protocol.reliable
        for timer in self.state_timers.get(self.state, ()):
            if timer not in self._running and not (reliable and timer in RETRANSMIT_TIMERS):
                self._start(timer, self._timers.delay(timer, reliable=reliable))

    def _start(self, timer: Input, delay: float) -> None:
        self._running[timer] = (self._clock.call_later(delay, self._fire, timer, delay), delay)

    def _fire(self, timer: Input, delay: float) -> None:
        self._running.pop(timer, None)
        self._last_delay = delay
        self.handle(timer)

    def _again_doubled(self, timer: Input, message: SipMessage | None) -> None:
        self._again(timer, 2 * self._last_delay)

    def _again_capped(self, timer: Input, message: SipMessage | None) -> None:
        self._again(timer, min(2 * self._last_delay, self._timers.t2))

    def _again_slow(self, timer: Input, message: SipMessage | None) -> None:
        self._again(timer, self._timers.t2)

    def _again(self, timer: Input, delay: float) -> None:
        # The resend before it may have failed at once and ended the transaction.
        if timer in self.state_timers.get(self.state, ()):
            self._start(timer, delay)

    def _transmit(self, octets: bytes) -> None:
        self._transport.send(octets, self.peer, self._failed)

    def _failed(self, reason: str) -> None:
        self.handle(Input.TRANSPORT_ERROR)
