"""Dialogs, streams and plans."""

import pytest

from imsmediasec.errors import LocalError
from imsmediasec.negotiation.dialog import Dialog, Form, MediaPlan, Stream
from imsmediasec.negotiation.exchange import ExchangeInput, ExchangeState
from imsmediasec.negotiation.forking import ForkInput, ForkPhase
from imsmediasec.sdp.crypto import CryptoAttribute

CRYPTO = CryptoAttribute.parse_value(f"1 X inline:{'A' * 40}")


def test_exchange() -> None:
    """A step that the table has is taken; any other raises and changes nothing."""
    d = Dialog(id="d")
    assert d.can(ExchangeInput.SEND_OFFER) and not d.can(ExchangeInput.SEND_ANSWER)
    d.step(ExchangeInput.SEND_OFFER)
    with pytest.raises(LocalError, match="send-offer while the exchange is local-offer"):
        d.step(ExchangeInput.SEND_OFFER)
    assert d.exchange is ExchangeState.LOCAL_OFFER


@pytest.mark.parametrize("to_invite", [True, False])
def test_answer_received(to_invite: bool) -> None:
    """The offer is closed; it is remembered whether it was the INVITE's."""
    d = Dialog(id="d", exchange=ExchangeState.LOCAL_OFFER)
    d.answer_received(to_invite=to_invite)
    assert (d.exchange, d.local_offer, d.answered_invite) == (ExchangeState.STABLE, None, to_invite)


def test_fork_phase() -> None:
    """Without keys there is no phase; with one the table decides."""
    d = Dialog(id="d")
    d.move(ForkInput.TAKES_CALL)
    assert d.phase is None
    d.phase = ForkPhase.EARLY_SHARED
    d.move(ForkInput.TAKES_CALL)
    assert d.phase is ForkPhase.LIVE_SHARED
    with pytest.raises(LocalError, match="takes-call in fork phase live-shared"):
        d.move(ForkInput.TAKES_CALL)
    assert d.phase is ForkPhase.LIVE_SHARED


def test_stream() -> None:
    """Protected means a key in each direction."""
    stream = Stream(index=0, mid=None, media_type="audio", form=Form.SECURE, local=CRYPTO)
    assert not stream.protected
    stream.remote = CRYPTO
    assert stream.protected


def test_decisions() -> None:
    """What is undecided is asked about as long as the dialog lives."""
    d = Dialog(id="d", phase=ForkPhase.LIVE_SHARED)
    assert not d.awaiting_decision
    d.streams[0] = Stream(index=0, mid=None, media_type="audio", form=Form.PLAIN, asks=True)
    assert d.asks_unprotected and d.awaiting_decision
    d.unprotected_accepted = True
    assert not d.asks_unprotected and not d.awaiting_decision
    d.exposed = True
    assert d.awaiting_decision
    d.phase = ForkPhase.RETIRED
    d.unprotected_accepted = False
    assert not d.asks_unprotected and not d.awaiting_decision


def test_plan_answered() -> None:
    """An answered plan is a new one; refusing it drops the peer's key."""
    plan = MediaPlan(form=Form.SECURE, proto="RTP/SAVP", mid="a", media_type="audio", remote=CRYPTO)
    taken = plan.answered(form=plan.form, local=CRYPTO, transport=("x", 1))
    assert (taken.remote, taken.local, taken.local_transport, taken.mid) == (CRYPTO, CRYPTO, ("x", 1), "a")
    assert plan.local is None
    refused = plan.answered(form=Form.REFUSED, local=None, transport=("x", 0))
    assert (refused.form, refused.remote) == (Form.REFUSED, None)


@pytest.mark.parametrize(
    ("form", "port", "clear"),
    [
        (Form.PLAIN, 4000, True),
        (Form.PASS, 4000, True),
        (Form.PASS, 0, False),
        (Form.SECURE, 4000, False),
        (Form.REFUSED, 4000, False),
    ],
)
def test_in_clear(form: Form, port: int, clear: bool) -> None:
    """In use, and nothing of ours protects it."""
    assert MediaPlan(form=form, remote_transport=("x", port)).in_clear is clear
