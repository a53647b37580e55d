"""The harness's own tools: the judge against libsrtp, tones, ports, relay, and the peers that no other test starts."""

import os
import socket
import struct
from pathlib import Path

import pytest
from pylibsrtp import Policy, Session

from .conftest import Lab
from .ports import PortBlock
from .process import MissingPeer, Process, need
from .relay import Relay, Way
from .tones import hear, looks_like_sound, tone_gap, write_tone
from .wire import SUITES, Key, Kind, judge

PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
RTCP = struct.pack("!BBHIIIIII", 0x80, 200, 6, 77, 1, 2, 3, 4, 5)


def rtp(sequence: int, payload: bytes) -> bytes:
    """A PCMU packet."""
    return struct.pack("!BBHII", 0x80, 0, sequence, 160 * sequence, 77) + payload


@pytest.mark.parametrize("suite", PROFILES)
def test_judge_opens_what_libsrtp_protects(suite: str) -> None:
    """RTP over a wrap of the sequence number, and RTCP; no other key opens them."""
    size = SUITES[suite].key + SUITES[suite].salt
    material = os.urandom(size)
    sender = Session(Policy(key=material, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=PROFILES[suite]))
    keys = {"right": Key(suite, material), "wrong": Key(suite, os.urandom(size))}
    for sequence in (65534, 65535, 0, 1):
        clear = rtp(sequence, b"\x17" * 160)
        verdict = judge(sender.protect(clear), keys)
        assert (verdict.kind, verdict.opened_by, verdict.clear) == (Kind.OPENED_RTP, ("right",), clear)
    sealed = sender.protect_rtcp(RTCP)
    assert judge(sealed, keys).clear == RTCP
    assert judge(sealed, {}).kind is Kind.OPAQUE_RTCP
    assert judge(RTCP, keys).kind is Kind.CLEAR_RTCP


def test_rfc3711_key_derivation_vectors() -> None:
    """RFC 3711 B.3."""
    master = "E1F97A0D3E018BE0D64FA32C06DE4139" + "0EC675AD498AFEEBB6960B3AABE6"
    cipher, auth, salt = Key("AES_CM_128_HMAC_SHA1_80", bytes.fromhex(master)).session
    assert cipher.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert auth.hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_sound_is_told_from_noise(tmp_path: Path) -> None:
    """Tone and silence in G.711 are sound; random bytes are not."""
    assert judge(rtp(1, b"\xff" * 160), {}).kind is Kind.CLEAR_RTP
    square = bytes([0x10] * 9 + [0x90] * 9) * 9
    assert judge(rtp(1, square), {}).kind is Kind.CLEAR_RTP
    assert not any(looks_like_sound(os.urandom(170)) for _ in range(500))
    heard = hear(write_tone(tmp_path / "tone.wav", 440, seconds=1.5))
    assert heard.dominant == 440
    assert heard.tones == {440: 1.5, 880: 0.0}
    assert 11000 < heard.rms < 12000
    assert tone_gap(tmp_path / "tone.wav", 440) == 0


def test_port_blocks_do_not_overlap() -> None:
    """Two blocks have no port in common, and each starts even."""
    one, two = PortBlock(), PortBlock(30)
    try:
        assert not set(one.ports) & set(two.ports)
        assert one[0] % 2 == two[0] % 2 == 0
    finally:
        one.release()
        two.release()


def test_relay_delays_and_drops() -> None:
    """A datagram comes through late; the one that is to be dropped does not; answers find their way back."""
    block = PortBlock(4)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", block[2]))
    server.settimeout(5)
    client.settimeout(5)

    def impair(way: Way, number: int, data: bytes) -> float | None:
        return None if number == 0 and way is Way.TO_TARGET else 0.0

    with server, client, Relay(block[0], ("127.0.0.1", block[2]), block[1], delay=0.02, impair=impair) as relay:
        client.sendto(b"lost", relay.address)
        client.sendto(b"kept", relay.address)
        data, source = server.recvfrom(100)
        assert data == b"kept"
        server.sendto(b"answer", source)
        assert client.recv(100) == b"answer"
        assert relay.dropped[Way.TO_TARGET] == 1
    block.release()


