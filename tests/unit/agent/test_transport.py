"""agent/transport.py and agent/connection.py on real loopback sockets; what takes long is shortened, not slept for."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imsmediasec.agent import connection, transport
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.transport import TransportLayer, is_loopback, leads_home, tls_context
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import SipMessage

UDP, TCP, TLS = TransportProtocol.UDP, TransportProtocol.TCP, TransportProtocol.TLS
MESSAGE = b"OPTIONS sip:b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
PONG = b"\r\n"


class Box:
    """What a layer reports, awaited one by one."""

    def __init__(self, **options: Any) -> None:
        self.messages: asyncio.Queue[tuple[SipMessage, Endpoint]] = asyncio.Queue()
        self.malformed: asyncio.Queue[MalformedInput] = asyncio.Queue()
        self.lost: asyncio.Queue[Endpoint] = asyncio.Queue()
        self.failed: asyncio.Queue[str] = asyncio.Queue()
        self.layer = TransportLayer(
            deliver=lambda message, source: self.messages.put_nowait((message, source)),
            malformed=lambda error, source: self.malformed.put_nowait(error),
            connection_lost=self.lost.put_nowait,
            **options,
        )

    def send(self, destination: Endpoint, message: bytes = MESSAGE) -> None:
        self.layer.send(message, destination, self.failed.put_nowait)

    async def next(self) -> Endpoint:
        message, source = await self.messages.get()
        assert bytes(message) == MESSAGE
        return source


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


def to(address: tuple[str, int], protocol: TransportProtocol = UDP) -> Endpoint:
    return Endpoint(protocol=protocol, host=address[0], port=address[1])


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_udp_both_ways() -> None:
    async def test() -> None:
        one, two = Box(), Box()
        address = await two.layer.listen(UDP, "127.0.0.1")
        mine = await one.layer.listen(UDP, "127.0.0.1")
        one.layer.keep_alive(to(address))
        one.send(to(address), b"nonsense")
        one.send(to(address))
        source = await two.next()
        assert source == to(mine) and (await two.malformed.get()).offset == 0
        two.send(source)
        assert await one.next() == to(address)
        one.send(to(("localhost", address[1])))
        assert not is_loopback("localhost") and await one.failed.get() == "this destination is not served"
        await one.layer.close()
        await two.layer.close()
        one.send(to(address))
        await one.failed.get()

    run(test)


def test_udp_to_a_name() -> None:
    async def test() -> None:
        one, two = Box(loopback_only=False), Box()
        address = await two.layer.listen(UDP, "127.0.0.1")
        one.send(to(address))
        assert await one.failed.get() == "no UDP socket is open"
        await one.layer.listen(UDP, "127.0.0.1")
        one.send(to(("localhost", address[1])))
        await two.next()
        one.send(to(("host.invalid", 5060)))
        assert await one.failed.get() == "the host name is not known"
        await one.layer.close()
        await two.layer.close()

    run(test)


def test_what_cannot_be_listened_on() -> None:
    async def test() -> None:
        box = Box()
        for protocol, host in ((UDP, "0.0.0.0"), (TCP, "192.0.2.1"), (TLS, "127.0.0.1"), (UDP, "localhost")):
            with pytest.raises(LocalError):
                await box.layer.listen(protocol, host)
        port = (await box.layer.listen(UDP, "127.0.0.1"))[1]
        with pytest.raises(LocalError):
            await box.layer.listen(UDP, "127.0.0.1")
        other = Box()
        with pytest.raises(LocalError):
            await other.layer.listen(UDP, "127.0.0.1", port)
        await other.layer.close()
        await box.layer.close()

    run(test)


def test_tcp_connections_are_used_again() -> None:
    async def test() -> None:
        client, server = Box(keepalive=None), Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        for _ in range(3):
            client.send(to(address, TCP))
        first = await server.next()
        assert first.flow is not None and [await server.next(), await server.next()] == [first, first]
        server.send(first)
        answer = await client.next()
        client.send(to(address, TCP))
        client.send(answer)
        assert [await server.next(), await server.next()] == [first, first]
        assert client.layer.connections == server.layer.connections == 1
        assert client.layer.sent_by(to(address, TCP)) == (first.host, first.port)
        await client.layer.close()
        assert await server.lost.get() == first and client.lost.empty()
        server.send(first)
        assert await server.failed.get() == "the connection is gone"
        await server.layer.close()

    run(test)


def test_a_lost_connection_is_opened_anew() -> None:
    async def test() -> None:
        client, server = Box(), Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        client.send(to(address, TCP))
        source = await server.next()
        server.send(source, b"no length\r\n\r\n")
        assert await client.lost.get() == to(address, TCP)
        assert isinstance(await client.malformed.get(), MalformedInput)
        client.send(to(address, TCP))
        assert (await server.next()).flow != source.flow
        await client.layer.close()
        await server.layer.close()

    run(test)


def test_a_bad_message_on_a_good_stream_does_not_end_it() -> None:
    async def test() -> None:
        client, server = Box(), Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        client.send(to(address, TCP), b"x\r\nl: 0\r\n\r\n" + MESSAGE)
        await server.next()
        assert isinstance(await server.malformed.get(), MalformedInput)
        await client.layer.close()
        await server.layer.close()

    run(test)


def test_nobody_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_WAITING", 2)

    async def test() -> None:
        client, server = Box(), Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        await server.layer.close()
        for _ in range(3):
            client.send(to(address, TCP))
        client.layer.send(MESSAGE, to(address, TCP))
        reasons = {await client.failed.get() for _ in range(3)}
        assert reasons == {"too many messages wait for this connection", "the connection cannot be opened"}
        await client.layer.close()

    run(test)


def test_close_stops_what_is_being_opened() -> None:
    async def test() -> None:
        client, server = Box(), Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        client.send(to(address, TCP))
        await client.layer.close()
        await server.layer.close()
        assert client.layer.connections == server.layer.connections == 0

    run(test)


def test_more_connections_than_allowed_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ACCEPTED", 1)

    async def test() -> None:
        server = Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        readers = [await asyncio.open_connection(*address) for _ in range(2)]
        assert await readers[1][0].read() == b""
        assert server.layer.connections == 1
        for _, writer in readers:
            writer.close()
        await server.layer.close()

    run(test)


def test_pings_are_answered_and_a_message_must_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MESSAGE_WAIT", 0.05)

    async def test() -> None:
        server = Box()
        address = await server.layer.listen(TCP, "127.0.0.1")
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\r\n\r\n" + MESSAGE[:9])
        assert await reader.readexactly(2) == PONG
        writer.write(MESSAGE[9:12])
        writer.write(MESSAGE[12:])
        await server.next()
        writer.write(MESSAGE[:9])
        assert await reader.read() == b""
        writer.close()
        await server.layer.close()

    run(test)


async def _peer(handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Any:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


def test_a_peer_that_stops_answering_pings_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PONG_WAIT", 0.05)
    pings: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(MESSAGE))
        for _ in range(2):  # the second PONG answers while one is awaited
            pings.append(await reader.readexactly(4))
            writer.write(PONG)
        await reader.read()

    async def test() -> None:
        server, address = await _peer(handler)
        client = Box(keepalive=0.02)
        client.send(to(address, TCP))
        assert await client.lost.get() == to(address, TCP)
        assert pings == [b"\r\n\r\n"] * 2
        await client.layer.close()
        server.close()

    run(test)


def test_a_peer_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        done = asyncio.Event()
        server, address = await _peer(lambda reader, writer: done.wait())
        client = Box()
        client.send(to(address, TCP))
        await until(lambda: client.layer.connections == 1)
        monkeypatch.setattr(connection, "MAX_UNSENT", 1000)
        client.send(to(address, TCP), b"x" * 20_000_000)
        assert await client.failed.get() == "the connection is closing"
        await client.lost.get()
        done.set()
        await client.layer.close()
        server.close()

    run(test)


def test_close_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CLOSE_WAIT", 0.05)
    monkeypatch.setattr(connection, "MAX_UNSENT", 1 << 30)

    async def test() -> None:
        done = asyncio.Event()
        server, address = await _peer(lambda reader, writer: done.wait())
        client = Box()
        client.send(to(address, TCP), b"x" * 20_000_000)
        await until(lambda: client.layer.connections == 1)
        await client.layer.close()
        assert client.layer.connections == 0
        done.set()
        server.close()

    run(test)


def test_a_fault_in_the_user_is_reported_and_the_next_message_read() -> None:
    async def test() -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        heard: list[SipMessage] = []

        def deliver(message: SipMessage, source: Endpoint) -> None:
            heard.append(message)
            if len(heard) == 1:
                raise RuntimeError("bug")

        server, client = TransportLayer(deliver=deliver), TransportLayer(deliver=deliver)
        address = await server.listen(TCP, "127.0.0.1")
        client.send(MESSAGE + b"x\r\nl: 0\r\n\r\n" + MESSAGE, to(address, TCP))
        await until(lambda: len(heard) == 2)
        assert [str(fault["exception"]) for fault in faults] == ["bug"]
        client.send(MESSAGE, to(("192.0.2.1", 5060)))
        await client.close()
        await server.close()

    run(test)


def test_the_via_names_an_address_of_the_route() -> None:
    async def test() -> None:
        box = Box(loopback_only=False)
        destination = to(("127.0.0.9", 5080))
        assert box.layer.sent_by(to(("127.0.0.9", 5080), TCP)) == ("127.0.0.1", 5060)
        port = (await box.layer.listen(UDP, "0.0.0.0"))[1]
        assert box.layer.sent_by(destination) == ("127.0.0.1", port)
        assert box.layer.sent_by(to(("host.invalid", 5080)))[1] == port
        assert box.layer.sent_by(to(("[::1]", 5080), TLS)) in (("[::1]", 5061), ("127.0.0.1", 5061))
        monkey = to(("255.255.255.255", 5080))
        assert box.layer.sent_by(monkey) == ("127.0.0.1", port)
        await box.layer.close()

    run(test)


def test_a_connection_that_is_over_takes_nothing() -> None:
    async def test() -> None:
        made = transport.TransportLayer(deliver=lambda message, source: None)._connection(TCP)
        assert not made.send(MESSAGE)
        made.close()
        made.abort()
        connection.DatagramSocket(deliver=made._deliver, malformed=made._malformed).close()

    run(test)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("host", "trusted", "verify", "works"),
    [
        ("127.0.0.1", True, True, True),
        ("localhost", True, True, True),
        ("127.0.0.2", True, True, False),  # another name than the certificate's
        ("127.0.0.1", False, True, False),  # an authority nobody trusts
        ("127.0.0.2", False, False, True),
    ],
)
def test_tls_verifies_who_is_there(certificate: Path, host: str, trusted: bool, verify: bool, works: bool) -> None:
    async def test() -> None:
        got: asyncio.Queue[bytes] = asyncio.Queue()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.put_nowait(await reader.readexactly(len(MESSAGE)))
            writer.write(MESSAGE)
            await reader.read()
            writer.close()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = await asyncio.start_server(handler, ("127.0.0.1", "127.0.0.2"), 0, ssl=context)
        port = next(s.getsockname()[1] for s in server.sockets if host == "localhost" or s.getsockname()[0] == host)
        if host == "localhost":
            port = next(s.getsockname()[1] for s in server.sockets if s.getsockname()[0] == "127.0.0.1")
        tls = tls_context(ca_file=str(certificate) if trusted else None, verify=verify)
        client = Box(loopback_only=False, tls=tls)
        client.send(to((host, port), TLS))
        if works:
            assert await got.get() == MESSAGE
            assert (await client.next()).protocol is TLS
        else:
            assert await client.failed.get() == "the connection cannot be opened"
        await client.layer.close()
        server.close()

    run(test)


def test_tls_needs_a_readable_ca_file(tmp_path: Path) -> None:
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(LocalError):
            tls_context(ca_file=str(path))
    assert tls_context().check_hostname and tls_context().verify_mode is ssl.CERT_REQUIRED


def test_a_default_context_is_made_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        box = Box()
        await box.layer.listen(TCP, "127.0.0.1")
        box.send(to(("127.0.0.1", 1), TLS))
        assert await box.failed.get() == "the connection cannot be opened"
        await box.layer.close()

    run(test)


@pytest.mark.parametrize(
    ("host", "home"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", True),
        ("[::1]", True),
        ("::", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("fe80::1%lo", False),
        ("localhost", False),
    ],
)
def test_what_leads_home(host: str, home: bool) -> None:
    """All forms that the kernel takes for loopback. Names are looked at when they are looked up."""
    assert leads_home(host) is home


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
@pytest.mark.parametrize("protocol", [UDP, TCP])
def test_strangers_do_not_lead_to_services_of_this_machine(host: str, protocol: TransportProtocol) -> None:
    """By no form of its address, and no name for it."""

    async def test() -> None:
        service, client = Box(), Box(loopback_only=False, no_loopback=True)
        _, port = await service.layer.listen(protocol, "127.0.0.1")
        await client.layer.listen(UDP, "127.0.0.1")
        client.send(Endpoint(protocol=protocol, host=host, port=port))
        assert await client.failed.get()
        await asyncio.sleep(0.05)
        assert service.messages.empty()
        await client.layer.close()
        await service.layer.close()

    run(test)
