"""sip/addresses.py against RFC 3261 20.10, RFC 7044."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.addresses import HistoryEntry, NameAddr


@pytest.mark.parametrize(
    ("value", "name", "uri", "tag"),
    [
        ('"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s', "A. G. Bell", "sip:agb@bell-telephone.com", "a48s"),
        ("sip:+12125551212@server.phone2net.com;tag=887s", "", "sip:+12125551212@server.phone2net.com", "887s"),
        ("Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8", "Anonymous", "sip:c8oqz84zk7z@privacy.org", "hyh8"),
        ("<sip:a@b;tag=inner>", "", "sip:a@b;tag=inner", None),
        (r'"quote \" < , >"<tel:+1>', 'quote " < , >', "tel:+1", None),
        ("T. desk <sip:a@b>", "T. desk", "sip:a@b", None),
    ],
)
def test_addresses(value: str, name: str, uri: str, tag: str | None) -> None:
    address = NameAddr.parse(value)
    assert (address.display_name, str(address.uri), address.tag) == (name, uri, tag)
    assert NameAddr.parse(str(address)) == address


def test_a_display_name_is_utf8() -> None:
    address = NameAddr.parse('"Jürgen" <sip:j@b>'.encode().decode("latin-1"))
    assert address.display_name == "Jürgen"
    assert str(address).encode("latin-1") == '"Jürgen" <sip:j@b>'.encode()
    assert NameAddr.parse('"\xff" <sip:j@b>').display_name == "\ufffd"


@pytest.mark.parametrize(
    "value", ["", "*", "<sip:a@b", "a <b> <sip:c>", '"a <sip:a@b>', "sip:a@b?x=y", "<sip:a@b>x", "a, b <sip:a@b>"]
)
def test_broken_addresses_are_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        NameAddr.parse(value)


def test_history_info() -> None:
    value = "<sip:bob@b?Reason=SIP%3Bcause%3D302&Privacy=none>;index=1.2;mp=1"
    entry = HistoryEntry.parse(value)
    assert (entry.index, entry.mechanism, entry.cause) == ((1, 2), "mp", 302)
    assert str(entry) == value
    assert HistoryEntry.parse("<sip:bob@b;cause=486>;index=1").cause == 486
    assert HistoryEntry.parse("<sip:bob@b;cause=x?Reason=Q.850%3Bcause%3D16>;index=1").cause is None
    plain = HistoryEntry.parse("<tel:+1>;index=1")
    assert plain.cause is None and plain.mechanism is None


@pytest.mark.parametrize(
    "value", ["<sip:a@b>", "<sip:a@b>;index=a", "<sip:a@b>;index=1..2", "<sip:a>;index=" + "1." * 200]
)
def test_history_without_a_usable_index_is_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        HistoryEntry.parse(value)


@given(
    st.text(alphabet='"\\<>@:;=, \tab1sip?\xe4', max_size=40)
    | st.binary(max_size=60).map(lambda b: b.decode("latin-1"))
)
def test_any_text_is_an_address_or_malformed(value: str) -> None:
    for read in (NameAddr.parse, HistoryEntry.parse):
        try:
            address = read(value)
        except MalformedInput:
            continue
        assert read(str(address)) == address


@pytest.mark.parametrize("piece", ["a ", " ", '"', "<", '\\"', "\xe4 "])
def test_hostile_addresses_take_linear_time(piece: str) -> None:
    started = time.perf_counter()
    for tail in ("<", "", "\x00<", ">"):
        with contextlib.suppress(MalformedInput):
            NameAddr.parse("x" + piece * 30_000 + tail)
    assert time.perf_counter() - started < 2.0
