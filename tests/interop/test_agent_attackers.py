"""Other users of the machine are attackers: their SIP is refused, their media dropped, the peer's source is not taken
over by what no key opens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from imsmediasec import suites

from .agent_kit import NetworkAgent, RawPhone, assert_protected, connect
from .conftest import Lab
from .peers.raw import PAYLOAD, audio_port
from .wire import Key

NOBODY = 65534
CM_128 = suites.AES_CM_128_HMAC_SHA1_80
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

STRANGER = """
import os, socket, sys
kind, port, uid, method, hops = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
os.setuid(uid)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM)
s.bind(("127.0.0.1", 0))
s.connect(("127.0.0.1", port))
s.settimeout(3)
here = s.getsockname()[1]
s.send((
    f"{method} sip:bob@127.0.0.1:9 SIP/2.0\\r\\nVia: SIP/2.0/{kind} 127.0.0.1:{here};branch=z9hG4bKstranger;rport\\r\\n"
    f"From: <sip:eve@127.0.0.1>;tag=1\\r\\nTo: <sip:bob@127.0.0.1>\\r\\nCall-ID: stranger-{here}\\r\\n"
    f"CSeq: 1 {method}\\r\\nContact: <sip:eve@127.0.0.1:{here}>\\r\\nMax-Forwards: {hops}\\r\\n"
    "Content-Length: 0\\r\\n\\r\\n"
).encode())
answer = ""
while not answer or answer.startswith("SIP/2.0 1"):
    answer = s.recv(65536).decode()
print(answer.split("\\r\\n")[0])
"""


def ask(agent: NetworkAgent, kind: str, uid: int, method: str, hops: str = "70") -> str:
    """The status line that a process of that user gets."""
    argv = [sys.executable, "-c", STRANGER, kind, str(agent.agent.local_port), str(uid), method, hops]
    # Not in a folder that the other user may not enter.
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True, cwd="/").stdout.strip()


@ROOT
@pytest.mark.parametrize("kind", ["UDP", "TCP"])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "MESSAGE"])
def test_sip_of_another_user_is_refused(lab: Lab, kind: str, method: str) -> None:
    """403, and nothing goes out."""
    agent = lab.start(NetworkAgent)
    assert ask(agent, kind, NOBODY, method).startswith("SIP/2.0 403")
    assert not [message for face, _, message in agent.witness.messages if face.value == "network"]
    assert not agent.witness.calls


@ROOT
def test_another_user_may_be_let_in(lab: Lab) -> None:
    """By configuration only: then it is served as everybody is, here with the error that its destination is worth."""
    agent = lab.start(NetworkAgent, allow_other_users=True)
    assert ask(agent, "UDP", NOBODY, "INVITE", "0").startswith("SIP/2.0 483")


def test_media_from_a_wrong_local_source(lab: Lab) -> None:
    """RTP to the softphone's port at the agent from another socket than the softphone's: dropped and counted."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    port, ack = connect(phone, peer, key)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as eve:
        eve.bind(("127.0.0.1", 0))
        for n in range(10):
            eve.sendto(b"\x80\x00" + n.to_bytes(2, "big") + bytes(8) + PAYLOAD[:160], ("127.0.0.1", port))
            eve.sendto(b"\x80\xc9\x00\x01" + bytes(4), ("127.0.0.1", port + 1))
        phone.play(None, port, 100, 10)
        eve.setblocking(False)
        with pytest.raises(BlockingIOError):
            eve.recv(2048)
    assert agent.counters[-1].dropped_source == 20
    seen = assert_protected(capture, agent)
    assert seen.sent.total() == 10
    assert audio_port(ack)


def test_media_of_a_stranger_in_the_network(lab: Lab) -> None:
    """Packets that no key opens do not reach the softphone, and do not lead its media away from the peer."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    port, ack = connect(phone, peer, key)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as eve:
        eve.bind(("127.0.0.1", 0))
        for n in range(10):
            clear = b"\x80\x00" + n.to_bytes(2, "big") + bytes(8) + PAYLOAD[:160]
            eve.sendto(clear, ("127.0.0.1", audio_port(ack)))
            eve.sendto(Key.fresh().seal_rtp(clear), ("127.0.0.1", audio_port(ack)))
        peer.play(key, audio_port(ack), 500, 10)
        phone.play(None, port, 100, 10)
        eve.setblocking(False)
        with pytest.raises(BlockingIOError):
            eve.recv(2048)
    assert len(phone.heard()) == 10
    assert len(peer.heard()) == 10
    assert agent.counters[-1].dropped_unauthentic == 20


def test_replayed_packets(lab: Lab) -> None:
    """What was heard on the wire and is sent again, from anywhere, goes nowhere."""
    peer = lab.raw()
    agent = lab.start(NetworkAgent, suite=CM_128)
    capture = lab.capture(*agent.media_ports)
    phone = lab.start(RawPhone, agent, peer.uri)
    key = Key.fresh()
    _, ack = connect(phone, peer, key)
    place = ("127.0.0.1", audio_port(ack))
    peer.play(key, place[1], 500, 10)
    assert len(phone.heard()) == 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as eve:
        for d in capture.datagrams():
            if d.dst == place:
                eve.sendto(d.payload, place)
    peer.play(key, place[1], 510, 1)
    assert [int.from_bytes(p[2:4], "big") for p in phone.heard()] == [510]
