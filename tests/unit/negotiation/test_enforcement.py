"""B7 with SDES: the re-key behind the 2xx, what if it fails, and what if the other side never re-keys."""

from base64 import b64encode
from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.negotiation.enforcement import CALLEE_PATIENCE, REKEY_TIMEOUT
from imsmediasec.terms import DialogExit, Forking, Gate, OnFailure, Requirement
from tests.pair import D, Pair, Party, body

ASK = ims.SecurityPolicy(on_exposed=OnFailure.ASK)
WARN = ims.SecurityPolicy(on_exposed=OnFailure.WARN)
STRICT_CALLEE = ims.SecurityPolicy(on_caller_exposed=OnFailure.REFUSE)
EXPOSED = ims.SecurityPolicy(forking=Forking.EXPOSED)
PREFERRED = ims.SecurityPolicy(requirement=Requirement.PREFERRED)


def called(policy: ims.SecurityPolicy | None = None) -> Pair:
    """A call whose re-key is due."""
    pair = Pair(policy, policy)
    pair.call()
    return pair


def exits(party: Party, new: list[ims.Event] | None = None) -> list[tuple[str | None, DialogExit]]:
    return [(event.dialog, event.how) for event in party.of(ims.DialogRetired, new)]


def rekeys(party: Party, new: list[ims.Event]) -> list[bool]:
    return [event.early for event in party.of(ims.RekeyRequired, new)]


def forked(*names: str, policy: ims.SecurityPolicy | None = None, **more: bool) -> tuple[Party, dict[str, Party]]:
    """alice's INVITE has early dialogs with all of these."""
    alice = Party(ims.Side.UAC, policy)
    offer = alice.offer(dialog=None)
    bobs = {}
    for name in names:
        bobs[name] = Party(ims.Side.UAS)
        bobs[name].receive_offer(offer, dialog=name)
        alice.receive_answer(bobs[name].answer(dialog=name), dialog=name, **more)
    return alice, bobs


def test_gate_waits_for_the_rekey() -> None:
    """Speech waits for a key that only the terminal that took the call has (peers.md 8, 55)."""
    pair = called()
    assert pair.alice.gates[D, 0] is Gate.KEEPALIVE_ONLY
    assert [event.early for event in pair.alice.of(ims.RekeyRequired)] == [False]
    pair.reinvite()
    assert pair.alice.gates[D, 0] is Gate.OPEN
    assert pair.agrees()
    pair.alice.wait(REKEY_TIMEOUT + 1)
    pair.bob.wait(CALLEE_PATIENCE + 1)
    assert exits(pair.alice) == exits(pair.bob) == []
    assert pair.bob.of(ims.RekeyRequired) == []


def test_forking_exposed() -> None:
    """By the user's word there is no re-key and no gate, and the status says it."""
    pair = called(EXPOSED)
    assert pair.alice.gates[D, 0] is Gate.OPEN
    assert pair.alice.of(ims.RekeyRequired) == []
    assert "exposed" in pair.alice.warnings()
    assert pair.alice.negotiation.next_timeout() is None


def test_the_first_2xx_wins() -> None:
    """The other early dialogs are forgotten, a further 2xx is acknowledged and ended."""
    alice, _ = forked("one", "two")
    new = alice.confirm(dialog="two")
    assert exits(alice, new) == [("one", DialogExit.FORGET)]
    assert alice.keys["one", 0, ims.Direction.SEND] == alice.keys["one", 0, ims.Direction.RECEIVE] == []
    assert alice.confirm(dialog="two") == []
    assert exits(alice, alice.confirm(dialog="one")) == [("one", DialogExit.ACK_BYE)]
    assert exits(alice, alice.confirm(dialog="three")) == [("three", DialogExit.ACK_BYE)]
    assert alice.negotiation.status.dialog == "two"


def test_callee_ends_a_second_dialog() -> None:
    """What a callee has acknowledged in a second dialog is ended with BYE."""
    pair = called()
    assert exits(pair.bob, pair.bob.confirm(dialog="other")) == [("other", DialogExit.BYE)]


