"""Whole calls through the agent: plain softphones, SRTP on the network from the first packet to the last."""

from __future__ import annotations

import pytest

import imsmediasec as ims
from imsmediasec.agent.sip_dialog import Face

from .agent_kit import TALK, NetworkAgent, assert_heard, assert_nothing_went_round, assert_protected
from .conftest import Lab

WARN = ims.SecurityPolicy(on_exposed=ims.OnFailure.WARN)
"""For stock callers, which can't be moved to take a new key (FACTS.md)."""


def test_pjsua_calls_stock_baresip(lab: Lab) -> None:
    """Softphone plain, network SRTP under a key that only the answering terminal got."""
    bob = lab.baresip("bob", tone=880)
    agent = lab.start(NetworkAgent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    alice.wait_state("CONFIRMED")
    status = agent.witness.wait_confirmed()
    bob_sends, bob_receives = bob.keys()
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.stop()
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    assert status.protected
    assert [key.key_salt for key in agent.keys(ims.Direction.SEND).values()] == [bob_receives.key_salt]
    assert [key.key_salt for key in agent.keys(ims.Direction.RECEIVE).values()] == [bob_sends.key_salt]
    seen = assert_protected(capture, agent, peer_rtcp_is_clear=True)
    assert seen.sent.total() >= TALK
    assert seen.received.total() >= TALK
    assert_nothing_went_round(capture, agent, bob.media_ports)


def test_stock_baresip_calls_pjsua(lab: Lab) -> None:
    """The called side: the softphone need not have registered."""
    alice = lab.pjsua("alice", tone=440, srtp=0)
    agent = lab.start(NetworkAgent, softphone=alice.contact, policy=WARN)
    bob = lab.baresip("bob", tone=880)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    bob.dial(agent.uri("alice"))
    bob.wait_event("CALL_ESTABLISHED")
    alice.wait_state("CONFIRMED")
    bob_sends, bob_receives = bob.keys()
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    bob.hangup()
    alice.wait_state("DISCONNECTED")
    bob.wait_event("CALL_CLOSED")
    alice.stop()
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    assert bob_receives.key_salt in {key.key_salt for key in agent.keys(ims.Direction.SEND).values()}
    assert bob_sends.key_salt in {key.key_salt for key in agent.keys(ims.Direction.RECEIVE).values()}
    seen = assert_protected(capture, agent, peer_rtcp_is_clear=True)
    assert seen.sent.total() >= TALK
    assert_nothing_went_round(capture, agent, bob.media_ports)


def test_stock_caller_that_never_rekeys(lab: Lab) -> None:
    """After 5 s the callee's agent offers once more; the caller's key stays, and the call goes on with a warning, and
    with both voices still heard."""
    alice = lab.pjsua("alice", tone=440, srtp=0)
    agent = lab.start(NetworkAgent, softphone=alice.contact, policy=WARN)
    bob = lab.baresip("bob", tone=880)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    bob.dial(agent.uri("alice"))
    bob.wait_event("CALL_ESTABLISHED")
    agent.witness.wait(lambda w: agent.sip(Face.NETWORK, "INVITE", incoming=False), 8)
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    bob.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.wait_state("DISCONNECTED")
    alice.stop()
    assert assert_heard(alice.recording(), 880) > 5
    assert assert_heard(bob.recording(), 440) > 5
    assert agent.witness.statuses[-1].fork_state is not ims.ForkState.CONFIRMED
    assert_protected(capture, agent, peer_rtcp_is_clear=True)


@pytest.mark.parametrize("phones", ["baresip", "pjsua"])
@pytest.mark.parametrize("caller", [0, 1])
def test_agent_calls_agent(lab: Lab, phones: str, caller: int) -> None:
    """Two plain softphones of a kind, an agent each: AEAD_AES_256_GCM between them, the same keys at both ends."""
    start = {
        "baresip": lambda user, **o: lab.baresip(user, mediaenc="", **o),
        "pjsua": lambda user, **o: lab.pjsua(user, srtp=0, **o),
    }[phones]
    agents = [lab.start(NetworkAgent), lab.start(NetworkAgent)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    pair = [
        start(user, tone=tone, outbound=agent.proxy)
        for user, tone, agent in zip(("alice", "bob"), (440, 880), agents, strict=True)
    ]
    # A softphone that has not registered is told to the agent.
    for phone, agent in zip(pair, agents, strict=True):
        agent.serve(phone)
    a, b = pair[caller], pair[1 - caller]
    target = agents[1 - caller].uri(b.user)
    a.dial(target) if phones == "baresip" else a.call(target)
    for agent in agents:
        agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    a.hangup()
    for phone in pair:
        phone.wait_event("CALL_CLOSED") if phones == "baresip" else phone.wait_state("DISCONNECTED")
    for phone in pair:
        phone.stop()
    assert_heard(pair[0].recording(), 880)
    assert_heard(pair[1].recording(), 440)
    sent = [set(agent.keys(ims.Direction.SEND).values()) for agent in agents]
    received = [set(agent.keys(ims.Direction.RECEIVE).values()) for agent in agents]
    assert sent[0] == received[1]
    assert sent[1] == received[0]
    assert {key.suite_name for key in sent[0] | sent[1]} == {"AEAD_AES_256_GCM"}
    for agent in agents:
        seen = assert_protected(capture, agent)
        assert seen.sent.total() >= TALK
        assert any(status.protected for status in agent.witness.statuses)


def test_tcp_on_loopback(lab: Lab) -> None:
    """pjsua2 speaks SIP over TCP to the agent."""
    bob = lab.baresip("bob", tone=880)
    agent = lab.start(NetworkAgent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=f"{agent.proxy};transport=tcp;lr", srtp=0, transport="tcp")
    alice.call(bob.contact)
    alice.wait_state("CONFIRMED")
    agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    bob.hangup()
    alice.wait_state("DISCONNECTED")
    alice.stop()
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    assert_protected(capture, agent, peer_rtcp_is_clear=True)
