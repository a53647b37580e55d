"""What the tests of the agent share: an agent on media ports known beforehand, and the judgement of its wire.

The judge has keys from two sides: what the agent says it installed (`NetworkAgent.keys`), and what stood in the SDP
that went over the network (`NetworkAgent.offered_keys`), or what a stock peer says (`Baresip.keys`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imsmediasec as ims
from imsmediasec.agent.call import Call
from imsmediasec.agent.sip_dialog import Face

from .agents import TestAgent, Witness
from .capture import Capture, Datagram
from .peers.baresip import Baresip
from .peers.pjsua import Pjsua
from .peers.raw import RawUa, audio_port, header, status
from .ports import PortBlock
from .tones import hear
from .wire import Key, Kind, crypto_lines, is_rtcp, judge

TALK = 60
"""Packets each way that a test waits for: 1.2 s of speech."""


@dataclass(frozen=True)
class Installed:
    """A key that was put into force, in the judge's form: the agent's own is wiped when the call ends."""

    direction: ims.Direction
    index: int
    dialog: str | None
    key: Key


class KeyWitness(Witness):
    """Keeps keys too."""

    def __init__(self) -> None:
        super().__init__()
        self.installed: list[Installed] = []

    def event(self, call: Call, event: ims.Event) -> None:
        if isinstance(event, ims.KeysReady):
            self.installed.append(Installed(event.direction, event.index, event.dialog, wire_key(event.keys)))
        super().event(call, event)


class NetworkAgent(TestAgent):
    """A `TestAgent` whose network media ports are a block of its own, so that a capture can run before the call.

    `suite`: a policy with this suite alone, and `more` of its fields.
    """

    __test__ = False

    def __init__(self, **options: Any) -> None:
        self.block = PortBlock()
        suite = options.pop("suite", None)
        if suite is not None:
            options["policy"] = ims.SecurityPolicy(suites=(suite,), **options.pop("more", {}))
        options.setdefault("media_ports", range(self.block.first, self.block.first + len(self.block)))
        witness = KeyWitness()
        self.installed = witness.installed
        try:
            super().__init__(witness=witness, **options)
        except BaseException:
            self.block.release()
            raise

    @property
    def media_ports(self) -> list[int]:
        """Of the network side, RTP and RTCP."""
        return self.block.ports

    def uri(self, user: str) -> str:
        """What somebody in the network dials for the softphone behind it."""
        return f"sip:{user}@{self.network}"

    def serve(self, phone: Baresip | Pjsua) -> None:
        """Tell it of a softphone that has not registered, to be called."""
        self.agent.core.contacts.add(phone.user, phone.contact)

    def rekey(self, wait: bool = True) -> None:
        """Have it change its key in the call that was made last, and wait until the new one is in force."""
        call = self.witness.calls[-1]
        dialog = next(d.id for d in call.dialogs.values() if not d.gone)
        before = len(self.keys(ims.Direction.SEND))
        self.agent.core.loop.call_soon_threadsafe(call.rekey, dialog)
        if wait:
            self.witness.wait(lambda w: len(self.keys(ims.Direction.SEND)) > before)

    def wait_failure(self, timeout: float = 10) -> str:
        """Until the negotiation reports a fault of the other side; what it says."""
        self.witness.wait(lambda w: any(isinstance(e, ims.NegotiationFailed) for e in w.events), timeout)
        return next(str(e.error) for e in self.witness.events if isinstance(e, ims.NegotiationFailed))

    def wait_ended(self, timeout: float = 10) -> None:
        """Until all its calls are over."""
        self.witness.wait(lambda w: w.calls and len(w.ended) == len(w.calls), timeout)

    def keys(self, direction: ims.Direction, index: int | None = None) -> dict[str, Key]:
        """All keys that were put into force, oldest first, by a name of each."""
        found = [one for one in self.installed if one.direction is direction and (index is None or one.index == index)]
        return {f"{direction.value}-{one.index}-{number}": one.key for number, one in enumerate(found)}

    def sip(self, face: Face, start: str = "", *, incoming: bool | None = None) -> list[str]:
        """The SIP messages on one face that begin so, each as text."""
        return [
            text
            for where, came, message in list(self.witness.messages)
            if where is face
            and (incoming is None or came is incoming)
            and (text := message.decode("utf-8", "surrogateescape")).startswith(start)
        ]

    def answers_to_phone(self, method: str, code: int) -> list[str]:
        """Responses of this status that the softphone got to this method."""
        return [
            message
            for message in self.sip(Face.PHONE, "SIP/2.0", incoming=False)
            if status(message) == code and header(message, "CSeq").endswith(method)
        ]

    def offered_keys(self) -> set[bytes]:
        """Key and salt of every a=crypto line that the agent sent over the network."""
        lines = [line for message in self.sip(Face.NETWORK, incoming=False) for line in crypto_lines(message)]
        return {Key.from_crypto(line).key_salt for line in lines}

    @property
    def counters(self) -> list[Any]:
        """Packet counters of all relays of all calls so far."""
        return [relay for call in self.witness.calls for relay in call.media.counters.values()]

    def end(self) -> None:
        """End the agent, but keep its ports from others as long as the test looks at them."""
        super().stop()

    def stop(self) -> None:
        self.end()
        self.block.release()


class RawPhone(RawUa):
    """A softphone whose every message the test writes: it sends to its agent, whatever the URI."""

    def __init__(self, agent: NetworkAgent, target: str = "") -> None:
        super().__init__(target)
        self._place = ("127.0.0.1", agent.agent.local_port)

    def send(self, text: str) -> None:
        self._sip.sendto(text.encode(), self._place)


def connect(
    phone: RawPhone, peer: RawUa, key: Key, *, sdp: str = "", headers: str = "", peer_headers: str = ""
) -> tuple[int, str]:
    """A call of a raw softphone through its agent to a raw peer, answered with this key: the port that the softphone
    sends media to, and what the peer got from the agent last (its INVITE, or the ACK with the answer)."""
    number = phone.request("INVITE", sdp or phone.sdp(None), headers=headers)
    got = invite = peer.receive("INVITE")
    peer.respond(invite, 200, peer.sdp(key), headers=peer_headers)
    answer = phone.final("INVITE")
    assert status(answer) == 200, answer
    phone.request("ACK", cseq=number)
    ack = peer.receive("ACK")
    if not crypto_lines(invite):
        got = ack
    return audio_port(answer), got


def wire_key(keys: ims.SrtpKeys) -> Key:
    """The judge's form of the first master key."""
    master = keys.master_keys[0]
    return Key(keys.suite.name, master.key.reveal() + master.salt.reveal(), master.mki_length or 0)


