"""The public machine: whole exchanges in both roles, misuse, faults, and what stays as it was."""

from collections.abc import Callable
from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.errors import LocalError
from imsmediasec.policy import Quirk
from imsmediasec.terms import DialogExit, Direction, Gate, KeyManagement, OnFailure, Requirement, Retarget
from tests.pair import CAPABILITIES, PEER, D, Pair, Party, body, snapshot

SEND, RECEIVE = Direction.SEND, Direction.RECEIVE
PREFERRED = ims.SecurityPolicy(requirement=Requirement.PREFERRED)
CAPNEG = ims.SecurityPolicy(requirement=Requirement.PREFERRED, optional_form=ims.OptionalForm.CAPABILITY_NEGOTIATION)
DISABLED = ims.SecurityPolicy(requirement=Requirement.DISABLED)
HOLD = body("audio 4000 RTP/AVP 0\na=sendonly")
AV = body("audio 4000 RTP/AVP 0", "video 4002 RTP/AVPF 31")
BAD_ANSWER = body("audio 4000 RTP/SAVP 0")


# Whole exchanges


@pytest.mark.parametrize("policy", [ims.SecurityPolicy(), PREFERRED, CAPNEG], ids=["required", "osrtp", "capneg"])
@pytest.mark.parametrize("plain", [body(), AV, body("audio 4000 RTP/AVPF 0")], ids=["audio", "audio+video", "avpf"])
def test_call_and_rekey(policy: ims.SecurityPolicy, plain: str) -> None:
    """In every form both sides have the same keys, and after the re-key both know it."""
    pair = Pair(policy, policy)
    pair.confirmed(plain)
    for index in range(plain.count("\nm=")):
        assert pair.agrees(index=index)
        assert pair.alice.gates[D, index] is pair.bob.gates[D, index] is Gate.OPEN
    for party in (pair.alice, pair.bob):
        assert party.negotiation.status.protected
        assert party.negotiation.status.fork_state is ims.ForkState.CONFIRMED
        assert party.of(ims.NegotiationFailed) == []


def test_answer_profiles() -> None:
    """SAVPF is answered with SAVPF, and the answer has exactly one key line a stream."""
    offer, answer = Pair().call(AV)
    assert [line for line in answer.split("\r\n") if line.startswith("m=")] == [
        "m=audio 4000 RTP/SAVP 0",
        "m=video 4002 RTP/SAVPF 31",
    ]
    assert (offer.count("a=crypto"), answer.count("a=crypto")) == (6, 2)


@pytest.mark.parametrize(
    ("alice", "bob", "protected"),
    [
        (PREFERRED, DISABLED, False),
        (CAPNEG, DISABLED, False),
        (DISABLED, PREFERRED, False),
        (DISABLED, CAPNEG, False),
        (DISABLED, DISABLED, False),
        (ims.SecurityPolicy(), CAPNEG, True),
        (CAPNEG, ims.SecurityPolicy(), True),
        (PREFERRED, CAPNEG, True),
    ],
)
def test_mixed_policies(alice: ims.SecurityPolicy, bob: ims.SecurityPolicy, protected: bool) -> None:
    """Whoever prefers lives with less; what is answered is what both know."""
    pair = Pair(alice, bob)
    pair.call()
    assert pair.alice.negotiation.status.protected is pair.bob.negotiation.status.protected is protected
    assert not protected or pair.agrees()


def test_required_meets_disabled() -> None:
    """Neither side gives in: 488 in both directions."""
    alice, bob = Party(ims.Side.UAC), Party(ims.Side.UAS, DISABLED)
    assert bob.error(bob.receive_offer(alice.offer(dialog=None))).sip_status_hint == 488
    alice, bob = Party(ims.Side.UAC, DISABLED), Party(ims.Side.UAS)
    assert bob.error(bob.receive_offer(alice.offer(dialog=None))).sip_status_hint == 488


