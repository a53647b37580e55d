"""sip/headers.py against RFC 3261 20, RFC 3262 7.2, RFC 3581, RFC 3891."""

from __future__ import annotations

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.headers import CSeq, RAck, Replaces, Via, is_call_id, parse_max_forwards, parse_option_tags


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("SIP/2.0/UDP host.example;branch=z9hG4bKa", "SIP/2.0/UDP host.example;branch=z9hG4bKa"),
        ("SIP  / 2.0\r\n /TLS  [::1] : 5061 ; branch=z9hG4bKb;rport", "SIP/2.0/TLS [::1]:5061;branch=z9hG4bKb;rport"),
        ("SIP/2.0/TCP 192.0.2.1", "SIP/2.0/TCP 192.0.2.1"),
    ],
)
def test_via(value: str, written: str) -> None:
    assert str(Via.parse(value)) == written
    assert Via.parse(written) == Via.parse(value)
    assert (Via.parse(value).branch or "z9hG4bK").startswith("z9hG4bK")


@pytest.mark.parametrize(
    "value", ["", "SIP/2.0/UDP", "SIP/2.0 host", "SIP/2.0/UDP host:99999", "SIP/2.0/UDP h;;a", "x"]
)
def test_a_broken_via_is_malformed(value: str) -> None:
    with pytest.raises(MalformedInput):
        Via.parse(value)


@pytest.mark.parametrize(
    ("value", "host", "added"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=x", "192.0.2.1", ""),
        ("SIP/2.0/UDP host;branch=x", "192.0.2.1", ";received=192.0.2.1"),
        ("SIP/2.0/UDP [::1];branch=x", "::1", ""),
    ],
)
def test_received_names_another_source(value: str, host: str, added: str) -> None:
    assert str(Via.parse(value).with_source(host, 40000)) == value + added


def test_rport_is_filled_in_and_a_forged_received_overwritten() -> None:
    via = Via.parse("SIP/2.0/UDP 192.0.2.1;rport;branch=x")
    assert str(via.with_source("192.0.2.1", 7)) == "SIP/2.0/UDP 192.0.2.1;rport=7;branch=x;received=192.0.2.1"
    forged = Via.parse("SIP/2.0/UDP 192.0.2.1;received=203.0.113.9")
    assert forged.with_source("192.0.2.1", 7).parameters.get("received") == "192.0.2.1"


def test_cseq() -> None:
    assert CSeq.parse(" 0009\t INVITE ") == CSeq(number=9, method="INVITE")
    assert str(CSeq(number=2, method="ACK")) == "2 ACK"
    for value in ("", "INVITE", "1", "-1 A", "2147483648 A", "99999999999 A", "1 A B", "1 A@"):
        with pytest.raises(MalformedInput):
            CSeq.parse(value)


def test_rack() -> None:
    assert RAck.parse("776656 1 INVITE") == RAck(rseq=776656, cseq=1, method="INVITE")
    assert str(RAck.parse("1  2\tINVITE")) == "1 2 INVITE"
    for value in ("", "1 INVITE", "4294967296 1 INVITE", "1 2147483648 INVITE"):
        with pytest.raises(MalformedInput):
            RAck.parse(value)


def test_replaces() -> None:
    value = "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only;x=y"
    replaces = Replaces.parse(value)
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag) == ("98732@sip.example.com", "ff87ff", "r33th4x0r")
    assert replaces.early_only and str(replaces) == value
    assert str(Replaces.parse("a;from-tag=1;to-tag=2")) == "a;to-tag=2;from-tag=1"
    for broken in ("", "a", "a;to-tag=1", "a;to-tag=1;from-tag", "a b;to-tag=1;from-tag=2"):
        with pytest.raises(MalformedInput):
            Replaces.parse(broken)


def test_option_tags() -> None:
    assert parse_option_tags(["100rel, timer", "", "mediasec,, "]) == ("100rel", "timer", "mediasec")
    with pytest.raises(MalformedInput):
        parse_option_tags(["a b"])


def test_call_id_and_max_forwards() -> None:
    assert is_call_id("a84b4c76e66710@pc33") and is_call_id('w(or)d+"<>[]{}:\\/?') and not is_call_id("a b")
    assert parse_max_forwards(" 70 ") == 70
    with pytest.raises(MalformedInput):
        parse_max_forwards("256")
