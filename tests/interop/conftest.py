"""Fixtures of the interop tests: peers that are always stopped, captures, folders.

A peer that is not installed skips the test on a user's machine and fails it where CI=true.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from .capture import Capture
from .peers.baresip import Baresip
from .peers.kamailio import Kamailio
from .peers.pjsua import Pjsua
from .peers.raw import RawUa
from .peers.rtpengine import Rtpengine
from .peers.sipp import Sipp
from .process import MissingPeer, Process
from .relay import Relay


class Stoppable(Protocol):
    """Anything that runs until it is stopped."""

    def stop(self) -> None:
        """End it."""


ALONE = ("test_fork_latency", "test_fork_series", "test_agent_load")
P = TypeVar("P", bound=Stoppable)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is marked `interop`; what measures time or load runs `alone`, after the rest."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("interop")
            # Only a peer that was late gets another chance; what was heard or opened on the wire counts at once.
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))
            if item.path.stem in ALONE:
                item.add_marker("alone")


class Lab:
    """Starts peers in the test's folder and stops them, last first, when the test is over."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def start(self, make: Callable[..., P], *args: Any, **options: Any) -> P:
        """Make a peer, to be stopped with the rest; the methods below do it for each kind."""
        before = set(Process.all)
        try:
            peer = make(*args, **options)
        except BaseException as failure:
            for process in Process.all - before:
                process.stop()
            if not isinstance(failure, MissingPeer) or os.environ.get("CI") == "true":
                raise
            pytest.skip(str(failure))
        self.stops(peer)
        return peer

    def stops(self, peer: Stoppable) -> None:
        """Have something that the test started itself stopped with the rest."""
        self._stack.callback(peer.stop)

    def baresip(self, user: str, **options: Any) -> Baresip:
        """A baresip, see its class for the options."""
        return self.start(Baresip, self.folder, user, **options)

    def pjsua(self, user: str, **options: Any) -> Pjsua:
        """A pjsua2 softphone, see its class for the options."""
        return self.start(Pjsua, self.folder, user, **options)

    def kamailio(self, **options: Any) -> Kamailio:
        """A registrar and forking proxy."""
        return self.start(Kamailio, self.folder, **options)

    def rtpengine(self, **options: Any) -> Rtpengine:
        """A media relay with NG control."""
        return self.start(Rtpengine, self.folder, **options)

    def sipp(self, name: str, scenario: str | Path, **options: Any) -> Sipp:
        """A SIPp run."""
        return self.start(Sipp, self.folder, name, scenario, **options)

    def raw(self, target: str = "") -> RawUa:
        """A user agent whose every message the test writes."""
        return self.start(RawUa, target)

    def capture(self, *ports: int, name: str = "capture") -> Capture:
        """A capture on loopback of UDP to or from these ports."""
        return self.start(Capture, self.folder, ports, name=name)

    def relay(self, port: int, target: tuple[str, int], back_port: int, **options: Any) -> Relay:
        """A delaying, dropping UDP relay."""
        return self.start(Relay, port, target, back_port, **options)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """The workbench of one test."""
    with ExitStack() as stack:
        yield Lab(tmp_path, stack)
