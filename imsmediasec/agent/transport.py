"""`TransportLayer`: listeners and connections over UDP, TCP and TLS (RFC 3261 18, RFC 5626, RFC 5922)."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from imsmediasec.agent.connection import DatagramSocket, Deliver, Malformed, StreamConnection
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.errors import LocalError
from imsmediasec.sip.framing import PING

MAX_ACCEPTED = 256
"""Connections accepted at once; further ones are closed."""
MAX_WAITING = 100
"""Messages that may wait for one connection to open."""
CONNECT_WAIT = 10.0
"""Seconds for a connection, TLS handshake included."""
CLOSE_WAIT = 1.0
"""Seconds that peers get to take what was sent before the close."""

Failed = Callable[[str], None]


def tls_context(*, ca_file: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """A client context: TLS 1.2 or later, certificate and host name verified (RFC 5922 4).

    `ca_file`: PEM file of the authorities to trust in place of the system's. `verify` False is for
    tests alone: anybody on the path reads the signalling then, and with SDES the keys.
    `LocalError` if the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise LocalError("the CA file cannot be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine's loopback; a name is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def leads_home(host: str) -> bool:
    """Whether packets to this address stay on this machine's loopback: the forms that the kernel takes for it too."""
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = inner or address
    return address.is_loopback or address.is_unspecified


class TransportLayer:
    """Sockets of one side of the agent: towards the softphone, or towards the network.

    Connections are used again: a destination without `flow` goes over the connection that was opened
    to it, one with `flow` only over that one. All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        *,
        deliver: Deliver,
        malformed: Malformed | None = None,
        connection_lost: Callable[[Endpoint], None] | None = None,
        loopback_only: bool = True,
        no_loopback: bool = False,
        tls: ssl.SSLContext | None = None,
        keepalive: float | None = 25.0,
    ) -> None:
        """`malformed` hears of input that is no SIP message. `connection_lost` gets the destination a lost
        connection was opened to, or its peer if it was accepted. `loopback_only` refuses to listen
        and send elsewhere, `no_loopback` to send there: a Contact or Record-Route of a stranger must not lead
        to the services of this machine. `keepalive`: seconds between pings on connections opened here, None for none.
        """
        self._deliver = deliver
        self._malformed = malformed or (lambda error, source: None)
        self._connection_lost = connection_lost or (lambda peer: None)
        self._loopback_only = loopback_only
        self._no_loopback = no_loopback
        self._tls = tls
        self._keepalive = keepalive
        self._flows = itertools.count(1)
        self._udp: DatagramSocket | None = None
        self._listening: dict[TransportProtocol, tuple[str, int]] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, StreamConnection] = {}
        self._opened: dict[Endpoint, int] = {}
        self._waiting: dict[Endpoint, list[tuple[bytes, Failed | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def connections(self) -> int:
        """How many TCP and TLS connections are open."""
        return len(self._connections)

    async def listen(self, protocol: TransportProtocol, host: str, port: int = 0) -> tuple[str, int]:
        """Listen on UDP (once) or TCP; the address bound. Port 0 takes a free one.

        `LocalError`: not a loopback address where only that is allowed, TLS, a second UDP socket, or
        the address cannot be had.
        """
        if self._loopback_only and not is_loopback(host):
            raise LocalError("softphones are served on loopback only")
        if protocol is TransportProtocol.TLS or (protocol is TransportProtocol.UDP and self._udp is not None):
            raise LocalError("there is one UDP socket, and no TLS listener")
        loop = asyncio.get_running_loop()
        try:
            if protocol is TransportProtocol.UDP:
                make = partial(DatagramSocket, deliver=self._deliver, malformed=self._malformed)
                _, self._udp = await loop.create_datagram_endpoint(make, local_addr=(host, port))
                self._listening[protocol] = self._udp.local
            else:
                server = await loop.create_server(partial(self._connection, protocol), host, port)
                self._servers.append(server)
                self._listening[protocol] = server.sockets[0].getsockname()[:2]
        except OSError as error:
            raise LocalError(f"cannot listen on {host}:{port}") from error
        return self._listening[protocol]

    def send(self, message: bytes, destination: Endpoint, failed: Failed | None = None) -> None:
        """Send now, or as soon as the connection stands. `failed(reason)` is called later if that fails."""
        if (
            self._closed
            or (self._loopback_only and not is_loopback(destination.host))
            or self._barred(destination.host)
        ):
            self._fail(failed, "this destination is not served")
        elif destination.protocol is TransportProtocol.UDP:
            self._send_datagram(message, destination, failed)
        else:
            flow = destination.flow or self._opened.get(destination)
            connection = self._connections.get(flow) if flow is not None else None
            if connection is not None:
                if not connection.send(message):
                    self._fail(failed, "the connection is closing")
            elif destination.flow is not None:
                self._fail(failed, "the connection is gone")
            else:
                self._send_when_open(message, destination, failed)

    def keep_alive(self, destination: Endpoint) -> None:
        """Send a keep-alive to a UDP destination now (RFC 3261 18.1.1 has none; RFC 5626 3.5.1 CRLFCRLF)."""
        self.send(PING, destination)

    def sent_by(self, destination: Endpoint) -> tuple[str, int]:
        """Host and port for Via: the listener's, else the connection's; the route's address for wildcards."""
        listening = self._listening.get(destination.protocol)
        flow = destination.flow or self._opened.get(destination)
        connection = self._connections.get(flow) if flow is not None else None
        if listening is None and connection is not None:
            listening = connection.local
        host, port = listening or ("0.0.0.0", destination.protocol.default_port)
        if ipaddress.ip_address(host).is_unspecified:
            host = _route_address(destination.host, destination.port)
        return (f"[{host}]" if ":" in host else host), port

    async def close(self) -> None:
        """Close all sockets and wait until nothing of them is left."""
        self._closed = True
        for server in self._servers:
            server.close()
        for connection in [*self._connections.values()]:
            connection.close()
        if self._udp is not None:
            self._udp.close()
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        deadline = asyncio.get_running_loop().time() + CLOSE_WAIT
        while self._connections:
            if asyncio.get_running_loop().time() > deadline:
                for connection in [*self._connections.values()]:
                    connection.abort()
            await asyncio.sleep(0.005)

    def _fail(self, failed: Failed | None, reason: str) -> None:
        if failed is not None:
            asyncio.get_running_loop().call_soon(failed, reason)

    def _send_datagram(self, message: bytes, destination: Endpoint, failed: Failed | None) -> None:
        udp = self._udp
        if udp is None:
            self._fail(failed, "no UDP socket is open")
        elif _is_address(destination.host):
            udp.send(message, destination.host.strip("[]"), destination.port)
        else:
            self._run(self._resolve_and_send(udp, message, destination, failed))

    async def _resolve_and_send(
        self, udp: DatagramSocket, message: bytes, destination: Endpoint, failed: Failed | None
    ) -> None:
        family = socket.AF_INET6 if ":" in udp.local[0] else socket.AF_INET
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                destination.host, destination.port, family=family, type=socket.SOCK_DGRAM
            )
        except OSError:
            self._fail(failed, "the host name is not known")
            return
        address = str(found[0][4][0])
        if self._barred(address):
            self._fail(failed, "this destination is not served")
        else:
            udp.send(message, address, destination.port)

    def _send_when_open(self, message: bytes, destination: Endpoint, failed: Failed | None) -> None:
        waiting = self._waiting.get(destination)
        if waiting is None:
            self._waiting[destination] = [(message, failed)]
            self._run(self._connect(destination))
        elif len(waiting) < MAX_WAITING:
            waiting.append((message, failed))
        else:
            self._fail(failed, "too many messages wait for this connection")

    async def _connect(self, destination: Endpoint) -> None:
        make = partial(self._connection, destination.protocol, destination)
        host = destination.host.strip("[]")
        secure = destination.protocol is TransportProtocol.TLS
        context = (self._tls or tls_context()) if secure else None
        loop = asyncio.get_running_loop()
        connection: StreamConnection | None = None
        try:
            async with asyncio.timeout(CONNECT_WAIT):
                _, connection = await loop.create_connection(make, host, destination.port, ssl=context)
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError
            pass
        finally:
            waiting = self._waiting.pop(destination, [])
        if connection is not None and self._barred(connection.peer.host):
            connection.abort()
            connection = None
        for message, failed in waiting:
            if connection is None or not connection.send(message):
                self._fail(failed, "the connection cannot be opened")

    def _connection(self, protocol: TransportProtocol, destination: Endpoint | None = None) -> StreamConnection:
        return StreamConnection(
            protocol=protocol,
            flow=next(self._flows),
            deliver=self._deliver,
            malformed=self._malformed,
            opened=self._connection_opened,
            lost=self._connection_ended,
            keepalive=None if destination is None else self._keepalive,
            destination=destination,
        )

    def _connection_opened(self, connection: StreamConnection) -> None:
        self._connections[connection.flow] = connection
        if connection.destination is not None:
            self._opened[connection.destination] = connection.flow
        elif self._closed or sum(c.destination is None for c in self._connections.values()) > MAX_ACCEPTED:
            connection.close()

    def _connection_ended(self, connection: StreamConnection) -> None:
        self._connections.pop(connection.flow, None)
        destination = connection.destination
        if destination is not None and self._opened.get(destination) == connection.flow:
            del self._opened[destination]
        if not self._closed:
            self._connection_lost(destination or connection.peer)

    def _barred(self, address: str) -> bool:
        return self._no_loopback and leads_home(address)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _route_address(host: str, port: int) -> str:
    # A connected UDP socket knows the local address of the route; no packet is sent.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # For a name not looked up yet, the default route.
    address = host.strip("[]") if _is_address(host) else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
