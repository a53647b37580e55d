"""A peer, or a SIP node on the path, that says anything at any time: nothing leads media round the agent, nobody takes
over a call, and no call stays for ever."""

from __future__ import annotations

import time

import pytest

import imsmediasec as ims
from imsmediasec import suites
from imsmediasec.agent.sip_dialog import Face

from .agent_kit import NetworkAgent, RawPhone, connect
from .conftest import Lab
from .peers.raw import RawUa, audio_port, header, status
from .wire import Key

CM_128 = suites.AES_CM_128_HMAC_SHA1_80
EVIL = "v=0\r\no=- 1 1 IN IP4 192.0.2.66\r\ns=-\r\nc=IN IP4 192.0.2.66\r\nt=0 0\r\nm=audio 6666 RTP/AVP 0\r\n"
"""An SDP that a softphone must never see."""
TYPES = ["Content-Type: text/plain\r\n", "Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n", ""]


class OddUa(RawUa):
    """Sends bodies of any type."""

    kind = ""

    def _rest(self, body: str) -> str:
        rest = super()._rest(body)
        return rest if body != EVIL else rest.replace("Content-Type: application/sdp\r\n", self.kind)


class Setup:
    """A raw softphone behind an agent, and a raw peer."""

    def __init__(self, lab: Lab, **options: object) -> None:
        self.peer = lab.start(OddUa)
        self.agent = lab.start(NetworkAgent, suite=CM_128, **options)
        self.phone = lab.start(RawPhone, self.agent, self.peer.uri)
        self.key = Key.fresh()

    def connect(self) -> None:
        connect(self.phone, self.peer, self.key)

    def called(self, body: str) -> None:
        """The peer calls the softphone."""
        self.agent.agent.core.contacts.add("raw", self.phone.uri)
        self.peer.remote_target = f"sip:raw@{self.agent.network}"
        self.peer.remote = f"<{self.peer.remote_target}>"
        self.peer.request("INVITE", body)

    def assert_nothing_seen(self) -> None:
        """No message to the softphone names the peer's address of its choice."""
        assert not [m for m in self.agent.sip(Face.PHONE, incoming=False) if "192.0.2.66" in m]

    def wait_no_calls(self) -> None:
        deadline = time.monotonic() + 5
        while self.agent.agent.core.calls and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not self.agent.agent.core.calls
        assert not self.agent.agent.core.dialogs


@pytest.fixture
def setup(lab: Lab) -> Setup:
    return Setup(lab)


@pytest.mark.parametrize("kind", TYPES)
def test_invite_with_sdp_of_another_type(setup: Setup, kind: str) -> None:
    """Some softphones read any body as SDP; they would send speech in clear where it says."""
    setup.peer.kind = kind
    setup.called(EVIL)
    assert status(setup.peer.final("INVITE")) == 415
    setup.assert_nothing_seen()
    setup.wait_no_calls()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("code", [183, 200])
def test_answer_with_sdp_of_another_type(setup: Setup, kind: str, code: int) -> None:
    setup.peer.kind = kind
    setup.phone.request("INVITE", setup.phone.sdp(None))
    invite = setup.peer.receive("INVITE")
    setup.peer.respond(invite, code, EVIL)
    if code == 200:
        assert status(setup.phone.final("INVITE")) in (415, 488)
        setup.peer.receive("ACK")
        setup.peer.receive("BYE")
        setup.wait_no_calls()
    else:
        setup.phone.receive("SIP/2.0 183")
    setup.assert_nothing_seen()


def test_sdp_behind_the_end_of_the_body(setup: Setup) -> None:
    """Octets beyond Content-Length."""
    setup.connect()
    setup.peer.request("INFO", headers="X: y\r\n")
    setup.phone.receive("INFO")
    via = f"SIP/2.0/UDP 127.0.0.1:{setup.peer.sip_port};branch=z9hG4bKx"
    text = f"INFO {setup.peer.remote_target} SIP/2.0\r\nVia: {via}\r\n"
    text += f"From: {setup.peer.local}\r\nTo: {setup.peer.remote}\r\nCall-ID: {setup.peer.call_id}\r\nCSeq: 77 INFO\r\n"
    setup.peer.send(f"{text}Content-Length: 0\r\n\r\n{EVIL}")
    setup.phone.receive("INFO")
    setup.assert_nothing_seen()


