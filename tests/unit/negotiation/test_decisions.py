"""The user is asked before an unprotected stream is used (`on_unprotected` ASK, 4.x.3)."""

import pytest

import imsmediasec as ims
from imsmediasec.media import PylibsrtpBackend

PLAIN = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def caller(on_unprotected: ims.OnFailure) -> ims.Negotiation:
    """A caller who wants protection, and has offered it to somebody who answers without."""
    negotiation = ims.Negotiation(
        ims.SecurityPolicy(on_unprotected=on_unprotected),
        side=ims.Side.UAC,
        capabilities=PylibsrtpBackend().capabilities,
        local_identity="sip:alice@ims.example",
        remote_target="sip:bob@ims.example",
        signalling=ims.Hop.PROTECTED,
    )
    offer = negotiation.create_offer(PLAIN, now=0)
    assert "a=crypto" in offer
    negotiation.receive_answer(PLAIN, dialog="d", now=0)
    negotiation.confirm(dialog="d", now=0)
    return negotiation


def drain(negotiation: ims.Negotiation) -> list[ims.Event]:
    found = []
    while (event := negotiation.next_event()) is not None:
        found.append(event)
    return found


def gates(found: list[ims.Event]) -> list[ims.Gate]:
    return [event.gate for event in found if isinstance(event, ims.MediaGate)]


def warnings(negotiation: ims.Negotiation) -> set[str]:
    return {warning.code for warning in negotiation.status.warnings}


def test_refuse() -> None:
    negotiation = caller(ims.OnFailure.REFUSE)
    found = drain(negotiation)
    assert any(isinstance(event, ims.NegotiationFailed) for event in found)
    assert gates(found) == []


def test_warn_goes_on_and_says_so() -> None:
    negotiation = caller(ims.OnFailure.WARN)
    assert gates(drain(negotiation)) == [ims.Gate.OPEN]
    assert "unprotected" in warnings(negotiation)


def test_ask_holds_the_media_back_until_the_user_goes_on() -> None:
    negotiation = caller(ims.OnFailure.ASK)
    assert gates(drain(negotiation)) == [ims.Gate.KEEPALIVE_ONLY]
    assert "decision-needed" in warnings(negotiation)
    assert "not protected" in next(w.text for w in negotiation.status.warnings if w.code == "decision-needed")
    negotiation.accept_exposure(dialog="d", go_on=True, now=1)
    assert gates(drain(negotiation)) == [ims.Gate.OPEN]
    assert "decision-needed" not in warnings(negotiation)
    with pytest.raises(ims.LocalError):
        negotiation.accept_exposure(dialog="d", go_on=True, now=1)


def test_ask_ends_the_call_if_the_user_wants_that() -> None:
    negotiation = caller(ims.OnFailure.ASK)
    drain(negotiation)
    negotiation.accept_exposure(dialog="d", go_on=False, now=1)
    found = drain(negotiation)
    assert any(isinstance(e, ims.DialogRetired) and e.how is ims.DialogExit.BYE for e in found)
    assert ims.Gate.OPEN not in gates(found)


def test_an_emergency_call_is_not_asked_about() -> None:
    policy = ims.SecurityPolicy(on_unprotected=ims.OnFailure.ASK).for_emergency()
    assert not policy.asks_about("audio")
