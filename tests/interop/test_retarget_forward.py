"""The call reaches somebody else than was dialled: 302, forwarding on no answer, a mailbox (B9, 4.x.1).

Kamailio forwards, real phones answer. Whoever was called first and did not take the call has nothing that opens a
packet; the status names who did take it, and how that is known.
"""

from __future__ import annotations

import re

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking

from .conftest import Lab
from .forked import Guarded, Proxy, Terminal, guarded, keys_in, keys_seen, look, media_capture, sent_from, sip_of
from .peers.raw import RawUa, header
from .tones import hear

PACKETS = 75
ASSERTED = "sip:carol@ims.test"
MODES = [SecureForking.OFFERLESS, SecureForking.REKEY]


class Scene:
    """alice calls bob, and carol (or a mailbox) takes the call. With REKEY carol has an agent, else a stock baresip."""

    def __init__(self, lab: Lab, mode: SecureForking, *, user: str = "carol", trust: bool = True) -> None:
        self.lab = lab
        self.proxy = Proxy(lab)
        self.port = self.proxy.port
        self.mode = mode
        self.alice = guarded(
            lab, "alice", self.port, agent={"secure_forking": mode, "trust_asserted_identity": trust}, tone=440
        )
        self.carol: Terminal
        if mode is SecureForking.REKEY:
            self.carol = guarded(lab, user, self.port, registrar=self.port, tone=1040)
            sip_port = self.carol.agent.agent.network_port
        else:
            self.carol = lab.baresip(user, tone=1040, registrar=self.port)
            sip_port = self.carol.sip_port
        self.target = f"sip:{user}@127.0.0.1:{self.port}"
        self.sip_port = sip_port
        self.proxy.order(assert_answer={str(sip_port): ASSERTED})
        self.capture = media_capture(lab, self.alice, self.carol)

    @property
    def bob(self) -> str:
        """What alice dials."""
        return f"sip:bob@127.0.0.1:{self.port}"

    def talk(self) -> ims.SecurityStatus:
        """Until both have spoken; the status then."""
        status = self.alice.agent.witness.wait_confirmed()
        self.capture.wait_packets(PACKETS, self.alice.media_ports, self.carol.media_ports)
        return status

    def end(self, *others: str) -> None:
        """Hang up; check who heard what, and that SIP seen by others opens nothing."""
        self.alice.phone.hangup()
        if isinstance(self.carol, Guarded):
            self.carol.phone.wait_state("DISCONNECTED")
            self.carol.phone.stop()
        else:
            self.carol.wait_event("CALL_CLOSED")
        self.alice.phone.stop()
        file = self.carol.phone.recording() if isinstance(self.carol, Guarded) else self.carol.recording()
        assert hear(file, (440, 1040)).dominant == 440
        assert hear(self.alice.phone.recording(), (440, 1040)).dominant == 1040
        datagrams = self.capture.datagrams()
        before = {name: key for text in others for name, key in keys_in(text).items()}
        assert bool(before) == (self.mode is SecureForking.REKEY)
        assert not look(datagrams, before).opened
        now = keys_seen(self.carol)
        found = look(sent_from(datagrams, self.alice.media_ports), now)
        assert len(found.opened) >= PACKETS // 2
        assert not found.opaque


def redirecting(lab: Lab, scene: Scene) -> RawUa:
    """A registered first phone of bob's, without any intelligence."""
    phone = lab.raw(scene.bob)
    phone.request("REGISTER", headers="Expires: 60\r\n")
    assert phone.final("REGISTER").startswith("SIP/2.0 200")
    return phone


