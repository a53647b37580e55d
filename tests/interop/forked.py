"""A forking network for the tests: Kamailio, agents in front of plain softphones, and what the losers saw."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imsmediasec.agent import Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Face, tag_of
from imsmediasec.sip import SipMessage

from .agents import TestAgent, Witness
from .capture import Address, Capture, Datagram
from .conftest import Lab
from .peers.baresip import Baresip
from .peers.pjsua import Pjsua
from .ports import PortBlock
from .relay import Relay, Way
from .tones import hear
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


def keys_in(text: str) -> dict[str, Key]:
    """The SDES keys in a text."""
    return {line: Key.from_crypto(line) for line in crypto_lines(text)}


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


def slow_hop(lab: Lab, proxy: int, delay: float) -> int:
    """The port of a relay that takes so long each way to the proxy and back, requests within dialogs included: it
    puts itself into Record-Route in the proxy's place."""
    block = PortBlock(2)
    lab.stops(_Release(block))
    ours, theirs = f"sip:127.0.0.1:{block[0]};".encode(), f"sip:127.0.0.1:{proxy};".encode()

    def rewrite(way: Way, data: bytes) -> bytes:
        name, old, new = (b"Route: <", ours, theirs) if way is Way.TO_TARGET else (b"Record-Route: <", theirs, ours)
        return data.replace(name + old, name + new)

    lab.relay(block[0], (LOOPBACK, proxy), block[1], delay=delay, rewrite=rewrite)
    return block[0]


TONES = {"alice": 440, "bob1": 880, "bob2": 660, "bob3": 1040}
PACKETS = 75


def sent(witness: Witness, method: str) -> list[SipMessage]:
    """The requests that an agent sent to the network."""
    prefix = f"{method} ".encode()
    messages = list(witness.messages)
    return [
        SipMessage.parse(data)
        for face, incoming, data in messages
        if face is Face.NETWORK and not incoming and data.startswith(prefix)
    ]


def ringing(messages: Sequence[tuple[Face, bool, bytes]]) -> set[str]:
    """The To tags of the responses 18x from the network."""
    found = [SipMessage.parse(d) for f, i, d in messages if f is Face.NETWORK and i and d.startswith(b"SIP/2.0 18")]
    return {tag_of(message, "To") for message in found}


def together(*actions: Callable[[], None]) -> None:
    """Run all at the same moment."""
    gate = threading.Barrier(len(actions))

    def run(action: Callable[[], None]) -> None:
        gate.wait()
        action()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)


class Network:
    """alice behind her agent; bob1 and bob2 (baresip) and bob3 behind his agent ring at the same address."""

    def __init__(
        self,
        lab: Lab,
        names: Sequence[str] = ("bob1", "bob2", "bob3"),
        *,
        prack: int = 0,
        ringing: int = 180,
        delay: float = 0.0,
        **alice: object,
    ) -> None:
        self.lab = lab
        self.proxy = Proxy(lab)
        port = self.proxy.port
        self.bobs: dict[str, Terminal] = {}
        for name in names:
            tone = TONES[name]
            if name == "bob3":
                self.bobs[name] = guarded(
                    lab, "bob", port, name=name, tone=tone, registrar=port, auto=(ringing,), prack=prack
                )
            else:
                self.bobs[name] = lab.baresip("bob", name=name, tone=tone, registrar=port, answer="manual")
        hop = slow_hop(lab, port, delay) if delay else port
        self.alice = guarded(lab, "alice", hop, agent=alice, tone=TONES["alice"], prack=prack)
        self.target = f"sip:bob@127.0.0.1:{port}"
        self.capture = media_capture(lab, self.alice, *self.bobs.values())

    @property
    def caller(self) -> Witness:
        return self.alice.agent.witness

    def losers(self, winner: str) -> list[Terminal]:
        """Those that did not take the call."""
        return [bob for name, bob in self.bobs.items() if name != winner]

    def sip_port(self, name: str) -> int:
        """Where the network sends its requests."""
        bob = self.bobs[name]
        return bob.agent.agent.network_port if isinstance(bob, Guarded) else bob.sip_port

    def who_took(self) -> str:
        """The terminal of the dialog that the caller's status names."""
        return self.who_has(self.caller.wait_confirmed().dialog or "-")

    def who_has(self, tag: str) -> str:
        """The terminal that this tag belongs to."""
        (name,) = [name for name, bob in self.bobs.items() if tag in sip_of(bob)]
        return name

    def ring(self) -> None:
        """Call, until all three ring."""
        self.alice.phone.call(self.target)
        self.wait_ringing(0)

    def wait_ringing(self, since: int) -> None:
        """Until the caller has a 180 or 183 of every terminal among the messages from number `since` on.

        An answer given earlier can cross a 180 at Kamailio, which then does not cancel that branch (FACTS.md).
        """
        self.caller.wait(lambda w: len(ringing(w.messages[since:])) == len(self.bobs))

    def take(self, name: str) -> None:
        """This terminal takes the call."""
        bob = self.bobs[name]
        if isinstance(bob, Guarded):
            bob.phone.answer()
        else:
            bob.accept()

    def talk(self, name: str) -> None:
        """Until both have spoken for a while."""
        self.capture.wait_packets(PACKETS, self.alice.media_ports, self.bobs[name].media_ports)

    def hang_up(self, name: str) -> None:
        """The caller ends the call; wait until all are idle."""
        self.alice.phone.hangup()
        self.alice.phone.wait_state("DISCONNECTED")
        for name in self.bobs:
            self.wait_idle(name)
        self.caller.wait(lambda w: w.ended)

    def wait_idle(self, name: str) -> None:
        """The call has ended at this terminal."""
        bob = self.bobs[name]
        if isinstance(bob, Guarded):
            bob.phone.wait_state("DISCONNECTED")
        else:
            bob.wait_event("CALL_CLOSED")

    def check_heard(self, winner: str) -> None:
        """The winner heard the caller and the caller heard the winner, by their tones. Ends the softphones."""
        self.alice.phone.stop()
        bob = self.bobs[winner]
        if isinstance(bob, Guarded):
            bob.phone.stop()
        heard = hear(self.alice.phone.recording(), tuple(TONES.values()))
        assert heard.dominant == TONES[winner], heard
        file = bob.phone.recording() if isinstance(bob, Guarded) else bob.recording()
        heard = hear(file, tuple(TONES.values()))
        assert heard.dominant == TONES["alice"], heard

    def check_wire(self, winner: str) -> None:
        """Nothing with content opens with anything that a loser saw; all of it with what the winner saw."""
        losers = keys_seen(*self.losers(winner))
        assert all("INVITE sip:" in sip_of(bob) for bob in self.bobs.values())
        datagrams = self.capture.datagrams()
        # What a loser says itself is another matter: it may answer late, and speak until its BYE comes.
        found = look(sent_from(datagrams, [*self.alice.media_ports, *self.bobs[winner].media_ports]), losers)
        assert not found.opened
        assert not sent_from(found.opened_rtcp, self.alice.media_ports)
        parties = keys_seen(self.bobs[winner])
        for terminal in (self.alice, self.bobs[winner]):
            found = look(sent_from(datagrams, terminal.media_ports), parties)
            assert len(found.opened) >= PACKETS
            assert not found.opaque
        assert not sent_from(look(datagrams, {}).clear_rtcp, self.alice.media_ports)
