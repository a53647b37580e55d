"""sip/caller_preferences.py against RFC 3841 7.2 and its example 7.2.5."""

from __future__ import annotations

from fractions import Fraction

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.caller_preferences import Target, matches, parse_preferences, rank_contacts
from imsmediasec.sip.feature_parameters import FeatureParameters, parse_feature_values

parse = FeatureParameters.parse
CONTACTS = parse_feature_values(
    [
        'sip:u1@h.example;audio;video;methods="INVITE,BYE";q=0.2',
        'sip:u2@h.example;audio="FALSE";methods="INVITE";actor="msg-taker";q=0.2',
        'sip:u3@h.example;audio;actor="msg-taker";methods="INVITE";video;q=0.3',
        'sip:u4@h.example;audio;methods="INVITE,OPTIONS";q=0.2',
        "sip:u5@h.example;q=0.5",
    ]
)


def heads(targets: list[Target]) -> list[str]:
    return [target.contact.head.partition(":")[2].partition("@")[0] for target in targets]


def test_the_example_of_the_rfc() -> None:
    found = rank_contacts(
        CONTACTS,
        accept=parse_preferences(["*;audio;require, *;video;explicit", '*;methods="BYE";class="business";q=1.0']),
        reject=parse_preferences(['*;actor="msg-taker";video']),
        method="INVITE",
    )
    assert heads(found) == ["u5", "u1", "u4"]
    assert [target.preference for target in found] == [1, Fraction(5, 6), Fraction(1, 2)]
    assert [target.q for target in found] == [Fraction(1, 2), Fraction(1, 5), Fraction(1, 5)]


def test_a_contact_without_features_is_immune_unless_told_otherwise() -> None:
    accept = parse_preferences(["*;audio;require;explicit"])
    assert heads(rank_contacts(CONTACTS, accept=accept)) == ["u5", "u3", "u1", "u4"]
    assert heads(rank_contacts(CONTACTS, accept=accept, immune=False)) == ["u3", "u1", "u4"]


def test_require_and_explicit() -> None:
    one = [parse("sip:a@b;audio")]
    for text, expected in (
        ("*;video", [Fraction(0)]),
        ("*;video;explicit", [Fraction(0)]),
        ("*;video;require", [Fraction(0)]),
        ("*;video;require;explicit", []),
        ("*;audio;video", [Fraction(1, 2)]),
        ("*;audio;video;explicit", [Fraction(0)]),
        ('*;audio="FALSE"', [Fraction(0)]),
        ('*;audio="FALSE";require', []),
        ("*;audio;require;explicit", [Fraction(1)]),
        ("*;require;explicit", [Fraction(1)]),
    ):
        assert [t.preference for t in rank_contacts(one, accept=parse_preferences([text]))] == expected, text


def test_reject_needs_the_contact_to_say_it() -> None:
    contacts = parse_feature_values(["sip:a@b;audio", 'sip:c@d;audio;video="FALSE"', "sip:e@f;audio;video"])
    assert len(rank_contacts(contacts, reject=parse_preferences(["*;audio;video"]))) == 2
    assert [t.preference for t in rank_contacts(contacts, reject=parse_preferences(["*;video;audio"]))] == [0, 0]


def test_without_preferences_the_method_is_one() -> None:
    assert heads(rank_contacts(CONTACTS, method="OPTIONS")) == ["u5", "u4"]
    contacts = parse_feature_values(['sip:a@b;events="x"', 'sip:c@d;events="presence";q=0.1'])
    assert heads(rank_contacts(contacts, method="SUBSCRIBE", event="presence")) == ["c"]
    assert heads(rank_contacts(contacts)) == ["a", "c"]


def test_if_nobody_has_the_method_all_stay() -> None:
    contacts = parse_feature_values(['sip:a@b;methods="BYE";q=0', 'sip:c@d;methods="BYE";q=0.5'])
    assert heads(rank_contacts(contacts, method="INVITE")) == ["c", "a"]
    assert rank_contacts(contacts, accept=parse_preferences(['*;methods="INVITE";require']), method="INVITE") == []


@pytest.mark.parametrize(
    ("one", "other", "compatible"),
    [
        ("a", "A", True),
        ("a", "b", False),
        ("a,b", "b,c", True),
        ("!a", "a", False),
        ("!a", "b", True),
        ("!a", "!a", True),
        ("<A>", "<A>", True),
        ("<A>", "<a>", False),
        ("<A>", "a", False),
        ("<A>", "!a", True),
        ("#=5", "#>=5", True),
        ("#=5", "#<=4.99", False),
        ("#>=5", "#<=5", True),
        ("#1:2", "#2:3", True),
        ("#1:2", "#2.1:3", False),
        ("#1:2", "!#1:2", False),
        ("#1:3", "!#1:2", True),
        ("#0:2", "!#1:2", True),
        ("#>=1", "!#>=0", False),
        ("#<=1", "!#>=0", True),
        ("#<=1", "!#<=1", False),
        ("#<=2", "!#<=1", True),
        ("!#=1", "!#=2", True),
        ("#=5", "a", False),
        ("#=5", "!a", True),
        ("!#=5", "<a>", True),
    ],
)
def test_matching(one: str, other: str, compatible: bool) -> None:
    a, b = parse(f'*;+x="{one}"'), parse(f'*;+x="{other}";+y')
    assert matches(a, b) is compatible
    assert matches(b, a) is compatible


def test_what_is_no_preference() -> None:
    with pytest.raises(MalformedInput):
        parse_preferences(["<sip:a@b>;audio"])
    with pytest.raises(MalformedInput):
        parse_preferences(["*;audio;require;require"])


@pytest.mark.parametrize(("q", "value"), [("", 1), (";q=0.", 0), (";q=1.000", 1), (";q=0.25", Fraction(1, 4))])
def test_q(q: str, value: Fraction) -> None:
    assert rank_contacts([parse(f"sip:a@b{q}")])[0].q == value


@pytest.mark.parametrize("q", ["q", "q=2", "q=x", "q=0.1234"])
def test_a_broken_q_is_malformed(q: str) -> None:
    with pytest.raises(MalformedInput):
        rank_contacts([parse(f"sip:a@b;{q}")])
