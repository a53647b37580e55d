"""What comes too late or from nowhere: losers' media, 2xx of dialogs never seen, CANCEL that crosses a 2xx, stale BYE.

The far end is a raw user agent that plays several terminals, one a To tag; nothing it sends is by chance.
"""

from __future__ import annotations

import os
import re
import struct
from contextlib import suppress

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking
from imsmediasec.media.relay import Counters

from .conftest import Lab
from .forked import Guarded, Network, guarded, together
from .journal import until
from .peers.raw import audio_port, header, status
from .wire import Key, crypto_lines

MODES = list(SecureForking)


class Scene:
    """alice behind her agent calls the raw user agent, which answers as "winner" with a key of its own."""

    def __init__(self, lab: Lab, mode: SecureForking) -> None:
        self.mode = mode
        self._next = 5000
        self.raw = lab.raw()
        self.alice: Guarded = guarded(lab, "alice", self.raw.sip_port, agent={"secure_forking": mode})
        self.keys = {tag: Key.fresh() for tag in ("winner", "loser", "stranger")}
        self.alice.phone.call(self.raw.uri)
        self.invite = self.raw.receive("INVITE")
        assert bool(crypto_lines(self.invite)) == (mode is SecureForking.REKEY)
        for tag in ("loser", "winner"):
            self.raw.respond(self.invite, 180, tag=tag)
        self.alice.phone.wait_state("EARLY")

    def take(self, tag: str) -> None:
        """This terminal answers 200 and gets its ACK, and with REKEY a fresh key by re-INVITE."""
        self.raw.respond(self.invite, 200, self.answer(self.invite, tag), tag=tag)
        self.received("ACK", tag)
        if self.mode is SecureForking.REKEY:
            again = self.received("INVITE", tag)
            assert set(crypto_lines(again)).isdisjoint(crypto_lines(self.invite))
            self.raw.respond(again, 200, self.answer(again, tag))
            self.received("ACK", tag)
        self.alice.agent.witness.wait_confirmed()

    def answer(self, offer: str, tag: str) -> str:
        """This terminal's SDP: an answer to the suite of its key, or an offer if there is none to answer."""
        key = self.keys[tag]
        found = re.search(rf"a=crypto:(\d+) {key.suite_name} ", offer)
        return self.raw.sdp(key).replace("a=crypto:1 ", f"a=crypto:{found[1] if found else 1} ")

    def received(self, method: str, tag: str) -> str:
        """The next such request in this dialog."""
        request = self.raw.receive(method)
        assert header(request, "To").endswith(f"tag={tag}"), request
        return request

    def refused(self, tag: str) -> None:
        """This terminal gets an ACK without a key, and a BYE."""
        assert not crypto_lines(self.received("ACK", tag))
        self.raw.respond(self.received("BYE", tag), 200)

    @property
    def media_port(self) -> int:
        """Where alice's agent takes media from the network."""
        return next(audio_port(m) for m in self.raw.messages if audio_port(m))

    @property
    def counters(self) -> Counters:
        return self.alice.agent.witness.calls[0].media.counters[0]

    def check_alive(self) -> None:
        """The winner's packets arrive still, and the status says CONFIRMED."""
        before = self.counters.received_protected
        self.raw.play(self.keys["winner"], self.media_port, self._next, 10, ssrc=0x77)
        self._next += 10
        until(lambda: self.counters.received_protected >= before + 10, what="the winner's media")
        state = self.alice.agent.witness.statuses[-1]
        assert state.dialog == "winner"
        assert state.fork_state is ims.ForkState.CONFIRMED

    def hang_up(self) -> None:
        """alice ends the call."""
        self.alice.phone.hangup()
        self.raw.respond(self.received("BYE", "winner"), 200)
        self.alice.agent.witness.wait(lambda w: w.ended)


def wait_forgotten(terminal: Guarded) -> None:
    """Until the agent keeps nothing of any call."""
    core = terminal.agent.agent.core
    until(lambda: not core.calls and not core.dialogs, what="nothing left of the calls")


@pytest.mark.parametrize("mode", MODES)
def test_losers_media_is_dropped_and_counted(lab: Lab, mode: SecureForking) -> None:
    """Once the call is up, a loser's SRTP, and RTP and RTCP in clear, reach nobody, from the winner's address too."""
    scene = Scene(lab, mode)
    if mode is SecureForking.REKEY:
        scene.raw.respond(scene.invite, 183, scene.answer(scene.invite, "loser"), tag="loser")
    scene.take("winner")
    scene.check_alive()
    heard = scene.counters.received_protected
    dropped = scene.counters.dropped_unauthentic
    scene.raw.play(scene.keys["loser"], scene.media_port, 100, 20)
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, 0x99)
    clear = struct.pack("!BBHII", 0x80, 0, 1, 160, 0x99) + bytes(160)
    for packet in (goodbye, goodbye + os.urandom(24), clear):
        scene.raw.send_media(packet, scene.media_port + (packet is goodbye))
    until(lambda: scene.counters.dropped_unauthentic >= dropped + 23, what="23 packets counted as dropped")
    assert scene.counters.received_protected == heard
    scene.check_alive()
    scene.hang_up()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("late", ["loser", "stranger"])
