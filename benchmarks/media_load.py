"""RTP for many streams at once from one process, and what became of each packet.

A `Stream` is one call's media: packets of 160 octets, 50 a second, plain from the softphone's socket and SRTP from
the far end's. Delays run from just before a packet is sent to the kernel's time stamp of its arrival behind the relay,
so that a slow load generator adds nothing to them.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from imsmediasec.keys import MasterKey, SrtpKeys
from imsmediasec.media import MediaStream, PylibsrtpBackend
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction

Address = tuple[str, int]
LOOPBACK = "127.0.0.1"
PAYLOAD = bytes(160)
INTERVAL = 0.02
"""Seconds between packets of a stream: 50 a second."""
SLOTS = 20
"""Streams are spread over the interval, as calls are."""
DRAIN = 0.5
"""Seconds to wait for the last packets."""
ROOM = 4 << 20
"""Receive buffer here: what the load generator is late to read must not count as lost."""

_SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
_STAMP = struct.Struct("@qq")
_SEQUENCES = 1 << 16


def favour() -> None:
    """Let this process go before others on a shared machine, if it may: what those take is not what is measured."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def keys(material: bytes, suite: SrtpSuite) -> SrtpKeys:
    """One master key: `material` is key and salt, as in an inline: parameter."""
    key, salt = Secret(material[: suite.key_length]), Secret(material[suite.key_length :])
    return SrtpKeys(suite=suite, master_keys=(MasterKey(key=key, salt=salt),))


def rtp(sequence: int, ssrc: bytes = b"load") -> bytes:
    return b"\x80\x00" + struct.pack("!HI", sequence, sequence * 160) + ssrc + PAYLOAD


class Sealed:
    """SRTP packets by sequence number, sealed when first asked for. All streams send the same ones: each call has
    its own key contexts, so that none sees a packet twice."""

    def __init__(self, material: bytes, suite: SrtpSuite) -> None:
        self._stream = MediaStream(PylibsrtpBackend())
        self._stream.install(Direction.SEND, keys(material, suite))
        self._packets: list[bytes] = []

    def __getitem__(self, sequence: int) -> bytes:
        while len(self._packets) <= sequence:
            self._packets.append(self._stream.protect(rtp(len(self._packets), b"seal")))
        return self._packets[sequence]


def media_socket() -> socket.socket:
    """A UDP socket on any free port, that stamps what arrives."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    sock.bind((LOOPBACK, 0))
    return sock


class Stream:
    """The two ends of one call's media. `near` and `network`: the relay's ports, where softphone and far end send."""

    def __init__(
        self, phone: socket.socket | None = None, far: socket.socket | None = None, near: int = 0, network: int = 0
    ) -> None:
        self.phone, self.far = phone or media_socket(), far or media_socket()
        self.near: Address = (LOOPBACK, near)
        self.network: Address = (LOOPBACK, network)
        self.sequence = 0
        self.to_far: dict[int, int] = {}
        """Sending times (ns) of what has not arrived yet, by sequence number."""
        self.to_phone: dict[int, int] = {}

    @property
    def ports(self) -> tuple[int, int]:
        """Of the softphone and of the far end."""
        return self.phone.getsockname()[1], self.far.getsockname()[1]

    def close(self) -> None:
        self.phone.close()
        self.far.close()


@dataclass
class Result:
    """What arrived."""

    sent: int = 0
    lost: int = 0
    stray: int = 0
    """Arrived without having been sent, or twice."""
    late_slots: int = 0
    """Slots that the load generator itself began more than 10 ms late."""
    slots: int = 0
    delays: array[int] = field(default_factory=lambda: array("q"))
    """Nanoseconds."""
    silent: int = 0
    """Streams and directions of which nothing arrived at all."""

    def __iadd__(self, other: Result) -> Result:
        for name in ("sent", "lost", "stray", "late_slots", "slots", "silent"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.delays += other.delays
        return self

    @property
    def loss(self) -> float:
        return self.lost / self.sent if self.sent else 0.0

    def delay(self, *quantiles: float) -> list[float]:
        """Milliseconds at these quantiles, say 0.5 and 0.99."""
        ordered = sorted(self.delays)
        last = len(ordered) - 1
        return [ordered[min(last, int(q * len(ordered)))] / 1e6 if ordered else float("nan") for q in quantiles]

    def __str__(self) -> str:
        p50, p99, highest = self.delay(0.5, 0.99, 1.0)
        return (
            f"{self.sent} packets, {self.lost} lost ({self.loss:.4%}), delay p50 {p50:.3f} ms, p99 {p99:.3f} ms, "
            f"max {highest:.1f} ms; generator late in {self.late_slots} of {self.slots} slots"
        )


def speak(streams: Sequence[Stream], sealed: Sealed, seconds: float) -> Result:
    """Let all streams speak both ways for so long."""
    result = Result()
    clock, now_ns = time.perf_counter, time.time_ns
    with _Ears(streams, result) as ears:
        for stream in streams:
            stream.to_far.clear()
            stream.to_phone.clear()
        groups = [streams[n::SLOTS] for n in range(SLOTS)]
        began = clock()
        for tick in range(round(seconds / INTERVAL * SLOTS)):
            due = began + tick * INTERVAL / SLOTS
            while (wait := due - clock()) > 0:
                ears.listen(wait)
            result.slots += 1
            result.late_slots += wait < -0.01
            for stream in groups[tick % SLOTS]:
                sequence = stream.sequence
                stream.sequence = (sequence + 1) % _SEQUENCES
                plain, protected = rtp(sequence), sealed[sequence]
                stream.to_far[sequence] = now_ns()
                stream.phone.sendto(plain, stream.near)
                stream.to_phone[sequence] = now_ns()
                stream.far.sendto(protected, stream.network)
                result.sent += 2
            ears.listen(0)
        end = clock() + DRAIN
        while (wait := end - clock()) > 0:
            ears.listen(wait)
    for stream in streams:
        for pending in (stream.to_far, stream.to_phone):
            result.lost += len(pending)
    return result


class _Ears:
    """Reads all sockets and matches what arrives with what was sent."""

    def __init__(self, streams: Sequence[Stream], result: Result) -> None:
        self._epoll = select.epoll()
        self._ends: dict[int, tuple[socket.socket, dict[int, int]]] = {}
        for stream in streams:
            for sock, pending in ((stream.phone, stream.to_phone), (stream.far, stream.to_far)):
                self._ends[sock.fileno()] = (sock, pending)
                self._epoll.register(sock, select.EPOLLIN)
        self._result = result
        self._heard: set[int] = set()

    def __enter__(self) -> _Ears:
        return self

    def __exit__(self, *exc: object) -> None:
        self._epoll.close()
        self._result.silent = len(self._ends) - len(self._heard)

    def listen(self, wait: float) -> None:
        add, unpack = self._result.delays.append, _STAMP.unpack_from
        for number, _ in self._epoll.poll(wait):
            sock, pending = self._ends[number]
            while True:
                try:
                    packet, notes, _, _ = sock.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                sent = pending.pop(packet[2] << 8 | packet[3], None)
                if sent is None:
                    self._result.stray += 1
                    continue
                seconds, nanoseconds = unpack(notes[0][2])
                add(seconds * 1_000_000_000 + nanoseconds - sent)
                self._heard.add(number)
