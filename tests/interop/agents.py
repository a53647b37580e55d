"""Agents inside the test process, with what they reported kept for the test to read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import imsmediasec as ims
from imsmediasec.agent import AgentConfig, AgentThread, NoObserver
from imsmediasec.agent.call import Call
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage


class Witness(NoObserver):
    """Keeps messages, events and statuses; waits for what a test wants to see."""

    def __init__(self) -> None:
        self.messages: list[tuple[Face, bool, bytes]] = []
        self.events: list[ims.Event] = []
        self.times: list[float] = []
        """When each event came (seconds since the epoch, as in captures)."""
        self.calls: list[Call] = []
        self.ended: list[Call] = []
        self._changed = threading.Condition()

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        with self._changed:
            self.messages.append((face, incoming, bytes(message)))
            self._changed.notify_all()

    def call_started(self, call: Call) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def event(self, call: Call, event: ims.Event) -> None:
        with self._changed:
            self.times.append(time.time())
            self.events.append(event)
            self._changed.notify_all()

    def call_ended(self, call: Call) -> None:
        with self._changed:
            self.ended.append(call)
            self._changed.notify_all()

    @property
    def statuses(self) -> list[ims.SecurityStatus]:
        return [event.status for event in self.events if isinstance(event, ims.SecurityChanged)]

    def wait(self, condition: Callable[[Witness], Any], timeout: float = 10) -> None:
        """Wait until `condition(self)` holds; AssertionError if it does not in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                names = [type(event).__name__ for event in self.events]
                raise AssertionError(f"not seen within {timeout} s; events: {names}")

    def wait_confirmed(self, timeout: float = 10) -> ims.SecurityStatus:
        """Until B7 is met; the status then."""
        self.wait(lambda w: any(s.fork_state is ims.ForkState.CONFIRMED for s in w.statuses), timeout)
        return next(s for s in reversed(self.statuses) if s.fork_state is ims.ForkState.CONFIRMED)


class TestAgent:
    """An agent with its witness. `stop` ends it."""

    __test__ = False

    def __init__(self, *, witness: Witness | None = None, **options: Any) -> None:
        self.witness = witness or Witness()
        options.setdefault("signalling", ims.Hop.PROTECTED)
        self._thread = AgentThread(AgentConfig(**options), self.witness).start()
        self.agent = self._thread.agent

    @property
    def proxy(self) -> str:
        return f"sip:127.0.0.1:{self.agent.local_port}"

    @property
    def network(self) -> str:
        """host:port on the network side."""
        return f"127.0.0.1:{self.agent.network_port}"

    def stop(self) -> None:
        self._thread.stop()
