"""Every suite that the agent and a real peer can both run, in each role; MKI, lifetime, keys without padding."""

from __future__ import annotations

import re

import pytest

import imsmediasec as ims
from imsmediasec import suites
from imsmediasec.agent import SecureForking

from .agent_kit import TALK, NetworkAgent, assert_heard, assert_protected
from .capture import Capture
from .conftest import Lab
from .peers.baresip import Baresip
from .peers.pjsua import Pjsua
from .peers.raw import RawUa, audio_port
from .tones import hear, looks_like_sound
from .wire import crypto_lines

PJSIP = (
    suites.AES_256_CM_HMAC_SHA1_80,
    suites.AES_256_CM_HMAC_SHA1_32,
    suites.AES_CM_128_HMAC_SHA1_80,
    suites.AES_CM_128_HMAC_SHA1_32,
)
BARESIP = (
    suites.AES_CM_128_HMAC_SHA1_80,
    suites.AES_CM_128_HMAC_SHA1_32,
    suites.AEAD_AES_128_GCM,
    suites.AEAD_AES_256_GCM,
)
AES_192 = (suites.AES_192_CM_HMAC_SHA1_80, suites.AES_192_CM_HMAC_SHA1_32)


def name(suite: suites.SrtpSuite) -> str:
    """For the test's id."""
    return suite.name


def only(*wanted: suites.SrtpSuite, **more: object) -> ims.SecurityPolicy:
    """A policy with these suites, for peers that take no new key within a call."""
    return ims.SecurityPolicy(suites=wanted, on_exposed=ims.OnFailure.WARN, **more)  # type: ignore[arg-type]


def finish(
    lab: Lab, agent: NetworkAgent, phone: Baresip, peer: Baresip | Pjsua, capture: Capture, suite: suites.SrtpSuite
) -> None:
    """Talk, hang up, listen: 440 Hz is the softphone, 880 Hz the peer in the network."""
    capture.wait_packets(TALK, agent.media_ports, peer.media_ports)
    phone.hangup()
    phone.wait_event("CALL_CLOSED")
    if isinstance(peer, Pjsua):
        peer.wait_state("DISCONNECTED")
        peer.stop()
    else:
        peer.wait_event("CALL_CLOSED")
    assert_heard(phone.recording(), 880)
    assert_heard(peer.recording(), 440)
    used = [*agent.keys(ims.Direction.SEND).values(), *agent.keys(ims.Direction.RECEIVE).values()]
    assert {key.suite_name for key in used} == {suite.name}
    stock_baresip = isinstance(peer, Baresip)
    wrong = stock_baresip and suite is suites.AES_CM_128_HMAC_SHA1_32
    seen = assert_protected(capture, agent, peer_rtcp_is_clear=stock_baresip, peer_rtcp_is_wrong=wrong)
    assert seen.sent.total() >= TALK - 10
    assert seen.received.total() >= TALK - 10


@pytest.mark.parametrize("suite", PJSIP, ids=name)
@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_pjsip_is_called(lab: Lab, suite: suites.SrtpSuite, forking: SecureForking) -> None:
    """pjsip offers in its 200 (OFFERLESS), or answers and takes a fresh key behind the ACK (REKEY)."""
    peer = lab.pjsua("bob", tone=880, srtp=2, cryptos=(suite.name,))
    agent = lab.start(NetworkAgent, policy=ims.SecurityPolicy(suites=(suite,)), secure_forking=forking)
    capture = lab.capture(*agent.media_ports, *peer.media_ports)
    phone = lab.baresip("alice", tone=440, mediaenc="", outbound=agent.proxy)
    phone.dial(peer.contact)
    agent.witness.wait_confirmed()
    assert len(agent.keys(ims.Direction.SEND)) == (1 if forking is SecureForking.OFFERLESS else 2)
    finish(lab, agent, phone, peer, capture, suite)


@pytest.mark.parametrize("suite", PJSIP, ids=name)
def test_pjsip_calls(lab: Lab, suite: suites.SrtpSuite) -> None:
    """pjsip is the offerer; its key may be with other terminals, and the status says so."""
    phone = lab.baresip("alice", tone=440, mediaenc="")
    agent = lab.start(NetworkAgent, policy=only(suite), softphone=phone.contact)
    peer = lab.pjsua("bob", tone=880, srtp=2, cryptos=(suite.name,))
    capture = lab.capture(*agent.media_ports, *peer.media_ports)
    peer.call(agent.uri("alice"))
    peer.wait_state("CONFIRMED")
    finish(lab, agent, phone, peer, capture, suite)
    assert agent.witness.statuses[0].fork_state is ims.ForkState.UNKNOWN


@pytest.mark.parametrize("suite", BARESIP, ids=name)
def test_baresip_answers(lab: Lab, suite: suites.SrtpSuite) -> None:
    """baresip takes four suites as answerer. It can't be re-keyed, so this is by the user's word (EXPOSED)."""
    peer = lab.baresip("bob", tone=880)
    policy = ims.SecurityPolicy(suites=(suite,), forking=ims.Forking.EXPOSED)
    agent = lab.start(NetworkAgent, policy=policy, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports, *peer.media_ports)
    phone = lab.baresip("alice", tone=440, mediaenc="", outbound=agent.proxy)
    phone.dial(peer.contact)
    peer.wait_event("CALL_ESTABLISHED")
    sends, receives = peer.keys()
    finish(lab, agent, phone, peer, capture, suite)
    assert list(agent.keys(ims.Direction.SEND).values()) == [receives]
    assert list(agent.keys(ims.Direction.RECEIVE).values()) == [sends]
    assert agent.witness.statuses[-1].fork_state is not ims.ForkState.CONFIRMED