def redirect(phone: RawUa, invite: str, to: str, proxy: int) -> None:
    """Answer 302."""
    kept = [line for line in invite.split("\r\n") if re.match(r"(?i)(via|from|call-id|cseq|record-route)[ \t]*:", line)]
    phone.remote_target = f"sip:proxy@127.0.0.1:{proxy}"
    phone.send(
        "\r\n".join(
            [
                "SIP/2.0 302 Moved Temporarily",
                *kept,
                f"To: {header(invite, 'To')};tag=moved",
                f"Contact: <{to}>",
                "Content-Length: 0\r\n\r\n",
            ]
        )
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("follows", ["softphone", "proxy"])
def test_moved(lab: Lab, mode: SecureForking, follows: str) -> None:
    """302: the softphone, or the proxy, goes on to carol."""
    scene = Scene(lab, mode)
    first = redirecting(lab, scene)
    if follows == "proxy":
        said = f"History-Info: <sip:bob@ims.test>;index=1, <{ASSERTED}>;index=1.1;mp=1\r\n"
        scene.proxy.order(
            forward={"bob": {"to": "", "follow_302": True, "notify": True}}, history={str(scene.sip_port): said}
        )
    scene.alice.phone.call(scene.bob)
    invite = first.receive("INVITE")
    redirect(first, invite, scene.target, scene.port)
    status = scene.talk()
    assert status.protected
    assert status.terminating_entity == ims.Identity(uri=ASSERTED, source=ims.IdentitySource.NETWORK_ASSERTED)
    if follows == "softphone":
        assert status.retargeted_to == (scene.target,)
    else:
        assert status.retargeted_to[-1] == ASSERTED
    assert [w.code for w in status.warnings] == ["retargeted"]
    scene.end(invite)
    assert set(keys_in(invite)).isdisjoint(keys_in(sip_of(scene.carol)) if follows == "softphone" else ())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("user", "trust"),
    [("carol", True), ("carol", False), ("mailbox", True)],
    ids=["carol", "carol untrusted", "mailbox"],
)
def test_forwarded_on_no_answer(lab: Lab, mode: SecureForking, user: str, trust: bool) -> None:
    """bob does not answer: Kamailio says 181 and where to, and forwards, to carol or to a mailbox that records."""
    scene = Scene(lab, mode, user=user, trust=trust)
    bob = lab.baresip("bob", registrar=scene.port, answer="manual")
    said = f"History-Info: <sip:bob@ims.test>;index=1, <{scene.target}>;index=1.1;mp=1\r\n"
    scene.proxy.order(
        forward={"bob": {"to": scene.target, "on": "408", "wait": 1500, "notify": True}},
        history={str(scene.sip_port): said},
    )
    scene.alice.phone.call(scene.bob)
    bob.wait_event("CALL_INCOMING")
    status = scene.talk()
    bob.wait_event("CALL_CLOSED")
    assert status.protected
    assert status.retargeted_to == (scene.target,)
    if trust:
        assert status.terminating_entity == ims.Identity(uri=ASSERTED, source=ims.IdentitySource.NETWORK_ASSERTED)
    else:
        assert status.terminating_entity == ims.Identity(uri=scene.target, source=ims.IdentitySource.CLAIMED)
        assert "identity-unverified" in [w.code for w in status.warnings]
    scene.end(sip_of(bob))


def test_callee_knows_who_calls_before_answering(lab: Lab) -> None:
    """While it rings the status names the caller and how that is known; with and without an offer in the INVITE."""
    proxy = Proxy(lab)
    proxy.order(**{"assert": {"alice": "sip:alice@ims.test"}})
    carol = guarded(
        lab, "carol", proxy.port, agent={"trust_asserted_identity": True}, registrar=proxy.port, auto=(180,), tone=880
    )
    for number, mode in enumerate(MODES):
        alice = guarded(lab, "alice", proxy.port, name=f"alice{number}", agent={"secure_forking": mode})
        seen = len(carol.agent.witness.events)
        since = carol.phone.now
        alice.phone.call(f"sip:carol@127.0.0.1:{proxy.port}")
        carol.phone.wait_event("incoming", since=since)
        carol.agent.witness.wait(lambda w, seen=seen: _names(w.events[seen:], "sip:alice@ims.test"))
        alice.phone.wait_state("EARLY")
        alice.phone.hangup()
        carol.phone.wait_state("DISCONNECTED", number)


def _names(events: list[ims.Event], uri: str) -> bool:
    wanted = ims.Identity(uri=uri, source=ims.IdentitySource.NETWORK_ASSERTED)
    return any(isinstance(e, ims.SecurityChanged) and e.status.terminating_entity == wanted for e in events)
