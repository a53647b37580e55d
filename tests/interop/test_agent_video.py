"""A call with audio and video: each stream under keys of its own. The video is another process's."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking

from .agent_kit import NetworkAgent, RawPhone, assert_protected, rtp_of
from .conftest import Lab
from .journal import until
from .peers import rtp_generator
from .peers.raw import RawUa, audio_port, status
from .process import Process
from .wire import judge

COUNT = 100
VIDEO = 6  # place of the video port in a raw user agent's block
SEND, RECEIVE = ims.Direction.SEND, ims.Direction.RECEIVE


def video_port(message: str) -> int:
    """The port of the video line."""
    found = re.search(r"m=video (\d+)", message)
    return int(found[1]) if found else 0


def sdp(phone: RawUa, *, refused: bool = False) -> str:
    """Audio, and video at the port of the generator."""
    port = 0 if refused else phone.block[VIDEO]
    return phone.sdp(None) + f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


class Generator:
    """See peers/rtp_generator.py."""

    def __init__(self, folder: Path, name: str, phone: RawUa, target: int, *, user: int | None = None) -> None:
        argv = [sys.executable, rtp_generator.__file__, str(phone.block[VIDEO]), str(target), "96", str(COUNT)]
        self.process = Process(f"{name}-video", [*argv, *([] if user is None else [str(user)])], folder)

    def result(self) -> dict[str, int]:
        """What it counted."""
        return dict(json.loads(self.process.wait_line(r"^\{")))

    def stop(self) -> None:
        """End it."""
        self.process.stop()


def call(
    lab: Lab, forking: SecureForking, *, refused: bool = False
) -> tuple[list[NetworkAgent], list[RawPhone], str, str]:
    """Two agents with raw softphones; the call is up. What the callee and the caller were shown."""
    agents = [lab.start(NetworkAgent, secure_forking=forking) for _ in range(2)]
    bob = lab.start(RawPhone, agents[1])
    agents[1].agent.core.contacts.add("bob", bob.uri)
    alice = lab.start(RawPhone, agents[0], agents[1].uri("bob"))
    return agents, [alice, bob], *establish(agents, alice, bob, refused)


def establish(agents: list[NetworkAgent], alice: RawPhone, bob: RawPhone, refused: bool) -> tuple[str, str]:
    """INVITE to ACK, whoever offers."""
    number = alice.request("INVITE", sdp(alice))
    invite = bob.receive("INVITE")
    bob.respond(invite, 200, sdp(bob, refused=refused))
    answer = alice.final("INVITE")
    assert status(answer) == 200
    alice.request("ACK", cseq=number)
    ack = bob.receive("ACK")
    for agent in agents:
        agent.witness.wait_confirmed()
    return invite if audio_port(invite) else ack, answer


@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_audio_and_video(lab: Lab, forking: SecureForking) -> None:
    """Both arrive, the video across a wrap of its sequence number; no key opens the other stream."""
    agents, (alice, bob), shown, answer = call(lab, forking)
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    films = [
        lab.start(Generator, lab.folder, "alice", alice, video_port(answer)),
        lab.start(Generator, lab.folder, "bob", bob, video_port(shown)),
    ]
    alice.play(None, audio_port(answer), 100, 40)
    bob.play(None, audio_port(shown), 100, 40)
    for film in films:
        counted = film.result()
        assert counted["right"] == counted["received"] >= COUNT - 10, counted
    heard = len(alice.heard()), len(bob.heard())
    assert heard == (40, 40)
    alice.request("BYE")
    bob.respond(bob.receive("BYE"), 200)
    for agent in agents:
        agent.wait_ended()
        seen = assert_protected(capture, agent)
        by_stream = {index: sum(n for name, n in seen.sent.items() if f"-{index}-" in name) for index in (0, 1)}
        assert by_stream == {0: 40, 1: COUNT}
        salts = [key.key_salt for index in (0, 1) for way in (SEND, RECEIVE) for key in agent.keys(way, index).values()]
        assert len(set(salts)) == len(salts) >= 4
        audio = agent.keys(SEND, 0)
        video = [d for d in rtp_of(capture, agent.media_ports) if d.payload[1] & 0x7F == 96]
        assert len(video) == COUNT
        assert not any(judge(d.payload, audio).opened_by for d in video)
        status_now = next(s for s in reversed(agent.witness.statuses) if len(s.streams) == 2)
        assert [stream.media_type for stream in status_now.streams] == ["audio", "video"]
        assert any(s.protected for s in agent.witness.statuses)


@pytest.mark.parametrize("forking", SecureForking, ids=lambda f: f.value)
def test_video_refused(lab: Lab, forking: SecureForking) -> None:
    """The callee takes the audio only: that is protected, and what the caller's camera sends goes nowhere."""
    agents, (alice, bob), shown, answer = call(lab, forking, refused=True)
    assert video_port(answer) == 0
    capture = lab.capture(*agents[0].media_ports, *agents[1].media_ports)
    alice.play(None, audio_port(answer), 100, 20)
    bob.play(None, audio_port(shown), 100, 20)
    until(lambda: capture.datagrams(agents[0].media_ports), 2, "packets")
    assert (len(alice.heard()), len(bob.heard())) == (20, 20)
    for agent in agents:
        seen = assert_protected(capture, agent)
        assert seen.sent.total() == 20
        assert not agent.keys(SEND, 1)
