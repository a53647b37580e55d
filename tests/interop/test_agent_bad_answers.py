"""Peers that answer badly, by accident or not: the call ends, the softphone is told why, nothing is said to them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec import suites
from imsmediasec.agent import SecureForking
from imsmediasec.agent.sip_dialog import Face

from .agent_kit import NetworkAgent, RawPhone, assert_protected, connect, rtp_of, warning
from .conftest import Lab
from .peers.raw import RawUa, audio_port, header, status
from .wire import Key, crypto_lines, is_clear_rtcp

CM_128 = suites.AES_CM_128_HMAC_SHA1_80
Answer = Callable[[RawUa, str], str]
"""Makes the SDP of the peer's 200 from itself and the a=crypto line that it was offered ("" with OFFERLESS)."""


def with_crypto(peer: RawUa, *lines: str, proto: str = "RTP/SAVP", extra: str = "") -> str:
    """An SDP with these a=crypto lines."""
    sdp = peer.sdp(None).replace("RTP/AVP", proto)
    return sdp + "".join(f"{line}\r\n" for line in lines) + extra


def inline(suite: str, octets: int, tag: int = 1) -> str:
    """A line with a random key of that many octets, whatever the suite wants."""
    return f"a=crypto:{tag} {suite} inline:{base64.b64encode(os.urandom(octets)).decode()}"


GOOD = CM_128.name
BAD_ANSWERS: dict[str, tuple[Answer, str]] = {
    "unoffered suite": (lambda p, o: with_crypto(p, inline("AEAD_AES_128_GCM", 28)), "behind tag 1"),
    "unknown suite": (lambda p, o: with_crypto(p, inline("ROT13", 30)), "behind tag 1"),
    "unoffered tag": (lambda p, o: with_crypto(p, inline(GOOD, 30, 7)), "tag 7, which was not offered"),
    "no key": (lambda p, o: with_crypto(p), "without a key"),
    "two lines": (lambda p, o: with_crypto(p, inline(GOOD, 30), inline(GOOD, 30)), "more than one"),
    "two lines, one void": (lambda p, o: with_crypto(p, inline(GOOD, 30), inline(GOOD, 9, 2)), "more than one"),
    "own key echoed": (lambda p, o: with_crypto(p, o), "own key"),
    "key too short": (lambda p, o: with_crypto(p, inline(GOOD, 29)), "void"),
    "key too long": (lambda p, o: with_crypto(p, inline(GOOD, 31)), "void"),
    "AVP for SAVP": (lambda p, o: p.sdp(None), "RTP/AVP for RTP/SAVP"),
    "AVP with a key": (lambda p, o: with_crypto(p, inline(GOOD, 30), proto="RTP/AVP"), "RTP/AVP for RTP/SAVP"),
    "DTLS for SDES": (lambda p, o: with_crypto(p, proto="UDP/TLS/RTP/SAVP"), "UDP/TLS/RTP/SAVP for RTP/SAVP"),
    "one m-line too many": (
        lambda p, o: with_crypto(p, inline(GOOD, 30), extra=f"m=audio {p.media_port} RTP/SAVP 0\r\n"),
        "2 m-lines",
    ),
    "unencrypted": (lambda p, o: with_crypto(p, inline(GOOD, 30) + " UNENCRYPTED_SRTP"), "UNENCRYPTED_SRTP"),
    "no SDP": (lambda p, o: "", "answer"),
    "garbage": (lambda p, o: "v=1\r\n\0\r\n", ""),
}
BAD_OFFERS: dict[str, tuple[Answer, str]] = {
    "no key": (lambda p, o: with_crypto(p), "a=crypto"),
    "unknown suite": (lambda p, o: with_crypto(p, inline("ROT13", 30)), "ROT13"),
    "key too short": (lambda p, o: with_crypto(p, inline(GOOD, 29)), "30"),
    "AVP": (lambda p, o: p.sdp(None), "the policy requires it"),
    "DTLS": (lambda p, o: with_crypto(p, proto="UDP/TLS/RTP/SAVP"), "DTLS"),
    "unencrypted": (lambda p, o: with_crypto(p, inline(GOOD, 30) + " UNENCRYPTED_SRTP"), "UNENCRYPTED_SRTP"),
    "no SDP": (lambda p, o: "", "offer"),
    "garbage": (lambda p, o: "v=1\r\n\0\r\n", ""),
}


