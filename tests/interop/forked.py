"""A forking network for the tests: Kamailio, agents in front of plain softphones, and what the losers saw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imsmediasec.agent import Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Face

from .agents import TestAgent
from .capture import Address, Capture, Datagram
from .conftest import Lab
from .peers.baresip import Baresip
from .peers.pjsua import Pjsua
from .ports import PortBlock
from .relay import Relay
from .wire import Key, Kind, crypto_lines, judge, rtp_header_length

LOOPBACK = "127.0.0.1"


def at(port: int) -> Endpoint:
    """The SIP hop on this port."""
    return Endpoint(protocol=TransportProtocol.UDP, host=LOOPBACK, port=port)


@dataclass(eq=False)
class Guarded:
    """A plain pjsua2 softphone behind an agent of its own."""

    phone: Pjsua
    agent: TestAgent
    block: PortBlock
    """The agent's media ports towards the network."""

    @property
    def media_ports(self) -> list[int]:
        return self.block.ports

    @property
    def name(self) -> str:
        return self.phone.name

    def sip(self) -> str:
        """All SIP messages on the network side so far."""
        messages = list(self.agent.witness.messages)
        return "\n".join(data.decode("utf-8", "replace") for face, _, data in messages if face is Face.NETWORK)


Terminal = Guarded | Baresip


def guarded(
    lab: Lab, user: str, outbound: int, *, agent: dict[str, object] | None = None, **options: object
) -> Guarded:
    """Start an agent that sends to the proxy on port `outbound`, and a plain softphone behind it."""
    block = PortBlock(40)
    options = {"srtp": 0, **options}
    made = lab.start(
        TestAgent, outbound=at(outbound), media_ports=range(block.first, block.first + len(block)), **(agent or {})
    )
    lab.stops(_Release(block))
    phone = lab.pjsua(user, outbound=f"{made.proxy};lr", **options)
    return Guarded(phone, made, block)


@dataclass(eq=False)
class _Release:
    block: PortBlock

    def stop(self) -> None:
        self.block.release()


def sip_of(terminal: Terminal) -> str:
    """All SIP messages, with SDP, that a terminal sent and received on the network."""
    return terminal.sip() if isinstance(terminal, Guarded) else terminal.trace()


def keys_seen(*terminals: Terminal) -> dict[str, Key]:
    """Every SDES key that stood in a message some of these terminals sent or received, each once."""
    found: dict[bytes, tuple[str, Key]] = {}
    for terminal in terminals:
        text = sip_of(terminal)
        if isinstance(terminal, Baresip):
            text += "\n" + "\n".join(f"a=crypto:{value}" for value in re.findall(r"crypto='(.+)'", text))
        for number, line in enumerate(crypto_lines(text)):
            key = Key.from_crypto(line)
            found.setdefault(key.key_salt, (f"{terminal.name}:{number}", key))
    return dict(found.values())


@dataclass
class Found:
    """What a look at captured media with some keys says."""

    opened: list[Datagram] = field(default_factory=list)
    """RTP with content that a key opens, or that is in clear."""
    empty: list[Datagram] = field(default_factory=list)
    """Keep-alives without content that a key opens."""
    opened_rtcp: list[Datagram] = field(default_factory=list)
    opaque: list[Datagram] = field(default_factory=list)
    clear_rtcp: list[Datagram] = field(default_factory=list)


def look(datagrams: Iterable[Datagram], keys: dict[str, Key]) -> Found:
    """Try the keys on every packet."""
    found = Found()
    for datagram in datagrams:
        verdict = judge(datagram.payload, keys)
        if verdict.kind is Kind.CLEAR_RTP:
            found.opened.append(datagram)
        elif verdict.kind is Kind.OPENED_RTP:
            assert verdict.clear is not None
            header = rtp_header_length(verdict.clear)
            (found.empty if header == len(verdict.clear) else found.opened).append(datagram)
        elif verdict.kind is Kind.OPENED_RTCP:
            found.opened_rtcp.append(datagram)
        elif verdict.kind is Kind.OPAQUE_RTP:
            found.opaque.append(datagram)
        elif verdict.kind is Kind.CLEAR_RTCP:
            found.clear_rtcp.append(datagram)
    return found


def sent_from(datagrams: Iterable[Datagram], ports: Iterable[int]) -> list[Datagram]:
    """Those from these ports."""
    wanted = set(ports)
    return [d for d in datagrams if d.src[1] in wanted]


def media_capture(lab: Lab, *terminals: Terminal, name: str = "capture") -> Capture:
    """A capture of the network media of these terminals."""
    return lab.capture(*(port for terminal in terminals for port in terminal.media_ports), name=name)


def hop_relay(lab: Lab, target: int, **options: object) -> Relay:
    """A relay to the SIP port `target`; its address is `relay.address`."""
    block = PortBlock(2)
    lab.stops(_Release(block))
    address: Address = (LOOPBACK, target)
    return lab.relay(block[0], address, block[1], **options)


ROUTE = Path(__file__).parent / "peers" / "forwarding_route.py"


class Proxy:
    """Kamailio under ROUTE, which says what orders there are; they may be changed at any time."""

    def __init__(self, lab: Lab) -> None:
        folder = lab.folder / "kamailio"
        folder.mkdir()
        self._file = folder / "orders.json"
        self._orders: dict[str, object] = {}
        self.order()
        self.kamailio = lab.kamailio(script=ROUTE.read_text())
        self.port = self.kamailio.port

    def order(self, **orders: object) -> None:
        """Change some of the orders."""
        self._orders |= orders
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._orders))
        fresh.rename(self._file)
