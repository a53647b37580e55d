"""registration/capabilities.py: what a terminal says of itself and its user comes over (B10)."""

from __future__ import annotations

import pytest

from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import Mode, PolicyBook, Rule
from imsmediasec.registration.capabilities import (
    EndToEndCapabilities,
    EndToEndPreferences,
    FeatureNames,
    accept_contact,
    read_features,
    write_features,
)
from imsmediasec.sip.caller_preferences import parse_preferences, rank_contacts
from imsmediasec.sip.feature_parameters import FeatureParameters
from imsmediasec.suites import AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80
from imsmediasec.terms import KeyManagement, Requirement, Scope

E2E = SecurityPolicy(
    scope=(Scope.END_TO_END, Scope.END_TO_MIDDLE_TO_END),
    key_management=(KeyManagement.DTLS_SRTP, KeyManagement.SDES),
    suites=(AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_80),
)
EDGE = SecurityPolicy(scope=(Scope.END_TO_ACCESS_EDGE,))
HEAD = "<sip:a@b>"


def contact(policy: SecurityPolicy, preferences: EndToEndPreferences | None = None) -> FeatureParameters:
    said = write_features(EndToEndCapabilities.of(policy), preferences or EndToEndPreferences.of(policy))
    return FeatureParameters.parse(HEAD + said)


def test_how_it_is_written() -> None:
    wanted = EndToEndPreferences(wanted=Mode.ON_REQUEST, wanted_for=("sip:*@police.example", "tel:+49*"))
    assert str(contact(E2E, wanted)) == (
        '<sip:a@b>;+x.imsmediasec.methods="dtls-srtp,sdes"'
        ';+x.imsmediasec.suites="AEAD_AES_256_GCM,AES_CM_128_HMAC_SHA1_80";+x.imsmediasec.middle="FALSE"'
        ';+x.imsmediasec.wanted="on-request";+x.imsmediasec.wanted-for="<sip:*@police.example tel:+49*>"'
    )
    assert ";+x.imsmediasec.middle;" in str(contact(E2E))
    assert write_features(EndToEndCapabilities(), EndToEndPreferences()) == ""


def test_what_is_written_is_read() -> None:
    wanted = EndToEndPreferences(wanted=Mode.ALWAYS, wanted_for=("sip:*@a",), middle_accepted=True)
    assert read_features(contact(E2E, wanted)) == (EndToEndCapabilities.of(E2E), wanted)
    names = FeatureNames(prefix="+g.operator.sec")
    said = write_features(EndToEndCapabilities.of(E2E), wanted, names)
    assert read_features(FeatureParameters.parse(HEAD + said), names) == (EndToEndCapabilities.of(E2E), wanted)
    assert read_features(FeatureParameters.parse(HEAD + said)) == (EndToEndCapabilities(), EndToEndPreferences())


def test_what_nobody_knows_is_passed_over() -> None:
    text = (
        '*;+x.imsmediasec.methods="new,SDES,sdes,!dtls-srtp";+x.imsmediasec.suites="NEW,AEAD_AES_256_GCM"'
        ';+x.imsmediasec.middle="maybe";+x.imsmediasec.wanted="always,never";+x.imsmediasec.wanted-for="<ok a\\"b>"'
    )
    capabilities, preferences = read_features(FeatureParameters.parse(text))
    assert capabilities == EndToEndCapabilities(methods=(KeyManagement.SDES,), suites=(AEAD_AES_256_GCM,))
    assert preferences == EndToEndPreferences(wanted_for=("ok",))
    assert read_features(FeatureParameters.parse('*;+x.imsmediasec.wanted="later"'))[1].wanted is None


def test_what_a_policy_says() -> None:
    for policy in (EDGE, SecurityPolicy(requirement=Requirement.DISABLED)):
        assert EndToEndCapabilities.of(policy) == EndToEndCapabilities()
    assert EndToEndPreferences.of(E2E) == EndToEndPreferences(wanted=Mode.ALWAYS, middle_accepted=True)
    rules = (
        Rule(pattern="sip:*@a", mode=Mode.ALWAYS, policy=E2E),
        Rule(pattern="sip:*@b", mode=Mode.NEVER, policy=E2E),
    )
    book = PolicyBook(default=Rule(pattern="*", mode=Mode.AUTOMATIC, policy=EDGE), rules=rules)
    assert EndToEndPreferences.of(book) == EndToEndPreferences(wanted=Mode.AUTOMATIC)
    assert EndToEndPreferences.of(book, tell_for_whom=True).wanted_for == ("sip:*@a",)


@pytest.mark.parametrize("pattern", ["", "a b", "a>b", 'a"b', "a\\b", "a\n", "ä", "<"])
def test_a_pattern_that_cannot_be_written(pattern: str) -> None:
    with pytest.raises(LocalError):
        EndToEndPreferences(wanted_for=(pattern,))


@pytest.mark.parametrize("prefix", ["x", "+", "+1", "+a b", "+a;b"])
def test_a_prefix_that_is_no_feature_tag(prefix: str) -> None:
    with pytest.raises(LocalError):
        FeatureNames(prefix=prefix)


def test_a_call_that_needs_it_goes_only_where_it_can() -> None:
    text = accept_contact(E2E)
    assert text is not None
    sdes_only = SecurityPolicy(suites=(AES_CM_128_HMAC_SHA1_80,))
    other_suite = SecurityPolicy(suites=(AEAD_AES_256_GCM,))
    contacts = [contact(sdes_only), FeatureParameters.parse("<sip:plain@b>;audio"), FeatureParameters.parse(HEAD)]
    found = rank_contacts(contacts, accept=parse_preferences([text]), immune=False)
    assert [target.contact for target in found] == contacts[:1]
    strict = accept_contact(sdes_only)
    assert strict is not None
    assert rank_contacts([contact(other_suite)], accept=parse_preferences([strict])) == []


def test_a_call_that_may_do_without_is_not_narrowed() -> None:
    assert accept_contact(EDGE) is None
    assert accept_contact(SecurityPolicy(requirement=Requirement.PREFERRED)) is None
    assert accept_contact(SecurityPolicy(scope=(Scope.END_TO_END, Scope.END_TO_ACCESS_EDGE))) is None
