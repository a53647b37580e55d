"""An agent in a process of its own, that can be asked what it costs and what it still holds."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

import imsmediasec as ims
from benchmarks.media_load import favour
from imsmediasec.agent import Agent, AgentConfig, SecureForking
from imsmediasec.agent.call import Call
from imsmediasec.agent.observer import NoObserver


@dataclass(frozen=True, kw_only=True)
class CallMediaPorts:
    """Where the first m-line of a call has its media. `ready`: protected both ways, the gate open."""

    phone: int
    far: int
    near: int
    network: int
    ready: bool


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What the agent holds, after a garbage collection."""

    calls: int
    dialogs: int
    transactions: int
    files: int
    timers: int
    """Of the event loop, cancelled ones aside."""
    memory: int
    """Octets that Python has allocated; 0 without tracemalloc."""
    resident: int
    """Octets in RAM."""
    objects: Mapping[str, int]
    """Objects of this package and of pylibsrtp, by type; those that no garbage collector tracks are not seen."""


class AgentProcess:
    """Started by making one; serves SIP on loopback until `close`."""

    def __init__(self, *, softphone: str, secure_forking: SecureForking, trace: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, softphone, secure_forking.value, trace)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        self.local_port, self.network_port = self._pipe.recv()

    def _ask(self, what: str, *arguments: float) -> Any:
        self._pipe.send((what, arguments))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def calls(self) -> list[CallMediaPorts]:
        """Those that have both ends of their media."""
        return [CallMediaPorts(**ports) for ports in self._ask("calls")]

    def cpu(self) -> float:
        """Seconds of CPU time spent so far."""
        return float(self._ask("cpu"))

    def waited(self) -> float:
        """Seconds that it was ready to run but had no core, so far: what other work on the machine has cost it."""
        with open(f"/proc/{self._process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9

    def holdings(self) -> Holdings:
        return Holdings(**self._ask("holdings"))

    def counters(self) -> dict[str, int]:
        """Packets, over all calls so far."""
        return dict(self._ask("counters"))

    def failures(self) -> list[str]:
        """What the negotiations reported as failed, and what the event loop caught."""
        return list(self._ask("failures"))

    def skip(self, seconds: float) -> None:
        """Let all timers that are due by then run now."""
        self._ask("skip", seconds)
        self._ask("cpu")  # answered when the event loop has been round

    def close(self) -> None:
        if self._process.is_alive():
            self._pipe.send(("stop", ()))
            self._process.join(10)
            self._process.terminate()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Loop(asyncio.SelectorEventLoop):
    """Its clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class _Observer(NoObserver):
    """Adds up what calls leave behind."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.counters: Counter[str] = Counter()

    def event(self, call: Call, event: ims.Event) -> None:
        if isinstance(event, ims.NegotiationFailed):
            self.failures.append(str(event.error))

    def call_ended(self, call: Call) -> None:
        self.add(self.counters, call)

    @staticmethod
    def add(total: Counter[str], call: Call) -> None:
        for counters in call.media.counters.values():
            total.update({name: getattr(counters, name) for name in counters.__slots__})


def _serve(pipe: Connection, softphone: str, secure_forking: str, trace: bool) -> None:
    favour()
    loop = _Loop()
    try:
        loop.run_until_complete(_Served(loop, pipe, softphone, SecureForking(secure_forking), trace).run())
    finally:
        loop.close()


class _Served:
    """The other end of `AgentProcess`."""

    def __init__(self, loop: _Loop, pipe: Connection, softphone: str, forking: SecureForking, trace: bool) -> None:
        self._loop = loop
        self._pipe = pipe
        self._observer = _Observer()
        self._agent = Agent(
            AgentConfig(softphone=softphone, signalling=ims.Hop.PROTECTED, secure_forking=forking), self._observer
        )
        self._stopped = asyncio.Event()
        loop.set_exception_handler(lambda loop, context: self._observer.failures.append(repr(context)))
        if trace:
            tracemalloc.start()

    async def run(self) -> None:
        async with self._agent:
            self._loop.add_reader(self._pipe.fileno(), self._command)
            self._pipe.send((self._agent.local_port, self._agent.network_port))
            await self._stopped.wait()

    def _command(self) -> None:
        what, arguments = self._pipe.recv()
        if what == "stop":
            self._stopped.set()
            return
        try:
            self._pipe.send(getattr(self, "_" + what)(*arguments))
        except Exception as error:
            self._pipe.send(error)

    def _cpu(self) -> float:
        return time.process_time()

    def _skip(self, seconds: float) -> None:
        self._loop.ahead += seconds

    def _failures(self) -> list[str]:
        return self._observer.failures

    def _counters(self) -> dict[str, int]:
        total = Counter(self._observer.counters)
        for call in self._agent.core.calls.values():
            self._observer.add(total, call)
        return dict(total)

    def _calls(self) -> list[dict[str, Any]]:
        found = []
        for call in self._agent.core.calls.values():
            relay = call.media.relays.get(0)
            leg = relay._chosen if relay is not None else None
            if relay is None or leg is None or leg.rtp is None or relay._phone_rtp is None:
                continue
            ready = leg.protected and leg.gate is ims.Gate.OPEN
            found.append(
                {
                    "phone": relay._phone_rtp[1],
                    "far": leg.rtp[1],
                    "near": relay.local_port,
                    "network": relay.network_port,
                    "ready": ready,
                }
            )
        return found

    def _holdings(self) -> dict[str, Any]:
        gc.collect()
        names = [f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects()]
        scheduled = self._loop._scheduled  # type: ignore[attr-defined]
        return {
            "calls": len(self._agent.core.calls),
            "dialogs": len(self._agent.core.dialogs),
            "transactions": sum(layer.active for layer in self._agent._layers.values()),
            "files": len(os.listdir("/proc/self/fd")),
            "timers": sum(not timer.cancelled() for timer in scheduled),
            "memory": tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0,
            "resident": _resident(),
            "objects": dict(Counter(name for name in names if name.startswith(("imsmediasec.", "pylibsrtp.")))),
        }


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