def test_hold_and_resume_keep_the_keys() -> None:
    """peers.md 24, 25: no new key, no event for the SRTP layer, in either direction."""
    pair = Pair().confirmed()
    before = (pair.alice.octets(SEND), pair.alice.octets(RECEIVE))
    for by_bob in (False, True):
        for plain in (HOLD, body()):
            pair.alice.events.clear()
            pair.reinvite(plain, body(), by_bob=by_bob)
            assert pair.alice.of(ims.KeysReady) == pair.alice.of(ims.KeysRetired) == []
    assert (pair.alice.octets(SEND), pair.alice.octets(RECEIVE)) == before


def test_rekey_on_the_same_transport() -> None:
    """A fresh key in each direction that was asked for; the roll-over counter goes on (RFC 3711 3.3.1)."""
    pair = Pair().confirmed()
    old = pair.alice.octets(SEND)
    pair.bob.wait(5)
    pair.reinvite(rekey=True)
    assert pair.agrees() and pair.alice.octets(SEND) != old
    assert pair.alice.keys[D, 0, SEND][-1].same_transport
    assert len(pair.bob.octets(RECEIVE)) == 2
    pair.bob.wait(5)
    assert len(pair.bob.octets(RECEIVE)) == 1


def test_moved_transport() -> None:
    """RFC 4568 7.1.4: a new key, and its counter starts at 0, for the direction of who moved."""
    pair = Pair().confirmed()
    pair.reinvite(body(host="192.0.2.99"), body())
    assert pair.agrees()
    assert not pair.alice.keys[D, 0, SEND][-1].same_transport
    assert not pair.bob.keys[D, 0, RECEIVE][-1].same_transport
    key = pair.alice.octets(RECEIVE)[-1]
    pair.reinvite(body(host="192.0.2.99"), body("audio 4444 RTP/AVP 0"))
    assert pair.agrees() and pair.alice.octets(RECEIVE)[-1] != key
    assert not pair.alice.keys[D, 0, RECEIVE][-1].same_transport


def test_stream_added_and_removed() -> None:
    """Each stream comes and goes alone."""
    pair = Pair().confirmed()
    audio = pair.alice.octets(SEND)
    pair.reinvite(AV)
    assert pair.agrees(index=1) and pair.alice.octets(SEND) == audio
    pair.reinvite(body("audio 4000 RTP/AVP 0", "video 0 RTP/AVPF 31"))
    assert [event.index for event in pair.alice.of(ims.MediaRemoved)] == [1]
    assert [event.index for event in pair.bob.of(ims.MediaRemoved)] == [1]
    assert pair.alice.octets(SEND, index=1) == []
    assert pair.agrees()


def test_one_stream_refused() -> None:
    """The answerer takes audio and refuses video with port 0."""
    pair = Pair(bob=ims.SecurityPolicy(requirement_by_media={"video": Requirement.DISABLED}))
    _, answer = pair.call(AV)
    assert "m=video 0 RTP/SAVPF 31" in answer
    assert pair.agrees()
    assert [event.index for event in pair.alice.of(ims.MediaRemoved)] == [1]


def test_mki_and_lifetime_of_ours() -> None:
    """They are in the keys of both sides."""
    policy = ims.SecurityPolicy(mki_length=4, key_lifetime=2**20)
    pair = Pair(policy, policy).confirmed()
    for key in (pair.alice.keys[D, 0, SEND][-1], pair.alice.keys[D, 0, RECEIVE][-1]):
        (master,) = key.master_keys
        assert (master.mki, master.mki_length, master.lifetime) == (1, 4, 2**20)


def test_offerless_invite() -> None:
    """The callee offers, the caller answers with a key of its own: private on both sides at once."""
    pair = Pair()
    offer = pair.bob.offer()
    pair.alice.receive_offer(offer, peer=PEER)
    assert pair.alice.negotiation.status.terminating_entity.uri == "sip:bob@ims.example"
    answer = pair.alice.answer()
    pair.alice.confirm()
    pair.bob.receive_answer(answer)
    pair.bob.confirm()
    assert pair.agrees()
    assert pair.bob.negotiation.status.fork_state is ims.ForkState.CONFIRMED


