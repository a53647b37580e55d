"""Protection that ends at the access edge: who asks for it, who may have it, what is said of it (TS 24.229 7.5.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.negotiation.edge import EdgeRules
from imsmediasec.terms import Scope, Side
from tests.pair import CAPABILITIES, PEER, D, Party, body, counter

E2E, E2AE, E2M2E = Scope.END_TO_END, Scope.END_TO_ACCESS_EDGE, Scope.END_TO_MIDDLE_TO_END
EDGE = ims.Identity(uri="sip:pcscf.ims.example", source=ims.IdentitySource.CERTIFICATE)
ONLY = ims.SecurityPolicy(scope=(E2AE,), suites=(ims.suite_by_name("AES_CM_128_HMAC_SHA1_80"),))  # type: ignore[arg-type]
BOTH = replace(ONLY, scope=(E2E, E2AE))
EDGE_FIRST = replace(ONLY, scope=(E2AE, E2E))
APPLIED, REQUESTED = "a=3ge2ae:applied", "a=3ge2ae:requested"
VIDEO = "video 4002 RTP/AVP 96"


def party(
    side: Side,
    policy: ims.SecurityPolicy = ONLY,
    *,
    edge: ims.Identity | None = EDGE,
    target: str = "sip:peer@ims.example",
    signalling: ims.Hop = ims.Hop.PROTECTED,
) -> Party:
    """A terminal; `edge` None: nothing was agreed at registration."""
    one = Party(side)
    one.negotiation = ims.Negotiation(
        policy,
        side=side,
        capabilities=CAPABILITIES,
        local_identity="sip:self@ims.example",
        remote_target=target,
        signalling=signalling,
        access_edge=edge,
        random=counter(1 if side is Side.UAC else 2**39),
    )
    return one


def network() -> Party:
    """What the edge's media plane does: SDES, whatever else stands in the SDP."""
    return Party(Side.UAS, replace(ONLY, scope=(E2E,)))


def offered(*media: str, mark: str = APPLIED) -> str:
    """An offer of the network."""
    offer = Party(Side.UAC, replace(ONLY, scope=(E2E,)), random=counter(2**38)).offer(body(*media), dialog=None)
    return "".join(f"{line}\r\n{mark}\r\n" if mark and line.startswith("a=crypto") else f"{line}\r\n"
                   for line in offer.splitlines())  # fmt: skip


def answer_of_edge(offer: str, *, mark: str = "") -> str:
    """The network's answer."""
    edge = network()
    edge.receive_offer(offer.replace(f"{REQUESTED}\r\n", ""))
    answer = edge.answer(body(*[line.removeprefix("m=") for line in offer.splitlines() if line.startswith("m=")]))
    return answer + (f"{mark}\r\n" if mark else "")


def holders(one: Party) -> list[tuple[ims.HolderKind, str]]:
    return [(holder.kind, holder.name) for holder in one.negotiation.status.key_holders]


def test_offer_asks_the_edge() -> None:
    """Beside a=crypto, at media level, on RTP/SAVP; what the application wrote itself is replaced."""
    alice = party(Side.UAC)
    assert alice.negotiation.offers_to_edge
    lines = alice.offer(body(f"audio 4000 RTP/AVP 0\n{REQUESTED}\na=sendrecv"), dialog=None).splitlines()
    at = lines.index("m=audio 4000 RTP/SAVP 0")
    assert lines[at + 1].startswith("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:")
    assert lines[at + 2 :] == [REQUESTED, "a=sendrecv"]


def test_key_ends_at_the_edge() -> None:
    """Media flows with the first answer, an unreliable one too; nothing is re-keyed, however the call forks behind."""
    alice = party(Side.UAC)
    offer = alice.offer(dialog=None)
    answer = answer_of_edge(offer)
    alice.receive_answer(answer, reliable=False, peer=PEER)
    assert alice.gates == {(D, 0): ims.Gate.OPEN}
    alice.receive_answer(answer)
    alice.receive_answer(answer_of_edge(offer), dialog="other")
    alice.confirm()
    alice.wait(100)
    assert not alice.of(ims.RekeyRequired)
    assert alice.gates[D, 0] is ims.Gate.OPEN
    assert alice.gates["other", 0] is ims.Gate.KEEPALIVE_ONLY
    status = alice.negotiation.status
    (stream,) = status.streams
    assert status.protected and stream.may_send
    assert (stream.scope, stream.key_management) == (E2AE, ims.KeyManagement.SDES)
    assert status.terminating_entity == EDGE
    assert status.other_end == ims.Identity(uri=PEER.asserted, source=ims.IdentitySource.NETWORK_ASSERTED)
    assert status.fork_state is ims.ForkState.UNKNOWN
    assert holders(alice) == [(ims.HolderKind.ACCESS_EDGE, EDGE.uri)]
    assert "access edge" in status.key_holders[0].reason
    assert alice.warnings() == []