def test_taken_without_an_answer() -> None:
    """A 2xx without SDP to an INVITE with an offer fails the call, once."""
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    new = alice.confirm()
    assert "without an answer" in alice.error(new).reason
    assert exits(alice, new) == [(D, DialogExit.ACK_BYE)]
    assert alice.of(ims.NegotiationFailed, alice.confirm()) == []


def test_taken_with_a_bad_answer() -> None:
    """The fault was reported with the answer; the 2xx is only ended."""
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    alice.receive_answer(body("audio 4000 RTP/SAVP 0"))
    new = alice.confirm()
    assert (exits(alice, new), alice.of(ims.NegotiationFailed, new)) == ([(D, DialogExit.ACK_BYE)], [])


def test_2xx_without_sdp_behind_a_preview() -> None:
    """The answer that an unreliable 18x showed counts, and the re-key can go on from there."""
    alice, _ = forked("one", reliable=False)
    alice.confirm(dialog="one")
    assert alice.negotiation.status.dialog == "one"
    assert "SAVP" in alice.offer(dialog="one")


def test_offer_in_the_2xx() -> None:
    """An INVITE without an offer: confirmed before its answer is written, private from the start."""
    pair = Pair()
    offer = pair.bob.offer()
    pair.alice.receive_offer(offer)
    pair.alice.confirm()
    answer = pair.alice.answer()
    pair.alice.drain()
    pair.bob.receive_answer(answer)
    pair.bob.confirm()
    assert pair.agrees()
    assert pair.alice.gates[D, 0] is pair.bob.gates[D, 0] is Gate.OPEN
    assert pair.alice.of(ims.RekeyRequired) == []


def test_early_update() -> None:
    """With UPDATE the early dialog re-keys at once, and needs nothing after the 2xx."""
    alice, bobs = forked("one", update_allowed=True)
    assert [event.early for event in alice.of(ims.RekeyRequired)] == [True]
    offer = alice.offer(dialog="one")
    bobs["one"].receive_offer(offer, dialog="one")
    alice.receive_answer(bobs["one"].answer(dialog="one"), dialog="one", update_allowed=True)
    assert alice.gates["one", 0] is Gate.KEEPALIVE_ONLY
    new = alice.confirm(dialog="one")
    assert rekeys(alice, new) == []
    assert alice.gates["one", 0] is Gate.OPEN
    alice.wait(REKEY_TIMEOUT)
    assert alice.gates["one", 0] is Gate.OPEN


def test_early_update_open_at_the_2xx() -> None:
    """The 2xx overtakes the answer to the UPDATE: no second re-key is asked for."""
    alice, bobs = forked("one", update_allowed=True)
    offer = alice.offer(dialog="one")
    assert rekeys(alice, alice.confirm(dialog="one")) == []
    bobs["one"].receive_offer(offer, dialog="one")
    alice.receive_answer(bobs["one"].answer(dialog="one"), dialog="one")
    assert alice.gates["one", 0] is Gate.OPEN


def test_no_early_rekey_without_need() -> None:
    """Neither where forking is exposed nor where nothing is protected."""
    alice, _ = forked("one", policy=EXPOSED, update_allowed=True)
    assert alice.of(ims.RekeyRequired) == []
    alice = Party(ims.Side.UAC, PREFERRED)
    alice.offer(dialog=None)
    assert rekeys(alice, alice.receive_answer(body(), update_allowed=True)) == []


def test_early_update_refused() -> None:
    """Nothing is lost yet: the re-key follows the 2xx."""
    alice, _ = forked("one", update_allowed=True)
    alice.offer(dialog="one")
    assert alice.of(ims.NegotiationFailed, alice.rejected(488, dialog="one")) == []
    assert rekeys(alice, alice.confirm(dialog="one")) == [False]


