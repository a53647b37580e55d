"""What happens within a call: hold, re-key from either side, glare, challenges, a key's end, a call's end."""

from __future__ import annotations

import re
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec import suites
from imsmediasec.agent import Account, SecureForking, transactions
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.agent.transaction_tables import Timers

from .agent_kit import TALK, NetworkAgent, RawPhone, assert_heard, assert_protected, connect, rtp_of
from .conftest import Lab
from .journal import until
from .peers.raw import RawUa, audio_port, header, status
from .wire import Key, Kind, crypto_lines, judge

CM_128 = suites.AES_CM_128_HMAC_SHA1_80
SEND, RECEIVE = ims.Direction.SEND, ims.Direction.RECEIVE
REKEY: dict[str, Any] = {"suite": CM_128, "secure_forking": SecureForking.REKEY}


def raw_call(lab: Lab, **options: Any) -> tuple[NetworkAgent, RawPhone, RawUa, Key, int, Key]:
    """A raw softphone, its agent (REKEY), a raw peer; the call is up, the re-key behind the ACK done: the peer's key,
    the softphone's media port at the agent, and the agent's key."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, **{**REKEY, **options})
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    port, _ = connect(phone, peer, key)
    ours = answer_rekey(peer, key)
    agent.witness.wait_confirmed()
    return agent, phone, peer, key, port, ours


def answer_rekey(peer: RawUa, key: Key) -> Key:
    """Say yes to the agent's re-INVITE; the key in it."""
    again = peer.receive("INVITE")
    peer.respond(again, 200, peer.sdp(key))
    peer.receive("ACK")
    return Key.from_crypto(crypto_lines(again)[0])


# Hold


@pytest.mark.parametrize("holder", ["softphone", "peer"])
@pytest.mark.parametrize("kind", ["pjsua", "baresip", "agent"])
def test_hold_and_resume(lab: Lab, kind: str, holder: str) -> None:
    """Held and resumed from either side: no key changes, both are heard again, nothing leaves in clear meanwhile."""
    agent = lab.start(NetworkAgent)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    if kind == "baresip":
        bob: Any = lab.baresip("bob", tone=880)
        target, ports = bob.contact, bob.media_ports
    elif kind == "pjsua":
        bob = lab.pjsua("bob", tone=880, cryptos=(CM_128.name,))
        target, ports = bob.contact, bob.media_ports
    else:
        other = lab.start(NetworkAgent)
        bob = lab.pjsua("bob", tone=880, outbound=other.proxy, srtp=0)
        other.serve(bob)
        target, ports = other.uri("bob"), other.media_ports
    capture = lab.capture(*agent.media_ports, *ports)
    alice.call(target)
    agent.witness.wait_confirmed()
    capture.wait_packets(20, agent.media_ports, ports)
    who = alice if holder == "softphone" else bob
    since = [alice.now, bob.now]
    who.hold()
    # With pjsua2, 2 is held here, 3 held by the other side.
    alice.wait_event("media", since=since[0], status=2 if who is alice else 3)
    if who is bob and kind != "baresip":
        bob.wait_event("media", since=since[1], status=2)
    since = [alice.now, bob.now]
    who.resume() if who is bob and kind == "baresip" else who.reinvite()
    alice.wait_event("media", since=since[0], status=1)
    capture.wait_packets(TALK, agent.media_ports, ports)
    alice.hangup()
    agent.wait_ended()
    alice.stop()
    if kind == "baresip":  # it writes its recording anew at each resume
        bob.wait_event("CALL_CLOSED")
        bob.stop()
        packets = re.search(r"packets: +(\d+) +(\d+)", bob.trace())
        assert packets
        assert int(packets[2]) >= TALK
        assert "failed to decrypt" not in bob.trace()
    else:
        bob.stop()
        assert_heard(bob.recording(), 440)
    assert_heard(alice.recording(), 880)
    assert (len(agent.keys(SEND)), len(agent.keys(RECEIVE))) == (1, 1)
    seen = assert_protected(capture, agent, peer_rtcp_is_clear=kind == "baresip")
    assert seen.sent.total() >= TALK


# Re-key of ours


