"""The harness against stock peers: what it hears and sees of known calls, and the insecurity that we remove."""

import pytest

from .capture import Datagram
from .conftest import Lab
from .tones import hear
from .wire import Key, Kind, crypto_lines, judge

PACKETS = 100  # two seconds of talk
SECONDS_HEARD = 1.0


def count(datagrams: list[Datagram], keys: dict[str, Key], source: list[int]) -> dict[Kind, int]:
    """How many RTP packets from these ports are of which kind. (baresip sends some RTCP in clear: not judged here.)"""
    kinds = [judge(d.payload, keys).kind for d in datagrams if d.src[1] in source]
    return {kind: kinds.count(kind) for kind in (Kind.CLEAR_RTP, Kind.OPENED_RTP, Kind.OPAQUE_RTP)}


def test_baresip_baresip_sdes(lab: Lab) -> None:
    """Both hear the other's tone; every RTP packet opens with the key that its sender put into its SDP."""
    alice = lab.baresip("alice", tone=440)
    bob = lab.baresip("bob", tone=880)
    capture = lab.capture(*alice.media_ports, *bob.media_ports)
    alice.dial(bob.aor)
    alice.wait_event("CALL_ESTABLISHED")
    bob.wait_event("CALL_ESTABLISHED")
    keys = dict(zip(("alice", "bob"), alice.keys(), strict=True))
    capture.wait_packets(PACKETS, alice.media_ports, bob.media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    capture.stop()
    assert hear(alice.recording()).tones[880] > SECONDS_HEARD
    assert hear(bob.recording()).tones[440] > SECONDS_HEARD
    for phone in (alice, bob):
        found = count(capture.datagrams(), {phone.user: keys[phone.user]}, phone.media_ports)
        assert found[Kind.OPENED_RTP] > 50
        assert not found[Kind.CLEAR_RTP]
        assert not found[Kind.OPAQUE_RTP]
        other = next(k for name, k in keys.items() if name != phone.user)
        assert not count(capture.datagrams(), {"other": other}, phone.media_ports)[Kind.OPENED_RTP]


def test_plain_call_is_seen_as_clear(lab: Lab) -> None:
    """The judge finds clear audio where there is some: a plain call."""
    alice = lab.baresip("alice", tone=440, mediaenc="")
    bob = lab.baresip("bob", tone=880, mediaenc="")
    capture = lab.capture(*alice.media_ports, *bob.media_ports)
    alice.dial(bob.aor)
    alice.wait_event("CALL_ESTABLISHED")
    capture.wait_packets(PACKETS, alice.media_ports, bob.media_ports)
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    found = count(capture.datagrams(), {}, alice.media_ports)
    assert found[Kind.CLEAR_RTP] > 50
    assert found[Kind.OPAQUE_RTP] == 0


@pytest.mark.parametrize("caller", ["pjsua", "baresip"])
def test_pjsua_baresip_sdes(lab: Lab, caller: str) -> None:
    """pjsip and baresip call each other, with the audio and the wire as they should be."""
    alice = lab.pjsua("alice", tone=440, cryptos=("AES_CM_128_HMAC_SHA1_80",))
    bob = lab.baresip("bob", tone=880)
    capture = lab.capture(*alice.media_ports, *bob.media_ports)
    if caller == "pjsua":
        alice.call(bob.aor)
    else:
        bob.dial(alice.aor)
    alice.wait_state("CONFIRMED")
    bob.wait_event("CALL_ESTABLISHED")
    keys = dict(zip(("bob", "alice"), bob.keys(), strict=True))
    capture.wait_packets(PACKETS, alice.media_ports, bob.media_ports)
    assert "SRTP status: Active" in alice.info()["dump"]
    alice.hangup()
    bob.wait_event("CALL_CLOSED")
    alice.stop()
    assert hear(alice.recording()).tones[880] > SECONDS_HEARD
    assert hear(bob.recording()).tones[440] > SECONDS_HEARD
    for phone in (alice, bob):
        found = count(capture.datagrams(), {phone.user: keys[phone.user]}, phone.media_ports)
        assert found[Kind.OPENED_RTP] > 50
        assert not found[Kind.CLEAR_RTP]
        assert not found[Kind.OPAQUE_RTP]


def test_loser_of_a_fork_hears_the_caller(lab: Lab) -> None:
    """Stock SDES, forked: with the key of the INVITE the loser opens all that the caller says to the winner."""
    proxy = lab.kamailio()
    winner = lab.baresip("bob", tone=880, registrar=proxy.port, answer="manual")
    loser = lab.baresip("bob", name="bob2", tone=880, registrar=proxy.port, answer="manual")
    alice = lab.pjsua("alice", tone=440, outbound=proxy.uri, cryptos=("AES_CM_128_HMAC_SHA1_80",))
    capture = lab.capture(*alice.media_ports, *winner.media_ports, *loser.media_ports)
    alice.call(winner.aor)
    winner.wait_event("CALL_INCOMING")
    loser.wait_event("CALL_INCOMING")
    winner.accept()
    alice.wait_state("CONFIRMED")
    loser.wait_event("CALL_CLOSED")
    capture.wait_packets(PACKETS, alice.media_ports, winner.media_ports)
    alice.hangup()
    winner.wait_event("CALL_CLOSED")
    alice.stop()
    assert hear(winner.recording()).tones[440] > SECONDS_HEARD
    known_to_loser = {str(n): Key.from_crypto(line) for n, line in enumerate(crypto_lines(loser.trace()))}
    found = count(capture.datagrams(), known_to_loser, alice.media_ports)
    assert found[Kind.OPENED_RTP] > 50
    assert not found[Kind.OPAQUE_RTP]