def test_a_further_2xx(lab: Lab, mode: SecureForking, late: str) -> None:
    """A terminal that rang, or one never heard of, answers after the winner, twice: ACK, one BYE, and all goes on."""
    scene = Scene(lab, mode)
    scene.take("winner")
    answer = scene.answer(scene.invite, late)
    scene.raw.respond(scene.invite, 200, answer, tag=late)
    scene.refused(late)
    scene.raw.respond(scene.invite, 200, answer, tag=late)
    assert not crypto_lines(scene.received("ACK", late))
    scene.check_alive()
    scene.hang_up()
    byes = [m for m in scene.raw.messages if m.startswith("BYE")]
    assert len([m for m in byes if f"tag={late}" in header(m, "To")]) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_2xx_after_the_call(lab: Lab, mode: SecureForking) -> None:
    """A terminal never heard of answers when the call is over already: ACK and BYE, and nothing is left over."""
    scene = Scene(lab, mode)
    scene.take("winner")
    scene.hang_up()
    scene.raw.respond(scene.invite, 200, scene.answer(scene.invite, "stranger"), tag="stranger")
    scene.refused("stranger")
    wait_forgotten(scene.alice)


@pytest.mark.parametrize("mode", MODES)
def test_cancel_crosses_a_2xx(lab: Lab, mode: SecureForking) -> None:
    """alice gives up while the 200 is on its way: it is refused without a key, and alice's softphone gets its 487."""
    scene = Scene(lab, mode)
    scene.alice.phone.hangup()
    cancel = scene.raw.receive("CANCEL")
    scene.raw.respond(scene.invite, 200, scene.answer(scene.invite, "winner"), tag="winner")
    scene.raw.respond(cancel, 200)
    scene.refused("winner")
    scene.alice.phone.wait_state("DISCONNECTED")
    scene.alice.agent.witness.wait(lambda w: any(data.startswith(b"SIP/2.0 487") for _, _, data in w.messages))
    wait_forgotten(scene.alice)


@pytest.mark.parametrize("mode", MODES)
def test_bye_of_a_loser(lab: Lab, mode: SecureForking) -> None:
    """A BYE in a dialog that lost is answered 481 and ends nothing; one for no dialog at all too."""
    scene = Scene(lab, mode)
    scene.take("winner")
    winner = scene.raw.local
    for tag in ("loser", "nobody"):
        scene.raw.local = f"<{scene.raw.uri}>;tag={tag}"
        scene.raw.request("BYE")
        assert status(scene.raw.final("BYE")) == 481
    scene.raw.local = winner
    scene.check_alive()
    scene.hang_up()


def test_changed_answer(lab: Lab) -> None:
    """An unreliable 183 previews one key, the 200 brings another: the second holds."""
    scene = Scene(lab, SecureForking.REKEY)
    scene.raw.respond(scene.invite, 183, scene.answer(scene.invite, "stranger"), tag="winner")
    scene.take("winner")
    scene.check_alive()
    scene.hang_up()


def answer_if_it_rings(terminal: Guarded, number: int) -> None:
    """The softphone refuses if the CANCEL was faster."""
    with suppress(RuntimeError):
        terminal.phone.answer(call=number)


def test_caller_gives_up_as_somebody_answers(lab: Lab) -> None:
    """CANCEL and answer at the same moment, five times: whatever comes of it, all are idle afterwards."""
    network = Network(lab, ("bob1", "bob3"))
    caller, called = network.alice, network.bobs["bob3"]
    assert isinstance(called, Guarded)
    for number in range(5):
        ended = len(network.caller.ended)
        since = called.phone.now
        caller.phone.call(network.target)
        called.phone.wait_event("incoming", since=since)
        caller.phone.wait_state("EARLY", number)
        together(lambda n=number: caller.phone.hangup(n), lambda n=number: answer_if_it_rings(called, n))
        caller.phone.wait_state("DISCONNECTED", number)
        called.phone.wait_state("DISCONNECTED", number)
        network.caller.wait(lambda w, ended=ended: len(w.ended) > ended)
    wait_forgotten(caller)
    wait_forgotten(called)
