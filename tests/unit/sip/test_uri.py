"""sip/uri.py against RFC 3261 19.1 and RFC 3966."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.uri import (
    MAX_LENGTH,
    OtherUri,
    SipUri,
    TelUri,
    address_of_record,
    equivalent,
    parse_uri,
    telephone_number,
)


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::1]:5070;lr",
        "sip:sips%3Auser%40example.com@example.net",
        "tel:+1-201-555-0123;phone-context=example.com",
        "urn:service:sos.police",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_the_parts_of_a_sip_uri() -> None:
    uri = parse_uri("SIPS:a%6Cice:pw@Host.example:5071;LR;transport=TLS?Replaces=x%40y&k")
    assert isinstance(uri, SipUri) and uri.secure
    assert (uri.user, uri.password, uri.host, uri.port) == ("a%6Cice", "pw", "Host.example", 5071)
    assert uri.host_port == "Host.example:5071" and uri.parameters.has("lr")
    assert uri.header_items == (("Replaces", "x@y"), ("k", ""))
    assert str(uri.without_parameters()) == "sips:a%6Cice@Host.example:5071"
    assert parse_uri("tel:911") == TelUri(number="911")
    assert parse_uri("urn:service:sos") == OtherUri(scheme="urn", rest="service:sos")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "sip:",
        "sip:a b@c",
        "sip:a%zz@b",
        "sip:@b",
        "sip:a@b@c",
        "sip:a:p w@b",
        "sip:a@b:x",
        "sip:a@b:70000",
        "sip:a@b;;lr",
        "<sip:a@b>",
        "sip:a@[::1",
        "tel:hello",
        "sip:" + "a" * MAX_LENGTH,
        "sip:a:p%@b",
    ],
)
def test_what_breaks_the_grammar_is_malformed(text: str) -> None:
    with pytest.raises(MalformedInput):
        parse_uri(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [  # the examples of RFC 3261 19.1.4, and RFC 3966 4
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", True),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", True),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", True),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            True,
        ),
        ("sip:alice@atlanta.com?subject=x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=x", True),
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", False),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", False),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", False),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", False),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", False),
        ("sip:a@b", "sips:a@b", False),
        ("sip:b", "sip:a@b", False),
        ("tel:+1-201-555-0123", "tel:+12015550123", True),
        ("tel:+12015550123", "tel:+12015550123;ext=1", False),
        ("tel:911", "sip:911@b", False),
        ("urn:service:sos", "URN:service:sos", True),
    ],
)
def test_comparison(one: str, other: str, same: bool) -> None:
    assert equivalent(parse_uri(one), parse_uri(other)) is same
    assert equivalent(parse_uri(other), parse_uri(one)) is same


def test_one_key_an_address_for_address_books() -> None:
    assert address_of_record(parse_uri("sips:%61lice@IMS.example;lr?a=b")) == "sip:alice@ims.example"
    assert address_of_record(parse_uri("sip:IMS.example:5070")) == "sip:ims.example:5070"
    assert address_of_record(parse_uri("tel:+49(30)1-2")) == "tel:+493012"
    assert address_of_record(parse_uri("urn:service:sos")) == "urn:service:sos"


def test_a_telephone_number_in_either_form() -> None:
    assert telephone_number(parse_uri("tel:+49-30-12")) == "+493012"
    assert telephone_number(parse_uri("sip:+49-30-12;ext=3@b;user=phone")) == "+493012"
    for text in ("tel:110", "sip:alice@b", "sip:b", "urn:service:sos"):
        assert telephone_number(parse_uri(text)) is None


@given(st.binary(max_size=80).map(lambda octets: "sip:" + octets.decode("latin-1")) | st.text(max_size=40))
def test_any_text_is_a_uri_or_malformed(text: str) -> None:
    try:
        uri = parse_uri(text)
    except MalformedInput:
        return
    assert parse_uri(str(uri)) == uri and equivalent(uri, uri)
    address_of_record(uri)
    telephone_number(uri)
