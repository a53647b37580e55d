"""The media relay against a bare asyncio UDP forwarder, in the same run, under the same load.

    python -m benchmarks.bench_relay [--fast]    exit 1 if a ratio is below 0.6

Two figures. *Rate*: the CPU time that the relaying process spends on a packet (user and system, 160 octets of payload),
under bursts of 128 packets of which the next one starts when the last has arrived; so the relaying process is never
idle for want of packets, nothing is lost, and what else the machine does disturbs little. The rate is its inverse.
*Delay*: what 1, 10 and 100 streams of 50 packets a second see, both directions at once.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import secrets
import select
import socket
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

from benchmarks.media_load import LOOPBACK, Address, Result, Sealed, Stream, favour, keys, rtp, speak
from imsmediasec import suites
from imsmediasec.media import MediaStream, PylibsrtpBackend
from imsmediasec.media.readers import Readers
from imsmediasec.media.relay import MediaRelay
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction, Gate

LEAST = 0.6
ROOM = 2048
BURST = 128
SUITES = (suites.AEAD_AES_256_GCM, suites.AES_CM_128_HMAC_SHA1_80)
DIRECTIONS = ("out", "in")
STREAMS = (1, 10, 100)
BARE = "bare forwarder"


class Relaying:
    """A process of its own that relays for some streams: `MediaRelay` with a suite, a bare forwarder without."""

    def __init__(
        self,
        streams: Sequence[Stream],
        suite: SrtpSuite | None,
        sending: bytes,
        receiving: bytes,
        *,
        first: bool = True,
    ) -> None:
        """`first`: it goes before other processes. Not under bursts: it would wake up for each packet of them."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        name = None if suite is None else suite.name
        ports = [stream.ports for stream in streams]
        self._process = context.Process(
            target=_relaying, args=(theirs, ports, name, sending, receiving, first), daemon=True
        )
        self._process.start()
        for stream, (near, network) in zip(streams, self._pipe.recv(), strict=True):
            stream.near, stream.network = (LOOPBACK, near), (LOOPBACK, network)

    def cpu(self) -> float:
        """Seconds of CPU time that it has spent so far."""
        self._pipe.send("cpu")
        return float(self._pipe.recv())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._pipe.send("stop")
        self._process.join(10)


def _relaying(
    pipe: Connection, ports: list[tuple[int, int]], suite: str | None, sending: bytes, receiving: bytes, first: bool
) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def command() -> None:
            if pipe.recv() == "cpu":
                pipe.send(time.process_time())
            else:
                stopped.set()

        if suite is None:
            pipe.send([await _forwarder(phone, far) for phone, far in ports])
        else:
            readers = Readers()
            relays = [_relay(phone, far, _known(suite), sending, receiving, readers) for phone, far in ports]
            pipe.send([(relay.local_port, relay.network_port) for relay in relays])
        loop.add_reader(pipe.fileno(), command)
        await stopped.wait()

    if first:
        favour()
    asyncio.run(run())


class _Forward(asyncio.DatagramProtocol):
    """The reference: whatever arrives leaves by the other socket."""

    def __init__(self, to: Address) -> None:
        self._to = to
        self.out: asyncio.DatagramTransport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.out.sendto(data, self._to)


async def _forwarder(phone: int, far: int) -> tuple[int, int]:
    loop = asyncio.get_running_loop()
    near_socket, near = await loop.create_datagram_endpoint(lambda: _Forward((LOOPBACK, far)), local_addr=(LOOPBACK, 0))
    network_socket, network = await loop.create_datagram_endpoint(
        lambda: _Forward((LOOPBACK, phone)), local_addr=(LOOPBACK, 0)
    )
    near.out, network.out = network_socket, near_socket
    for transport in (near_socket, network_socket):
        # The relay's read size. asyncio's own, 256 KiB, costs up to four times as much, as malloc happens to be.
        transport.max_size = ROOM  # type: ignore[attr-defined]
    return near_socket.get_extra_info("sockname")[1], network_socket.get_extra_info("sockname")[1]


def _known(name: str) -> SrtpSuite:
    suite = suites.suite_by_name(name)
    assert suite is not None
    return suite


def _relay(phone: int, far: int, suite: SrtpSuite, sending: bytes, receiving: bytes, readers: Readers) -> MediaRelay:
    relay = MediaRelay.open(local_host=LOOPBACK, network_host=LOOPBACK, backend=PylibsrtpBackend(), readers=readers)
    relay.set_phone((LOOPBACK, phone))
    relay.install("dialog", Direction.SEND, keys(sending, suite))
    relay.install("dialog", Direction.RECEIVE, keys(receiving, suite))
    leg = relay.leg("dialog")
    leg.gate, leg.rtp, leg.rtcp = Gate.OPEN, (LOOPBACK, far), (LOOPBACK, far + 1)
    relay.choose("dialog")
    return relay


