"""Kamailio forks one INVITE to three terminals; only the one that takes the call can hear it (B7).

Two of the terminals are stock baresips, one is a plain softphone behind an agent. What a loser saw is every SDES
key in every message that it sent or received; the judge tries them all on every captured packet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking
from imsmediasec.agent.sip_dialog import Face, tag_of
from imsmediasec.sip import SipMessage

from .agents import Witness
from .conftest import Lab
from .forked import Guarded, Proxy, Terminal, guarded, hop_relay, keys_seen, look, media_capture, sent_from, sip_of
from .journal import until
from .relay import Way
from .tones import hear

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

    def __init__(self, lab: Lab, *, prack: int = 0, ringing: int = 180, **alice: object) -> None:
        self.lab = lab
        self.proxy = Proxy(lab)
        port = self.proxy.port
        self.bobs: dict[str, Terminal] = {
            name: lab.baresip("bob", name=name, tone=TONES[name], registrar=port, answer="manual")
            for name in ("bob1", "bob2")
        }
        self.bobs["bob3"] = guarded(
            lab, "bob", port, name="bob3", tone=TONES["bob3"], registrar=port, auto=(ringing,), prack=prack
        )
        self.alice = guarded(lab, "alice", port, agent=alice, tone=TONES["alice"], prack=prack)
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
        tag = self.caller.wait_confirmed().dialog
        assert tag
        (name,) = [name for name, bob in self.bobs.items() if tag in sip_of(bob)]
        return name

    def ring(self) -> None:
        """Call, until all three ring."""
        self.alice.phone.call(self.target)
        for bob in self.bobs.values():
            if isinstance(bob, Guarded):
                bob.phone.wait_event("incoming")
            else:
                bob.wait_event("CALL_INCOMING")
        self.alice.phone.wait_state("EARLY")

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
        assert not look(datagrams, losers).opened
        assert not sent_from(look(datagrams, losers).opened_rtcp, self.alice.media_ports)
        parties = keys_seen(self.bobs[winner])
        for terminal in (self.alice, self.bobs[winner]):
            found = look(sent_from(datagrams, terminal.media_ports), parties)
            assert len(found.opened) >= PACKETS
            assert not found.opaque
        assert not sent_from(look(datagrams, {}).clear_rtcp, self.alice.media_ports)


@pytest.mark.parametrize("winner", ["bob1", "bob2", "bob3"])
def test_each_terminal_in_turn(lab: Lab, winner: str) -> None:
    """Whoever takes the call is the only one who can hear it: the INVITE carries no key."""
    network = Network(lab)
    network.ring()
    network.take(winner)
    status = network.caller.wait_confirmed()
    assert status.protected
    assert status.fork_state is ims.ForkState.CONFIRMED
    network.talk(winner)
    network.hang_up(winner)
    network.check_heard(winner)
    network.check_wire(winner)
    assert not keys_seen(*network.losers(winner))


@pytest.mark.parametrize(("ringing", "prack", "method"), [(180, 0, "INVITE"), (183, 2, "UPDATE")])
def test_rekey(lab: Lab, ringing: int, prack: int, method: str) -> None:
    """The INVITE carries a key that all three see. A fresh one replaces it before anybody speaks: by re-INVITE right
    behind the ACK, or by UPDATE while it rings, where the callee can do that."""
    network = Network(lab, secure_forking=SecureForking.REKEY, ringing=ringing, prack=prack)
    network.ring()
    if method == "UPDATE":
        network.caller.wait(lambda w: sent(w, "UPDATE"))
    network.take("bob3")
    status = network.caller.wait_confirmed()
    assert status.protected
    network.talk("bob3")
    network.hang_up("bob3")
    network.check_heard("bob3")
    network.check_wire("bob3")
    assert keys_seen(*network.losers("bob3"))
    assert len(sent(network.caller, "UPDATE")) == (method == "UPDATE")
    assert len(sent(network.caller, "INVITE")) == (2 if method == "INVITE" else 1)
    called = network.bobs["bob3"]
    assert isinstance(called, Guarded)
    assert called.agent.witness.wait_confirmed().protected


@pytest.mark.parametrize("second", ["bob2", "bob3"])
def test_two_answer_at_once(lab: Lab, second: str) -> None:
    """The CANCEL for the second terminal is lost on its way, so it answers too: it gets ACK and BYE, and no key."""
    network = Network(lab)
    cancels: list[bytes] = []

    def lose_cancel(way: Way, number: int, data: bytes) -> float | None:
        if data.startswith(b"CANCEL"):
            cancels.append(data)
            return None
        return 0.0

    port = network.sip_port(second)
    network.proxy.order(detour={str(port): hop_relay(lab, port, impair=lose_cancel).address[1]})
    network.ring()
    network.take("bob1")
    network.caller.wait_confirmed()
    until(lambda: cancels, what="the CANCEL")
    network.take(second)
    network.caller.wait(lambda w: sent(w, "BYE"))
    network.wait_idle(second)
    network.talk("bob1")
    network.hang_up("bob1")
    network.check_heard("bob1")
    network.check_wire("bob1")
    first, *_ = sent(network.caller, "BYE")
    assert (tag_of(first, "To") or "-") in sip_of(network.bobs[second])
    assert not keys_seen(network.bobs["bob3" if second == "bob2" else "bob2"])
    assert network.caller.wait_confirmed().dialog in sip_of(network.bobs["bob1"])


def test_two_answer_in_a_race(lab: Lab) -> None:
    """Both baresips are told to answer at the same moment; whoever of them wins, the call goes on with it alone."""
    network = Network(lab)
    network.ring()
    together(lambda: network.take("bob1"), lambda: network.take("bob2"))
    network.caller.wait_confirmed()
    network.alice.phone.wait_state("CONFIRMED")
    winner = network.who_took()
    network.talk(winner)
    network.hang_up(winner)
    network.check_heard(winner)
    network.check_wire(winner)


def test_without_enforcement_a_loser_hears_all(lab: Lab) -> None:
    """The same call with enforcement off: the key that a loser saw opens the caller's speech. So the test can fail."""
    network = Network(lab, secure_forking=SecureForking.REKEY, policy=ims.SecurityPolicy(forking=ims.Forking.EXPOSED))
    network.ring()
    network.take("bob1")
    network.talk("bob1")
    network.hang_up("bob1")
    network.check_heard("bob1")
    datagrams = sent_from(network.capture.datagrams(), network.alice.media_ports)
    found = look(datagrams, keys_seen(network.bobs["bob2"]))
    assert len(found.opened) >= PACKETS
    assert all(s.fork_state is not ims.ForkState.CONFIRMED for s in network.caller.statuses)