@pytest.mark.parametrize(
    "mark", [APPLIED, "a=3ge2ae: applied", "a=3ge2ae:Applied ", "a=3ge2ae:other\r\na=3ge2ae:applied"]
)
def test_offer_of_the_edge_is_answered(mark: str) -> None:
    """The callee waits for no re-key, and its answer does not repeat the attribute."""
    bob = party(Side.UAS)
    bob.receive_offer(offered(mark=mark), peer=PEER)
    assert bob.negotiation.status.other_end == bob.negotiation.status.terminating_entity  # who calls, before answering
    answer = bob.answer()
    bob.drain()
    bob.confirm()
    assert "RTP/SAVP" in answer
    assert "a=crypto:1 " in answer
    assert "3ge2ae" not in answer
    assert bob.negotiation.next_timeout() is None
    assert bob.gates == {(D, 0): ims.Gate.OPEN}
    assert bob.negotiation.status.terminating_entity == EDGE
    assert holders(bob) == [(ims.HolderKind.ACCESS_EDGE, EDGE.uri)]


def test_other_words_are_ignored() -> None:
    """An offer that is marked otherwise is like one that is not marked."""
    bob = party(Side.UAS, BOTH)
    bob.receive_offer(offered(mark="a=3ge2ae:later"))
    bob.answer()
    assert bob.negotiation.status.streams[0].scope is E2E


def test_offer_without_a_mark() -> None:
    """It goes end to end, unless the policy asks for the edge only: then no more than that is said, and that others on
    the path may have the key."""
    bob = party(Side.UAS)
    bob.receive_offer(offered(mark=""))
    bob.answer()
    bob.confirm()
    assert bob.negotiation.next_timeout() is None
    assert bob.negotiation.status.streams[0].scope is E2AE
    kinds = [kind for kind, _ in holders(bob)]
    assert kinds == [
        ims.HolderKind.ACCESS_EDGE, ims.HolderKind.SIGNALLING_PATH, ims.HolderKind.FORKED_TERMINALS,
    ]  # fmt: skip
    assert REQUESTED in bob.offer()
    other = party(Side.UAS, BOTH)
    other.receive_offer(offered(mark=""))
    other.answer()
    other.confirm()
    assert other.negotiation.status.streams[0].scope is E2E
    assert other.negotiation.next_timeout() is not None  # the caller's re-key is waited for
    assert REQUESTED not in other.offer()


@pytest.mark.parametrize(("policy", "edge"), [(BOTH, None), (replace(ONLY, scope=(E2E,)), EDGE)])
def test_edge_that_may_not(policy: ims.SecurityPolicy, edge: ims.Identity | None) -> None:
    """Nothing agreed at registration, or the policy does not list it: a required stream is refused, ..."""
    bob = party(Side.UAS, policy, edge=edge)
    assert not bob.negotiation.offers_to_edge
    assert "access edge" in bob.error(bob.receive_offer(offered())).reason
    assert bob.error(bob.events).sip_status_hint == 488
    relaxed = party(Side.UAS, replace(policy, requirement=ims.Requirement.PREFERRED), edge=edge)
    assert not relaxed.of(ims.NegotiationFailed, relaxed.receive_offer(offered()))
    relaxed.answer()
    assert relaxed.negotiation.status.streams[0].scope is E2AE
    assert relaxed.negotiation.status.terminating_entity == (
        edge or ims.Identity(uri=None, source=ims.IdentitySource.NONE)
    )


def test_edge_that_is_second_best() -> None:
    """An end-to-end offer that the edge answers for itself: good enough by the policy, and said."""
    alice = party(Side.UAC, BOTH)
    offer = alice.offer(dialog=None)
    assert "3ge2ae" not in offer
    alice.receive_answer(answer_of_edge(offer, mark=APPLIED))
    alice.confirm()
    assert not alice.of(ims.RekeyRequired)
    assert alice.negotiation.status.streams[0].scope is E2AE
    assert "edge-only" in alice.warnings()
    strict = party(Side.UAC, replace(ONLY, scope=(E2E,)))
    assert (
        "access edge"
        in strict.error(strict.receive_answer(answer_of_edge(strict.offer(dialog=None), mark=APPLIED))).reason
    )


@pytest.mark.parametrize("spoiled", ["RTP/AVP", "no key"])
def test_answer_without_a_key(spoiled: str) -> None:
    """A removed key fails the call."""
    alice = party(Side.UAC)
    answer = answer_of_edge(alice.offer(dialog=None))
    lines = [line for line in answer.splitlines() if spoiled == "RTP/AVP" or not line.startswith("a=crypto")]
    sdp = "".join(f"{line}\r\n" for line in lines)
    new = alice.receive_answer(sdp.replace("SAVP", "AVP") if spoiled == "RTP/AVP" else sdp)
    assert isinstance(alice.error(new), ims.PeerMisbehaved)
    assert alice.gates == {}