class Bursts:
    """One stream under bursts, one direction at a time."""

    def __init__(self, suite: SrtpSuite | None) -> None:
        used = suite or suites.AEAD_AES_256_GCM
        sending, receiving = (secrets.token_bytes(used.key_salt_length) for _ in range(2))
        self.stream = Stream()
        self.process = Relaying([self.stream], suite, sending, receiving, first=False)
        self._suite = suite
        self._sealer, self._opener = MediaStream(PylibsrtpBackend()), MediaStream(PylibsrtpBackend())
        self._sealer.install(Direction.SEND, keys(receiving, used))
        self._opener.install(Direction.RECEIVE, keys(sending, used))
        self._sequence = dict.fromkeys(DIRECTIONS, 0)

    def run(self, direction: str, packets: int) -> tuple[float, float]:
        """CPU seconds and wall seconds a packet. RuntimeError if more than 0.1 % are lost."""
        plain = [rtp((self._sequence[direction] + n) % 65536) for n in range(packets)]
        self._sequence[direction] += packets
        if direction == "out":
            batch, source, to, sink = plain, self.stream.phone, self.stream.near, self.stream.far
        else:
            batch, source, to, sink = (
                [self._sealer.protect(p) for p in plain],
                self.stream.far,
                self.stream.network,
                self.stream.phone,
            )
        arrived: list[bytes] = []
        cpu, began = self.process.cpu(), time.perf_counter()
        for start in range(0, packets, BURST):
            burst = batch[start : start + BURST]
            for packet in burst:
                source.sendto(packet, to)
            _collect(sink, len(burst), arrived)
        wall, cpu = time.perf_counter() - began, self.process.cpu() - cpu
        if len(arrived) < 0.999 * packets:
            raise RuntimeError(f"{packets - len(arrived)} of {packets} packets were lost")
        self._check(direction, plain, arrived)
        return cpu / packets, wall / packets

    def _check(self, direction: str, plain: list[bytes], arrived: list[bytes]) -> None:
        """What arrived is what it should be: the benchmark must not measure a fault."""
        if self._suite is None:
            return
        if direction == "out":
            assert not set(plain) & set(arrived)
            arrived = [self._opener.unprotect(packet) for packet in arrived]
        assert set(arrived) <= set(plain)

    def close(self) -> None:
        self.process.close()
        self.stream.close()


def _collect(sink: socket.socket, number: int, arrived: list[bytes]) -> None:
    """Read so many packets, or give up after 0.2 s without one."""
    while number:
        try:
            arrived.append(sink.recv(2048))
            number -= 1
        except BlockingIOError:
            if not select.select([sink], [], [], 0.2)[0]:
                return


def rates(rounds: int, packets: int) -> dict[tuple[str, str], tuple[float, float]]:
    """Best CPU and wall seconds a packet, by name and direction. All take turns, several times."""
    contestants = {BARE: Bursts(None), **{suite.name: Bursts(suite) for suite in SUITES}}
    best: dict[tuple[str, str], tuple[float, float]] = {}
    try:
        for _ in range(rounds):
            for direction in DIRECTIONS:
                for name, bursts in contestants.items():
                    cpu, wall = bursts.run(direction, packets)
                    known = best.get((name, direction), (cpu, wall))
                    best[name, direction] = min(cpu, known[0]), min(wall, known[1])
    finally:
        for bursts in contestants.values():
            bursts.close()
    return best


def delays(number: int, suite: SrtpSuite | None, seconds: float) -> tuple[Result, float]:
    """What streams of 50 packets a second see, and the CPU time of a packet then."""
    used = suite or suites.AEAD_AES_256_GCM
    sending, receiving = (secrets.token_bytes(used.key_salt_length) for _ in range(2))
    streams = [Stream() for _ in range(number)]
    try:
        with Relaying(streams, suite, sending, receiving) as process:
            sealed = Sealed(receiving, used)
            speak(streams, sealed, 0.2)
            cpu = process.cpu()
            result = speak(streams, sealed, seconds)
            return result, (process.cpu() - cpu) / result.sent
    finally:
        for stream in streams:
            stream.close()


def main(argv: Sequence[str] = ()) -> int:
    fast = "--fast" in argv
    short = False
    best = rates(3, 3000) if fast else rates(10, 10_000)
    for (name, direction), (cpu, wall) in best.items():
        ratio = best[BARE, direction][0] / cpu
        short |= ratio < LEAST
        print(
            f"relay {direction:3} {name:26} {cpu * 1e6:6.2f} us CPU a packet, {1 / cpu:8,.0f}/s a core "
            f"({1 / wall:7,.0f}/s in bursts)  ratio {ratio:5.2f}  at least {LEAST}"
        )
    for number in STREAMS:
        base = float("nan")
        for suite in (None, *SUITES):
            result, cpu = delays(number, suite, 2 if fast else 10)
            p50, p99 = result.delay(0.5, 0.99)
            if suite is None:
                base = cpu
            name = BARE if suite is None else suite.name
            print(
                f"delay {number:3} streams {name:26} p50 {p50:6.3f} ms  p99 {p99:6.3f} ms"
                f"  lost {result.lost} of {result.sent}  {cpu * 1e6:6.2f} us CPU a packet  ratio {base / cpu:5.2f}"
            )
    return int(short)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