def test_rekey_by_update_towards_pjsip(lab: Lab) -> None:
    """With PRACK and UPDATE the fresh key is there before anybody answers: no re-INVITE follows."""
    bob = lab.pjsua("bob", tone=880, cryptos=(CM_128.name,), prack=2, auto=(183,))
    agent = lab.start(NetworkAgent, **REKEY)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0, prack=2)
    alice.call(bob.contact)
    agent.witness.wait(lambda w: len(agent.keys(SEND)) == 2)
    updates = agent.sip(Face.NETWORK, "UPDATE", incoming=False)
    bob.answer(200)
    agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    alice.hangup()
    bob.wait_state("DISCONNECTED")
    alice.stop()
    bob.stop()
    assert len(updates) == 1
    assert len({header(m, "CSeq") for m in agent.sip(Face.NETWORK, "INVITE", incoming=False)}) == 1
    assert not agent.sip(Face.PHONE, "UPDATE")
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    seen = assert_protected(capture, agent)
    old, new = agent.keys(SEND)
    assert seen.sent[new] >= TALK - 10
    for d in rtp_of(capture, agent.media_ports):
        verdict = judge(d.payload, {old: agent.keys(SEND)[old]})
        if verdict.clear is not None:  # under the key that the INVITE had shown: nothing that was said
            assert len(verdict.clear) == 12


def test_early_rekey_between_agents(lab: Lab) -> None:
    """The same with the callee's agent: it answers the UPDATE by itself, and neither softphone sees one."""
    agents = [lab.start(NetworkAgent, secure_forking=SecureForking.REKEY) for _ in range(2)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agents[0].proxy, srtp=0, prack=2)
    bob = lab.pjsua("bob", tone=880, outbound=agents[1].proxy, srtp=0, prack=2, auto=(183,))
    agents[1].serve(bob)
    alice.call(agents[1].uri("bob"))
    agents[0].witness.wait(lambda w: len(agents[0].keys(SEND)) == 2)
    bob.answer(200)
    for agent in agents:
        agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    alice.hangup()
    bob.wait_state("DISCONNECTED")
    alice.stop()
    bob.stop()
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    assert len(agents[0].sip(Face.NETWORK, "UPDATE", incoming=False)) == 1
    assert len({header(m, "CSeq") for m in agents[0].sip(Face.NETWORK, "INVITE", incoming=False)}) == 1
    for agent in agents:
        assert not agent.sip(Face.PHONE, "UPDATE")
        assert_protected(capture, agent)


