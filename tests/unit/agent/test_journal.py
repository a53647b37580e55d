"""agent/journal.py: what is kept of a call, what not, and for how long."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.agent import journal as module
from imsmediasec.agent.journal import CallJournal, JournalObserver, shown
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def request(method: str = "INVITE", *, call_id: str = "c", to: str = "<sip:bob@x>", body: bytes = b"") -> SipMessage:
    headers = [("From", "<sip:alice@x>;tag=a"), ("To", to), ("Call-ID", call_id), ("CSeq", f"1 {method}")]
    return SipMessage.request(method, "sip:bob@x", headers, body)


def response(status: int = 200, reason: str | None = None, *, tag: str = "b", method: str = "INVITE") -> SipMessage:
    return SipMessage.response_to(request(method), status, reason, to_tag=tag)


def call(side: ims.Side = ims.Side.UAC, call_id: str = "c", tag: str = "a") -> Any:
    """What the journal reads of a `Call`."""
    return SimpleNamespace(
        key=(call_id, tag),
        side=side,
        remote_target="sip:bob@x\x1b[2J",
        negotiation=SimpleNamespace(local_identity="sip:alice@x"),
    )


def status(**options: Any) -> ims.SecurityStatus:
    stream = ims.StreamStatus(
        index=0,
        mid=None,
        media_type="audio",
        send_protected=True,
        receive_protected=True,
        may_send=True,
        scope=ims.Scope.END_TO_END,
        key_management=ims.KeyManagement.SDES,
        suite=ims.suite_by_name("AEAD_AES_256_GCM"),
        key_holders=(),
    )
    values: dict[str, Any] = {
        "dialog": None,
        "streams": (stream,),
        "terminating_entity": ims.Identity(uri="sip:bob@x", source=ims.IdentitySource.CLAIMED),
        "fork_state": ims.ForkState.CONFIRMED,
        "warnings": (),
    }
    return ims.SecurityStatus(**(values | options))


class Watch:
    """An observer with a clock that the test turns, and what it handed over."""

    def __init__(self) -> None:
        self.now = 100.0
        self.changed: list[CallJournal] = []
        self.ended: list[CallJournal] = []
        self.observer = JournalObserver(self.changed.append, self.ended.append, lambda: self.now)

    def started(self, side: ims.Side = ims.Side.UAC, message: SipMessage | None = None) -> CallJournal:
        face = Face.PHONE if side is ims.Side.UAC else Face.NETWORK
        self.observer.sip(face, incoming=True, message=message or request())
        self.now += 0.25
        self.observer.call_started(call(side))
        return self.observer.running["c", "a"]

    def event(self, event: ims.Event) -> None:
        self.observer.event(call(), event)


def test_a_call_from_its_invite_to_its_end() -> None:
    watch = Watch()
    journal = watch.started(message=request(body=SDP))
    assert (journal.call_id, journal.local, journal.outgoing) == ("c", "sip:alice@x", True)
    assert journal.remote == "sip:bob@x\N{REPLACEMENT CHARACTER}[2J"
    assert journal.started == 100.0, "the INVITE was seen before the call was made of it"
    watch.observer.sip(Face.NETWORK, incoming=True, message=response(180, "Rin\x1bging"))
    watch.observer.sip(Face.NETWORK, incoming=True, message=response(200))
    assert [(m.name, m.with_sdp, m.far_tag) for m in journal.messages] == [
        ("INVITE", True, ""),
        ("180 Rin\N{REPLACEMENT CHARACTER}ging", False, "b"),
        ("200 OK", False, "b"),
    ]
    assert len(watch.changed) == 3 and watch.changed[-1] is journal
    watch.now += 1
    watch.observer.call_ended(call())
    assert watch.ended == [journal] and journal.ended == 1.25
    assert len(watch.changed) == 3, "the end is told once"
    assert watch.observer.running == {}
    watch.observer.call_ended(call())
    watch.event(ims.RekeyRequired(dialog="b"))
    assert watch.ended == [journal]


def test_calls_without_an_invite_seen() -> None:
    watch = Watch()
    watch.observer.sip(Face.PHONE, incoming=True, message=request(call_id="other"))
    watch.observer.call_started(call())
    assert watch.observer.running["c", "a"].messages == []


@pytest.mark.parametrize(
    ("face", "incoming", "message"),
    [
        (Face.PHONE, True, request("REGISTER")),
        (Face.NETWORK, True, request("OPTIONS")),
        (Face.NETWORK, True, response(200)),
        (Face.NETWORK, False, request()),
    ],
)
def test_what_belongs_to_no_call_leaves_nothing(face: Face, incoming: bool, message: SipMessage) -> None:
    watch = Watch()
    watch.observer.sip(face, incoming=incoming, message=message)
    watch.observer.call_started(call())
    assert watch.observer.running["c", "a"].messages == []


def test_refused_invites_leave_nothing() -> None:
    """A flood of INVITEs of which no call is made takes no memory."""
    watch = Watch()
    for number in range(100):
        watch.observer.sip(Face.NETWORK, incoming=True, message=request(call_id=f"c{number}"))
    assert watch.observer.running == {}
    assert watch.changed == []


@pytest.mark.parametrize(
    ("face", "incoming", "message", "tag"),
    [
        # Alice, tag a, stands for the sender of the request; b for the other side.
        (Face.PHONE, True, request(to="<sip:bob@x>;tag=b"), "b"),
        (Face.NETWORK, False, request(to="<sip:bob@x>;tag=b"), "b"),
        (Face.NETWORK, True, response(), "b"),
        (Face.PHONE, False, response(), "b"),
        (Face.NETWORK, True, request("BYE", to="<sip:bob@x>;tag=b"), "a"),
        (Face.PHONE, False, request("BYE", to="<sip:bob@x>;tag=b"), "a"),
        (Face.PHONE, True, response(method="BYE"), "a"),
        (Face.NETWORK, False, response(method="BYE"), "a"),
        (Face.NETWORK, False, request(to="<<<"), ""),
    ],
)
def test_the_far_ends_tag(face: Face, incoming: bool, message: SipMessage, tag: str) -> None:
    """Whoever sends the request, and on whichever face."""
    watch = Watch()
    journal = watch.started()
    watch.observer.sip(face, incoming=incoming, message=message)
    assert journal.messages[-1].far_tag == tag


def test_a_broken_body_is_no_sdp() -> None:
    watch = Watch()
    journal = watch.started()
    headers = [("From", "<sip:a>;tag=a"), ("To", "<sip:b>"), ("Call-ID", "c"), ("CSeq", "1 INVITE")]
    broken = SipMessage.request("INVITE", "sip:b", headers, b"--x", "multipart/mixed")
    watch.observer.sip(Face.PHONE, incoming=True, message=broken)
    assert not journal.messages[-1].with_sdp


def test_statuses_and_what_became_of_dialogs() -> None:
    watch = Watch()
    journal = watch.started()
    assert journal.status is None
    watch.event(ims.SecurityChanged(dialog=None, status=status(fork_state=ims.ForkState.EXPOSED)))
    watch.event(ims.SecurityChanged(dialog="b", status=status(dialog="b")))
    watch.event(ims.SecurityChanged(dialog="b", status=status(streams=())))
    assert journal.status == status(dialog="b"), "the newest that speaks of media"
    for tag, how in (("c", ims.DialogExit.FORGET), ("d", ims.DialogExit.BYE), ("e", ims.DialogExit.ACK_BYE)):
        watch.event(ims.DialogRetired(dialog=tag, how=how))
    watch.event(ims.DialogRetired(dialog=None, how=ims.DialogExit.FORGET))
    assert journal.dialogs == {
        "b": "took the call",
        "c": "did not take the call; its keys are gone",
        "d": "was ended",
        "e": "answered too late or badly; acknowledged and ended",
    }


def test_notes() -> None:
    watch = Watch()
    journal = watch.started()
    watch.event(ims.RekeyRequired(dialog="b", early=True))
    watch.event(ims.RekeyRequired(dialog="b"))
    watch.event(ims.PeerQuirk(dialog="b", index=0, quirk=ims.Quirk.UNPADDED_BASE64, detail="x\ny"))
    watch.event(ims.NegotiationFailed(dialog="b", error=ims.PeerMisbehaved("lied", clause="RFC 0")))
    watch.event(ims.SecurityChanged(dialog="b", status=status(), lost_protection=True))
    watch.event(ims.MediaRemoved(dialog="b", index=0))
    assert [(note.text, note.serious) for note in journal.notes] == [
        ("a fresh key is due, in the early dialog", False),
        ("a fresh key is due, behind the ACK", False),
        ("tolerated: unpadded-base64 (x\N{REPLACEMENT CHARACTER}y)", False),
        ("lied (RFC 0)", True),
        ("protection was taken off media that had it", True),
    ]
    assert journal.lost_protection


def test_endless_calls_are_cut_but_never_the_newest_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    watch = Watch()
    journal = watch.started()
    for number in range(6):
        watch.observer.sip(Face.NETWORK, incoming=True, message=response(180))
        watch.event(ims.RekeyRequired(dialog="b"))
        watch.event(ims.SecurityChanged(dialog="b", status=status(retargeted_to=(str(number),))))
    assert len(journal.messages) == len(journal.notes) == len(journal.statuses) == 3
    assert journal.left_out == 4 + 3 + 3
    assert journal.status == status(retargeted_to=("5",))
    watch.event(ims.SecurityChanged(dialog="b", status=status(), lost_protection=True))
    assert journal.lost_protection, "told even when no note fits"


def test_no_key_is_kept() -> None:
    watch = Watch()
    line = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n"
    journal = watch.started(message=request(body=SDP + line))
    assert "c2VjcmV0" not in repr(dataclasses.asdict(journal))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("sip:bob@x", "sip:bob@x"),
        ("Jürgen\N{SNOWMAN}", "Jürgen\N{SNOWMAN}"),
        ("a\r\nb\x1b\x9b\x00", "a??b???"),
        ("a\N{RIGHT-TO-LEFT OVERRIDE}b\N{ZERO WIDTH SPACE}\ud800", "a?b??"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "…"),
    ],
)
def test_what_is_shown(text: str, clean: str) -> None:
    assert shown(text) == clean.replace("?", "\N{REPLACEMENT CHARACTER}")


def test_another_call_with_the_same_call_id() -> None:
    """The called side knows the Call-ID. A call of its own must not speak for the first one."""
    watch = Watch()
    first = watch.started()
    eve = SipMessage.request(
        "INVITE",
        "sip:alice@x",
        [("From", "<sip:eve@x>;tag=e"), ("To", "<sip:alice@x>"), ("Call-ID", "c"), ("CSeq", "1 INVITE")],
    )
    watch.observer.sip(Face.NETWORK, incoming=True, message=eve)
    watch.observer.call_started(call(ims.Side.UAS, tag="e"))
    watch.observer.event(call(tag="e"), ims.SecurityChanged(dialog=None, status=status(), lost_protection=False))
    second = watch.observer.running["c", "e"]
    assert (first.statuses, len(first.messages), len(second.messages)) == ([], 1, 1)
    watch.observer.sip(Face.NETWORK, incoming=True, message=response())
    assert (len(first.messages), len(second.messages)) == (2, 1)
    watch.observer.call_ended(call(tag="e"))
    assert watch.ended == [second] and list(watch.observer.running.values()) == [first]