def confirmed(policy: ims.SecurityPolicy, *, mark: str = "") -> Party:
    """A caller within a call."""
    alice = party(Side.UAC, policy)
    alice.receive_answer(answer_of_edge(alice.offer(dialog=None), mark=mark))
    alice.confirm()
    if alice.of(ims.RekeyRequired):
        alice.receive_answer(answer_of_edge(alice.offer()))
    return alice


@pytest.mark.parametrize("by_answer", [False, True])
def test_end_to_end_is_not_shortened(by_answer: bool) -> None:
    """What went end to end does not end at the edge all at once, unless the policy bears it."""

    def shorten(alice: Party) -> list[ims.Event]:
        if by_answer:
            return alice.receive_answer(answer_of_edge(alice.offer(), mark=APPLIED))
        return alice.receive_offer(offered())

    alice = confirmed(BOTH)
    assert isinstance(alice.error(shorten(alice)), ims.DowngradeDetected)
    assert alice.negotiation.status.streams[0].scope is E2E
    bearing = confirmed(replace(BOTH, on_protection_lost=ims.OnFailure.WARN))
    assert not bearing.of(ims.NegotiationFailed, shorten(bearing))
    if not by_answer:
        bearing.answer()
    assert bearing.negotiation.status.streams[0].scope is E2AE
    assert bearing.negotiation.status.fork_state is ims.ForkState.UNKNOWN


def test_a_stream_less_is_no_shortening() -> None:
    """An m-line that the network refuses or keeps at the edge."""
    alice = confirmed(ONLY)
    assert not alice.of(ims.NegotiationFailed, alice.receive_offer(offered()))
    alice.answer()
    assert alice.negotiation.status.streams[0].scope is E2AE


def test_offers_in_a_call_stay_where_it_ends() -> None:
    """Known m-lines and new ones: as agreed, not as the policy would like for a new call."""
    at_edge = confirmed(BOTH, mark=APPLIED)
    again = at_edge.offer(body("audio 4000 RTP/AVP 0", VIDEO))
    assert again.count(REQUESTED) == 2
    far = party(Side.UAS, EDGE_FIRST)
    far.receive_offer(offered(mark=""))
    far.answer()
    far.confirm()
    assert "3ge2ae" not in far.offer(body("audio 4000 RTP/AVP 0", VIDEO))
    moved = confirmed(ONLY)
    moved.negotiation.change_policy(replace(ONLY, scope=(E2E,)), now=0)
    assert "3ge2ae" not in moved.offer()


def test_without_an_agreement() -> None:
    """Nothing but the edge is wanted and it has agreed on nothing: what is required fails, the rest goes in clear."""
    with pytest.raises(ims.LocalError, match="no registration has agreed") as caught:
        party(Side.UAC, edge=None)
    assert caught.value.sip_status_hint == 488
    optional = party(Side.UAC, replace(ONLY, requirement=ims.Requirement.PREFERRED), edge=None)
    assert "crypto" not in optional.offer(dialog=None)
    assert EdgeRules.of(replace(ONLY, scope=(E2M2E,)), agreed=False).available


@pytest.mark.parametrize("form", list(ims.OptionalForm))
def test_preferred_asks_too(form: ims.OptionalForm) -> None:
    """In whatever form the key is offered."""
    alice = party(Side.UAC, replace(ONLY, requirement=ims.Requirement.PREFERRED, optional_form=form))
    assert alice.offer(dialog=None).count(REQUESTED) == 1
    none = party(Side.UAC, replace(ONLY, requirement=ims.Requirement.DISABLED))
    assert "3ge2ae" not in none.offer(dialog=None)


def test_emergency_call_is_never_blocked() -> None:
    """No registration, no agreement: it goes out all the same, protected if somebody takes that up."""
    alice = party(Side.UAC, edge=None, target="urn:service:sos")
    offer = alice.offer(dialog=None)
    assert "RTP/AVP 0" in offer
    assert "a=crypto" in offer
    assert "3ge2ae" not in offer


def test_open_signalling_shows() -> None:
    """Whoever listens to the access hop has the key, edge or not."""
    alice = party(
        Side.UAC, replace(ONLY, sdes_over_unprotected_signalling=True), signalling=ims.Hop.UNPROTECTED
    )  # fmt: skip
    alice.receive_answer(answer_of_edge(alice.offer(dialog=None)))
    assert [kind for kind, _ in holders(alice)] == [
        ims.HolderKind.ACCESS_EDGE, ims.HolderKind.SIGNALLING_LISTENERS,
    ]  # fmt: skip


def test_exposed_by_word_says_nothing_of_terminals() -> None:
    """`Forking.EXPOSED` is about terminals; none has a key here."""
    alice = confirmed(replace(ONLY, forking=ims.Forking.EXPOSED))
    assert "exposed" not in alice.warnings()