def refused_call(lab: Lab, forking: SecureForking, make: Answer, fault: str) -> None:
    """The raw peer answers so; the softphone gets an error that names the fault, the peer ACK and BYE, and no media."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128, secure_forking=forking)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    number = phone.request("INVITE", phone.sdp(None))
    invite = peer.receive("INVITE")
    offered = (crypto_lines(invite) or [""])[0]
    peer.respond(invite, 200, make(peer, offered))
    final = phone.final("INVITE")
    phone.request("ACK", cseq=number)
    peer.receive("ACK")
    peer.receive("BYE")
    assert 400 <= status(final) < 500, final
    assert header(final, "Warning").startswith("399 ")
    assert fault in warning(final), warning(final)
    agent.wait_ended()
    assert not capture.datagrams(agent.media_ports)
    if offered:
        assert offered.split("inline:")[1] not in final  # no key in what the user is told


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_bad_answer(lab: Lab, kind: str) -> None:
    """With the offer in the INVITE (REKEY)."""
    refused_call(lab, SecureForking.REKEY, *BAD_ANSWERS[kind])


@pytest.mark.parametrize("kind", BAD_OFFERS)
def test_bad_offer_in_the_2xx(lab: Lab, kind: str) -> None:
    """With the peer's offer in its 2xx (OFFERLESS)."""
    refused_call(lab, SecureForking.OFFERLESS, *BAD_OFFERS[kind])


@pytest.mark.parametrize("kind", ["unoffered suite", "no key", "own key echoed", "AVP for SAVP", "two lines"])
def test_bad_answer_to_our_rekey(lab: Lab, kind: str) -> None:
    """A good answer first, a bad one to the re-INVITE behind the ACK: nothing was said, and the call ends."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    number = phone.request("INVITE", phone.sdp(None))
    peer.respond(peer.receive("INVITE"), 200, peer.sdp(Key.fresh()))
    assert status(phone.final("INVITE")) == 200
    phone.request("ACK", cseq=number)
    peer.receive("ACK")
    again = peer.receive("INVITE")
    make, fault = BAD_ANSWERS[kind]
    peer.respond(again, 200, make(peer, crypto_lines(again)[0]))
    peer.receive("ACK")
    peer.receive("BYE")
    phone.receive("BYE")
    assert fault in agent.wait_failure()
    agent.wait_ended()
    assert all(len(d.payload) <= 12 + 10 for d in rtp_of(capture, agent.media_ports))


def established(lab: Lab) -> tuple[NetworkAgent, RawPhone, RawUa, Key, int]:
    """A call (OFFERLESS) between a raw softphone and a raw peer."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    port, _ = connect(phone, peer, key)
    return agent, phone, peer, key, port


@pytest.mark.parametrize("kind", ["unoffered suite", "no key", "own key echoed", "AVP for SAVP", "garbage"])
def test_bad_answer_to_the_softphones_reinvite(lab: Lab, kind: str) -> None:
    """The softphone gets an error in place of the 200, nothing of the peer's SDP, and the call ends."""
    agent, phone, peer, _, port = established(lab)
    capture = lab.capture(*agent.media_ports)
    number = phone.request("INVITE", phone.sdp(None, "sendonly"))
    again = peer.receive("INVITE")
    make, fault = BAD_ANSWERS[kind]
    peer.respond(again, 200, make(peer, crypto_lines(again)[0]))
    final = phone.final("INVITE")
    assert status(final) == 488
    assert fault in warning(final)
    assert not crypto_lines(final)
    phone.request("ACK", cseq=number)
    peer.receive("ACK")
    peer.receive("BYE")
    phone.receive("BYE")
    phone.play(None, port, 100, 10)
    assert not rtp_of(capture, agent.media_ports)