def test_offerless_reinvite() -> None:
    """peers.md 31: an offer within the call keeps what is agreed, whoever makes it."""
    pair = Pair().confirmed()
    key = pair.bob.octets(SEND)
    pair.reinvite(by_bob=True)
    assert pair.bob.octets(SEND) == key


def test_previews_may_differ() -> None:
    """peers.md 14: unreliable 18x with changing answers; the last one counts, older receive keys fade out."""
    alice = Party(ims.Side.UAC)
    offer = alice.offer(dialog=None)
    answers = []
    for seed in range(3):
        bob = Party(ims.Side.UAS, random=lambda n, seed=seed: bytes([seed + 1] * n))  # type: ignore[misc]
        bob.receive_offer(offer)
        answers.append(bob.answer())
    for answer in answers[:2]:
        alice.receive_answer(answer, reliable=False)
    alice.receive_answer(answers[2])
    alice.confirm()
    assert [octets[:1] for octets in alice.octets(RECEIVE)] == [b"\1", b"\2", b"\3"]
    alice.wait(5)
    assert [octets[:1] for octets in alice.octets(RECEIVE)] == [b"\3"]


def test_the_answer_again() -> None:
    """A later response repeats the answer: nothing happens, also while an UPDATE of ours is open."""
    pair = Pair()
    _, answer = pair.call()
    assert pair.alice.receive_answer(answer) == []
    pair.alice.offer()
    pair.alice.drain()
    assert pair.alice.receive_answer(answer, to_invite=True) == []
    assert pair.alice.negotiation.status.fork_state is ims.ForkState.REKEYING


def test_early_update() -> None:
    """A reliable early answer of a peer that takes UPDATE asks for the re-key at once (RFC 3311)."""
    alice, bob = Party(ims.Side.UAC), Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    new = alice.receive_answer(bob.answer(), update_allowed=True)
    assert [event.early for event in alice.of(ims.RekeyRequired, new)] == [True]


def test_bytes_in_bytes_out() -> None:
    """The text comes back in the type it came in, odd octets included."""
    plain = body().encode().replace(b"s=-", b"s=\xfc")
    offer = Party(ims.Side.UAC).negotiation.create_offer(plain, now=0)
    assert isinstance(offer, bytes) and b"s=\xfc" in offer


def test_late_forks() -> None:
    """What shows up after the call was taken is lost at once, whatever it brings."""
    pair = Pair()
    offer, answer = pair.call()
    assert [e.how for e in pair.alice.of(ims.DialogRetired, pair.alice.receive_answer(answer, dialog="late"))] == [
        DialogExit.FORGET
    ]
    assert pair.alice.of(ims.DialogRetired, pair.alice.receive_answer(answer, dialog="late")) == []
    new = pair.alice.receive_offer(offer, dialog="later")
    assert pair.alice.error(new).sip_status_hint == 481
    assert [e.how for e in pair.alice.of(ims.DialogRetired, new)] == [DialogExit.FORGET]
    assert pair.alice.error(pair.alice.receive_offer(offer, dialog="later")).sip_status_hint == 481


# Tolerance, each with its event


@pytest.mark.parametrize(
    ("change", "quirk"),
    [
        (lambda answer: answer.replace("a=crypto:1", "a=crypto:01"), Quirk.TAG_LEADING_ZERO),
        (lambda answer: answer.replace("=\r\n", "\r\n"), Quirk.UNPADDED_BASE64),
        (lambda answer: answer[:-2] + "|0\r\n", Quirk.LIFETIME_OUT_OF_RANGE),
        (lambda answer: answer[:-2] + "|\r\n", Quirk.EMPTY_KEY_PARAMETER),
        (lambda answer: answer.replace("a=crypto:1", "a=crypto:9"), Quirk.TAG_RENUMBERED),
    ],
    ids=lambda value: value.value if isinstance(value, Quirk) else "",
)
@pytest.mark.parametrize("tolerant", [False, True])
def test_quirks_of_answers(change: Callable[[str], str], quirk: Quirk, tolerant: bool) -> None:
    """Refused without the policy's leave, and with it reported."""
    alice = Party(ims.Side.UAC, ims.SecurityPolicy(tolerate=ims.TOLERANT if tolerant else ims.STRICT))
    bob = Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    new = alice.receive_answer(change(bob.answer()))
    assert [event.quirk for event in alice.of(ims.PeerQuirk, new)] == ([quirk] if tolerant else [])
    assert bool(alice.of(ims.NegotiationFailed, new)) is not tolerant