@pytest.mark.parametrize("status", [491, 500, 503])
def test_try_again_later(status: int) -> None:
    """491 and Retry-After: the gate stays shut, and the re-key is asked for again."""
    pair = called()
    pair.alice.offer()
    new = pair.alice.rejected(status, retry_after=3)
    assert exits(pair.alice, new) == []
    assert rekeys(pair.alice, pair.alice.wait(4.1)) == [False]
    assert pair.alice.gates[D, 0] is Gate.KEEPALIVE_ONLY
    pair.reinvite()
    assert pair.alice.gates[D, 0] is Gate.OPEN


def test_late_glare_timer() -> None:
    """If an offer is open when the back-off ends, or the re-key has happened, nothing is asked for."""
    pair = called()
    pair.alice.offer()
    pair.alice.rejected(491)
    pair.alice.offer()
    assert rekeys(pair.alice, pair.alice.wait(4.1)) == []
    pair.alice.rejected(491)
    pair.reinvite()
    assert rekeys(pair.alice, pair.alice.wait(4.1)) == []


@pytest.mark.parametrize("status", [488, 408, 500])
def test_refused_rekey_ends_the_call(status: int) -> None:
    """REFUSE: B7 is never reported as met, the call ends."""
    pair = called()
    pair.alice.offer()
    new = pair.alice.rejected(status)
    assert exits(pair.alice, new) == [(D, DialogExit.BYE)]
    assert "no fresh key" in pair.alice.error(new).reason
    assert pair.alice.keys[D, 0, ims.Direction.SEND] == []


def test_refused_rekey_warned_of() -> None:
    """WARN: the media flows, the status is lowered, nothing is asked for again."""
    pair = called(WARN)
    pair.alice.offer()
    pair.alice.rejected(488)
    assert pair.alice.gates[D, 0] is Gate.OPEN
    assert "exposed" in pair.alice.warnings()
    assert exits(pair.alice, pair.alice.wait(100)) == []


@pytest.mark.parametrize("go_on", [True, False])
def test_refused_rekey_asked_about(go_on: bool) -> None:
    """ASK: the media waits for the user's word, and a second failure does not ask twice."""
    pair = called(ASK)
    pair.alice.offer()
    pair.alice.rejected(488)
    pair.alice.wait(REKEY_TIMEOUT)
    assert pair.alice.gates[D, 0] is Gate.KEEPALIVE_ONLY
    assert pair.alice.warnings().count("decision-needed") == 1
    pair.alice.negotiation.accept_exposure(dialog=D, go_on=go_on, now=0)
    new = pair.alice.drain()
    assert exits(pair.alice, new) == ([] if go_on else [(D, DialogExit.BYE)])
    assert pair.alice.gates[D, 0] is (Gate.OPEN if go_on else Gate.KEEPALIVE_ONLY)
    with pytest.raises(ims.LocalError, match="no decision"):
        pair.alice.negotiation.accept_exposure(dialog=D, go_on=True, now=0)


@pytest.mark.parametrize("go_on", [True, False])
def test_unprotected_asked_about(go_on: bool) -> None:
    """The same question about a call that is not protected at all."""
    pair = Pair(ims.SecurityPolicy(on_unprotected=OnFailure.ASK), ims.SecurityPolicy(requirement=Requirement.DISABLED))
    pair.call()
    pair.alice.negotiation.accept_exposure(dialog=D, go_on=go_on, now=0)
    new = pair.alice.drain()
    assert exits(pair.alice, new) == ([] if go_on else [(D, DialogExit.BYE)])
    assert pair.alice.gates[D, 0] is (Gate.OPEN if go_on else Gate.KEEPALIVE_ONLY)
    if not go_on:
        assert "unprotected" in pair.alice.error(new).reason


