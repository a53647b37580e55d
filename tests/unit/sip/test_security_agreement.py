"""sip/security_agreement.py against RFC 3329 2.2, 2.3.1 and the mediasec parameter of TS 24.229 7.2A.7."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.security_agreement import (
    MAX_LENGTH,
    MAX_MECHANISMS,
    MediaMechanism,
    SecurityMechanism,
    media_mechanisms,
    parse_security_mechanisms,
    same_mechanisms,
    signalling_choice,
    signalling_mechanisms,
    write_mechanisms,
)

IPSEC = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=22456;spi-s=22457;port-c=5062;port-s=5064;q=0.1"
parse = SecurityMechanism.parse


def test_lines_and_a_comma_list_are_the_same() -> None:
    lines = parse_security_mechanisms(["msrp-tls;mediasec", "sdes-srtp;mediasec", "dtls-srtp;mediasec"])
    listed = parse_security_mechanisms(["msrp-tls;mediasec, sdes-srtp;mediasec ,dtls-srtp;mediasec"])
    assert lines == listed
    assert write_mechanisms(lines) == "msrp-tls;mediasec, sdes-srtp;mediasec, dtls-srtp;mediasec"
    assert [m.media_mechanism for m in lines] == [
        MediaMechanism.MSRP_TLS,
        MediaMechanism.SDES_SRTP,
        MediaMechanism.DTLS_SRTP,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sdes-srtp;mediasec",
        "SDES-SRTP ; MediaSec",
        "sdes-srtp;mediasec=yes;q=0.5",
        'x-unknown;a="b,;c";host=[2001:db8::1];n=192.0.2.1',
        IPSEC,
        "tls",
    ],
)
def test_an_entry_is_written_as_it_came(text: str) -> None:
    assert str(parse(text)) == text
    assert [str(m) for m in parse_security_mechanisms([f" {text}\t, digest;d-alg=MD5"])] == [text, "digest;d-alg=MD5"]


def test_what_an_entry_says() -> None:
    media = parse("SDES-srtp;MEDIASEC=1;q=0.50")
    assert (media.name, media.mediasec, media.q, media.media_mechanism) == (
        "SDES-srtp",
        True,
        0.5,
        MediaMechanism.SDES_SRTP,
    )
    assert parse("sdes-srtp").media_mechanism is None
    assert parse("new-srtp;mediasec").media_mechanism is None
    assert parse("tls").q is None
    assert parse("tls;q=1.000").q == 1.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ipsec-3gpp;alg=a;spi-c=1", "IPSEC-3gpp ; SPI-C=1;alg=A", True),
        ("tls;q=0.5", "tls;q=0.500", True),
        ("tls;q=0.5", "tls", False),
        ("tls;q=0.5", "tls;q=0.4", False),
        ("sdes-srtp;mediasec", "sdes-srtp", False),
        ("sdes-srtp;mediasec", "sdes-srtp;mediasec=1", False),
        ('x;a="B"', 'x;a="b"', False),
        ("x;a=b", "x;a=b;c", False),
        ("digest;d-alg=MD5", 'digest;d-alg=MD5;d-ver="0123456789abcdef0123456789abcdef"', True),
    ],
)
def test_comparison_is_by_parameter(one: str, other: str, same: bool) -> None:
    assert (parse(one) == parse(other)) is same
    assert (hash(parse(one)) == hash(parse(other))) or not same
    assert same_mechanisms([parse(one)], [parse(other)]) is same


def test_order_and_number_of_mechanisms_matter() -> None:
    a, b = parse("tls;q=0.2"), parse("sdes-srtp;mediasec")
    assert same_mechanisms([a, b], (a, b))
    assert not same_mechanisms([a, b], [b, a])
    assert not same_mechanisms([a, b], [a])
    assert a != "tls;q=0.2"


@pytest.mark.parametrize(
    "values",
    [
        [""],
        ["  "],
        ["tls", ""],
        ["tls,"],
        [",tls"],
        ["tls,,digest"],
        [";mediasec"],
        ["tls;"],
        ["tls; ,digest"],
        ["tls;;q=1"],
        ["t/s;mediasec"],
        ["two words"],
        ["tls;q"],
        ["tls;q="],
        ["tls;q=1.5"],
        ["tls;q=0.1234"],
        ["tls;q=.5"],
        ["tls;q=-1"],
        ["tls;a="],
        ["tls;a=b@c"],
        ['tls;a="open'],
        ["tls;a=<b"],
        ["tls;a=b;A=c"],
        ["sdes-srtp;mediasec;mediasec"],
        ["sdes-srtp;mediasec", "SDES-SRTP;mediasec"],
        ["tls\r\nRoute: <sip:evil.example>"],
        ["tls\n"],
        ["tls;a=\0"],
        ['tls;a="\x07"'],
        ["tls;a=\u0430"],
        ["x" * (MAX_LENGTH + 1)],
        ["t;a=" + "x" * MAX_LENGTH],
        [", ".join(f"m{n}" for n in range(MAX_MECHANISMS + 1))],
        [f"m{n}" for n in range(MAX_MECHANISMS + 1)],
    ],
)
def test_what_breaks_the_grammar_is_malformed(values: list[str]) -> None:
    with pytest.raises(MalformedInput) as caught:
        parse_security_mechanisms(values)
    assert caught.value.sip_status_hint == 400


def test_no_line_is_an_empty_list_but_no_entry() -> None:
    assert parse_security_mechanisms([]) == []
    for text in ("tls, digest", ""):
        with pytest.raises(MalformedInput):
            parse(text)


def test_a_fold_becomes_one_space() -> None:
    (found,) = parse_security_mechanisms(["sdes-srtp\r\n\t ;mediasec"])
    assert str(found) == "sdes-srtp ;mediasec"
    assert found == parse("sdes-srtp;mediasec")


def test_as_many_as_allowed_are_read() -> None:
    assert len(parse_security_mechanisms([",".join(f"m{n};mediasec" for n in range(MAX_MECHANISMS))])) == MAX_MECHANISMS


@pytest.mark.parametrize(
    "text", ['"' * MAX_LENGTH, ";" * MAX_LENGTH, " " * MAX_LENGTH, "<" * MAX_LENGTH, "a;b=\\" * 3000]
)
def test_hostile_lists_take_bounded_time(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(MalformedInput):
        parse_security_mechanisms([f"x;{text}"])
    assert time.perf_counter() - start < 1


def test_media_entries_take_no_part_in_the_choice() -> None:
    listed = parse_security_mechanisms(["sdes-srtp;mediasec;q=0.9", IPSEC, "tls;mediasec;q=1", "tls;q=0.05"])
    assert [str(m) for m in media_mechanisms(listed)] == ["sdes-srtp;mediasec;q=0.9", "tls;mediasec;q=1"]
    assert [m.name for m in signalling_mechanisms(listed)] == ["ipsec-3gpp", "tls"]
    assert signalling_choice(listed, ["sdes-srtp", "TLS", "ipsec-3gpp"]) == parse(IPSEC)
    assert signalling_choice(listed, {"tls"}) == parse("tls;q=0.05")
    assert signalling_choice(listed, {"sdes-srtp"}) is None


def test_without_q_the_first_counts() -> None:
    assert signalling_choice([parse("tls;q=0.9"), parse("a"), parse("b")], {"a", "b", "tls"}) == parse("a")


def test_the_same_q_twice_is_an_error() -> None:
    listed = [parse("tls;q=0.5"), parse("ipsec-man;q=0.50"), parse("ipsec-ike;q=0.1")]
    with pytest.raises(MalformedInput) as caught:
        signalling_choice(listed, {"tls", "ipsec-man"})
    assert caught.value.sip_status_hint == 494
    assert signalling_choice(listed, {"tls", "ipsec-ike"}) == listed[0]


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=0x110), max_size=60), max_size=4))
def test_any_text_parses_or_is_malformed(values: list[str]) -> None:
    try:
        found = parse_security_mechanisms(values)
    except MalformedInput:
        return
    if found:
        assert same_mechanisms(parse_security_mechanisms([write_mechanisms(found)]), found)


@given(
    st.lists(
        st.builds(
            lambda name, q, media: f"{name}{'' if q is None else f';q={q}'}{media}",
            st.sampled_from(["tls", "sdes-srtp", "ipsec-3gpp;alg=x", "digest", "y.z"]),
            st.none() | st.sampled_from(["0", "0.3", "1.0"]),
            st.sampled_from(["", ";mediasec", " ;mediasec=a"]),
        ),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_a_mirror_is_the_same_however_it_is_cut_into_lines(entries: list[str]) -> None:
    try:
        lines = parse_security_mechanisms(entries)
    except MalformedInput:
        return  # two entries that mean the same
    assert same_mechanisms(lines, parse_security_mechanisms([", ".join(entries)]))
    assert [str(m) for m in lines] == entries
