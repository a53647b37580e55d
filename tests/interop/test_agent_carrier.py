"""A carrier that demands mediasec, and a softphone without any SRTP that calls through the agent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.agent import Account, Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage

from .agent_kit import TALK, NetworkAgent, RawPhone, assert_heard, assert_protected, warning
from .capture import Capture
from .conftest import Lab
from .journal import until
from .peers.baresip import Baresip
from .peers.carrier import Carrier
from .peers.raw import status as status_of
from .process import Process
from .wire import Kind, judge

ROOT = Path(__file__).parents[2]
POLICY = ims.SecurityPolicy(scope=(ims.Scope.END_TO_ACCESS_EDGE,))


def subscriber(lab: Lab, carrier: Carrier, **options: Any) -> NetworkAgent:
    """An agent of a subscriber."""
    return lab.start(
        NetworkAgent,
        network_protocol=TransportProtocol.TLS,
        outbound=Endpoint(protocol=TransportProtocol.TLS, host="127.0.0.1", port=carrier.tls_port),
        ca_file=carrier.ca_file,
        signalling=ims.Hop.UNPROTECTED,  # TLS is what protects it
        **{"policy": POLICY, "mediasec": True, **options},
    )


def phone(lab: Lab, agent: NetworkAgent, *, password: str = "secret", **options: Any) -> Baresip:
    """alice: a baresip without SRTP that registers through the agent."""
    options["account"] = f"auth_user=alice;auth_pass={password}" if password else ""
    return lab.baresip(
        "alice",
        tone=440,
        mediaenc="",
        registrar=agent.agent.local_port,
        outbound=agent.proxy,
        **options,
    )


def core(lab: Lab, carrier: Carrier) -> Baresip:
    """bob: somebody in the core of the network, plain."""
    return lab.baresip("bob", tone=880, mediaenc="", registrar=carrier.port)


@pytest.fixture
def carrier(lab: Lab) -> Carrier:
    return lab.start(Carrier, lab.folder, {"alice": "secret", "raw": "secret"})


def assert_core_is_clear(capture: Capture, bob: Baresip) -> None:
    kinds = {judge(d.payload, {}).kind for d in capture.datagrams(bob.media_ports)}
    assert Kind.CLEAR_RTP in kinds
    assert kinds <= {Kind.CLEAR_RTP, Kind.CLEAR_RTCP}, kinds


def talk(capture: Capture, agent: NetworkAgent, alice: Baresip, bob: Baresip) -> ims.SecurityStatus:
    """Both hear each other; the access side is protected to the edge, the core side is clear."""
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    status = agent.witness.statuses[-1]
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.wait_event("CALL_CLOSED")
    alice.stop()
    bob.stop()
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    seen = assert_protected(capture, agent)
    assert seen.sent.total() >= TALK
    assert seen.received.total() >= TALK
    assert_core_is_clear(capture, bob)
    assert status.protected
    assert {stream.scope for stream in status.streams} == {ims.Scope.END_TO_ACCESS_EDGE}
    assert status.terminating_entity.source is ims.IdentitySource.CERTIFICATE
    assert {holder.kind for holder in status.key_holders} == {ims.HolderKind.ACCESS_EDGE}
    return status


def test_subscriber_calls(lab: Lab, carrier: Carrier) -> None:
    """Registration with the softphone's own digest, and a call into the core."""
    agent = subscriber(lab, carrier)
    bob = core(lab, carrier)
    alice = phone(lab, agent)
    assert [r["has"] for r in carrier.requests("REGISTER")] == [
        ["Security-Client"],
        ["Security-Client", "Security-Verify"],
    ]
    assert not [m for m in agent.sip(Face.PHONE, incoming=False) if "Security-" in m or "mediasec" in m]
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")
    status = talk(capture, agent, alice, bob)
    assert [r["has"] for r in carrier.requests("INVITE")] == [["Security-Verify"]]  # no re-key for B7
    assert [r["has"] for r in carrier.requests("ACK")] == [[]]
    assert status.other_end is not None
    assert status.other_end.uri == bob.aor
    assert all("3ge2ae" not in m for m in agent.sip(Face.PHONE))


def test_subscriber_is_called(lab: Lab, carrier: Carrier) -> None:
    """The edge offers RTP/SAVP with a key of its own, and `applied`."""
    agent = subscriber(lab, carrier)
    alice = phone(lab, agent)
    bob = core(lab, carrier)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    bob.dial(f"sip:alice@127.0.0.1:{carrier.port}")
    bob.wait_event("CALL_ESTABLISHED")
    (invite,) = agent.sip(Face.NETWORK, "INVITE", incoming=True)
    assert "a=3ge2ae:applied" in invite
    talk(capture, agent, alice, bob)
    assert not [event for event in carrier.events if "broken" in event]
    assert all("3ge2ae" not in m for m in agent.sip(Face.PHONE))