def test_nothing_is_said_before_the_call_is_taken(lab: Lab) -> None:
    """Early media from the callee is heard; the caller's gate lets keep-alives without content through, no more."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, **REKEY)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    phone.request("INVITE", phone.sdp(None))
    invite = peer.receive("INVITE")
    peer.respond(invite, 183, peer.sdp(key))
    port = audio_port(phone.receive("SIP/2.0 183"))
    peer.play(key, audio_port(invite), 100, 20)
    phone.play(None, port, 100, 60)
    assert len(phone.heard()) == 20
    shown = Key.from_crypto(crypto_lines(invite)[0])
    sent = rtp_of(capture, agent.media_ports)
    assert 1 <= len(sent) <= 4
    for d in sent:
        assert len(shown.open_rtp(d.payload) or b"") == 12
    peer.respond(invite, 486)
    assert status(phone.final("INVITE")) == 486
    agent.wait_ended()
    before = len(capture.datagrams(agent.media_ports))
    phone.play(None, port, 200, 10)
    assert len(capture.datagrams(agent.media_ports)) == before


@pytest.mark.parametrize("caller_rekeys", [True, False], ids=["caller", "callee"])
def test_rekey_between_agents_behind_the_softphones_backs(lab: Lab, caller_rekeys: bool) -> None:
    """REKEY behind the ACK, then one more by either side: neither softphone sees a re-INVITE, nor hears a gap."""
    agents = [lab.start(NetworkAgent, secure_forking=SecureForking.REKEY) for _ in range(2)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    alice = lab.baresip("alice", tone=440, mediaenc="", outbound=agents[0].proxy)
    bob = lab.baresip("bob", tone=880, mediaenc="", outbound=agents[1].proxy)
    agents[1].serve(bob)
    alice.dial(agents[1].uri("bob"))
    for agent in agents:
        agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    agents[0 if caller_rekeys else 1].rekey()
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    lost = [agent.counters[-1].dropped_unauthentic for agent in agents]
    alice.hangup()
    alice.wait_event("CALL_CLOSED")
    bob.wait_event("CALL_CLOSED")
    assert lost == [0, 0]
    assert_heard(alice.recording(), 880, 2)
    assert_heard(bob.recording(), 440, 2)
    assert len({header(m, "CSeq") for m in agents[1].sip(Face.PHONE, "INVITE", incoming=False)}) == 1
    assert not agents[0].sip(Face.PHONE, "INVITE", incoming=False)
    for agent in agents:
        seen = assert_protected(capture, agent)
        assert sum(count > 20 for count in seen.sent.values()) >= 1
    mine = agents[0 if caller_rekeys else 1]
    assert len(mine.keys(SEND)) >= 2


def test_rekey_after_a_wrap_with_pjsip(lab: Lab) -> None:
    """The sequence number wraps, the key changes: pjsip hears all, since the roll-over counter goes on."""
    bob = lab.pjsua("bob", tone=880, cryptos=(CM_128.name,))
    agent = lab.start(NetworkAgent, **REKEY)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    phone = lab.start(RawPhone, agent, bob.contact)
    answer = phone.offer("INVITE", None)
    port = audio_port(answer)
    agent.witness.wait_confirmed()
    phone.play(None, port, 65516, 40)
    agent.rekey()
    phone.play(None, port, 20, 50, roc=1)
    until(lambda: bob.info()["received"] >= 85, 3, "pjsip's packets", interval=0.1)
    assert bob.info()["received"] >= 88
    phone.request("BYE")
    bob.wait_state("DISCONNECTED")
    last = list(agent.keys(SEND).values())[-1]
    sealed = [d.payload for d in rtp_of(capture, agent.media_ports) if last.open_rtp(d.payload, (0, 1))]
    assert len(sealed) == 50
    assert all(last.open_rtp(packet, (1,)) for packet in sealed)
    assert_protected(capture, agent)


@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
def test_rekey_after_a_wrap_between_agents(lab: Lab, who: int) -> None:
    """Both directions wrap, one side re-keys: every packet after it arrives."""
    agents = [lab.start(NetworkAgent, secure_forking=SecureForking.REKEY) for _ in range(2)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    bob = lab.start(RawPhone, agents[1])
    agents[1].agent.core.contacts.add("bob", bob.uri)
    alice = lab.start(RawPhone, agents[0], agents[1].uri("bob"))
    number = alice.request("INVITE", alice.sdp(None))
    invite = bob.receive("INVITE")
    bob.respond(invite, 200, bob.sdp(None))
    answer = alice.final("INVITE")
    alice.request("ACK", cseq=number)
    bob.receive("ACK")
    for agent in agents:
        agent.witness.wait_confirmed()
    ports = {alice: audio_port(answer), bob: audio_port(invite)}
    for phone, other in ((alice, bob), (bob, alice)):
        phone.play(None, ports[phone], 65526, 20)
        wait_media(other, 20)
    agents[who].rekey()
    for phone, other in ((alice, bob), (bob, alice)):
        phone.play(None, ports[phone], 10, 20, roc=1)
        wait_media(other, 20)
    alice.request("BYE")
    bob.respond(bob.receive("BYE"), 200)
    for agent in agents:
        agent.wait_ended()
        assert agent.counters[-1].dropped_unauthentic == 0
        seen = assert_protected(capture, agent)
        assert seen.sent.total() == 40
    assert len(agents[who].keys(SEND)) >= 2


def wait_media(ua: RawUa, count: int) -> list[bytes]:
    """Packets that came to a raw user agent, once there are so many."""
    packets: list[bytes] = []

    def enough() -> bool:
        packets.extend(ua.heard())
        return len(packets) >= count

    until(enough, 2, f"{count} packets", interval=0.02)
    return packets


@pytest.mark.parametrize("goes_on", [True, False], ids=["continued", "reset"])
def test_peer_that_wraps_and_rekeys(lab: Lab, goes_on: bool) -> None:
    """The peer's new key comes with the roll-over counter continued, as RFC 3711 wants, or reset: both are heard."""
    agent, phone, peer, key, _port, _ = raw_call(lab)
    media = audio_port(peer.messages[-1]) or audio_port(agent.sip(Face.NETWORK, "INVITE", incoming=False)[-1])
    peer.play(key, media, 65526, 20)
    assert len(wait_media(phone, 20)) == 20
    new = Key.fresh()
    assert status(peer.offer("INVITE", new)) == 200
    peer.play(new, media, 10, 20, roc=1 if goes_on else 0)
    assert len(wait_media(phone, 20)) == 20
    assert not [m for m in phone.messages if m.startswith("INVITE")]


