"""`Call`: which policy holds, what is reported and when."""

from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.negotiation.call import Call
from imsmediasec.negotiation.dialog import Dialog, Form, MediaPlan, Stream
from imsmediasec.negotiation.forking import ForkInput, ForkPhase
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.terms import DialogExit, Hop, KeyManagement, OnFailure, Requirement, Scope, Side
from tests.pair import CAPABILITIES, counter

POLICY = ims.SecurityPolicy()
NONE = replace(CAPABILITIES, suites=())
NO_MKI = replace(CAPABILITIES, mki=False)
SOS = "urn:service:sos"
PLAIN = MediaPlan(form=Form.PLAIN, media_type="audio")


def secure(seed: str = "A") -> MediaPlan:
    def line(letter: str) -> CryptoAttribute:
        return CryptoAttribute.parse_value(f"1 AES_CM_128_HMAC_SHA1_80 inline:{letter * 40}")

    return MediaPlan(form=Form.SECURE, media_type="audio", local=line(seed), remote=line(seed.lower()))


def call(
    policy: ims.SecurityPolicy = POLICY,
    *,
    capabilities: ims.SrtpCapabilities = CAPABILITIES,
    target: str = "sip:bob@x",
    signalling: Hop = Hop.PROTECTED,
) -> Call:
    return Call(
        policy,
        side=Side.UAC,
        capabilities=capabilities,
        remote_target=target,
        signalling=signalling,
        random=counter(),
    )


def drain(one: Call) -> list[ims.Event]:
    events = []
    while one.events:
        events.append(one.events.popleft())
    status = one.status_event()
    return events if status is None else [*events, status]


@pytest.mark.parametrize(
    ("policy", "capabilities", "why"),
    [
        (POLICY, NONE, "runs none of the policy's suites: AEAD_AES_256_GCM"),
        (replace(POLICY, mki_length=4), NO_MKI, "MKI of 4 octets"),
        (replace(POLICY, mki_length=4), replace(CAPABILITIES, max_mki_length=2), "MKI of 4 octets"),
        (replace(POLICY, key_management=(KeyManagement.DTLS_SRTP,)), CAPABILITIES, "lists dtls-srtp"),
        (replace(POLICY, scope=(Scope.END_TO_ACCESS_EDGE,)), CAPABILITIES, "no registration has agreed"),
        (
            replace(POLICY, terminals=("x",), key_management=(KeyManagement.DTLS_SRTP, KeyManagement.SDES)),
            CAPABILITIES,
            "terminals",
        ),
    ],
)
def test_what_cannot_be_had(policy: ims.SecurityPolicy, capabilities: ims.SrtpCapabilities, why: str) -> None:
    """A policy is never accepted and then ignored; for an emergency call it is relaxed instead."""
    with pytest.raises(LocalError, match=why):
        call(policy, capabilities=capabilities)
    assert call(policy, capabilities=capabilities, target=SOS).policy.requirement is Requirement.PREFERRED


def test_what_is_not_needed() -> None:
    """Without a required stream no suite is needed, and without protection no method."""
    assert call(replace(POLICY, requirement=Requirement.PREFERRED), capabilities=NONE).suites == ()
    nothing = replace(POLICY, requirement=Requirement.DISABLED, key_management=(KeyManagement.DTLS_SRTP,))
    assert call(nothing).policy is nothing
    assert call(replace(POLICY, mki_length=4)).policy.mki_length == 4


def test_a_refused_policy_changes_nothing() -> None:
    """The old one holds."""
    one = call()
    with pytest.raises(LocalError):
        one.adopt(replace(POLICY, key_management=(KeyManagement.DTLS_SRTP,)))
    assert one.policy is POLICY


@pytest.mark.parametrize(
    ("signalling", "policy", "may"),
    [
        (Hop.PROTECTED, POLICY, True),
        (Hop.UNPROTECTED, POLICY, False),
        (Hop.UNPROTECTED, replace(POLICY, sdes_over_unprotected_signalling=True), True),
    ],
)
def test_keys_may_travel(signalling: Hop, policy: ims.SecurityPolicy, may: bool) -> None:
    """Over a protected hop, or by the policy's word."""
    assert call(policy, signalling=signalling).keys_may_travel is may


def test_redirect() -> None:
    """To an emergency service the policy relaxes, and it stays so wherever the call is led."""
    one = call()
    one.redirect("sip:carol@x")
    assert one.policy is POLICY
    one.redirect(SOS)
    one.redirect("sip:psap@x")
    assert one.policy.requirement is Requirement.PREFERRED


