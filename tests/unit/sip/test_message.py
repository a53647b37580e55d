"""sip/message.py: lossless messages (RFC 3261 7), with torture in the manner of RFC 4475."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import SipMessage
from imsmediasec.sip.message import MAX_HEAD, MAX_OCTETS

INVITE = (
    b"INVITE sip:bob@biloxi.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n"
    b"To: Bob <sip:bob@biloxi.example>\r\n"
    b"f:Alice <sip:alice@atlanta.example>;tag=1928301774\r\n"
    b"Call-ID : a84b4c76e66710\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example>\r\n"
    b"X-Unknown:  \xff\xfe  \r\n"
    b"c: application/SDP ;x=y\r\n"
    b"l:  004 \r\n"
    b"\r\n"
    b"v=0\n"
)

TORTURE = [
    INVITE,
    b"\r\n\r\n" + INVITE,
    INVITE + b"trailing octets",
    INVITE.replace(b"\r\n", b"\n"),
    # RFC 4475 3.1.1.1: white space, folds, compact forms, escapes, odd order
    b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    b"TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
    b'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    b"MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 0\r\n"
    b"cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    b"NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n"
    b"v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    b" SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    b'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;'
    b"\r\n  secondparam ; q = 0.33\r\n\r\n",
    # 3.1.1.2: any token is a method, any octets a display name
    b"!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,"
    b"weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\nCall-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
    b'To: "BEL:\x07 NUL:\x00 DEL:\x7f" <sip:1_unusual@example.com>\r\n\r\n',
    b"SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe\r\nA: b\r\n\r\n",
    b"SIP/2.0 100\r\n\r\n",
    b"SIP/2.0 100 \r\n\r\n",
    b"sip/7.0 699 x\r\n\r\n",
    b"REGISTER urn:service:sos SIP/2.0\r\n\r\nbody without length",
]


@pytest.mark.parametrize("data", TORTURE)
def test_what_is_accepted_is_written_as_it_came(data: bytes) -> None:
    for kind in (bytes, bytearray, memoryview):
        assert bytes(SipMessage.parse(kind(data))) == data
    assert bytes(SipMessage.parse(data).copy()) == data


@pytest.mark.parametrize("data", TORTURE[:5])
def test_an_edit_touches_its_value_alone(data: bytes) -> None:
    message = SipMessage.parse(data)
    message.set("Call-ID", "new")
    old = SipMessage.parse(data).get("Call-ID") or ""
    assert bytes(message) == data.replace(old.encode(), b"new", 1)
    message = SipMessage.parse(data)
    message.prepend("Route", "<sip:x;lr>")
    message.remove("Route")
    message.set_uri(message.uri)
    assert bytes(message) == data


def test_the_parts_of_a_request() -> None:
    message = SipMessage.parse(INVITE + b"more")
    assert message.is_request and message.method == "INVITE" and message.uri == "sip:bob@biloxi.example"
    assert message.version == "SIP/2.0" and message.body == b"v=0\n" and message.trailing == b"more"
    assert message.content_type == "application/sdp" and message.content_length == 4
    for read in (lambda: message.status, lambda: message.reason):
        with pytest.raises(LocalError):
            read()


def test_the_parts_of_a_response() -> None:
    message = SipMessage.parse(b"SIP/2.0 183 Session  Progress\r\nCSeq: 1 INVITE\r\n\r\n")
    assert not message.is_request and message.status == 183 and message.reason == "Session  Progress"
    assert message.method == "INVITE" and message.version == "SIP/2.0"
    assert message.content_length is None and message.content_type is None and message.body == b""
    assert SipMessage.parse(b"SIP/2.0 200\r\n\r\n").method == ""
    assert SipMessage.parse(b"SIP/2.0 200\r\n\r\n").reason == ""
    with pytest.raises(LocalError):
        message.set_uri("sip:a")
    with pytest.raises(LocalError):
        _ = message.uri


def test_requests_without_length_have_the_rest_as_body() -> None:
    assert SipMessage.parse(TORTURE[-1]).body == b"body without length"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:a SIP/2.0",
        b"INVITE sip:a SIP/2.0\r\n",
        b"INVITE  sip:a SIP/2.0\r\n\r\n",
        b"INVITE sip:a  SIP/2.0\r\n\r\n",
        b"INVITE sip:a; lr SIP/2.0\r\n\r\n",
        b"INVITE sip:a SIP/2.0 \r\n\r\n",
        b"INVITE sip:a HTTP/1.1\r\n\r\n",
        b"IN VITE sip:a SIP/2.0\r\n\r\n",
        b"SIP/2.0 4294967301 better\r\n\r\n",
        b"SIP/2.0 099 x\r\n\r\n",
        b"SIP/2.0 700 x\r\n\r\n",
        b"SIP/2.0 \xb2\xb2\xb2 x\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        b"A sip:a SIP/2.0\r\nno field\r\n\r\n",
        b"A sip:a SIP/2.0\r\nA: b\rc: d\r\n\r\n",
        b"A sip:a SIP/2.0\r\nl: 5\r\n\r\nbody",
        b"A sip:a SIP/2.0\r\nl: -999\r\n\r\n",
        b"A sip:a SIP/2.0\r\nl: \r\n\r\n",
        b"A sip:a SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n",
        b"A sip:a SIP/2.0\r\nl: 0\r\nContent-Length: 1\r\n\r\nx",
        b"A sip:a SIP/2.0\r\nA: " + b"x" * MAX_HEAD + b"\r\n\r\n",
    ],
)
def test_broken_messages_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedInput) as caught:
        SipMessage.parse(data)
    assert caught.value.sip_status_hint == 400


def test_a_huge_message_is_refused() -> None:
    with pytest.raises(MalformedInput) as caught:
        SipMessage.parse(b"A" * (MAX_OCTETS + 1))
    assert caught.value.sip_status_hint == 513


def test_the_body_brings_its_length_and_type() -> None:
    message = SipMessage.parse(INVITE + b"more")
    message.set_body(b"v=0\r\ns=-\r\n")
    assert bytes(message) == INVITE.replace(b"l:  004 ", b"l:  10 ").replace(b"v=0\n", b"v=0\r\ns=-\r\n")
    message.set_body(b"x", content_type="text/plain")
    assert message.content_type == "text/plain" and message.content_length == 1
    message.set_body(b"")
    assert not message.has("Content-Type") and message.get("Content-Length") == "0"
    twice = SipMessage.parse(b"A sip:a SIP/2.0\r\nl: 1\r\nContent-Length: 01\r\n\r\nx")
    twice.set_body(b"12")
    assert bytes(twice) == b"A sip:a SIP/2.0\r\nl: 2\r\nContent-Length: 2\r\n\r\n12"


def test_a_request_is_built() -> None:
    message = SipMessage.request("UPDATE", "sip:b", [("Via", "x"), ("To", "<sip:b>")], b"v=0\r\n")
    expected = (
        b"UPDATE sip:b SIP/2.0\r\nVia: x\r\nTo: <sip:b>\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    assert bytes(message) == expected and bytes(SipMessage.parse(expected)) == expected
    message.set_uri("sips:c;lr")
    assert message.uri == "sips:c;lr"
    for method, uri in (("A B", "sip:a"), ("A", "sip:a b"), ("A", "<sip:a>"), ("A", "sip:\u20ac"), ("A", "a\r\n")):
        with pytest.raises(LocalError):
            SipMessage.request(method, uri, [])


def test_a_response_is_built() -> None:
    request = SipMessage.parse(INVITE)
    response = SipMessage.response_to(
        request, 180, to_tag="t1", headers=[("RSeq", "1")], body=b"x", content_type="text/plain"
    )
    assert bytes(response) == (
        b"SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bK776asdhds\r\n"
        b"To: Bob <sip:bob@biloxi.example>;tag=t1\r\nf:Alice <sip:alice@atlanta.example>;tag=1928301774\r\n"
        b"Call-ID : a84b4c76e66710\r\nCSeq: 314159 INVITE\r\nRSeq: 1\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
    )
    tagged = SipMessage.parse(INVITE.replace(b"To: Bob <sip:bob@biloxi.example>", b"To: sip:b;tag=2"))
    assert SipMessage.response_to(tagged, 200, to_tag="t1").get("To") == "sip:b;tag=2"
    broken = SipMessage.parse(INVITE.replace(b"To: Bob <sip:bob@biloxi.example>", b"To: ???"))
    assert SipMessage.response_to(broken, 400, to_tag="t1").get("To") == "???"
    bare = SipMessage.parse(b"A sip:a SIP/2.0\r\n\r\n")
    assert bytes(SipMessage.response_to(bare, 299, to_tag="x")) == b"SIP/2.0 299 \r\nContent-Length: 0\r\n\r\n"


def test_a_100_takes_the_timestamp_and_no_tag() -> None:
    request = SipMessage.parse(INVITE.replace(b"CSeq", b"Timestamp: 54\r\nCSeq"))
    trying = SipMessage.response_to(request, 100, to_tag="x")
    assert trying.get("Timestamp") == "54" and "tag" not in (trying.get("To") or "")
    assert not SipMessage.response_to(request, 180).has("Timestamp")


def test_responses_that_cannot_be() -> None:
    request = SipMessage.parse(INVITE)
    with pytest.raises(LocalError):
        SipMessage.response_to(SipMessage.response_to(request, 200), 200)
    for status, reason in ((99, None), (700, None), (200, "a\r\nb"), (200, "\u20ac")):
        with pytest.raises(LocalError):
            SipMessage.response_to(request, status, reason)
    with pytest.raises(LocalError):
        SipMessage.response_to(request, 200, to_tag="a b")


def test_repr_shows_no_body_and_no_header() -> None:
    request = SipMessage.parse(INVITE)
    assert repr(request) == "<SipMessage INVITE, 9 header fields, body of 4 octets>"
    assert repr(SipMessage.response_to(request, 200)).startswith("<SipMessage 200 to INVITE, 6")


def test_a_copy_is_independent() -> None:
    one = SipMessage.parse(b"\r\n" + INVITE + b"more")
    other = one.copy()
    other.set("Call-ID", "x")
    other.append("Route", "<sip:r>")
    assert bytes(one) == b"\r\n" + INVITE + b"more"


@given(st.binary(max_size=300))
def test_any_octets_are_malformed_or_kept(data: bytes) -> None:
    try:
        message = SipMessage.parse(data)
    except MalformedInput:
        return
    assert bytes(message) == data


@settings(max_examples=400)
@given(st.sampled_from(TORTURE), st.data())
def test_any_mutation_is_malformed_or_kept(seed: bytes, data: st.DataObject) -> None:
    octets = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(octets)))
        cut = data.draw(st.integers(0, 5))
        octets[place : place + cut] = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b" ", b":", b"\0", b'"', b"<", b",", b"9"])
        )
    try:
        message = SipMessage.parse(octets)
    except MalformedInput:
        return
    assert bytes(message) == octets
    assert len(message.headers) < 100 and repr(message)
    for name in ("Via", "Contact", "Call-ID"):
        with contextlib.suppress(MalformedInput):
            message.get_list(name)


@pytest.mark.parametrize("piece", [b" \r\n", b"\t", b"A:\r\n", b"\r\n ", b"\n", b"A", b":"])
def test_hostile_messages_take_linear_time(piece: bytes) -> None:
    data = b"A sip:a SIP/2.0\r\nA: " + piece * (60_000 // len(piece)) + b"\r\n\r\n"
    started = time.perf_counter()
    try:
        message = SipMessage.parse(data)
        assert bytes(message) == data
        assert message.headers
    except MalformedInput:
        pass
    assert time.perf_counter() - started < 1.0