# Glare and challenges


def test_glare_and_retry(lab: Lab) -> None:
    """The peer answers 491; the agent waits 2.1 to 4 s, as owner of the Call-ID, and tries again with another key.
    Until then the gate is shut."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, **REKEY)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    port, _ = connect(phone, peer, key)
    first = peer.receive("INVITE")
    peer.respond(first, 491)
    peer.receive("ACK")
    phone.play(None, port, 100, 20)
    assert all(len(d.payload) <= 12 + 10 for d in rtp_of(capture, agent.media_ports))
    again = peer.receive("INVITE", timeout=5)
    assert crypto_lines(again) != crypto_lines(first)
    peer.respond(again, 200, peer.sdp(key))
    peer.receive("ACK")
    agent.witness.wait_confirmed()
    phone.play(None, port, 200, 20)
    fresh = Key.from_crypto(crypto_lines(again)[0])
    heard = [packet for packet in wait_media(peer, 20) if fresh.open_rtp(packet)]
    assert len(heard) == 20
    assert len({key.key_salt for key in agent.keys(SEND).values()}) == 2
    assert_protected(capture, agent, others={"refused": Key.from_crypto(crypto_lines(first)[0])})


def test_glare_when_a_key_runs_out(lab: Lab) -> None:
    """The same for a re-key that nobody but the key's lifetime asks for."""
    agent, _phone, peer, key, _port, _ = raw_call(lab)
    agent.rekey(wait=False)
    peer.respond(peer.receive("INVITE"), 491)
    peer.receive("ACK")
    before = len(agent.keys(SEND))
    answer_rekey(peer, key)
    agent.witness.wait(lambda w: len(agent.keys(SEND)) > before)


def test_glare_from_our_side(lab: Lab) -> None:
    """The peer's offer meets our own open one: 491."""
    agent, _phone, peer, key, _port, _ = raw_call(lab)
    agent.rekey(wait=False)
    ours = peer.receive("INVITE")
    number = peer.request("INVITE", peer.sdp(Key.fresh()))
    refusal = peer.final("INVITE")
    assert status(refusal) == 491
    peer.request("ACK", cseq=number)
    peer.respond(ours, 200, peer.sdp(key))
    peer.receive("ACK")


CHALLENGE = {
    401: 'WWW-Authenticate: Digest realm="ims.example", nonce="abc", qop="auth", algorithm=MD5\r\n',
    407: 'Proxy-Authenticate: Digest realm="ims.example", nonce="abc", qop="auth", algorithm=SHA-256\r\n',
}


@pytest.mark.parametrize("code", [401, 407])
def test_challenge_with_an_account(lab: Lab, code: int) -> None:
    """The agent's own re-INVITE is challenged: it answers with the account's credentials, in a new request."""
    peer = lab.raw()
    account = Account(username="alice", password=ims.Secret(b"secret"))
    agent = lab.start(NetworkAgent, **REKEY, accounts=(account,))
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    connect(phone, peer, key)
    first = peer.receive("INVITE")
    peer.respond(first, code, headers=CHALLENGE[code])
    peer.receive("ACK")
    again = peer.receive("INVITE")
    credentials = header(again, "Authorization" if code == 401 else "Proxy-Authorization")
    assert 'username="alice"' in credentials
    assert 'realm="ims.example"' in credentials
    assert int(header(again, "CSeq").split()[0]) == int(header(first, "CSeq").split()[0]) + 1
    peer.respond(again, 200, peer.sdp(key))
    peer.receive("ACK")
    agent.witness.wait_confirmed()