def test_two_questions_one_word() -> None:
    """Audio whose re-key failed and video in clear: the user's word is for both."""
    policy = ims.SecurityPolicy(on_exposed=OnFailure.ASK, on_unprotected=OnFailure.ASK)
    bob = ims.SecurityPolicy(requirement_by_media={"video": Requirement.DISABLED})
    pair = Pair(policy, bob)
    pair.call(body("audio 4000 RTP/AVP 0", "video 4002 RTP/AVP 31"))
    pair.alice.offer(body("audio 4000 RTP/AVP 0", "video 4002 RTP/AVP 31"))
    pair.alice.rejected(488)
    assert pair.alice.gates == {(D, 0): Gate.KEEPALIVE_ONLY, (D, 1): Gate.KEEPALIVE_ONLY}
    pair.alice.negotiation.accept_exposure(dialog=D, go_on=True, now=0)
    pair.alice.drain()
    assert pair.alice.gates == {(D, 0): Gate.OPEN, (D, 1): Gate.OPEN}
    assert not pair.alice.negotiation._call.dialogs[D].awaiting_decision


def test_no_rekey_in_time() -> None:
    """Nobody sent the re-key: after 64*T1 it counts as lost."""
    pair = called()
    assert exits(pair.alice, pair.alice.wait(REKEY_TIMEOUT)) == [(D, DialogExit.BYE)]


@pytest.mark.parametrize("policy", [None, WARN])
def test_unusable_answer_to_the_rekey(policy: ims.SecurityPolicy | None) -> None:
    """It is refused, the old agreement is back, and B7 is not met."""
    pair = called(policy)
    pair.alice.offer()
    new = pair.alice.receive_answer(body("audio 4000 RTP/SAVP 0"))
    assert "without a key" in pair.alice.of(ims.NegotiationFailed, new)[0].error.reason
    assert exits(pair.alice, new) == ([(D, DialogExit.BYE)] if policy is None else [])


def test_unusable_answer_in_an_early_dialog() -> None:
    """The dialog stays shared; another attempt may follow."""
    alice, _ = forked("one", update_allowed=True)
    alice.offer(dialog="one")
    new = alice.receive_answer(body("audio 4000 RTP/SAVP 0"), dialog="one")
    assert exits(alice, new) == []
    assert rekeys(alice, alice.confirm(dialog="one")) == [False]


def test_unusable_answer_to_another_offer() -> None:
    """Hold in a private dialog: a bad answer does not touch what B7 is about."""
    pair = Pair().confirmed()
    pair.alice.offer()
    assert exits(pair.alice, pair.alice.receive_answer(body("audio 4000 RTP/SAVP 0"))) == []
    assert pair.alice.gates[D, 0] is Gate.OPEN


def test_callee_waits_then_offers_once() -> None:
    """The caller does not re-key: after 5 s one offer of ours; if the key stays, the policy decides."""
    pair = called(STRICT_CALLEE)
    assert rekeys(pair.bob, pair.bob.wait(CALLEE_PATIENCE)) == [False]
    offer = pair.bob.offer()
    old = pair.alice.octets(ims.Direction.SEND)[-1]
    new = pair.bob.receive_answer(body("audio 4000 RTP/SAVP 0") + _line_with(offer, old))
    assert exits(pair.bob, new) == [(D, DialogExit.BYE)]


def _line_with(offer: str, key: bytes) -> str:
    suite = next(line.split()[1] for line in offer.split("\r\n") if line.startswith("a=crypto:1 "))
    return f"a=crypto:1 {suite} inline:{b64encode(key).decode()}\r\n"


def test_callee_meets_a_caller_that_rekeys_in_the_answer() -> None:
    """Our re-offer brings the caller's fresh key: confirmed on both sides."""
    pair = called()
    pair.bob.wait(CALLEE_PATIENCE)
    pair.reinvite(by_bob=True)
    assert pair.bob.negotiation.status.fork_state is ims.ForkState.CONFIRMED
    assert pair.alice.gates[D, 0] is Gate.OPEN
    assert pair.agrees()


@pytest.mark.parametrize(("status", "ended"), [(488, True), (491, False)])
def test_callees_offer_refused(status: int, ended: bool) -> None:
    """The one re-offer refused: that was it; glare: another try."""
    pair = called(STRICT_CALLEE)
    pair.bob.wait(CALLEE_PATIENCE)
    pair.bob.offer()
    new = pair.bob.rejected(status)
    assert exits(pair.bob, new) == ([(D, DialogExit.BYE)] if ended else [])
    if not ended:
        assert rekeys(pair.bob, pair.bob.wait(2.1)) == [False]