def test_baresip_offers(lab: Lab) -> None:
    """Its only suite as offerer, here as the caller."""
    phone = lab.baresip("alice", tone=440, mediaenc="")
    agent = lab.start(NetworkAgent, policy=only(suites.AES_CM_128_HMAC_SHA1_80), softphone=phone.contact)
    peer = lab.baresip("bob", tone=880)
    capture = lab.capture(*agent.media_ports, *peer.media_ports)
    peer.dial(agent.uri("alice"))
    peer.wait_event("CALL_ESTABLISHED")
    finish(lab, agent, phone, peer, capture, suites.AES_CM_128_HMAC_SHA1_80)


class Gateway:
    """rtpengine between the agent's SRTP and a raw user agent in clear, as a PSTN gateway would have it."""

    def __init__(self, lab: Lab, raw: RawUa, *flags: str) -> None:
        self.engine = lab.rtpengine()
        self.raw = raw
        self.flags = list(flags)
        self.plain = ""
        """The SDP of rtpengine for the clear side."""

    def answer(self, invite: str) -> str:
        """Take an offer of the agent's, answer it; the answer."""
        call = {"call_id": "c", "ICE": "remove", "replace": ["origin", "session-connection"]}
        offer = invite.split("\r\n\r\n", 1)[1]
        self.plain = self.engine.ng("offer", from_tag="a", sdp=offer, transport_protocol="RTP/AVP", DTLS="off", **call)[
            "sdp"
        ]
        return str(
            self.engine.ng(
                "answer", from_tag="a", to_tag="b", sdp=self.raw.sdp(None), transport_protocol="RTP/SAVP", **call
            )["sdp"]
        )

    def talk(self, count: int) -> None:
        """Send that many packets of tone in clear to rtpengine."""
        self.raw.play(None, audio_port(self.plain), 500, count)


@pytest.mark.parametrize("suite", AES_192, ids=name)
@pytest.mark.parametrize("extra", [{}, {"mki_length": 4}, {"key_lifetime": 2**20}], ids=["bare", "mki", "lifetime"])
def test_rtpengine_as_peer(lab: Lab, suite: suites.SrtpSuite, extra: dict[str, int]) -> None:
    """AES_192 against the only peer that has it; its key comes without padding; with an MKI, and with a lifetime."""
    raw = lab.raw()
    gateway = Gateway(lab, raw)
    policy = ims.SecurityPolicy(suites=(suite,), forking=ims.Forking.EXPOSED, **extra)  # type: ignore[arg-type]
    agent = lab.start(NetworkAgent, policy=policy, secure_forking=SecureForking.REKEY)
    capture = lab.capture(*agent.media_ports)
    phone = lab.baresip("alice", tone=440, mediaenc="", outbound=agent.proxy)
    phone.dial(raw.uri)
    invite = raw.receive("INVITE")
    offered = crypto_lines(invite)[0]
    assert ("|1:4" in offered, "|2^20" in offered) == ("mki_length" in extra, "key_lifetime" in extra)
    answer = gateway.answer(invite)
    key = re.search(r"inline:([^|\s]+)", crypto_lines(answer)[0])
    assert key and len(key[1]) % 4  # no padding
    raw.respond(invite, 200, answer)
    raw.receive("ACK")
    gateway.talk(TALK)
    packets = raw.heard()
    assert sum(looks_like_sound(packet[12:]) for packet in packets) > 20
    phone.hangup()
    raw.respond(raw.receive("BYE"), 200)
    phone.wait_event("CALL_CLOSED")
    heard = hear(phone.recording(), (444,), share=0.6)
    assert heard.tones[444] > 0.5, heard
    seen = assert_protected(capture, agent)
    assert seen.sent.total() > 20
    assert {k.mki_length for k in agent.keys(ims.Direction.SEND).values()} == {extra.get("mki_length", 0)}
    assert {k.suite_name for k in agent.keys(ims.Direction.RECEIVE).values()} == {suite.name}
    assert any(isinstance(event, ims.PeerQuirk) for event in agent.witness.events)


@pytest.mark.parametrize("suite", suites.DEFAULT_PREFERENCE[:1] + AES_192[:1] + PJSIP[3:], ids=name)
def test_agents_with_mki_and_lifetime(lab: Lab, suite: suites.SrtpSuite) -> None:
    """Both write an MKI and a lifetime; the packets carry it, and open."""
    policy = ims.SecurityPolicy(suites=(suite,), mki_length=2, key_lifetime=2**16)
    agents = [lab.start(NetworkAgent, policy=policy), lab.start(NetworkAgent, policy=policy)]
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    alice = lab.baresip("alice", tone=440, mediaenc="", outbound=agents[0].proxy)
    bob = lab.baresip("bob", tone=880, mediaenc="", outbound=agents[1].proxy)
    agents[1].serve(bob)
    alice.dial(agents[1].uri("bob"))
    for agent in agents:
        agent.witness.wait_confirmed()
    capture.wait_packets(TALK, agents[0].media_ports, agents[1].media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.wait_event("CALL_CLOSED")
    assert_heard(alice.recording(), 880)
    assert_heard(bob.recording(), 440)
    for agent in agents:
        keys = agent.keys(ims.Direction.SEND) | agent.keys(ims.Direction.RECEIVE)
        assert {(key.suite_name, key.mki_length) for key in keys.values()} == {(suite.name, 2)}
        assert_protected(capture, agent)