@pytest.mark.parametrize("code", [401, 407])
def test_challenge_without_an_account(lab: Lab, code: int) -> None:
    """Nobody can answer for the agent: B7 cannot be met, and the call ends on both sides, with the reason."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, **REKEY)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    port, _ = connect(phone, peer, Key.fresh())
    peer.respond(peer.receive("INVITE"), code, headers=CHALLENGE[code])
    peer.receive("ACK")
    peer.receive("BYE")
    phone.receive("BYE")
    phone.play(None, port, 100, 10)
    assert "fresh key" in agent.wait_failure()
    agent.wait_ended()
    assert all(len(d.payload) <= 12 + 10 for d in rtp_of(capture, agent.media_ports))


# The end of a key


def test_short_lifetime_with_pjsip(lab: Lab) -> None:
    """80 packets a key: the agent re-keys before the end, again and again, and no key protects more."""
    bob = lab.pjsua("bob", tone=880, cryptos=(CM_128.name,))
    agent = lab.start(NetworkAgent, suite=CM_128, more={"key_lifetime": 80})
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    agent.witness.wait(lambda w: len(agent.keys(SEND)) >= 4, 12)
    alice.hangup()
    bob.wait_state("DISCONNECTED")
    alice.stop()
    bob.stop()
    seen = assert_protected(capture, agent)
    assert max(seen.sent.values()) <= 80
    assert_heard(bob.recording(), 440, 2)
    assert agent.counters[-1].dropped_exhausted == 0


def test_no_packet_beyond_the_lifetime(lab: Lab) -> None:
    """The peer does not take the re-key: the last key stops at its last packet."""
    agent, phone, peer, _, port, ours = raw_call(lab, more={"key_lifetime": 40})
    capture = lab.capture(*agent.media_ports)
    phone.play(None, port, 100, 60)
    refused = peer.receive("INVITE")
    peer.respond(refused, 488)
    peer.receive("ACK")
    packets = [packet for packet in peer.heard() if packet[1] < 192]
    assert sum(ours.open_rtp(packet) is not None for packet in packets) <= 40
    assert agent.counters[-1].dropped_exhausted >= 20
    seen = assert_protected(capture, agent)
    assert seen.sent.total() <= 40


# What the softphone does meanwhile


def test_softphones_own_reinvite_waits_for_our_rekey(lab: Lab) -> None:
    """As with pjsip's codec lock: it comes while our re-INVITE is open, and goes out when that is done."""
    agent, phone, peer, key, _port, _ = raw_call(lab)
    agent.rekey(wait=False)
    ours = peer.receive("INVITE")
    number = phone.request("INVITE", phone.sdp(None, "sendonly"))
    with pytest.raises(TimeoutError):
        peer.receive("INVITE", timeout=0.3)
    peer.respond(ours, 200, peer.sdp(key))
    peer.receive("ACK")
    theirs = peer.receive("INVITE")
    assert "a=sendonly" in theirs
    assert int(header(theirs, "CSeq").split()[0]) > int(header(ours, "CSeq").split()[0])
    peer.respond(theirs, 200, peer.sdp(key, "recvonly"))
    answer = phone.final("INVITE")
    assert header(answer, "CSeq") == f"{number} INVITE"
    assert "a=recvonly" in answer
    phone.request("ACK", cseq=number)
    peer.receive("ACK")