@pytest.mark.parametrize("tolerant", [False, True])
def test_quirks_of_offers(tolerant: bool) -> None:
    """The same for what the other side offers (rtpengine's unpadded keys, peers.md 42)."""
    bob = Party(ims.Side.UAS, ims.SecurityPolicy(tolerate=ims.TOLERANT if tolerant else ims.STRICT))
    offer = body(f"audio 4000 RTP/SAVP 0\na=crypto:1 AEAD_AES_128_GCM inline:{'A' * 38}")
    new = bob.receive_offer(offer)
    assert bool(bob.of(ims.NegotiationFailed, new)) is not tolerant
    if tolerant:
        bob.answer()
        assert [event.quirk for event in bob.of(ims.PeerQuirk, bob.drain())] == [Quirk.UNPADDED_BASE64]


# Signalling that is not protected


@pytest.mark.parametrize("policy", [PREFERRED, CAPNEG, DISABLED])
def test_no_key_over_clear_signalling(policy: ims.SecurityPolicy) -> None:
    """Neither offer nor answer has one, and nothing claims to be protected."""
    alice = Party(ims.Side.UAC, policy, signalling=ims.Hop.UNPROTECTED)
    assert "crypto" not in alice.offer(dialog=None)
    bob = Party(ims.Side.UAS, policy, signalling=ims.Hop.UNPROTECTED)
    for offered in (PREFERRED, CAPNEG):
        bob.receive_offer(Party(ims.Side.UAC, offered).offer(dialog=None), dialog=str(offered.optional_form))
        assert "crypto" not in bob.answer(dialog=str(offered.optional_form))
    assert not bob.negotiation.status.protected


def test_required_over_clear_signalling() -> None:
    """It fails instead."""
    with pytest.raises(LocalError, match="not declared protected"):
        Party(ims.Side.UAC, signalling=ims.Hop.UNPROTECTED).offer(dialog=None)
    bob = Party(ims.Side.UAS, signalling=ims.Hop.UNPROTECTED)
    assert "must not go over" in bob.error(bob.receive_offer(Pair().alice.offer(dialog=None))).reason


# Emergency calls


@pytest.mark.parametrize("answered", [True, False])
def test_emergency_call(answered: bool) -> None:
    """Offered as optional, taken with or without protection, never held back."""
    alice = Party(ims.Side.UAC, target="sip:112@ims.example")
    offer = alice.offer(dialog=None)
    assert "RTP/AVP" in offer and "a=crypto" in offer
    bob = Party(ims.Side.UAS, PREFERRED if answered else DISABLED)
    bob.receive_offer(offer)
    alice.receive_answer(bob.answer())
    alice.confirm()
    assert alice.gates[D, 0] is Gate.OPEN
    assert alice.negotiation.status.protected is answered
    assert alice.of(ims.NegotiationFailed) == []
    alice.negotiation.retargeted(to="sip:psap@x", cause=Retarget.FORWARDED, now=0)
    assert alice.negotiation.policy.requirement is Requirement.PREFERRED


def test_emergency_call_that_loses_its_protection() -> None:
    """It goes on, with a warning."""
    alice, bob = Party(ims.Side.UAC, target="urn:service:sos"), Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    alice.receive_answer(bob.answer())
    alice.confirm()
    new = alice.receive_offer(body())
    assert alice.of(ims.NegotiationFailed, new) == []
    alice.answer()
    assert [event.lost_protection for event in alice.of(ims.SecurityChanged, alice.drain())] == [True]
    assert "protection-lost" in alice.warnings()


# Faults on the wire: an event, and everything as it was

