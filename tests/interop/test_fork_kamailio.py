"""Kamailio forks one INVITE to three terminals; only the one that takes the call can hear it (B7).

Two of the terminals are stock baresips, one is a plain softphone behind an agent. What a loser saw is every SDES
key in every message that it sent or received; the judge tries them all on every captured packet.
"""

from __future__ import annotations

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking
from imsmediasec.agent.sip_dialog import tag_of

from .conftest import Lab
from .forked import PACKETS, Guarded, Network, hop_relay, keys_seen, look, sent, sent_from, sip_of, together
from .journal import until
from .relay import Way


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


@pytest.mark.parametrize(
    ("winner", "second", "mode"),
    [
        ("bob1", "bob2", SecureForking.OFFERLESS),
        ("bob1", "bob3", SecureForking.OFFERLESS),
        ("bob3", "bob1", SecureForking.REKEY),
    ],
)
def test_two_answer_at_once(lab: Lab, winner: str, second: str, mode: SecureForking) -> None:
    """The CANCEL for the second terminal is lost on its way, so it answers too: it gets ACK and BYE, and no new key."""
    network = Network(lab, secure_forking=mode)
    cancels: list[bytes] = []

    def lose_cancel(way: Way, number: int, data: bytes) -> float | None:
        if data.startswith(b"CANCEL"):
            cancels.append(data)
            return None
        return 0.0

    port = network.sip_port(second)
    network.proxy.order(detour={str(port): hop_relay(lab, port, impair=lose_cancel).address[1]})
    network.ring()
    network.take(winner)
    network.caller.wait_confirmed()
    until(lambda: cancels, what="the CANCEL")
    network.take(second)
    network.caller.wait(lambda w: sent(w, "BYE"))
    network.wait_idle(second)
    network.talk(winner)
    network.hang_up(winner)
    network.check_heard(winner)
    network.check_wire(winner)
    first, *_ = sent(network.caller, "BYE")
    assert tag_of(first, "To") in sip_of(network.bobs[second])
    assert network.who_took() == winner
    status = next(s for s in reversed(network.caller.statuses) if s.dialog and s.streams)
    assert status.fork_state is ims.ForkState.CONFIRMED


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
