"""registration/announcement.py and profile.py."""

from __future__ import annotations

import pytest

from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.registration.announcement import Announcement
from imsmediasec.registration.profile import CARRIER, THREE_GPP, AgreementProfile
from imsmediasec.sip.security_agreement import MediaMechanism, SecurityMechanism
from imsmediasec.terms import KeyManagement, Requirement, Scope

EDGE = SecurityPolicy(
    scope=(Scope.END_TO_ACCESS_EDGE,), key_management=(KeyManagement.MIKEY_TICKET, KeyManagement.SDES)
)


def announce(policy: SecurityPolicy = EDGE, *signalling: str, **options: object) -> Announcement:
    entries = [SecurityMechanism.parse(text) for text in signalling]
    given: dict[str, object] = {"profile": CARRIER, "mechanisms": None, **options}
    return Announcement(policy, signalling_mechanisms=entries, **given)  # type: ignore[arg-type]


def test_entries_and_tags() -> None:
    both = announce(EDGE, "tls")
    assert [str(entry) for entry in both.client] == ["tls", "sdes-srtp;mediasec"]
    assert both.option_tags == ("sec-agree", "mediasec")
    assert announce(profile=THREE_GPP).option_tags == announce(EDGE, "tls", profile=THREE_GPP).option_tags
    assert announce(mechanisms=[MediaMechanism.MSRP_TLS] * 2).mechanisms == (MediaMechanism.MSRP_TLS,)
    assert AgreementProfile(name="x", option_tag="y").option_tags(signalling=False) == ("y",)


@pytest.mark.parametrize(
    ("scope", "requirement", "needed"),
    [
        ((Scope.END_TO_ACCESS_EDGE,), Requirement.REQUIRED, True),
        ((Scope.END_TO_ACCESS_EDGE,), Requirement.PREFERRED, False),
        ((Scope.END_TO_ACCESS_EDGE, Scope.END_TO_END), Requirement.REQUIRED, False),
    ],
)
def test_when_it_is_needed(scope: tuple[Scope, ...], requirement: Requirement, needed: bool) -> None:
    assert announce(SecurityPolicy(scope=scope, requirement=requirement)).needed is needed


def test_what_the_policy_forbids() -> None:
    with pytest.raises(LocalError):
        announce(SecurityPolicy(), mechanisms=[MediaMechanism.SDES_SRTP])
    assert announce(SecurityPolicy()).client == ()
    for entry in ("x;mediasec", "x;q=1", "digest"):
        with pytest.raises(LocalError):
            announce(EDGE, entry)
