"""A call that is passed on, as the negotiation sees it: who is at the other end, and which policy holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.media import PylibsrtpBackend

PLAIN = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
BOB, CAROL = "sip:bob@ims.example", "sip:carol@ims.example"


def negotiation(side: ims.Side = ims.Side.UAC, **policy: object) -> ims.Negotiation:
    """One over protected signalling."""
    return ims.Negotiation(
        replace(ims.SecurityPolicy(), **policy),
        side=side,
        capabilities=PylibsrtpBackend().capabilities,
        local_identity="sip:alice@ims.example",
        remote_target=BOB,
        signalling=ims.Hop.PROTECTED,
    )


def asserted(uri: str) -> ims.PeerAssertions:
    """Somebody the network vouches for."""
    return ims.PeerAssertions(asserted=uri, trusted_hop=True)


def statuses(neg: ims.Negotiation) -> list[ims.SecurityStatus]:
    """What was reported since the last look."""
    found = []
    while (event := neg.next_event()) is not None:
        if isinstance(event, ims.SecurityChanged):
            found.append(event.status)
    return found


@pytest.mark.parametrize("side", list(ims.Side))
def test_peer_is_known_without_sdp(side: ims.Side) -> None:
    """A 180, or an INVITE without an offer, names the other end."""
    neg = negotiation(side)
    neg.receive_peer(dialog="d", peer=asserted(CAROL), now=0)
    (status,) = statuses(neg)
    assert status.terminating_entity == ims.Identity(uri=CAROL, source=ims.IdentitySource.NETWORK_ASSERTED)
    assert not status.protected


def test_peer_of_somebody_else_is_forgotten_when_passed_on() -> None:
    """bob's phone rang, then the call went on to carol: bob is not at the other end."""
    neg = negotiation()
    neg.receive_peer(dialog="d", peer=asserted(BOB), now=0)
    neg.retargeted(to=CAROL, cause=ims.Retarget.FORWARDED, now=1)
    status = statuses(neg)[-1]
    assert status.terminating_entity == ims.Identity(uri=CAROL, source=ims.IdentitySource.NONE)
    assert status.retargeted_to == (CAROL,)


@pytest.mark.parametrize("stricter", [False, True])
def test_answer_is_judged_by_the_policy_for_who_answers(stricter: bool) -> None:
    """An optional offer was answered in clear by somebody with whom protection is required."""
    neg = negotiation(requirement=ims.Requirement.PREFERRED)
    neg.create_offer(PLAIN, now=0)
    if stricter:
        neg.change_policy(ims.SecurityPolicy(), now=1)
    neg.retargeted(to=CAROL, cause=ims.Retarget.FORWARDED, now=1)
    neg.receive_answer(PLAIN, dialog="d", now=2)
    events = []
    while (event := neg.next_event()) is not None:
        events.append(event)
    failed = [e.error for e in events if isinstance(e, ims.NegotiationFailed)]
    assert bool(failed) is stricter
    if stricter:
        assert isinstance(failed[0], ims.NoCommonSecurity)
        assert failed[0].sip_status_hint == 488
