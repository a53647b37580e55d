"""`Agent`: the loopback proxy and media relay for one machine's softphones.

`async with Agent(config)` within an event loop, or `AgentThread` beside a program that has none.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import Any

from imsmediasec.agent.b2bua import BackToBack
from imsmediasec.agent.config import AgentConfig
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.media import MediaSettings
from imsmediasec.agent.observer import NoObserver, Observer
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.agent.transactions import TransactionLayer
from imsmediasec.agent.transport import TransportLayer, is_loopback, leads_home, tls_context
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.media import PylibsrtpBackend
from imsmediasec.media.readers import Readers
from imsmediasec.sip import SipMessage

_log = logging.getLogger(__name__)


class Agent:
    """Start with `start`, end with `stop`. Belongs to one event loop."""

    def __init__(self, config: AgentConfig, observer: Observer | None = None) -> None:
        if not is_loopback(config.local_host):
            raise LocalError("softphones are served on loopback only")
        self.config = config
        self._observer = observer or NoObserver()
        self._transports: dict[Face, TransportLayer] = {}
        self._layers: dict[Face, TransactionLayer] = {}
        self._core: BackToBack | None = None

    @property
    def local_port(self) -> int:
        """Where softphones send their SIP (UDP and TCP)."""
        return self._started.contacts.addresses[Face.PHONE][1]

    @property
    def network_port(self) -> int:
        return self._started.contacts.addresses[Face.NETWORK][1]

    @property
    def proxy_uri(self) -> str:
        """What to enter as outbound proxy in a softphone."""
        return f"sip:{self.config.local_host}:{self.local_port};lr"

    @property
    def core(self) -> BackToBack:
        """The SIP core, for status displays. Use it in the event loop's thread only."""
        return self._started

    async def start(self) -> None:
        """Open all sockets. Raises LocalError if one cannot be had; nothing stays open then."""
        config = self.config
        settings = MediaSettings(
            local_host=config.local_host,
            network_host=config.network_host,
            backend=PylibsrtpBackend(),
            readers=Readers(),
            ports=config.media_ports,
        )
        core = self._core = BackToBack(config, settings, self._observer)
        try:
            await self._open(core, Face.PHONE, config.local_host, config.local_port)
            await self._open(core, Face.NETWORK, config.network_host, config.network_port)
            if config.outbound is not None:
                core.outbound_hosts = await _addresses(config.outbound)
        except BaseException:
            await self.stop()
            raise

    async def _open(self, core: BackToBack, face: Face, host: str, port: int) -> None:
        holder: list[TransactionLayer] = []

        def deliver(message: SipMessage, source: Endpoint) -> None:
            holder[0].receive(message, source)

        def malformed(error: MalformedInput, source: Endpoint) -> None:
            _log.info("%s: input from %s:%d is no SIP message: %s", face.value, source.host, source.port, error)

        tls = None
        if face is Face.NETWORK and self.config.network_protocol is TransportProtocol.TLS:
            tls = tls_context(ca_file=self.config.ca_file, verify=self.config.verify_tls)
        transport = TransportLayer(
            deliver=deliver,
            malformed=malformed,
            connection_lost=lambda peer: holder[0].connection_lost(peer),
            loopback_only=face is Face.PHONE,
            no_loopback=face is Face.NETWORK and await self._is_abroad(),
            tls=tls,
        )
        self._transports[face] = transport
        layer = TransactionLayer(transport=transport, user=core.user(face), clock=core.loop)
        holder.append(layer)
        self._layers[face] = layer
        core.attach(face, layer)
        if tls is not None:
            # What comes in comes over the connection that we opened: nothing else is protected.
            core.contacts.addresses[face] = (host, port or TransportProtocol.TLS.default_port)
            return
        core.contacts.addresses[face] = await transport.listen(TransportProtocol.UDP, host, port)
        if face is Face.PHONE or self.config.network_protocol is TransportProtocol.TCP:
            await transport.listen(TransportProtocol.TCP, host, core.contacts.addresses[face][1])

    async def _is_abroad(self) -> bool:
        """True if the network is not this machine: neither our own address there nor the outbound hop is."""
        outbound = self.config.outbound
        hosts = (
            {self.config.network_host} if outbound is None else {self.config.network_host, *await _addresses(outbound)}
        )
        return not any(map(leads_home, hosts))

    async def stop(self) -> None:
        """End all calls and close all sockets. Keys are wiped."""
        if self._core is not None:
            self._core.close()
            self._core.settings.readers.close()
        for layer in self._layers.values():
            layer.stop()
        for transport in self._transports.values():
            await transport.close()

    async def __aenter__(self) -> Agent:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def _started(self) -> BackToBack:
        if self._core is None or len(self._core.contacts.addresses) != len(Face):
            raise LocalError("the agent has not been started")
        return self._core


async def _addresses(hop: Endpoint) -> frozenset[str]:
    """The host as written, and the addresses that its name has now."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(hop.host, hop.port)
    except OSError:
        found = []
    return frozenset({hop.host, *(str(address[4][0]) for address in found)})


class AgentThread:
    """An `Agent` with an event loop in a thread of its own: for pjsua2 and other programs without one."""

    def __init__(self, config: AgentConfig, observer: Observer | None = None) -> None:
        self.agent = Agent(config, observer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="imsmediasec-agent", daemon=True)

    def start(self) -> AgentThread:
        """Returns when the agent listens. Raises LocalError if it cannot."""
        self._thread.start()
        try:
            self.call(self.agent.start())
        except BaseException:
            self._end()
            raise
        return self

    def stop(self) -> None:
        """Returns when all is closed."""
        if self._thread.is_alive():
            self.call(self.agent.stop())
            self._end()

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine in the agent's thread and wait for its result."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(timeout=30)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def __enter__(self) -> AgentThread:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
