"""sip/feature_parameters.py against RFC 3840 5, 9, RFC 3841 8 and RFC 6809 6."""

from __future__ import annotations

import time
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.feature_parameters import (
    MAX_LENGTH,
    MAX_VALUES,
    FeatureParameters,
    RangeFilter,
    StringFilter,
    TokenFilter,
    feature_tag,
    is_feature,
    parse_feature_caps,
    parse_feature_values,
    parse_filters,
)

parse = FeatureParameters.parse
CONTACT = (
    "<sip:user@pc.example;transport=tls>"
    ' ;mobility="fixed";events="!presence,message-summary" ; language="en,de";description="<PC>"'
    ';+sip.newparam;+rangeparam="#-4:+5.125";expires = 600;q=0.2'
)


def test_the_predicate_of_the_example() -> None:
    found = parse(CONTACT)
    assert found.features == {
        "sip.mobility": (TokenFilter(value="fixed"),),
        "sip.events": (TokenFilter(value="presence", negated=True), TokenFilter(value="message-summary")),
        "language": (TokenFilter(value="en"), TokenFilter(value="de")),
        "sip.description": (StringFilter(value="PC"),),
        "sip.newparam": (TokenFilter(value="true"),),
        "rangeparam": (RangeFilter(low=Decimal(-4), high=Decimal("5.125")),),
    }
    assert found.head == "<sip:user@pc.example;transport=tls>"
    assert str(found) == CONTACT


@pytest.mark.parametrize(
    ("name", "tag"),
    [("audio", "sip.audio"), ("TYPE", "type"), ("+g.x", "g.x"), ("+u.http!''a.example", "u.http://a.example")],
)
def test_names_of_features(name: str, tag: str) -> None:
    assert is_feature(name)
    assert feature_tag(name) == tag


def test_other_parameters_are_no_features() -> None:
    assert not any(map(is_feature, ("expires", "q", "require", "reg-id")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, TokenFilter(value="true")),
        ('"FALSE"', TokenFilter(value="false")),
        ('"!A"', TokenFilter(value="a", negated=True)),
        ("plain", TokenFilter(value="plain")),
        ('"<A \\"b\\", c>"', StringFilter(value='A "b", c')),
        ('"<>"', StringFilter(value="")),
        ('"#>=5"', RangeFilter(low=Decimal(5), high=None)),
        ('"#<=5."', RangeFilter(low=None, high=Decimal(5))),
        ('"!#=+0.5"', RangeFilter(low=Decimal("0.5"), high=Decimal("0.5"), negated=True)),
        ('"#1:2"', RangeFilter(low=Decimal(1), high=Decimal(2))),
    ],
)
def test_one_filter(value: str | None, expected: object) -> None:
    assert parse_filters(value) == (expected,)