@dataclass
class Seen:
    """What went over the network side, by direction: counts of packets by the key that opened them."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    sent_rtcp: int = 0

    def __str__(self) -> str:
        return f"sent {dict(self.sent)}, received {dict(self.received)}, SRTCP sent {self.sent_rtcp}"


def assert_protected(
    capture: Capture,
    agent: NetworkAgent,
    *,
    peer_rtcp_is_clear: bool = False,
    peer_rtcp_is_wrong: bool = False,
    rocs: Iterable[int] = (0, 1, 2),
    others: Mapping[str, Key] | None = None,
) -> Seen:
    """Every datagram on the agent's network ports, from the first to the last, opens with exactly one key: ours if it
    leaves, the peer's if it comes. `others`: keys that must open nothing.

    peer_rtcp_is_clear: a stock baresip sends some RTCP in clear; that is its business, and only its own.
    peer_rtcp_is_wrong: with the _32 suites its SRTCP has a short tag (FACTS.md), and does not open.
    """
    sending, receiving = agent.keys(ims.Direction.SEND), agent.keys(ims.Direction.RECEIVE)
    known = {**sending, **receiving, **(others or {})}
    seen = Seen()
    bearable = [Kind.CLEAR_RTCP] if peer_rtcp_is_clear else []
    bearable += [Kind.OPAQUE_RTCP] if peer_rtcp_is_wrong else []
    for d in capture.datagrams(agent.media_ports):
        leaves = d.src[1] in agent.media_ports
        verdict = judge(d.payload, known, rocs)
        if not leaves and verdict.kind in bearable:
            continue
        assert verdict.kind in (Kind.OPENED_RTP, Kind.OPENED_RTCP), _what(d, verdict.kind, leaves)
        right = sending if leaves else receiving
        assert len(verdict.opened_by) == 1, verdict.opened_by
        assert verdict.opened_by[0] in right, _what(d, verdict.kind, leaves)
        if verdict.kind is Kind.OPENED_RTP:
            (seen.sent if leaves else seen.received)[verdict.opened_by[0]] += 1
        elif leaves:
            seen.sent_rtcp += 1
    return seen


def _what(d: Datagram, kind: Kind, leaves: bool) -> str:
    return (
        f"{d.src} -> {d.dst} at {d.time:.3f}, {'leaves' if leaves else 'comes'}: {kind.value}: {d.payload[:24].hex()}"
    )


def assert_nothing_went_round(capture: Capture, agent: NetworkAgent, peer_ports: Iterable[int]) -> None:
    """Whatever came to the peer's media ports, or left them, had the agent at the other end."""
    ports = set(peer_ports)
    for d in capture.datagrams(ports):
        other = d.dst[1] if d.src[1] in ports else d.src[1]
        assert other in agent.media_ports, (d.src, d.dst)


def assert_heard(path: Path, tone: int, seconds: float = 0.5) -> float:
    """The recording holds this tone and hardly anything else; for how long."""
    heard = hear(path)
    assert heard.dominant == tone, heard
    assert heard.tones[tone] >= seconds, heard
    assert heard.other < 0.4, heard
    return heard.tones[tone]


def rtp_of(capture: Capture, ports: Iterable[int]) -> list[Datagram]:
    """RTP or SRTP that these ports sent."""
    wanted = set(ports)
    return [d for d in capture.datagrams(wanted) if d.src[1] in wanted and not is_rtcp(d.payload)]


def warning(message: str) -> str:
    """The text of the Warning header."""
    found = re.search(r'"(.*)"', header(message, "Warning"))
    return found[1] if found else ""
