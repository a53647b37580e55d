"""Transfer (REFER): alice talks to bob, bob sends her to carol. New keys, new policy, and the status says it."""

from __future__ import annotations

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking

from .conftest import Lab
from .forked import Proxy, guarded, keys_seen, look, media_capture, sent_from
from .tones import hear

PACKETS = 75


@pytest.mark.parametrize("mode", list(SecureForking))
def test_transfer(lab: Lab, mode: SecureForking) -> None:
    """All three behind agents. What bob saw opens nothing that alice and carol say to each other."""
    proxy = Proxy(lab)
    port = proxy.port
    settings = {"secure_forking": mode, "trust_asserted_identity": True}
    alice = guarded(lab, "alice", port, agent=settings, tone=440)
    bob = guarded(lab, "bob", port, agent=settings, registrar=port, tone=880)
    carol = guarded(lab, "carol", port, agent=settings, registrar=port, tone=1040)
    proxy.order(assert_answer={str(carol.agent.agent.network_port): "sip:carol@ims.test"})
    capture = media_capture(lab, alice, bob, carol)
    witness = alice.agent.witness
    alice.phone.call(f"sip:bob@127.0.0.1:{port}")
    witness.wait_confirmed()
    capture.wait_packets(PACKETS, alice.media_ports, bob.media_ports)
    earlier = len(capture.datagrams())
    seen, started = len(witness.events), len(capture.datagrams())
    target = f"sip:carol@127.0.0.1:{port}"
    bob.phone.transfer(target)
    alice.phone.wait_event("transferred")
    carol.phone.wait_event("incoming")
    witness.wait(lambda w: _confirmed(w.events[seen:]))
    status = _confirmed(witness.events[seen:])[-1]
    assert status.protected
    assert status.retargeted_to == (target,)
    assert "retargeted" in [w.code for w in status.warnings]
    assert status.terminating_entity == ims.Identity(
        uri="sip:carol@ims.test", source=ims.IdentitySource.NETWORK_ASSERTED
    )
    bob.phone.hangup()
    witness.wait(lambda w: len(w.ended) == 1)
    capture.wait_packets(PACKETS, alice.media_ports, carol.media_ports)
    alice.phone.hangup(1)
    carol.phone.wait_state("DISCONNECTED")
    witness.wait(lambda w: len(w.ended) == 2)
    for terminal in (alice, bob, carol):
        terminal.phone.stop()
    assert hear(carol.phone.recording(), (440, 880, 1040)).dominant == 440
    assert hear(alice.phone.recording(1), (440, 880, 1040)).dominant == 1040
    old, new = keys_seen(bob), keys_seen(carol)
    assert {k.key_salt for k in old.values()}.isdisjoint(k.key_salt for k in new.values())
    datagrams = capture.datagrams()
    assert look(datagrams[:earlier], old).opened
    with_carol = [d for d in datagrams[started:] if {d.src[1], d.dst[1]} & set(carol.media_ports)]
    assert not look(with_carol, old).opened
    found = look(sent_from(with_carol, alice.media_ports), new)
    assert len(found.opened) >= PACKETS // 2
    assert not found.opaque


def _confirmed(events: list[ims.Event]) -> list[ims.SecurityStatus]:
    """Statuses of calls that have been passed on and are CONFIRMED."""
    statuses = [event.status for event in events if isinstance(event, ims.SecurityChanged)]
    return [s for s in statuses if s.fork_state is ims.ForkState.CONFIRMED and s.retargeted_to]
