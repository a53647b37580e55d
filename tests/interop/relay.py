"""A UDP relay in a thread that adds a fixed delay and can drop, reorder or rewrite: a bad network between two peers."""

import heapq
import select
import socket
import threading
import time
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Self

Address = tuple[str, int]


class Way(Enum):
    """Direction of a datagram through the relay."""

    TO_TARGET = "to target"
    BACK = "back"


Impair = Callable[[Way, int, bytes], float | None]
"""From direction, number in that direction, and datagram to the extra delay in seconds; None drops it."""
Rewrite = Callable[[Way, bytes], bytes]


class Relay:
    """Sends what arrives at `port` on to `target`, from `back_port`; what the target answers goes to whoever sent last.

    At most `limit` datagrams are under way at once; the rest is dropped and counted.
    """

    def __init__(
        self,
        port: int,
        target: Address,
        back_port: int,
        *,
        delay: float = 0.0,
        impair: Impair | None = None,
        rewrite: Rewrite | None = None,
        limit: int = 10_000,
    ) -> None:
        self.address: Address = ("127.0.0.1", port)
        self.target = target
        self.delay, self.impair, self.rewrite, self.limit = delay, impair, rewrite, limit
        self.passed = dict.fromkeys(Way, 0)
        self.dropped = dict.fromkeys(Way, 0)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(self.address)
        self._far.bind(("127.0.0.1", back_port))
        self._client: Address | None = None
        self._queue: list[tuple[float, int, Way, bytes]] = []
        self._serial = 0
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            wait = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            ready, _, _ = select.select([self._near, self._far, self._wake], [], [], wait)
            if self._wake in ready:
                return
            for sock in ready:
                try:
                    data, source = sock.recvfrom(65536)
                except ConnectionError:
                    continue
                if sock is self._near:
                    self._client = source
                self._take(Way.TO_TARGET if sock is self._near else Way.BACK, data)
            while self._queue and self._queue[0][0] <= time.monotonic():
                _, _, way, data = heapq.heappop(self._queue)
                self._send(way, data)

    def _take(self, way: Way, data: bytes) -> None:
        number = self.passed[way] + self.dropped[way]
        extra = self.impair(way, number, data) if self.impair else 0.0
        if extra is None or len(self._queue) >= self.limit:
            self.dropped[way] += 1
            return
        self.passed[way] += 1
        self._serial += 1
        heapq.heappush(self._queue, (time.monotonic() + self.delay + extra, self._serial, way, data))

    def _send(self, way: Way, data: bytes) -> None:
        if self.rewrite:
            data = self.rewrite(way, data)
        try:
            if way is Way.TO_TARGET:
                self._far.sendto(data, self.target)
            elif self._client is not None:
                self._near.sendto(data, self._client)
        except ConnectionError:
            pass  # an ICMP error of an earlier datagram: the peer has gone

    def stop(self) -> None:
        """End the thread and close the sockets; what is still under way is lost."""
        if self._thread.is_alive():
            self._stop.send(b"x")
            self._thread.join(5)
        for sock in (self._near, self._far, self._wake, self._stop):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
