"""One TCP or TLS connection, and the UDP socket: octets in, messages out (RFC 3261 18, RFC 5626 3.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.errors import MalformedInput
from imsmediasec.sip import Keepalive, SipMessage, StreamFramer
from imsmediasec.sip.framing import PING, PONG

MAX_UNSENT = 1_048_576
"""Octets that may wait for a peer that does not read; then the connection is closed."""
PONG_WAIT = 10.0
"""Seconds within which a peer that has sent a PONG before must send the next one (RFC 5626 4.4.1)."""
MESSAGE_WAIT = 30.0
"""Seconds within which a message that has begun must be complete."""

Deliver = Callable[[SipMessage, Endpoint], None]
Malformed = Callable[[MalformedInput, Endpoint], None]


class StreamConnection(asyncio.Protocol):
    """A connection, opened from here or accepted."""

    def __init__(
        self,
        *,
        protocol: TransportProtocol,
        flow: int,
        deliver: Deliver,
        malformed: Malformed,
        opened: Callable[[StreamConnection], None],
        lost: Callable[[StreamConnection], None],
        keepalive: float | None = None,
        destination: Endpoint | None = None,
    ) -> None:
        self.flow = flow
        self.destination = destination
        """Where it was opened to; None if it was accepted."""
        self.peer = Endpoint(protocol=protocol, host="", port=0, flow=flow)
        self.local: tuple[str, int] = ("", 0)
        self._protocol = protocol
        self._deliver = deliver
        self._malformed = malformed
        self._opened = opened
        self._lost = lost
        self._interval = keepalive
        self._framer = StreamFramer(opened_here=destination is not None)
        self._transport: asyncio.Transport | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._pong: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None
        self._answers_pings = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # A peer that is gone again already has no name any more.
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self.local = (transport.get_extra_info("sockname") or ("", 0))[:2]
        self.peer = Endpoint(protocol=self._protocol, host=host, port=port, flow=self.flow)
        self._schedule_ping()
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            items = self._framer.feed(data)
        except MalformedInput as error:
            self._malformed(error, self.peer)
            self.close()
            return
        self._watch_progress()
        for item in items:
            if item is Keepalive.PING:
                self.send(PONG)
            elif item is Keepalive.PONG:
                self._answers_pings = True
                if self._pong is not None:
                    self._pong.cancel()
                    self._pong = None
            else:
                _deliver(item, self.peer, self._deliver, self._malformed)

    def connection_lost(self, exc: Exception | None) -> None:
        for handle in (self._ping, self._pong, self._slow):
            if handle is not None:
                handle.cancel()
        self._ping = self._pong = self._slow = None
        self._transport = None
        self._lost(self)

    def send(self, octets: bytes) -> bool:
        """Whether the connection took them."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(octets)
        if transport.get_write_buffer_size() > MAX_UNSENT:
            transport.abort()
            return False
        return True

    def close(self) -> None:
        """Close when all is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    def _watch_progress(self) -> None:
        if self._slow is not None and not self._framer.pending:
            self._slow.cancel()
            self._slow = None
        elif self._slow is None and self._framer.pending:
            self._slow = asyncio.get_running_loop().call_later(MESSAGE_WAIT, self.close)

    def _schedule_ping(self) -> None:
        if self._interval is not None:
            self._ping = asyncio.get_running_loop().call_later(self._interval, self._send_ping)

    def _send_ping(self) -> None:
        self.send(PING)
        if self._answers_pings and self._pong is None:
            self._pong = asyncio.get_running_loop().call_later(PONG_WAIT, self.close)
        self._schedule_ping()


class DatagramSocket(asyncio.DatagramProtocol):
    """A bound UDP socket."""

    def __init__(self, *, deliver: Deliver, malformed: Malformed) -> None:
        self._deliver = deliver
        self._malformed = malformed
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.DatagramTransport, transport)  # of a class of its own in asyncio
        self._transport = transport

    @property
    def local(self) -> tuple[str, int]:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        # Keep-alives are white space alone (RFC 5626 3.5.1 has CRLFCRLF; single octets are common).
        if not data.strip(b"\r\n \t\0"):
            return
        source = Endpoint(protocol=TransportProtocol.UDP, host=addr[0], port=addr[1])
        _deliver(data, source, self._deliver, self._malformed)

    def send(self, octets: bytes, host: str, port: int) -> None:
        assert self._transport is not None
        self._transport.sendto(octets, (host, port))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _deliver(octets: bytes, source: Endpoint, deliver: Deliver, malformed: Malformed) -> None:
    try:
        message = SipMessage.parse(octets)
    except MalformedInput as error:
        malformed(error, source)
        return
    try:
        deliver(message, source)
    except Exception as error:
        # The next message must still be read. The handler sees the fault, not the message.
        asyncio.get_running_loop().call_exception_handler(
            {"message": "a SIP message could not be handled", "exception": error}
        )
