"""The status says what is recorded, and no more."""

from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.terms import Direction, ForkState, IdentitySource, KeyManagement, OnFailure, Requirement, Scope
from tests.pair import CAPABILITIES, PEER, D, Pair, Party, body

PREFERRED = ims.SecurityPolicy(requirement=Requirement.PREFERRED)
SEND, RECEIVE = Direction.SEND, Direction.RECEIVE


def holders(party: Party) -> dict[ims.HolderKind, list[tuple[str, frozenset[Direction]]]]:
    found: dict[ims.HolderKind, list[tuple[str, frozenset[Direction]]]] = {}
    for holder in party.negotiation.status.key_holders:
        assert holder.reason
        found.setdefault(holder.kind, []).append((holder.name, holder.directions))
    return found


def test_before_and_after_the_call() -> None:
    """Without a dialog nothing is claimed; after the call neither."""
    pair = Pair()
    status = pair.alice.negotiation.status
    assert (status.dialog, status.streams, status.fork_state) == (None, (), ForkState.UNKNOWN)
    assert status.terminating_entity == ims.Identity(uri="sip:peer@ims.example", source=IdentitySource.NONE)
    pair.confirmed()
    pair.alice.negotiation.dialog_ended(dialog=D, now=0)
    status = pair.alice.negotiation.status
    assert (status.dialog, status.streams, status.protected) == (D, (), False)


def test_caller_before_and_after_the_rekey() -> None:
    """First the forks may have our key, then the other end and the path only."""
    pair = Pair()
    pair.call()
    everyone = frozenset({SEND, RECEIVE})
    assert holders(pair.alice) == {
        ims.HolderKind.TERMINATING_ENTITY: [("sip:peer@ims.example", everyone)],
        ims.HolderKind.SIGNALLING_PATH: [("every SIP node on the path", everyone)],
        ims.HolderKind.FORKED_TERMINALS: [("every terminal that the INVITE reached", frozenset({SEND}))],
    }
    assert pair.alice.negotiation.status.fork_state is ForkState.EXPOSED
    assert not pair.alice.negotiation.status.streams[0].may_send
    pair.reinvite()
    assert ims.HolderKind.FORKED_TERMINALS not in holders(pair.alice)
    status = pair.alice.negotiation.status
    assert status.protected and status.fork_state is ForkState.CONFIRMED
    stream = status.streams[0]
    assert (stream.scope, stream.key_management) == (Scope.END_TO_END, KeyManagement.SDES)
    assert stream.suite is ims.suite_by_name("AEAD_AES_256_GCM") and stream.may_send


def test_callee() -> None:
    """The callee cannot know who else has the caller's key, until it changes."""
    pair = Pair()
    pair.call()
    assert pair.bob.negotiation.status.fork_state is ForkState.UNKNOWN
    assert holders(pair.bob)[ims.HolderKind.FORKED_TERMINALS][0][1] == {RECEIVE}
    pair.reinvite()
    assert pair.bob.negotiation.status.fork_state is ForkState.CONFIRMED


def test_other_early_dialogs() -> None:
    """Each dialog that answered the INVITE has the key that stood in it."""
    pair = Pair()
    offer = pair.alice.offer(dialog=None)
    for name in ("one", "two"):
        bob = Party(ims.Side.UAS)
        bob.receive_offer(offer, dialog=name)
        pair.alice.receive_answer(bob.answer(dialog=name), dialog=name)
    pair.alice.confirm(dialog="two")
    assert holders(pair.alice)[ims.HolderKind.EARLY_DIALOG] == [("one", frozenset({SEND}))]


def test_listeners() -> None:
    """Keys that went over clear signalling by the policy's word: the status says who can listen."""
    policy = replace(PREFERRED, sdes_over_unprotected_signalling=True)
    party = Party(ims.Side.UAS, policy, signalling=ims.Hop.UNPROTECTED)
    party.receive_offer(Pair().alice.offer(dialog=None))
    party.answer()
    assert ims.HolderKind.SIGNALLING_LISTENERS in holders(party)
    assert "signalling-unprotected" in party.warnings()


@pytest.mark.parametrize(
    ("peer", "uri", "source"),
    [
        (None, "sip:peer@ims.example", IdentitySource.NONE),
        (ims.PeerAssertions(claimed="sip:b@x"), "sip:b@x", IdentitySource.CLAIMED),
        (ims.PeerAssertions(claimed="sip:b@x", asserted="sip:c@x"), "sip:b@x", IdentitySource.CLAIMED),
        (ims.PeerAssertions(asserted="sip:c@x"), "sip:peer@ims.example", IdentitySource.NONE),
        (ims.PeerAssertions(asserted="sip:c@x", trusted_hop=True), "sip:c@x", IdentitySource.NETWORK_ASSERTED),
    ],
)
def test_identity(peer: ims.PeerAssertions | None, uri: str, source: IdentitySource) -> None:
    """An assertion counts from a trusted hop only; anything less is warned of. It stands before the answer."""
    bob = Party(ims.Side.UAS)
    bob.receive_offer(Pair().alice.offer(dialog=None), peer=peer)
    assert bob.negotiation.status.terminating_entity == ims.Identity(uri=uri, source=source)
    assert ("identity-unverified" in bob.warnings()) is (source is not IdentitySource.NETWORK_ASSERTED)


def test_identity_before_any_sdp() -> None:
    """Who is at the other end is known while it rings."""
    alice = Party(ims.Side.UAC)
    alice.offer(dialog=None)
    alice.negotiation.receive_peer(dialog=D, peer=PEER, now=0)
    assert alice.negotiation.status.terminating_entity.uri == "sip:bob@ims.example"


