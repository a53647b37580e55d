"""`SecurityPolicy`: defaults, contradictions, media types, emergency calls."""

from typing import Any

import pytest

from imsmediasec.errors import LocalError
from imsmediasec.policy import STRICT, TOLERANT, Quirk, SecurityPolicy
from imsmediasec.suites import AEAD_AES_128_GCM
from imsmediasec.terms import Forking, KeyManagement, OnFailure, Requirement, Scope


def test_defaults_fail_closed() -> None:
    """Without a word of the user: required, secure forking, no clear text, no key in clear signalling."""
    policy = SecurityPolicy()
    assert policy.requirement is Requirement.REQUIRED
    assert policy.forking is Forking.SECURE
    assert policy.on_exposed is policy.on_protection_lost is policy.on_unprotected is OnFailure.REFUSE
    assert not policy.sdes_over_unprotected_signalling
    assert not policy.accept_unencrypted
    assert policy.tolerate == {Quirk.UNPADDED_BASE64}
    assert (frozenset(), frozenset(Quirk)) == (STRICT, TOLERANT)


@pytest.mark.parametrize(
    "contradiction",
    [
        {"scope": ()},
        {"key_management": ()},
        {"suites": ()},
        {"suites": (AEAD_AES_128_GCM, AEAD_AES_128_GCM)},
        {"key_management": (KeyManagement.SDES, KeyManagement.SDES)},
        {"trusted_middle": ("sip:mailbox@x",)},
        {"terminals": ("sip:bob-desk@x",)},
        {"mki_length": 0},
        {"mki_length": 129},
        {"key_lifetime": 0},
        {"key_lifetime": 2**31 + 1},
    ],
    ids=repr,
)
def test_contradictions(contradiction: dict[str, Any]) -> None:
    """A policy that cannot be meant is refused when it is made."""
    with pytest.raises(LocalError):
        SecurityPolicy(**contradiction)


def test_limits() -> None:
    """The ends of the ranges are allowed; trusted nodes are, in their scope."""
    SecurityPolicy(mki_length=128, key_lifetime=2**31)
    SecurityPolicy(mki_length=1, key_lifetime=1)
    SecurityPolicy(scope=(Scope.END_TO_MIDDLE_TO_END,), trusted_middle=("sip:mailbox@x",))


def test_by_media_type() -> None:
    """A media type can have a requirement of its own."""
    policy = SecurityPolicy(requirement_by_media={"video": Requirement.DISABLED})
    assert policy.requirement_for("audio") is Requirement.REQUIRED
    assert policy.requirement_for("video") is Requirement.DISABLED


@pytest.mark.parametrize("on_unprotected", [OnFailure.WARN, OnFailure.ASK])
def test_required_but_not_to_the_end(on_unprotected: OnFailure) -> None:
    """With WARN and ASK a required stream is offered as preferred; ASK is about required streams only."""
    policy = SecurityPolicy(
        on_unprotected=on_unprotected,
        requirement_by_media={"video": Requirement.PREFERRED, "text": Requirement.DISABLED},
    )
    assert policy.requirement_for("audio") is Requirement.PREFERRED
    assert policy.requirement_for("text") is Requirement.DISABLED
    assert policy.asks_about("audio") is (on_unprotected is OnFailure.ASK)
    assert not policy.asks_about("video")


@pytest.mark.parametrize(
    ("target", "emergency"),
    [
        ("urn:service:sos", True),
        ("URN:service:sos.police", True),
        ("urn:service:sosx", False),
        ("<sip:112@ims.example>", True),
        ("sips:911@x;user=phone", True),
        ("tel:112;phone-context=+49", True),
        ("tel:1120", False),
        ("sip:bob@112", False),
        ("http:112", False),
        ("112", False),
        ("", False),
        ("sip:Fire@x", True),
    ],
)
def test_is_emergency(target: str, emergency: bool) -> None:
    """RFC 5031 URNs with their sub-services, and the configured user parts."""
    assert SecurityPolicy(emergency_numbers=("112", "911", "FIRE")).is_emergency(target) is emergency


@pytest.mark.parametrize("requirement", list(Requirement))
def test_an_emergency_call_is_never_blocked(requirement: Requirement) -> None:
    """Protected if possible, whatever the policy; suites and tolerance stay."""
    strict = SecurityPolicy(
        requirement=requirement, requirement_by_media={"video": Requirement.REQUIRED}, suites=(AEAD_AES_128_GCM,)
    )
    policy = strict.for_emergency()
    assert policy.requirement_for("audio") is policy.requirement_for("video") is Requirement.PREFERRED
    assert policy.forking is Forking.EXPOSED
    assert policy.on_exposed is policy.on_protection_lost is policy.on_unprotected is OnFailure.WARN
    assert policy.suites == strict.suites