@pytest.mark.parametrize(
    "value",
    [
        *('""', "", '"a,"', '"!!a"', '"!"', '"#"', '"#=a"', '"#>5"', '"#2:1"', '"#1:"', '"#٣:4"', '"a b"', '"<a"'),
        *('"<a>b"', '"<a<b>"', '"<a>,<b>"', "<a>", '"!<a>"', '"a\xe4"', f'"#={"9" * 65}"', f'"{"a," * MAX_VALUES}a"'),
    ],
)
def test_a_broken_filter_is_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        parse_filters(value)


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "*;", "*;;audio", "*;audio;AUDIO", "*;+1a", "*;+", "*;+a_b", '*;audio=""', '*;+a="<b"', "*;a=<b>"),
        *("<sip:a@b", '*;+a="open', "*;+a\r\nVia: x", "*;+a=\0", "<sip:a@b>;+g.x=a\nb", "*;x=" + "y" * MAX_LENGTH),
    ],
)
def test_a_broken_value_is_malformed(value: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        parse(value)
    assert caught.value.sip_status_hint == 400


@pytest.mark.parametrize(
    "value", ["*", '* ;audio ; video="FALSE"', "sip:a@b;q=1", '"A;B" <sip:a@b?x=y>;isfocus;x="a;b"', "*;a\t= b"]
)
def test_what_is_not_changed_stays(value: str) -> None:
    assert str(parse(f" {value} ")) == value
    assert str(parse(value).without("nothing")) == value


def test_a_fold_is_a_space() -> None:
    assert str(parse("*\r\n ;audio")) == "* ;audio"


def test_a_change_touches_one_parameter() -> None:
    found = parse('<sip:a@b> ; Audio;+g.x = "1"; q=0.5')
    assert str(found.replaced("+G.X", '"2,3"')) == '<sip:a@b> ; Audio;+G.X="2,3"; q=0.5'
    assert str(found.replaced("video", None)) == '<sip:a@b> ; Audio;+g.x = "1"; q=0.5;video'
    assert str(found.without("audio").without("q")) == '<sip:a@b>;+g.x = "1"'
    for name, value in (("+1", None), ("audio", '""'), ("a", "b;c;a"), ("a b", None)):
        with pytest.raises(LocalError):
            found.replaced(name, value)


def test_the_plus_form_gives_way() -> None:
    assert parse('*;video;+video="FALSE";+sip.video="FALSE"').features == {"sip.video": (TokenFilter(value="true"),)}
    assert parse("*;+sip.video").features == {"sip.video": (TokenFilter(value="true"),)}


def test_values_as_text() -> None:
    found = parse('*;+a="One,!two,#=3";+b;+c="FALSE";+d="<x>";require;+e="TRUE,x";+f="<"'.replace(';+f="<"', ""))
    assert found.tokens("+A") == ("One",)
    assert found.tokens("+b") == ("TRUE",)
    assert [found.tokens(name) for name in ("+d", "require", "+none")] == [(), (), ()]
    assert [found.string(name) for name in ("+d", "+a", "+b", "+none")] == ["x", None, None, None]
    assert [found.flag(name) for name in ("+b", "+c", "+a", "+d", "+e", "+none")] == [
        True,
        False,
        None,
        None,
        None,
        None,
    ]


def test_lists_of_values() -> None:
    found = parse_feature_values(["<sip:a@b>;audio, <sip:c@d;x>", 'sip:e@f;+a="b,c"'])
    assert [str(value) for value in found] == ["<sip:a@b>;audio", "<sip:c@d;x>", 'sip:e@f;+a="b,c"']
    assert len(parse_feature_values(["*," * (MAX_VALUES - 1) + "*"])) == MAX_VALUES
    with pytest.raises(MalformedInput):
        parse_feature_values(["*"] * (MAX_VALUES + 1))


def test_feature_caps() -> None:
    found = parse_feature_caps(['*;+g.a="<sip:x@y>", *;+b', "*"])
    assert [str(value) for value in found] == ['*;+g.a="<sip:x@y>"', "*;+b", "*"]
    for line in ("*;audio", "<sip:a@b>;+x", "*;q=1", ""):
        if line:
            with pytest.raises(MalformedInput):
                parse_feature_caps([line])
    assert parse_feature_caps([""]) == []


@pytest.mark.parametrize(
    "text", ['"' * MAX_LENGTH, ";+a" * 5000, "*" * MAX_LENGTH, " " * MAX_LENGTH, '*;+a="' + "!" * 9999]
)
def test_hostile_values_take_bounded_time(text: str) -> None:
    start = time.perf_counter()
    with suppress(MalformedInput):
        parse(text)
    assert time.perf_counter() - start < 1


@given(st.text(alphabet=st.sampled_from('*<>;,="!#+.:audiog0 5\\\r\n\t\0'), max_size=40))
def test_any_text_parses_or_is_malformed(text: str) -> None:
    try:
        found = parse(f"*;+g.x={text}")
    except MalformedInput:
        return
    assert parse(str(found)) == found
    assert found.features