@pytest.mark.parametrize("trusted", ["sip:bob@ims.example", "sip:carol@ims.example"])
def test_trusted_middle(trusted: str) -> None:
    """If a node of the user's choice ends the protection, the scope is e2m2e, and it is named as such."""
    policy = ims.SecurityPolicy(scope=(Scope.END_TO_END, Scope.END_TO_MIDDLE_TO_END), trusted_middle=(trusted,))
    pair = Pair(policy)
    answered = pair.call()[1]
    del answered
    pair.alice.offer()
    pair.alice.rejected(491)
    offer = pair.alice.offer()
    pair.bob.receive_offer(offer)
    pair.alice.receive_answer(pair.bob.answer(), peer=PEER)
    middle = trusted == "sip:bob@ims.example"
    stream = pair.alice.negotiation.status.streams[0]
    assert stream.scope is (Scope.END_TO_MIDDLE_TO_END if middle else Scope.END_TO_END)
    assert (ims.HolderKind.TRUSTED_MIDDLE in {holder.kind for holder in stream.key_holders}) is middle


def test_warnings_of_a_stream() -> None:
    """Unprotected is warned of where the user wanted protection; other m-lines are not mentioned."""
    policy = replace(PREFERRED, requirement_by_media={"text": Requirement.DISABLED})
    pair = Pair(policy, replace(policy, requirement=Requirement.DISABLED))
    text = body("audio 4000 RTP/AVP 0", "text 4002 RTP/AVP 98", "message 7000 TCP/MSRP *", "video 0 RTP/AVP 31")
    pair.call(text)
    status = pair.alice.negotiation.status
    assert [stream.media_type for stream in status.streams] == ["audio", "text"]
    assert [w.index for w in status.warnings if w.code == "unprotected"] == [0]
    assert (status.streams[0].scope, status.streams[0].suite, status.streams[0].key_holders) == (None, None, ())


@pytest.mark.parametrize("on_exposed", [OnFailure.ASK, OnFailure.WARN])
def test_exposed_warnings(on_exposed: OnFailure) -> None:
    """A failed re-key asks or warns; after the user's word it warns."""
    pair = Pair(ims.SecurityPolicy(on_exposed=on_exposed))
    pair.call()
    pair.alice.offer()
    pair.alice.rejected(488)
    assert ("decision-needed" in pair.alice.warnings()) is (on_exposed is OnFailure.ASK)
    if on_exposed is OnFailure.ASK:
        pair.alice.negotiation.accept_exposure(dialog=D, go_on=True, now=0)
    assert "exposed" in pair.alice.warnings() and "decision-needed" not in pair.alice.warnings()
    pair.reinvite()
    assert "exposed" not in pair.alice.warnings()


def test_asked_about_unprotected() -> None:
    """The question says what it is about."""
    pair = Pair(ims.SecurityPolicy(on_unprotected=OnFailure.ASK), replace(PREFERRED, requirement=Requirement.DISABLED))
    pair.call()
    (text,) = [w.text for w in pair.alice.negotiation.status.warnings if w.code == "decision-needed"]
    assert "not protected" in text


def test_policy_warnings() -> None:
    """What SDES cannot do for this user is said while it is used."""
    policy = ims.SecurityPolicy(
        key_management=(KeyManagement.DTLS_SRTP, KeyManagement.SDES),
        terminals=("sip:bob-desk@x",),
        on_exposed=OnFailure.WARN,
    )
    pair = Pair(policy)
    pair.confirmed()
    assert {"terminal-unverified", "method-unavailable"} <= set(pair.alice.warnings())
    assert not {"terminal-unverified", "method-unavailable"} & set(pair.bob.warnings())


@pytest.mark.parametrize("scope", [(Scope.END_TO_ACCESS_EDGE,), (Scope.END_TO_END, Scope.END_TO_ACCESS_EDGE)])
@pytest.mark.parametrize("hop", list(ims.Hop))
def test_ends_at_the_edge(scope: tuple[Scope, ...], hop: ims.Hop) -> None:
    """The edge ends it, holds the key and is named; who else could listen is not left out."""
    edge = ims.Identity(uri="sip:pcscf@x", source=IdentitySource.CERTIFICATE)
    bob = Party(ims.Side.UAS)
    bob.negotiation = ims.Negotiation(
        ims.SecurityPolicy(scope=scope, sdes_over_unprotected_signalling=True),
        side=ims.Side.UAS,
        capabilities=CAPABILITIES,
        local_identity="sip:b@x",
        remote_target="sip:a@x",
        signalling=hop,
        access_edge=edge,
    )
    offer = Pair().alice.offer(dialog=None)
    bob.receive_offer(offer + "a=3ge2ae:applied\r\n", peer=PEER)
    bob.answer()
    bob.confirm()
    status = bob.negotiation.status
    assert (status.terminating_entity, status.other_end.uri) == (edge, "sip:bob@ims.example")
    assert status.streams[0].scope is Scope.END_TO_ACCESS_EDGE
    kinds = set(holders(bob))
    expected = {ims.HolderKind.ACCESS_EDGE}
    if hop is ims.Hop.UNPROTECTED:
        expected.add(ims.HolderKind.SIGNALLING_LISTENERS)
    assert kinds == expected
    assert ("edge-only" in bob.warnings()) is (scope[0] is Scope.END_TO_END)
