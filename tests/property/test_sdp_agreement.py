"""Two Negotiations in memory: whatever the policies, both sides end up with the same keys, or with none."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

import imsmediasec as ims
from imsmediasec.terms import Direction, Gate, OnFailure, OptionalForm, Requirement
from tests.pair import D, Pair, Party, body, snapshot

SUITES = st.lists(st.sampled_from(ims.ALL_SUITES), min_size=1, max_size=4, unique=True).map(tuple)
POLICIES = st.builds(
    ims.SecurityPolicy,
    requirement=st.sampled_from(Requirement),
    requirement_by_media=st.dictionaries(st.sampled_from(["audio", "video"]), st.sampled_from(Requirement), max_size=2),
    optional_form=st.sampled_from(OptionalForm),
    suites=SUITES,
    forking=st.sampled_from(ims.Forking),
    tolerate=st.sampled_from([ims.STRICT, ims.TOLERANT]),
    key_lifetime=st.sampled_from([None, 1, 2**20, 2**31, 1000]),
    mki_length=st.sampled_from([None, 1, 4, 128]),
    on_exposed=st.just(OnFailure.WARN),
    on_protection_lost=st.sampled_from([OnFailure.REFUSE, OnFailure.WARN]),
    accept_unencrypted=st.booleans(),
)
LINES = ("audio 4000 RTP/AVP 0", "video 4002 RTP/AVPF 31", "audio 4004 RTP/SAVP 0", "video 0 RTP/AVP 31")
PLAINS = st.lists(st.sampled_from(LINES), min_size=1, max_size=3).map(lambda lines: body(*lines))


def exchange(offerer: Party, answerer: Party, plain: str, *, invite: bool, rekey: bool = False) -> bool:
    """One offer and answer; False if somebody refused, and then nothing but a fresh dialog may have changed."""
    try:
        offer = offerer.offer(plain, dialog=None if invite else D, rekey=rekey)
    except ims.LocalError:
        return False
    before = snapshot(answerer.negotiation)
    if answerer.of(ims.NegotiationFailed, answerer.receive_offer(offer)):
        assert snapshot(answerer.negotiation) == before
        offerer.rejected(488, dialog=None if invite else D)
        return False
    answer = answerer.answer(plain)
    answerer.drain()
    new = offerer.receive_answer(answer)
    assert not offerer.of(ims.NegotiationFailed, new), "our own answer is refused"
    return True


def check(pair: Pair, streams: int) -> None:
    """What one sends with the other receives with, and both say the same of it."""
    for one, other in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        for index in range(streams):
            sent = one.octets(Direction.SEND, index=index)
            heard = other.octets(Direction.RECEIVE, index=index)
            assert len(sent) <= 1
            assert sent == heard[len(heard) - len(sent) :] if sent else True
            if sent:
                a, b = one.keys[D, index, Direction.SEND][0], other.keys[D, index, Direction.RECEIVE][-1]
                assert a.suite is b.suite
                assert [(m.mki, m.mki_length, m.lifetime) for m in a.master_keys] == [
                    (m.mki, m.mki_length, m.lifetime) for m in b.master_keys
                ]
                assert sent != one.octets(Direction.RECEIVE, index=index)[-1:]
        # Who knows no key in a direction says that it is not protected.
        for stream in one.negotiation.status.streams:
            assert stream.protected == bool(one.octets(Direction.SEND, index=stream.index))
    mine, theirs = pair.alice.negotiation.status, pair.bob.negotiation.status
    assert [(s.index, s.protected, s.suite) for s in mine.streams] == [
        (s.index, s.protected, s.suite) for s in theirs.streams
    ]


@settings(max_examples=400, deadline=None)
@given(POLICIES, POLICIES, PLAINS, st.lists(st.tuples(st.booleans(), st.booleans(), PLAINS), max_size=3))
def test_both_sides_agree(
    alice: ims.SecurityPolicy, bob: ims.SecurityPolicy, plain: str, later: list[tuple[bool, bool, str]]
) -> None:
    """A call and up to three exchanges in it, by either side, with other streams, with or without new keys."""
    pair = Pair(alice, bob)
    streams = plain.count("\nm=")
    if not exchange(pair.alice, pair.bob, plain, invite=True):
        return
    pair.alice.confirm()
    pair.bob.confirm()
    check(pair, streams)
    for by_bob, rekey, again in later:
        parties = (pair.bob, pair.alice) if by_bob else (pair.alice, pair.bob)
        lines = [f"m={line}" for line in again.split("m=")[1:]]
        text = again + "".join((lines * 3)[len(lines) : max(streams, len(lines))])
        if exchange(*parties, text, invite=False, rekey=rekey):
            streams = text.count("\nm=")
        if any(p.negotiation.status.dialog is None for p in (pair.alice, pair.bob)):
            return
        check(pair, streams)


@settings(max_examples=200, deadline=None)
@given(POLICIES, PLAINS)
def test_unprotected_signalling(policy: ims.SecurityPolicy, plain: str) -> None:
    """No offer and no answer over it has a key, under any policy."""
    alice = Party(ims.Side.UAC, policy, signalling=ims.Hop.UNPROTECTED)
    with suppress(ims.LocalError):
        assert "crypto:" not in alice.offer(plain, dialog=None)
    bob = Party(ims.Side.UAS, policy, signalling=ims.Hop.UNPROTECTED)
    offer = Party(ims.Side.UAC, ims.SecurityPolicy(suites=policy.suites)).offer(body(LINES[0]), dialog=None)
    for sdp in (offer, offer.replace("RTP/SAVP", "RTP/AVP"), plain):
        if not bob.of(ims.NegotiationFailed, bob.receive_offer(sdp, dialog=sdp)):
            assert "crypto:" not in bob.answer(sdp.replace("SAVP", "AVP"), dialog=sdp)
            assert not bob.negotiation.status.protected


@settings(max_examples=200, deadline=None)
@given(POLICIES, POLICIES, PLAINS)
def test_an_emergency_call_is_never_blocked(alice: ims.SecurityPolicy, bob: ims.SecurityPolicy, plain: str) -> None:
    """Whatever both want: as long as the other side takes it, media flows."""
    caller = Party(ims.Side.UAC, alice, target="urn:service:sos.police")
    offer = caller.offer(plain, dialog=None)
    called = Party(ims.Side.UAS, bob)
    if called.of(ims.NegotiationFailed, called.receive_offer(offer)):
        return
    new = caller.receive_answer(called.answer(plain))
    caller.confirm()
    assert not caller.of(ims.NegotiationFailed, new)
    assert all(gate is Gate.OPEN for gate in caller.gates.values())