@pytest.mark.parametrize("method", ["UPDATE", "PRACK"])
def test_an_answer_that_nobody_asked_for(setup: Setup, method: str) -> None:
    """SDP in the response to a request without one: some softphones take it for an offer."""
    setup.connect()
    setup.peer.kind = "Content-Type: application/sdp\r\n"
    setup.phone.request(method, headers="RAck: 1 1 INVITE\r\n" if method == "PRACK" else "")
    setup.peer.respond(setup.peer.receive(method), 200, EVIL)
    assert "m=audio" not in setup.phone.final(method)
    setup.assert_nothing_seen()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_call_within_a_subscription(setup: Setup, method: str) -> None:
    """Nobody looks after media there, so none is set up, from either side."""
    setup.agent.agent.core.contacts.add("raw", setup.phone.uri)
    setup.peer.remote_target = f"sip:raw@{setup.agent.network}"
    setup.peer.remote = f"<{setup.peer.remote_target}>"
    setup.peer.request("NOTIFY", headers="Event: message-summary\r\nSubscription-State: active\r\n")
    notify = setup.phone.receive("NOTIFY")
    setup.phone.respond(notify, 200)
    setup.peer.final("NOTIFY")
    setup.peer.request(method, EVIL)
    assert status(setup.peer.final(method)) == 488
    setup.phone.remote, setup.phone.local = (
        header(notify, "From"),
        f"{header(notify, 'To')};{setup.phone.local.split(';')[1]}",
    )
    setup.phone.call_id = setup.peer.call_id
    setup.phone.request(method, setup.phone.sdp(None))
    assert status(setup.phone.final(method)) == 488
    assert not [m for m in setup.agent.sip(Face.NETWORK, incoming=False) if "m=audio" in m]
    setup.assert_nothing_seen()