K28, K44 = "A" * 37 + "A==", "A" * 59 + "A"
ANSWERS = {
    "not sdp": "hello",
    "no m-line": "v=0\r\n",
    "two m-lines": body("audio 1 RTP/SAVP 0", "audio 2 RTP/SAVP 0"),
    "no key": BAD_ANSWER,
    "plain": body(),
    "unknown tag": BAD_ANSWER + f"a=crypto:7 AEAD_AES_256_GCM inline:{K44}\r\n",
    "other suite": BAD_ANSWER + f"a=crypto:1 AEAD_AES_128_GCM inline:{K28}\r\n",
    "unknown suite": BAD_ANSWER + f"a=crypto:1 NEW inline:{K44}\r\n",
    "short key": BAD_ANSWER + "a=crypto:1 AEAD_AES_256_GCM inline:AAAA\r\n",
    "two lines": BAD_ANSWER
    + f"a=crypto:1 AEAD_AES_256_GCM inline:{K44}\r\na=crypto:2 AEAD_AES_128_GCM inline:{K28}\r\n",
    "unknown parameter": BAD_ANSWER + f"a=crypto:1 AEAD_AES_256_GCM inline:{K44} NEW\r\n",
    "unencrypted": BAD_ANSWER + f"a=crypto:1 AEAD_AES_256_GCM inline:{K44} UNENCRYPTED_SRTP\r\n",
    "MKI too long": BAD_ANSWER + f"a=crypto:1 AEAD_AES_256_GCM inline:{K44}|1:129\r\n",
    "dtls": body("audio 1 UDP/TLS/RTP/SAVP 0"),
}
OFFERS = {
    "not sdp": "hello",
    "bad m-line": "v=0\r\nm=audio\r\n",
    "plain": body(),
    "no key": BAD_ANSWER,
    "unknown suite": BAD_ANSWER + f"a=crypto:1 NEW inline:{K44}\r\n",
    "short key": BAD_ANSWER + "a=crypto:1 AEAD_AES_256_GCM inline:AAAA\r\n",
    "dtls": body("audio 1 UDP/TLS/RTP/SAVP 0"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_bad_answers(answer: str) -> None:
    """To the INVITE the dialog fails; to a re-offer the state before it is back, to the octet."""
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    new = alice.receive_answer(answer)
    assert alice.error(new).sip_status_hint in (400, 488)
    assert alice.keys == {} and alice.gates == {}
    pair = Pair().confirmed()
    before = snapshot(pair.alice.negotiation)
    pair.alice.offer()
    pair.alice.error(pair.alice.receive_answer(answer))
    assert snapshot(pair.alice.negotiation) == before
    assert pair.agrees()


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_bad_offers(offer: str) -> None:
    """First or later: refused, and nothing has changed."""
    bob = Party(ims.Side.UAS)
    before = snapshot(bob.negotiation)
    bob.error(bob.receive_offer(offer))
    assert snapshot(bob.negotiation) == before
    pair = Pair().confirmed()
    before = snapshot(pair.bob.negotiation)
    assert pair.bob.error(pair.bob.receive_offer(offer)).sip_status_hint == 488
    assert snapshot(pair.bob.negotiation) == before
    assert pair.agrees()


def test_own_key_echoed() -> None:
    """peers.md 18: in the answer and, later, in an offer."""
    alice = Party(ims.Side.UAC)
    offer = alice.offer(dialog=None)
    line = next(line for line in offer.split("\r\n") if line.startswith("a=crypto:2"))
    assert "own key" in alice.error(alice.receive_answer(f"{BAD_ANSWER}{line}\r\n")).reason
    pair = Pair().confirmed()
    ours = next(line for line in pair.reinvite()[0].split("\r\n") if line.startswith("a=crypto"))
    assert "own key" in pair.alice.error(pair.alice.receive_offer(f"{BAD_ANSWER}{ours}\r\n")).reason


def test_bad_2xx_behind_a_good_18x() -> None:
    """The final answer is what counts: the call is not taken with the previewed keys."""
    alice = Party(ims.Side.UAC)
    bob = Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    alice.receive_answer(bob.answer(), reliable=False)
    alice.error(alice.receive_answer(BAD_ANSWER))
    assert [e.how for e in alice.of(ims.DialogRetired, alice.confirm())] == [DialogExit.ACK_BYE]


def test_a_good_answer_behind_a_bad_one() -> None:
    """A later response may still bring one."""
    alice = Party(ims.Side.UAC)
    bob = Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    alice.error(alice.receive_answer(BAD_ANSWER, reliable=False))
    alice.receive_answer(bob.answer())
    alice.confirm()
    assert alice.negotiation.status.dialog == D


@pytest.mark.parametrize("on_lost", [OnFailure.REFUSE, OnFailure.WARN])
def test_protection_taken_off(on_lost: OnFailure) -> None:
    """By an offer or an answer within the call: refused, or gone on with and said (peers.md 51)."""
    policy = replace(PREFERRED, on_protection_lost=on_lost)
    pair = Pair(policy, policy).confirmed()
    new = pair.bob.receive_offer(body())
    if on_lost is OnFailure.REFUSE:
        assert isinstance(pair.bob.error(new), ims.DowngradeDetected)
        pair.alice.offer()
        assert isinstance(pair.alice.error(pair.alice.receive_answer(body())), ims.DowngradeDetected)
        assert pair.agrees()
    else:
        pair.bob.answer()
        assert [event.lost_protection for event in pair.bob.of(ims.SecurityChanged, pair.bob.drain())] == [True]
        pair.reinvite()
        assert pair.agrees() and "protection-lost" not in pair.bob.warnings()


def test_glare() -> None:
    """An offer while ours is open is a 491, while theirs is open a 500; nothing changes."""
    pair = Pair().confirmed()
    offer = pair.alice.offer()
    before = snapshot(pair.alice.negotiation)
    assert pair.alice.error(pair.alice.receive_offer(pair.bob.offer())).sip_status_hint == 491
    assert snapshot(pair.alice.negotiation) == before
    pair.bob.rejected(491)
    pair.bob.receive_offer(offer)
    assert pair.bob.error(pair.bob.receive_offer(offer)).sip_status_hint == 500
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    assert alice.error(alice.receive_offer(offer)).sip_status_hint == 491


# Refusals by SIP


def test_invite_refused() -> None:
    """A new INVITE has new keys."""
    alice = Party(ims.Side.UAC)
    first = alice.offer(dialog=None)
    alice.rejected(488, dialog=None)
    with pytest.raises(LocalError, match="an answer without an offer"):
        alice.receive_answer(body())
    assert not set(_keys(first)) & set(_keys(alice.offer(dialog=None)))


def _keys(sdp: str) -> list[str]:
    return [line.split("inline:")[1] for line in sdp.split("\r\n") if "inline:" in line]


def test_reoffer_refused() -> None:
    """RFC 4568 7.1.4: the old parameters remain; the offered keys are not used again."""
    pair = Pair().confirmed()
    before = snapshot(pair.alice.negotiation)
    pair.alice.offer(AV, rekey=True)
    pair.alice.rejected(488)
    assert snapshot(pair.alice.negotiation) == before
    assert pair.agrees()


def test_preview_then_refused() -> None:
    """An early dialog that ends with an error."""
    alice, bob = Party(ims.Side.UAC), Party(ims.Side.UAS)
    bob.receive_offer(alice.offer(dialog=None))
    alice.receive_answer(bob.answer(), reliable=False)
    alice.rejected(486)
    assert alice.of(ims.NegotiationFailed) == []
    alice.negotiation.dialog_ended(dialog=D, now=0)
    alice.drain()
    assert alice.keys[D, 0, SEND] == []


def test_peers_offer_withdrawn() -> None:
    """Refused by the application, or cancelled: it can be made again."""
    pair = Pair().confirmed()
    before = snapshot(pair.bob.negotiation)
    offer = pair.alice.offer()
    pair.bob.receive_offer(offer)
    pair.bob.negotiation.remote_offer_withdrawn(dialog=D, now=0)
    assert snapshot(pair.bob.negotiation) == before
    pair.bob.receive_offer(offer)
    pair.bob.answer()


# Ends, policy and retargeting


def test_dialog_ended() -> None:
    """All keys go; a second end, or that of an unknown dialog, is nothing."""
    pair = Pair().confirmed()
    pair.alice.negotiation.dialog_ended(dialog=D, now=0)
    assert pair.alice.drain()
    assert pair.alice.keys[D, 0, SEND] == pair.alice.keys[D, 0, RECEIVE] == []
    assert pair.alice.gates[D, 0] is Gate.KEEPALIVE_ONLY
    for dialog in (D, "unknown"):
        pair.alice.negotiation.dialog_ended(dialog=dialog, now=0)
        assert pair.alice.drain() == []
    with pytest.raises(LocalError, match="is over"):
        pair.alice.offer()


def test_change_policy() -> None:
    """In a call an offer of ours is asked for; before and after one there is nothing to offer."""
    pair = Pair()
    pair.alice.negotiation.change_policy(PREFERRED, now=0)
    assert pair.alice.of(ims.RekeyRequired, pair.alice.drain()) == []
    assert pair.alice.negotiation.policy is PREFERRED
    pair.confirmed()
    pair.alice.negotiation.change_policy(ims.SecurityPolicy(), now=0)
    assert len(pair.alice.of(ims.RekeyRequired, pair.alice.drain())) == 1
    pair.alice.negotiation.dialog_ended(dialog=D, now=0)
    pair.alice.drain()
    pair.alice.negotiation.change_policy(PREFERRED, now=0)
    assert pair.alice.of(ims.RekeyRequired, pair.alice.drain()) == []


def test_redirect() -> None:
    """New keys, early dialogs forgotten, the user told."""
    alice, bob = Party(ims.Side.UAC), Party(ims.Side.UAS)
    first = alice.offer(dialog=None)
    bob.receive_offer(first)
    alice.receive_answer(bob.answer(), reliable=False)
    alice.negotiation.retargeted(to="sip:carol@x", cause=Retarget.REDIRECT, now=0)
    assert [e.how for e in alice.of(ims.DialogRetired, alice.drain())] == [DialogExit.FORGET]
    assert alice.negotiation.remote_target == "sip:carol@x"
    assert alice.negotiation.status.retargeted_to == ("sip:carol@x",)
    assert "retargeted" in alice.warnings()
    assert not set(_keys(first)) & set(_keys(alice.offer(dialog=None)))


@pytest.mark.parametrize("cause", [Retarget.FORWARDED, Retarget.TRANSFER])
def test_a_report_cannot_relax_the_policy(cause: Retarget) -> None:
    """Only the INVITE that we send ourselves can be an emergency call."""
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    alice.negotiation.retargeted(to="urn:service:sos", cause=cause, now=0)
    assert alice.negotiation.policy.requirement is Requirement.REQUIRED
    alice.negotiation.retargeted(to="urn:service:sos", cause=Retarget.REDIRECT, now=0)
    assert alice.negotiation.policy.requirement is Requirement.PREFERRED


def test_transfer_keeps_the_call_that_is_up() -> None:
    """Its own dialog goes on until it is ended."""
    pair = Pair().confirmed()
    pair.alice.negotiation.retargeted(to="sip:carol@x", cause=Retarget.TRANSFER, now=0)
    assert pair.agrees()


def test_receive_peer() -> None:
    """Who is at the other end, from messages without SDP: before, in and after the dialog."""
    pair = Pair()
    pair.bob.negotiation.receive_peer(dialog=D, peer=PEER, now=0)
    assert pair.bob.negotiation.status.terminating_entity.uri == "sip:bob@ims.example"
    pair.confirmed()
    pair.alice.negotiation.receive_peer(dialog=D, peer=PEER, now=0)
    assert pair.alice.negotiation.status.terminating_entity.uri == "sip:bob@ims.example"
    pair.alice.negotiation.dialog_ended(dialog=D, now=0)
    other = ims.PeerAssertions(asserted="sip:mallory@x", trusted_hop=True)
    pair.alice.negotiation.receive_peer(dialog=D, peer=other, now=0)
    assert pair.alice.negotiation.status.terminating_entity.uri == "sip:bob@ims.example"


def test_prepare() -> None:
    """SDES needs nobody: the word comes at once."""
    party = Party(ims.Side.UAC)
    party.negotiation.prepare_offer(now=0)
    party.negotiation.prepare_answer(dialog=D, now=0)
    assert [type(event) for event in party.drain()] == [ims.OfferPossible, ims.AnswerPossible]


# Misuse: LocalError, and everything as it was


@pytest.mark.parametrize(
    "misuse",
    [
        lambda p: p.alice.offer("hello"),
        lambda p: p.alice.offer(dialog=None),
        lambda p: p.alice.offer(dialog="unknown"),
        lambda p: p.bob.offer(dialog="unknown"),
        lambda p: p.alice.offer(body("message 1 TCP/MSRP *")),
        lambda p: p.alice.answer(),
        lambda p: p.alice.answer(dialog="unknown"),
        lambda p: p.alice.answer("hello"),
        lambda p: p.bob.receive_answer(body(), dialog="unknown"),
        lambda p: p.bob.receive_answer(body()),
        lambda p: p.alice.rejected(488),
        lambda p: p.alice.rejected(488, dialog="unknown"),
        lambda p: p.alice.negotiation.remote_offer_withdrawn(dialog=D, now=0),
        lambda p: p.alice.negotiation.remote_offer_withdrawn(dialog="unknown", now=0),
        lambda p: p.alice.negotiation.accept_exposure(dialog=D, go_on=True, now=0),
        lambda p: p.alice.negotiation.change_policy(
            ims.SecurityPolicy(key_management=(KeyManagement.DTLS_SRTP,)), now=0
        ),
    ],
)
def test_misuse(misuse: Callable[[Pair], object]) -> None:
    """Each raises, queues nothing and changes nothing."""
    pair = Pair().confirmed()
    before = (snapshot(pair.alice.negotiation), snapshot(pair.bob.negotiation))
    with pytest.raises(LocalError):
        misuse(pair)
    assert (snapshot(pair.alice.negotiation), snapshot(pair.bob.negotiation)) == before
    assert pair.alice.drain() == pair.bob.drain() == []


def test_misuse_of_an_open_offer() -> None:
    """A second offer, an answer that does not fit, a rejection in a shared early dialog."""
    pair = Pair().confirmed()
    pair.alice.offer()
    before = snapshot(pair.alice.negotiation)
    with pytest.raises(LocalError, match="send-offer while the exchange is local-offer"):
        pair.alice.offer()
    assert snapshot(pair.alice.negotiation) == before
    bob = Party(ims.Side.UAS)
    bob.receive_offer(Pair().alice.offer(dialog=None))
    before = snapshot(bob.negotiation)
    with pytest.raises(LocalError, match="m-lines"):
        bob.answer(AV)
    assert snapshot(bob.negotiation) == before
    bob.answer()


def test_a_policy_that_became_stricter_before_the_answer() -> None:
    """What the old policy planned in clear is not answered so under the new one."""
    bob = Party(ims.Side.UAS, PREFERRED)
    bob.receive_offer(body())
    bob.negotiation.change_policy(ims.SecurityPolicy(), now=0)
    before = snapshot(bob.negotiation)
    with pytest.raises(LocalError, match="would be in clear"):
        bob.answer()
    assert snapshot(bob.negotiation) == before


@pytest.mark.parametrize("agreed", [True, False])
def test_offers_to_edge(agreed: bool) -> None:
    """Only where policy and registration want it."""
    one = ims.Negotiation(
        ims.SecurityPolicy(scope=(ims.Scope.END_TO_ACCESS_EDGE, ims.Scope.END_TO_END)),
        side=ims.Side.UAC,
        capabilities=CAPABILITIES,
        local_identity="sip:a@x",
        remote_target="sip:b@x",
        signalling=ims.Hop.PROTECTED,
        access_edge=ims.Identity(uri="sip:pcscf@x", source=ims.IdentitySource.CERTIFICATE) if agreed else None,
    )
    assert one.offers_to_edge is agreed
    assert ("3ge2ae" in one.create_offer(body(), now=0)) is agreed
