"""media/relay.py: what may pass, and whose packets count. Whole calls: tests/unit/agent/test_media.py."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

import imsmediasec as ims
from imsmediasec.media import PylibsrtpBackend
from imsmediasec.media.readers import Readers
from imsmediasec.media.relay import MediaRelay

BACKEND = PylibsrtpBackend()
KEEPALIVE = 126
"""The payload type of keep-alives."""


def rtp(number: int, payload: bytes = b"voice", payload_type: int = 0) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number, number, 1) + payload


def keys(first: int) -> ims.SrtpKeys:
    """The same each time for one number: each end gets its own copy."""
    suite = ims.suite_by_name("AES_CM_128_HMAC_SHA1_80")
    assert suite is not None
    master = ims.MasterKey(key=ims.Secret(bytes([first] * 16)), salt=ims.Secret(bytes([first] * 14)))
    return ims.SrtpKeys(suite=suite, master_keys=(master,))


class Bench:
    """A relay between a softphone's and the far end's socket."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.readers = Readers()
        self.relay = MediaRelay.open(local_host=host, network_host=host, backend=BACKEND, readers=self.readers)
        self.host = host
        self.phone, self.far, self.stranger = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(3))
        for sock in (self.phone, self.far, self.stranger):
            sock.bind((host, 0))
            sock.setblocking(False)
        self.relay.set_phone((host, self.phone.getsockname()[1]))
        self.relay.choose("d")
        self.relay.aim("d", (host, self.far.getsockname()[1]), None)

    def open(self) -> None:
        self.relay.leg("d").gate = ims.Gate.OPEN

    async def passes(self, packet: bytes, source: socket.socket, to: socket.socket) -> bytes | None:
        """What comes out at `to` of a packet that `source` sends in; None if nothing does."""
        port = self.relay.local_port if source is self.phone else self.relay.network_port
        source.sendto(packet, (self.host, port))
        try:
            async with asyncio.timeout(0.1):
                return await asyncio.get_running_loop().sock_recv(to, 2048)
        except TimeoutError:
            return None

    def close(self) -> None:
        self.relay.close()
        self.readers.close()
        for sock in (self.phone, self.far, self.stranger):
            sock.close()


def run(test: Callable[[Bench], Awaitable[None]], host: str = "127.0.0.1") -> None:
    async def whole() -> None:
        bench = Bench(host)
        try:
            await test(bench)
        finally:
            bench.close()

    asyncio.run(whole())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_plain_media_both_ways(host: str) -> None:
    """Where nothing else is agreed; with IPv6 too, whose sources have four parts."""

    async def test(bench: Bench) -> None:
        bench.open()
        for number in range(3):
            packet = rtp(number)
            assert await bench.passes(packet, bench.phone, bench.far) == packet
            assert await bench.passes(packet, bench.far, bench.phone) == packet
        assert await bench.passes(rtp(4), bench.stranger, bench.phone) is None
        assert bench.relay.counters.sent_plain == bench.relay.counters.received_plain == 3

    run(test, host)


def test_nothing_passes_before_it_is_agreed() -> None:
    """Neither way, whoever sends: a leg begins shut."""

    async def test(bench: Bench) -> None:
        assert await bench.passes(rtp(0), bench.phone, bench.far) is None
        for source in (bench.far, bench.stranger):
            assert await bench.passes(rtp(0), source, bench.phone) is None
        assert (bench.relay.counters.received_plain, bench.relay.counters.sent_plain) == (0, 0)

    run(test)


def test_a_stream_that_is_over() -> None:
    """Shut for both ways, protected or not, and to be agreed anew in either form."""

    async def test(bench: Bench) -> None:
        bench.open()
        bench.relay.install("d", ims.Direction.SEND, keys(1))
        assert await bench.passes(rtp(0), bench.phone, bench.far) not in (None, rtp(0))
        bench.relay.shut("d")
        assert await bench.passes(rtp(1), bench.phone, bench.far) is None
        assert await bench.passes(rtp(1), bench.far, bench.phone) is None
        bench.open()
        assert await bench.passes(rtp(2), bench.phone, bench.far) == rtp(2)

    run(test)


def test_keepalives_stay_here_and_speech_of_their_type_does_not() -> None:
    """No offer of ours maps that type, but a peer's may."""

    async def test(bench: Bench) -> None:
        far = BACKEND.open(ims.Direction.SEND, keys(2))
        bench.open()
        bench.relay.install("d", ims.Direction.RECEIVE, keys(2))
        empty, full = rtp(0, b"", KEEPALIVE), rtp(1, b"speech", KEEPALIVE)
        assert await bench.passes(far.protect(empty), bench.far, bench.phone) is None
        assert await bench.passes(far.protect(full), bench.far, bench.phone) == full
        assert bench.relay.counters.received_protected == 2

    run(test)