def test_rtpengine_rewrites_an_offer(lab: Lab) -> None:
    """It comes up, speaks NG, and turns RTP/AVP into RTP/SAVP with keys."""
    engine = lab.rtpengine()
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    answer = engine.ng(
        "offer", call_id="c", from_tag="a", sdp=sdp, transport_protocol="RTP/SAVP", DTLS="off", ICE="remove"
    )
    assert "RTP/SAVP" in answer["sdp"]
    assert "a=crypto:1 " in answer["sdp"]
    assert engine.ng("delete", call_id="c", from_tag="a")["result"] == "ok"


def test_a_start_that_fails_leaves_no_process(lab: Lab, tmp_path: Path) -> None:
    """A peer whose constructor raises after it has started its program leaves nothing behind."""
    started: list[Process] = []

    class Broken:
        def __init__(self) -> None:
            started.append(Process("sleeper", ["sleep", "60"], tmp_path))
            raise RuntimeError("half-way")

        def stop(self) -> None:
            """Never reached."""

    with pytest.raises(RuntimeError, match="half-way"):
        lab.start(Broken)
    assert not started[0].running


@pytest.mark.parametrize("ci", [True, False])
def test_missing_peer_skips_here_and_fails_in_ci(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: bool
) -> None:
    """What is not installed is a skip with instructions, or in CI a failure."""
    monkeypatch.setenv("CI", "true" if ci else "")
    with pytest.raises(MissingPeer if ci else pytest.skip.Exception, match="install-peers"):
        lab.start(lambda: Process("none", [need("no-such-program", "no-such-package")], tmp_path))


OPTIONS = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="options">
  <send retrans="500"><![CDATA[

    OPTIONS sip:[service]@[remote_ip]:[remote_port] SIP/2.0
    Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
    From: <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
    To: <sip:[service]@[remote_ip]>
    Call-ID: [call_id]
    CSeq: 1 OPTIONS
    Contact: <sip:sipp@[local_ip]:[local_port]>
    Max-Forwards: 70
    Content-Length: 0

  ]]></send>
  <recv response="404"/>
</scenario>
"""


def test_sipp_through_kamailio(lab: Lab) -> None:
    """A scenario runs against Kamailio, which knows nobody yet."""
    proxy = lab.kamailio()
    run = lab.sipp("options", OPTIONS, target=f"127.0.0.1:{proxy.port}", service="nobody", calls=3)
    assert run.wait() == 0, run.errors()
    assert run.stats()["SuccessfulCall(C)"] == "3"
    assert run.messages().count("404 Not Found") == 3


def test_pjsua_update_hold_and_early_media(lab: Lab) -> None:
    """What the driver of pjsua2 offers: 183, hold and resume, UPDATE, and a state at the end."""
    alice = lab.pjsua("alice", tone=440, prack=2)
    bob = lab.pjsua("bob", tone=880, prack=2, auto=(183,))
    alice.call(bob.aor)
    alice.wait_state("EARLY")
    bob.answer(200)
    alice.wait_state("CONFIRMED")
    since = bob.now
    alice.hold()
    bob.wait_event("rx", since=since, call=0)
    bob.wait_event("media", since=since, call=0)
    since = bob.now
    alice.reinvite()
    bob.wait_event("media", since=since, call=0, active=True)
    since = bob.now
    alice.update()
    bob.wait_event("media", since=since, call=0, active=True)
    assert "SRTP status: Active" in bob.info()["dump"]
    alice.hangup()
    bob.wait_state("DISCONNECTED")


def test_baresip_hold_and_resume(lab: Lab) -> None:
    """Hold and resume reach the other side as re-INVITEs."""
    alice = lab.baresip("alice")
    bob = lab.baresip("bob")
    alice.dial(bob.aor)
    alice.wait_event("CALL_ESTABLISHED")
    since = bob.now
    alice.hold()
    bob.wait_event("CALL_REMOTE_SDP", since=since, param="offer")
    since = bob.now
    alice.resume()
    bob.wait_event("CALL_REMOTE_SDP", since=since, param="offer")
    assert "a=sendonly" in bob.trace()