@pytest.mark.parametrize("kind", ["no key", "unknown suite", "AVP", "key too short", "garbage"])
def test_bad_offer_within_the_call(lab: Lab, kind: str) -> None:
    """488, and the call goes on as it was; the softphone sees nothing of it."""
    agent, phone, peer, key, port = established(lab)
    capture = lab.capture(*agent.media_ports)
    make, _ = BAD_OFFERS[kind]
    number = peer.request("INVITE", make(peer, ""))
    final = peer.final("INVITE")
    assert status(final) == 488
    peer.request("ACK", cseq=number)
    phone.play(None, port, 100, 10)
    peer.play(key, audio_port(agent.sip(Face.NETWORK, "ACK", incoming=False)[0]), 100, 10)
    assert len(phone.heard()) == 10
    assert assert_protected(capture, agent).sent.total() == 10
    assert not agent.sip(Face.PHONE, "INVITE", incoming=False)


# Stock peers


def test_baresip_that_wants_dtls_srtp(lab: Lab) -> None:
    """It answers RTP/SAVP without a=crypto, and would be silent; with the agent the call fails, and says why."""
    bob = lab.baresip("bob", mediaenc="dtls_srtp")
    agent = lab.start(NetworkAgent, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    assert alice.wait_state("DISCONNECTED")["code"] == 488
    bob.wait_event("CALL_CLOSED")
    assert "without a key" in warning(agent.answers_to_phone("INVITE", 488)[0])
    agent.wait_ended()
    assert not rtp_of(capture, agent.media_ports)


def test_baresip_that_wants_dtls_srtp_offers(lab: Lab) -> None:
    """Without an offer of ours it offers DTLS-SRTP."""
    bob = lab.baresip("bob", mediaenc="dtls_srtp")
    agent = lab.start(NetworkAgent)
    capture = lab.capture(*agent.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    assert alice.wait_state("DISCONNECTED")["code"] == 488
    bob.wait_event("CALL_CLOSED")
    assert "DTLS-SRTP" in warning(agent.answers_to_phone("INVITE", 488)[0])
    agent.wait_ended()
    assert not rtp_of(capture, agent.media_ports)


def test_baresip_answers_with_an_unoffered_suite(lab: Lab) -> None:
    """Offered AES_256_CM alone, it says 200 with AES_CM_128."""
    bob = lab.baresip("bob")
    agent = lab.start(NetworkAgent, suite=suites.AES_256_CM_HMAC_SHA1_80, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    assert alice.wait_state("DISCONNECTED")["code"] == 488
    bob.wait_event("CALL_CLOSED")
    assert GOOD in warning(agent.answers_to_phone("INVITE", 488)[0])
    assert not rtp_of(capture, agent.media_ports)


@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_baresip_without_protection(lab: Lab, forking: SecureForking) -> None:
    """A plain peer: no call."""
    bob = lab.baresip("bob", mediaenc="")
    agent = lab.start(NetworkAgent, secure_forking=forking)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    assert alice.wait_state("DISCONNECTED")["code"] == 488
    agent.wait_ended()
    assert not rtp_of(capture, agent.media_ports)


def test_baresip_that_cannot_be_rekeyed(lab: Lab) -> None:
    """REKEY towards stock baresip: it says 200 to the new key and goes deaf (FACTS.md). Nothing that was said went out
    under the key of the INVITE."""
    bob = lab.baresip("bob", tone=880)
    agent = lab.start(NetworkAgent, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    agent.witness.wait_confirmed()
    capture.wait_packets(30, agent.media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    first = next(iter(agent.keys(ims.Direction.SEND).values()))
    for d in rtp_of(capture, agent.media_ports):
        clear = first.open_rtp(d.payload)
        assert clear is None or len(clear) == 12


# Offers


def test_plain_offer_is_refused(lab: Lab) -> None:
    """A plain caller, an agent that requires protection: 488 with the reason, and the softphone never rings."""
    alice = lab.pjsua("alice", srtp=0)
    agent = lab.start(NetworkAgent, softphone=alice.contact)
    bob = lab.baresip("bob", mediaenc="")
    bob.dial(agent.uri("alice"))
    closed = bob.wait_event("CALL_CLOSED")
    assert "488" in str(closed)
    refusal = next(m for m in agent.sip(Face.NETWORK, "SIP/2.0 488", incoming=False))
    assert "the policy requires it" in warning(refusal)
    assert not [event for event in alice.events if event["event"] == "incoming"]
    agent.wait_ended()


@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_unprotected_signalling(lab: Lab, forking: SecureForking) -> None:
    """No key goes over a hop that nobody declared protected: refused before anything is sent, with what to do."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, signalling=ims.Hop.UNPROTECTED, secure_forking=forking)
    phone = lab.start(RawPhone, agent, peer.uri)
    phone.request("INVITE", phone.sdp(None))
    final = phone.final("INVITE")
    assert status(final) == 488
    assert "declared protected" in warning(final)
    assert "sdes_over_unprotected_signalling" in warning(final)
    assert not agent.sip(Face.NETWORK)
    agent.wait_ended()


def test_unprotected_signalling_when_called(lab: Lab) -> None:
    """The same for an offer from the network."""
    agent = lab.start(NetworkAgent, signalling=ims.Hop.UNPROTECTED)
    phone = lab.start(RawPhone, agent)
    agent.agent.core.contacts.add("bob", phone.uri)
    peer = lab.raw(agent.uri("bob"))
    peer.request("INVITE", peer.sdp(Key.fresh()))
    final = peer.final("INVITE")
    assert status(final) == 488
    assert "declared protected" in warning(final)
    assert not agent.sip(Face.PHONE)


def test_unprotected_signalling_by_the_users_word(lab: Lab) -> None:
    """The policy may allow it; the status then says so."""
    bob = lab.baresip("bob", tone=880)
    policy = ims.SecurityPolicy(sdes_over_unprotected_signalling=True)
    agent = lab.start(NetworkAgent, policy=policy, signalling=ims.Hop.UNPROTECTED)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    got: Any = agent.witness.wait_confirmed()
    assert ims.HolderKind.SIGNALLING_LISTENERS in {holder.kind for holder in got.key_holders}


def test_softphone_that_does_srtp_itself(lab: Lab) -> None:
    """It is told to leave that to the agent."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent)
    phone = lab.start(RawPhone, agent, peer.uri)
    phone.request("INVITE", phone.sdp(Key.fresh()))
    final = phone.final("INVITE")
    assert status(final) == 488
    assert "switch it off there" in warning(final)
    assert not agent.sip(Face.NETWORK)


def test_peers_clear_packets_go_nowhere(lab: Lab) -> None:
    """RTP and RTCP in clear from the peer's own address, in a protected call: the softphone sees none of it."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    phone = lab.start(RawPhone, agent, peer.uri)
    number = phone.request("INVITE", phone.sdp(None))
    key = Key.fresh()
    peer.respond(peer.receive("INVITE"), 200, peer.sdp(key))
    answer = phone.final("INVITE")
    phone.request("ACK", cseq=number)
    ack = peer.receive("ACK")
    port = audio_port(ack)
    peer.play(None, port, 100, 10)
    report = b"\x80\xc9\x00\x01" + b"\x00\x00\x00\x99"
    assert is_clear_rtcp(report)
    peer._media.sendto(report, ("127.0.0.1", port + 1))
    peer.play(Key.fresh(), port, 200, 10)
    peer.play(key, port, 300, 10)
    heard = phone.heard()
    assert len(heard) == 10
    assert {int.from_bytes(p[2:4], "big") // 100 for p in heard} == {3}
    assert status(answer) == 200