def test_subscriptions_leave_room_for_calls(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of requests that make a dialog: the oldest of these are forgotten."""
    monkeypatch.setattr("imsmediasec.agent.b2bua.MAX_LOOSE_DIALOGS", 2)
    setup.agent.agent.core.contacts.add("raw", setup.phone.uri)
    for n in range(4):
        setup.peer.remote_target = f"sip:raw@{setup.agent.network}"
        setup.peer.remote, setup.peer.call_id = f"<{setup.peer.remote_target}>", f"call-{n}"
        setup.peer.request("NOTIFY", headers="Event: message-summary\r\n")
        setup.phone.respond(setup.phone.receive("NOTIFY"), 200)
        setup.peer.final("NOTIFY")
    assert [key[0] for key in setup.agent.agent.core.dialogs] == ["call-2", "call-3"]


def test_the_called_side_in_the_callers_name(setup: Setup) -> None:
    """After a 3xx the call waits for the softphone's next INVITE. Who was called knows all that names the call, and
    could have the agent call anybody on its behalf."""
    setup.phone.request("INVITE", setup.phone.sdp(None))
    invite = setup.peer.receive("INVITE")
    setup.peer.respond(invite, 302)
    assert status(setup.phone.final("INVITE")) == 302
    before = len(setup.agent.sip(Face.NETWORK, "INVITE", incoming=False))
    eve = setup.peer
    eve.local, eve.call_id = header(invite, "From"), header(invite, "Call-ID")
    eve.remote_target, eve.remote = f"sip:premium@{setup.agent.network}", "<sip:premium@192.0.2.66>"
    eve.request("INVITE", eve.sdp(None))
    assert status(eve.final("INVITE")) == 482
    assert len(setup.agent.sip(Face.NETWORK, "INVITE", incoming=False)) == before


def test_a_bye_whose_response_cannot_be_read(setup: Setup) -> None:
    """The call is over all the same."""
    setup.connect()
    setup.phone.request("BYE")
    setup.peer.respond(setup.peer.receive("BYE"), 200, headers="Contact: <<<\r\n")
    assert status(setup.phone.final("BYE")) == 502
    setup.wait_no_calls()


@pytest.mark.parametrize(
    "bad", ["Contact: <<<\r\n", "Record-Route: <<<\r\n", "Contact: " + "<sip:a@b>," * 60 + "<sip:b>\r\n"]
)
def test_an_answer_that_cannot_be_read(setup: Setup, bad: str) -> None:
    """The softphone hears of it, and nothing is left of the call."""
    setup.phone.request("INVITE", setup.phone.sdp(None))
    setup.peer.respond(setup.peer.receive("INVITE"), 200, setup.peer.sdp(setup.key), headers=bad)
    assert status(setup.phone.final("INVITE")) >= 400
    setup.wait_no_calls()


def test_a_dialog_that_leads_nowhere(setup: Setup) -> None:
    """A Contact that nothing can be sent to, in a 2xx whose SDP is bad as well."""
    setup.phone.request("INVITE", setup.phone.sdp(None))
    setup.peer.uri = "tel:+1"
    setup.peer.respond(setup.peer.receive("INVITE"), 200, setup.peer.sdp(None))
    assert status(setup.phone.final("INVITE")) >= 400
    setup.wait_no_calls()


def test_a_caller_that_nothing_can_be_sent_to(setup: Setup) -> None:
    """Its call can be ended by the agent all the same; the softphone is told."""
    setup.peer.uri = "tel:+1"
    setup.called(setup.peer.sdp(setup.key))
    invite = setup.phone.receive("INVITE")
    setup.phone.respond(invite, 200, setup.phone.sdp(None))
    setup.peer.final("INVITE")
    setup.peer.remote_target = f"sip:raw@{setup.agent.network}"
    setup.peer.request("ACK", cseq=1)
    setup.phone.receive("ACK")
    call = setup.agent.witness.calls[-1]
    setup.agent.agent.core.loop.call_soon_threadsafe(call.hang_up)
    setup.phone.receive("BYE")
    setup.wait_no_calls()


def test_sdp_where_none_belongs(setup: Setup) -> None:
    """In an INFO it is no offer: the next re-INVITE still works."""
    setup.connect()
    setup.peer.request("INFO", setup.peer.sdp(setup.key))
    setup.phone.respond(setup.phone.receive("INFO"), 200)
    assert status(setup.peer.final("INFO")) == 200
    setup.peer.request("INVITE", setup.peer.sdp(Key.fresh(), "sendonly"))
    setup.phone.respond(setup.phone.receive("INVITE"), 200, setup.phone.sdp(None))
    assert status(setup.peer.final("INVITE")) == 200


@pytest.mark.parametrize("called", [False, True])
def test_nobody_answers(setup: Setup, monkeypatch: pytest.MonkeyPatch, called: bool) -> None:
    """Both ends may be gone while it rings: the INVITE is cancelled, however often 180 came before."""
    monkeypatch.setattr("imsmediasec.agent.inviting.RING_PATIENCE", 0.4)
    ends: tuple[RawUa, RawUa] = (setup.phone, setup.peer) if called else (setup.peer, setup.phone)
    callee, caller = ends
    if called:
        setup.called(setup.peer.sdp(setup.key))
    else:
        setup.phone.request("INVITE", setup.phone.sdp(None))
    invite = callee.receive("INVITE")
    for _ in range(3):
        callee.respond(invite, 180)
        time.sleep(0.2)
    callee.respond(callee.receive("CANCEL"), 200)
    callee.respond(invite, 487)
    assert status(caller.final("INVITE")) == 487
    setup.wait_no_calls()


def test_a_bye_that_is_challenged(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """The softphone sends it again with credentials, and the far end is to get it; if it does not, the call is over
    all the same."""
    monkeypatch.setattr("imsmediasec.agent.exchanging.BYE_PATIENCE", 1.0)
    setup.connect()
    for code in (407, 200):
        setup.phone.request("BYE")
        setup.peer.respond(setup.peer.receive("BYE"), code)
        assert status(setup.phone.final("BYE")) == code
    setup.wait_no_calls()


def test_a_challenged_bye_that_does_not_come_again(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imsmediasec.agent.exchanging.BYE_PATIENCE", 0.2)
    setup.connect()
    setup.phone.request("BYE")
    setup.peer.respond(setup.peer.receive("BYE"), 407)
    assert status(setup.phone.final("BYE")) == 407
    setup.wait_no_calls()


def test_many_forks(setup: Setup) -> None:
    """Each dialog costs keys and a try at each packet: there are 50 at most."""
    setup.phone.request("INVITE", setup.phone.sdp(None))
    invite = setup.peer.receive("INVITE")
    for n in range(60):
        setup.peer.respond(invite, 180, tag=f"fork{n}")
        if n < 50:
            setup.phone.receive("SIP/2.0 180")
    with pytest.raises(TimeoutError):
        setup.phone.receive("SIP/2.0 180", 0.5)
    assert len(setup.agent.agent.core.dialogs) == 50


@pytest.mark.parametrize(
    "line", ["m=message 6666 TCP/MSRP *", "m=video 6666 TCP/RTP/AVP 31", "m=video 6666 rtp/avp 31"]
)
def test_refused_streams_are_out_of_use_for_the_softphone(setup: Setup, line: str) -> None:
    """It would set them up with the peer itself."""
    setup.called(setup.peer.sdp(setup.key) + f"{line}\r\nc=IN IP4 192.0.2.66\r\n")
    invite = setup.phone.receive("INVITE")
    assert audio_port(invite)
    assert " 6666 " not in invite
    assert "rtp/avp" in line or " 0 " in invite.split("\r\nm=")[2]


def test_two_address_lines(setup: Setup) -> None:
    """Some softphones go by the last, and some take a lone CR for a line end."""
    setup.called(setup.peer.sdp(setup.key) + "c=IN IP4 127.0.0.1\r\nc=IN IP4 192.0.2.66\r\n")
    setup.phone.respond(setup.phone.receive("INVITE"), 200, setup.phone.sdp(None))
    assert status(setup.peer.final("INVITE")) == 200
    setup.assert_nothing_seen()


def test_a_lone_cr(setup: Setup) -> None:
    setup.called(setup.peer.sdp(setup.key) + "a=x\rc=IN IP4 192.0.2.66\r\n")
    assert status(setup.peer.final("INVITE")) == 400
    setup.assert_nothing_seen()


def test_ack_that_comes_twice(lab: Lab) -> None:
    """With the answer to our offer in it: the second is no new offer."""
    setup = Setup(lab)
    setup.called("")
    setup.phone.respond(setup.phone.receive("INVITE"), 200, setup.phone.sdp(None))
    setup.peer.final("INVITE")
    for _ in range(2):
        setup.peer.request("ACK", setup.peer.sdp(setup.key), cseq=1)
        setup.phone.receive("ACK")
    assert not [e for e in setup.agent.witness.events if isinstance(e, ims.NegotiationFailed)]
    setup.peer.request("INVITE", setup.peer.sdp(setup.key, "sendonly"))
    setup.phone.respond(setup.phone.receive("INVITE"), 200, setup.phone.sdp(None))
    assert status(setup.peer.final("INVITE")) == 200