@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_codec_lock_of_pjsip(lab: Lab, forking: SecureForking) -> None:
    """pjsip as it comes sends a re-INVITE right behind its ACK, when ours is open (REKEY) or not needed (OFFERLESS)."""
    agents = [lab.start(NetworkAgent, secure_forking=forking) for _ in range(2)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    hook = "tests.interop.peers.pjsua_hooks:lock_codec"
    alice = lab.pjsua("alice", tone=440, outbound=agents[0].proxy, srtp=0, hook=hook)
    bob = lab.baresip("bob", tone=880, mediaenc="", outbound=agents[1].proxy)
    agents[1].serve(bob)
    alice.call(agents[1].uri("bob"))
    for agent in agents:
        agent.witness.wait_confirmed()
    agents[1].witness.wait(
        lambda w: len({header(m, "CSeq") for m in agents[1].sip(Face.PHONE, "INVITE", incoming=False)}) == 2
    )
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.stop()
    bob.stop()
    assert_heard(alice.recording(), 880)
    packets = re.search(r"packets: +(\d+) +(\d+)", bob.trace())
    assert packets
    assert int(packets[2]) >= TALK
    for agent in agents:
        assert_protected(capture, agent)


def test_reinvite_that_waits_when_the_call_ends(lab: Lab) -> None:
    """It is answered."""
    agent, phone, peer, _key, _port, _ = raw_call(lab)
    agent.rekey(wait=False)
    ours = peer.receive("INVITE")
    phone.request("INVITE", phone.sdp(None, "sendonly"))
    peer.respond(ours, 481)
    assert status(phone.final("INVITE")) == 481
    phone.receive("BYE")


def test_session_timer(lab: Lab) -> None:
    """Session-Expires is negotiated end to end, and a refresh by UPDATE or re-INVITE reaches the softphone."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    timer = "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\n"
    connect(phone, peer, key, headers=timer, peer_headers="Require: timer\r\n" + timer.split("\r\n")[1] + "\r\n")
    invite, answer = peer.messages[0], next(m for m in phone.messages if status(m) == 200)
    assert header(invite, "Session-Expires") == header(answer, "Session-Expires") == "1800;refresher=uas"
    peer.request("UPDATE", headers=timer)
    update = phone.receive("UPDATE")
    phone.respond(update, 200, headers="Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n")
    assert header(peer.final("UPDATE"), "Session-Expires") == "1800;refresher=uac"
    number = peer.request("INVITE", peer.sdp(key), headers=timer)
    again = phone.receive("INVITE")
    phone.respond(again, 200, phone.sdp(None), headers="Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n")
    final = peer.final("INVITE")
    assert header(final, "Session-Expires") == "1800;refresher=uac"
    assert len(crypto_lines(final)) == 1
    peer.request("ACK", cseq=number)
    phone.receive("ACK")
    assert len(agent.keys(SEND)) == 1


@pytest.mark.parametrize("refresher", ["uac", "uas"])
def test_session_timer_outlives_our_rekey(lab: Lab, refresher: str) -> None:
    """Our re-INVITE names the timer as it was agreed: without that it would be off (RFC 4028 7.4, 9)."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, **REKEY)
    phone = lab.start(RawPhone, agent, peer.uri)
    timer = f"Session-Expires: 1800;refresher={refresher}\r\n"
    connect(phone, peer, Key.fresh(), headers="Supported: timer\r\n" + timer, peer_headers="Require: timer\r\n" + timer)
    again = peer.receive("INVITE")
    assert header(again, "Session-Expires") == f"1800;refresher={refresher}"
    assert header(again, "Supported") == "timer"


@pytest.mark.parametrize("refresher", ["uac", "uas"])
def test_peers_rekey_with_a_session_timer(lab: Lab, refresher: str) -> None:
    """Where the softphone refreshes (uac), the agent answers alone; one that waits for a refresh gets to see it."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    phone = lab.start(RawPhone, agent, peer.uri)
    timer = f"Session-Expires: 1800;refresher={refresher}\r\n"
    connect(phone, peer, Key.fresh(), headers="Supported: timer\r\n" + timer, peer_headers="Require: timer\r\n" + timer)
    theirs = f"Session-Expires: 1800;refresher={'uas' if refresher == 'uac' else 'uac'}\r\n"
    number = peer.request("INVITE", peer.sdp(Key.fresh()), headers="Supported: timer\r\n" + theirs)
    if refresher == "uas":
        phone.respond(phone.receive("INVITE"), 200, phone.sdp(None), headers="Require: timer\r\n" + theirs)
    final = peer.final("INVITE")
    assert header(final, "Session-Expires") == theirs.strip().partition(": ")[2]
    peer.request("ACK", cseq=number)
    agent.witness.wait(lambda w: len(agent.keys(RECEIVE)) == 2)


def test_repeated_2xx_to_a_reinvite(lab: Lab) -> None:
    """The peer's 200 comes twice, before the softphone's ACK and after it: converted each time, and acknowledged."""
    _agent, phone, peer, key, _port, _ = raw_call(lab)
    number = phone.request("INVITE", phone.sdp(None, "sendonly"))
    theirs, answer = peer.receive("INVITE"), peer.sdp(key, "recvonly")
    seen = len(phone.messages)
    for _ in range(2):
        peer.respond(theirs, 200, answer)
        phone.final("INVITE")
    phone.request("ACK", cseq=number)
    peer.receive("ACK")
    peer.respond(theirs, 200, answer)
    peer.receive("ACK")
    finals = [m for m in phone.messages[seen:] if status(m) == 200]
    assert len(finals) == 2
    assert len({audio_port(m) for m in finals}) == 1
    assert not any(crypto_lines(m) or "SAVP" in m for m in finals)


def test_repeated_2xx_of_the_softphone(lab: Lab) -> None:
    """The same the other way round: no plain SDP, nor the softphone's own port, goes to the peer."""
    agent, phone, peer, key, _port, _ = raw_call(lab)
    number = peer.request("INVITE", peer.sdp(key, "sendonly"))
    theirs, answer = phone.receive("INVITE"), phone.sdp(None, "recvonly")
    for _ in range(2):
        phone.respond(theirs, 200, answer)
        final = peer.final("INVITE")
        assert len(crypto_lines(final)) == 1
        assert audio_port(final) in agent.media_ports
    peer.request("ACK", cseq=number)
    phone.receive("ACK")


# The end of calls


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_bye_from_both_sides(lab: Lab, who: str) -> None:
    """BYE ends it on both faces; what the softphone sends afterwards goes nowhere."""
    agent, phone, peer, _key, port, _ = raw_call(lab)
    capture = lab.capture(*agent.media_ports, port)
    one, other = (phone, peer) if who == "caller" else (peer, phone)
    one.request("BYE")
    other.respond(other.receive("BYE"), 200)
    assert status(one.final("BYE")) == 200
    agent.wait_ended()
    phone.play(None, port, 100, 10)
    assert not rtp_of(capture, agent.media_ports)


def test_cancel(lab: Lab) -> None:
    """The caller gives up while it rings."""
    bob = lab.baresip("bob", answer="manual")
    agent = lab.start(NetworkAgent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    bob.wait_event("CALL_INCOMING")
    alice.wait_state("EARLY")
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.wait_state("DISCONNECTED")
    agent.wait_ended()
    assert agent.answers_to_phone("INVITE", 487)
    assert not rtp_of(capture, agent.media_ports)


@pytest.mark.parametrize("code", [486, 603])
def test_busy(lab: Lab, code: int) -> None:
    """A refusal comes through as it is."""
    bob = lab.pjsua("bob", cryptos=(CM_128.name,), auto=(180, code))
    agent = lab.start(NetworkAgent)
    alice = lab.pjsua("alice", outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    assert alice.wait_state("DISCONNECTED")["code"] == code
    agent.wait_ended()


def test_nobody_answers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """No response at all: 408 to the softphone, and the call is forgotten. (The timers are made shorter.)"""
    monkeypatch.setattr(transactions, "Timers", lambda: Timers(t1=0.02))
    peer = lab.raw()
    agent = lab.start(NetworkAgent)
    phone = lab.start(RawPhone, agent, peer.uri)
    phone.request("INVITE", phone.sdp(None))
    assert status(phone.final("INVITE")) == 408
    agent.wait_ended()


def test_agent_stopped_in_mid_call(lab: Lab) -> None:
    """Both sides get a BYE; what the softphone still sends goes nowhere, in clear or otherwise."""
    bob = lab.baresip("bob", tone=880)
    agent = lab.start(NetworkAgent)
    capture = lab.capture(*agent.media_ports, *bob.media_ports)
    alice = lab.pjsua("alice", tone=440, outbound=agent.proxy, srtp=0)
    alice.call(bob.contact)
    agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agent.media_ports, bob.media_ports)
    ports = agent.media_ports
    agent.end()
    bob.wait_event("CALL_CLOSED")
    alice.wait_state("DISCONNECTED")
    alice.stop()
    assert_heard(alice.recording(), 880)
    assert_protected(capture, agent, peer_rtcp_is_clear=True)
    for d in capture.datagrams(bob.media_ports):
        if d.dst[1] in bob.media_ports:
            assert d.src[1] in ports
            assert judge(d.payload, {}).kind not in (Kind.CLEAR_RTP, Kind.CLEAR_RTCP)