def test_agent_has_the_credentials(lab: Lab, carrier: Carrier) -> None:
    """A softphone without a password: the agent answers the challenge, and the one to a refresh."""
    account = Account(username="alice", password=ims.Secret(b"secret"))
    agent = subscriber(lab, carrier, accounts=(account,))
    bob = core(lab, carrier)
    alice = phone(lab, agent, password="")
    assert not agent.sip(Face.PHONE, "SIP/2.0 401", incoming=False)
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")
    alice.hangup()
    bob.wait_event("CALL_CLOSED")


@pytest.mark.parametrize("accounts", [(), (Account(username="alice", password=ims.Secret(b"secret")),)])
@pytest.mark.parametrize("orders", [["494-REGISTER"], ["494-credentials"], ["494-REGISTER", "494-credentials"]])
def test_494_while_registering(lab: Lab, carrier: Carrier, orders: list[str], accounts: tuple[Account, ...]) -> None:
    """To the first REGISTER, to the one with credentials: sent again, with Security-Verify alone; then all goes on."""
    for order in orders:
        carrier.once(order)
    agent = subscriber(lab, carrier, accounts=accounts)
    bob = core(lab, carrier)
    alice = phone(lab, agent, password="" if accounts else "secret")
    told = [event for event in carrier.events if event.get("request") or event.get("answer")]
    for at, event in enumerate(told):
        if event.get("answer") == 494:
            assert told[at + 1]["has"] == ["Security-Verify"]
    assert sum(event.get("answer") == 494 for event in told) == len(orders)
    assert not [event for event in told if event.get("answer") == 403 or "nonce_count_wrong" in event]
    numbers = [r["cseq"] for r in carrier.requests("REGISTER")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")


def test_494_during_a_call(lab: Lab, carrier: Carrier) -> None:
    """To the INVITE, to a re-INVITE of the softphone, to its BYE: each goes out again, and the numbers stay right."""
    agent = subscriber(lab, carrier)
    bob = core(lab, carrier)
    alice = phone(lab, agent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    carrier.once("494-INVITE")
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    carrier.once("494-INVITE")
    alice.hold()
    until(lambda: len(carrier.requests("ACK")) == 3, what="the ACKs of the 494 and of the hold")
    alice.resume()
    until(lambda: len(carrier.requests("ACK")) == 4, what="the ACK of the resume")
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    carrier.once("494-BYE")
    talk(capture, agent, alice, bob)
    invites = [r["cseq"] for r in carrier.requests("INVITE")]
    assert invites == [invites[0] + n for n in range(5)]
    assert [r["cseq"] for r in carrier.requests("ACK")] == invites[1:]
    assert [r["cseq"] for r in carrier.requests("BYE")] == [invites[4] + 1, invites[4] + 2]
    assert not agent.answers_to_phone("INVITE", 494)
    assert not agent.answers_to_phone("BYE", 494)


def test_command_and_file(lab: Lab, carrier: Carrier) -> None:
    """`imsmediasec agent --config`: what a subscriber starts, and what it shows of the call (A5)."""
    file = lab.folder / "agent.toml"
    file.write_text(
        f"""\
[agent]
outbound = "sip:127.0.0.1:{carrier.tls_port};transport=tls"
ca-file = "{carrier.ca_file}"
mediasec = true

[account]
username = "alice"
password = "secret"

[policy]
scope = ["e2ae"]
"""
    )
    argv = [sys.executable, "-m", "imsmediasec.cli", "agent", "--config", str(file), "--plain-output"]
    agent = lab.start(Process, "agent", argv, lab.folder, env={"PYTHONPATH": str(ROOT), "COLUMNS": "500"})
    line = agent.wait_line("outbound proxy")
    proxy = line.split("outbound proxy ")[1].split(",")[0]
    bob = core(lab, carrier)
    alice = lab.baresip(
        "alice", tone=440, mediaenc="", registrar=int(proxy.split(":")[2].split(";")[0]), outbound=proxy
    )
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")
    shown = agent.wait_line("half")
    assert f"sip:127.0.0.1:{carrier.tls_port};transport=tls (certificate)" in shown
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    agent.stop()
    assert "secret" not in agent.text()


def test_494_to_a_rekey_of_the_agent(lab: Lab, carrier: Carrier) -> None:
    """The softphone knows nothing of the key that is used up, nor of the 494; both go on talking."""
    agent = subscriber(lab, carrier)
    bob = core(lab, carrier)
    alice = phone(lab, agent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice.dial(bob.aor)
    bob.wait_event("CALL_ESTABLISHED")
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    carrier.once("494-INVITE")
    agent.rekey()
    talk(capture, agent, alice, bob)
    assert len(agent.keys(ims.Direction.SEND)) == 2
    assert len(carrier.requests("INVITE")) == 3
    assert len(agent.sip(Face.PHONE, "INVITE")) == 1


def test_cancel_reaches_the_invite_that_went_out_again(lab: Lab, carrier: Carrier) -> None:
    agent = subscriber(lab, carrier)
    bob = lab.baresip("bob", mediaenc="", registrar=carrier.port, answer="manual")
    alice = phone(lab, agent)
    carrier.once("494-INVITE")
    alice.dial(bob.aor)
    bob.wait_event("CALL_INCOMING")
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    agent.wait_ended()


def spoil(agent: NetworkAgent, method: str, change: Callable[[SipMessage], None]) -> None:
    """Have something go wrong with every such message that the agent sends to the network."""
    watch = agent.witness.sip

    def sip(face: Face, *, incoming: bool, message: SipMessage) -> None:
        if face is Face.NETWORK and not incoming and (message.get("CSeq") or "").endswith(method):
            change(message)
        watch(face, incoming=incoming, message=message)

    agent.witness.sip = sip  # type: ignore[method-assign]


def without(what: str) -> Callable[[SipMessage], None]:
    """Leave out a header field, or every line of SDP that begins so."""

    def change(message: SipMessage) -> None:
        if what.startswith("a="):
            lines = message.body.decode().splitlines(keepends=True)
            message.set_body("".join(line for line in lines if not line.startswith(what)).encode())
        else:
            message.remove(what)

    return change


@pytest.fixture
def raw_agent(lab: Lab, carrier: Carrier) -> NetworkAgent:
    """An agent that registers whatever softphone as raw."""
    return subscriber(lab, carrier, accounts=(Account(username="raw", password=ims.Secret(b"secret")),))


@pytest.mark.parametrize("left_out", ["", "Security-Client", "Security-Verify", "Require", "Proxy-Require"])
def test_registration_needs_every_header(lab: Lab, raw_agent: NetworkAgent, left_out: str) -> None:
    if left_out:
        spoil(raw_agent, "REGISTER", without(left_out))
    raw = lab.start(RawPhone, raw_agent, "sip:raw@carrier.test")
    raw.request("REGISTER", headers="Expires: 60\r\n")
    answer = raw.final("REGISTER")
    assert status_of(answer) == (403 if left_out else 200)
    assert "Security-Server" not in answer


@pytest.mark.parametrize("left_out", ["", "Security-Verify", "Require", "Proxy-Require", "a=crypto", "a=3ge2ae"])
def test_call_needs_every_header(lab: Lab, carrier: Carrier, raw_agent: NetworkAgent, left_out: str) -> None:
    bob = core(lab, carrier)
    raw = lab.start(RawPhone, raw_agent, "sip:raw@carrier.test")
    raw.request("REGISTER", headers="Expires: 60\r\n")
    assert status_of(raw.final("REGISTER")) == 200
    if left_out:
        spoil(raw_agent, "INVITE", without(left_out))
    caller = lab.start(RawPhone, raw_agent, bob.aor)
    caller.request("INVITE", caller.sdp(None))
    answer = caller.final("INVITE")
    assert status_of(answer) == ((488 if left_out.startswith("a=") else 403) if left_out else 200)


def test_unregistered_call_is_refused_here(lab: Lab, raw_agent: NetworkAgent) -> None:
    """The policy wants the edge, and nothing was agreed with it: nothing goes out, and the reason is told."""
    caller = lab.start(RawPhone, raw_agent, "sip:bob@carrier.test")
    caller.request("INVITE", caller.sdp(None))
    answer = caller.final("INVITE")
    assert status_of(answer) == 488
    assert "no registration has agreed" in warning(answer)
    assert not raw_agent.sip(Face.NETWORK, incoming=False)


def test_answer_in_clear_ends_the_call(lab: Lab, carrier: Carrier) -> None:
    """The carrier's side of the bargain: an agent that answered RTP/AVP would lose the call."""

    def in_clear(message: SipMessage) -> None:
        if b"m=" in message.body:
            without("a=crypto")(message)
            message.set_body(message.body.replace(b"RTP/SAVP", b"RTP/AVP"))

    agent = subscriber(lab, carrier)
    phone(lab, agent)
    bob = core(lab, carrier)
    spoil(agent, "INVITE", in_clear)
    bob.dial(f"sip:alice@127.0.0.1:{carrier.port}")
    bob.wait_event("CALL_CLOSED")
    assert [event for event in carrier.events if "broken" in event]