def test_callees_own_offer_before_its_patience_ends() -> None:
    """Refused or answered with the same key, it decides nothing; the wait goes on."""
    pair = called()
    pair.bob.offer()
    assert exits(pair.bob, pair.bob.rejected(488)) == []
    old = pair.alice.octets(ims.Direction.SEND)[-1]
    offer = pair.bob.offer()
    assert exits(pair.bob, pair.bob.receive_answer(body("audio 4000 RTP/SAVP 0") + _line_with(offer, old))) == []
    assert rekeys(pair.bob, pair.bob.wait(CALLEE_PATIENCE)) == [False]


def test_callees_patience_ends_while_an_offer_is_open() -> None:
    """Nothing can be offered now; the deadline still runs."""
    pair = called(STRICT_CALLEE)
    pair.bob.receive_offer(pair.alice.offer())
    assert rekeys(pair.bob, pair.bob.wait(CALLEE_PATIENCE)) == []
    assert exits(pair.bob, pair.bob.wait(REKEY_TIMEOUT)) == [(D, DialogExit.BYE)]


def test_callers_hold_with_the_old_key() -> None:
    """It comes after our patience, before our offer: no verdict yet (an exchange of theirs, not ours)."""
    pair = called()
    old = pair.alice.octets(ims.Direction.SEND)[-1]
    pair.bob.wait(CALLEE_PATIENCE)
    again = body("audio 4000 RTP/SAVP 0\na=sendonly") + _line_with("a=crypto:1 AEAD_AES_256_GCM x\r\n", old)
    pair.bob.receive_offer(again)
    pair.bob.answer()
    assert exits(pair.bob, pair.bob.drain()) == []


def test_caller_goes_back_to_the_first_key() -> None:
    """A key from the INVITE that comes back after the re-key: the callee asks for a fresh one again."""
    pair = called()
    old = pair.alice.octets(ims.Direction.SEND)[-1]
    pair.reinvite()
    pair.bob.wait(CALLEE_PATIENCE + 1)
    again = body("audio 4000 RTP/SAVP 0") + _line_with("a=crypto:1 AEAD_AES_256_GCM x\r\n", old)
    pair.bob.receive_offer(again)
    pair.bob.answer()
    assert pair.bob.drain()
    assert pair.bob.negotiation.status.fork_state is ims.ForkState.UNKNOWN
    assert rekeys(pair.bob, pair.bob.wait(CALLEE_PATIENCE)) == [False]


def test_emergency_call_speaks_at_once() -> None:
    """Protected if possible, and never held back."""
    alice = Party(ims.Side.UAC, target="urn:service:sos")
    bob = Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    alice.receive_answer(bob.answer())
    alice.confirm()
    assert alice.gates[D, 0] is Gate.OPEN
    assert alice.negotiation.status.protected


def test_policy_changed_to_exposed() -> None:
    """The deadline finds nothing to enforce any more."""
    pair = called()
    pair.alice.negotiation.change_policy(replace(EXPOSED), now=0)
    assert exits(pair.alice, pair.alice.wait(REKEY_TIMEOUT)) == []


def test_other_offers_may_fail() -> None:
    """A refused hold after the re-key changes nothing (RFC 4568 7.1.4)."""
    pair = Pair().confirmed()
    pair.alice.offer(body("audio 4000 RTP/AVP 0\na=sendonly"))
    pair.alice.rejected(488)
    assert pair.agrees()
    assert pair.alice.gates[D, 0] is Gate.OPEN


def test_a_callee_goes_on_with_a_warning_unless_told_otherwise() -> None:
    """A caller that never re-keys, as most phones: the call goes on, and the status does not claim B7."""
    pair = called()
    pair.bob.wait(CALLEE_PATIENCE)
    pair.bob.offer()
    assert exits(pair.bob, pair.bob.rejected(488)) == []
    status = pair.bob.negotiation.status
    assert status.fork_state is ims.ForkState.UNKNOWN
    assert "exposed" in {warning.code for warning in status.warnings}