def test_known() -> None:
    """An unknown dialog is the caller's mistake."""
    one = call()
    one.dialogs["d"] = Dialog(id="d")
    assert one.known("d").id == "d"
    with pytest.raises(LocalError, match="dialog x is not known"):
        one.known("x")


def test_status_comes_last_and_once() -> None:
    """Nobody looks between two events; an unchanged status is not reported again."""
    one = call()
    d = one.dialogs["d"] = Dialog(id="d")
    one.reach(d, (secure(),), 0.0)
    kinds = [type(event) for event in drain(one)]
    assert kinds == [ims.KeysReady, ims.KeysReady, ims.MediaGate, ims.SecurityChanged]
    one.changed()
    assert drain(one) == []
    assert one.status_event() is None


def test_never_protected() -> None:
    """Where nothing was protected nothing is lost."""
    one = call()
    one.reach(one.dialogs.setdefault("d", Dialog(id="d")), (PLAIN,), 0.0)
    changed = drain(one)[-1]
    assert isinstance(changed, ims.SecurityChanged) and not changed.lost_protection


def test_lost_protection() -> None:
    """It is reported, noted, and forgotten when the protection is back."""
    one = call()
    d = one.dialogs["d"] = Dialog(id="d")
    one.reach(d, (secure(),), 0.0)
    drain(one)
    one.reach(d, (PLAIN,), 0.0)
    changed = drain(one)[-1]
    assert isinstance(changed, ims.SecurityChanged) and changed.lost_protection
    assert "protection-lost" in [warning.code for warning in one.status.warnings]
    one.reach(d, (secure("B"),), 0.0)
    changed = drain(one)[-1]
    assert isinstance(changed, ims.SecurityChanged) and not changed.lost_protection
    assert "protection-lost" not in [warning.code for warning in one.status.warnings]


@pytest.mark.parametrize(
    ("phase", "how"), [(None, None), (ForkPhase.LIVE_PRIVATE, DialogExit.BYE)], ids=["without keys", "with"]
)
def test_retire(phase: ForkPhase | None, how: DialogExit | None) -> None:
    """The dialog is over, with or without something to do in SIP."""
    one = call()
    d = one.dialogs["d"] = Dialog(id="d", phase=phase)
    one.retire(d, how, ForkInput.ENDS)
    assert d.phase is ForkPhase.RETIRED
    retired = [event for event in drain(one) if isinstance(event, ims.DialogRetired)]
    assert [event.how for event in retired] == ([] if how is None else [how])


@pytest.mark.parametrize(("streams", "hint"), [(False, 400), (True, 488)])
def test_malformed_within_a_call(streams: bool, hint: int) -> None:
    """A 400 could end the dialog, so a re-offer that cannot be read is answered with 488."""
    one = call()
    d = Dialog(id="d")
    if streams:
        d.streams[0] = Stream(index=0, mid=None, media_type="audio", form=Form.PLAIN)
    one.fail(d, MalformedInput("x"))
    (failed,) = drain(one)
    assert isinstance(failed, ims.NegotiationFailed) and failed.error.sip_status_hint == hint


def test_whose_status() -> None:
    """The dialog that took the call; before that the newest that is left; before that nobody."""
    one = call(replace(POLICY, on_unprotected=OnFailure.WARN))
    assert one.status.streams == ()
    for name in ("a", "b", "c"):
        one.reach(one.dialogs.setdefault(name, Dialog(id=name)), (secure(name),), 0.0)
    one.retire(one.dialogs["c"], None)
    one.dialogs["b"].peer = ims.PeerAssertions(claimed="sip:b@x")
    assert one.status.terminating_entity.uri == "sip:b@x"
    one.live = "a"
    assert one.status.terminating_entity.uri == "sip:bob@x"


def test_record() -> None:
    """What is recorded shows among the key holders."""
    one = call(signalling=Hop.UNPROTECTED)
    plan = secure()
    d = one.dialogs["d"] = Dialog(id="d")
    assert plan.local is not None
    one.record([plan.local, None], None)
    one.reach(d, (plan,), 0.0)
    kinds = {holder.kind for holder in one.status.key_holders}
    assert ims.HolderKind.FORKED_TERMINALS in kinds and ims.HolderKind.SIGNALLING_LISTENERS in kinds
    one.set_gates(d)
