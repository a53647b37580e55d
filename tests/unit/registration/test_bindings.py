"""registration/bindings.py against RFC 3261 10.2, 10.3."""

from __future__ import annotations

import pytest

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.registration.bindings import contact_uri, contacts_of, expires_of, granted, lifetime, values_of
from imsmediasec.sip.addresses import NameAddr


def test_values() -> None:
    headers = [("m", "a"), ("CONTACT", "b, c"), ("Via", "x")]
    assert values_of(headers, "contact") == ["a", "b, c"]
    assert contacts_of(headers) == ["a", "b", "c"]
    with pytest.raises(MalformedInput):
        contacts_of([("Contact", "<sip:a@b>")] * 257)


def test_expiry() -> None:
    contact = NameAddr.parse("<sip:a@b>;expires=7")
    assert expires_of(contact, [("Expires", "9")]) == 7
    assert expires_of(NameAddr.parse("<sip:a@b>"), [("expires", " 9 ")]) == 9
    assert expires_of(None, []) == 3600
    with pytest.raises(MalformedInput):
        expires_of(None, [("Expires", "-1")])


def test_granted() -> None:
    headers = [("Contact", "<sip:a@b>;expires=7, <bad"), ("Contact", "sip:c@d")]
    with pytest.raises(MalformedInput):
        granted(headers)
    headers = [
        (
            "Contact",
            '<sip:a@b>;expires=7, <x y>;+g.x=<, "',
        )
    ]
    with pytest.raises(MalformedInput):
        granted(headers)
    headers = [("Contact", "<sip:a@b>;expires=7, 12 34, <sip:c@d>")]
    assert granted(headers) == {"sip:a@b": 7, "sip:c@d": 3600}
    with pytest.raises(MalformedInput):
        granted([("Contact", "12 34")])
    assert lifetime(headers) == 3600
    assert lifetime(headers, "sip:a@b") == 7
    assert lifetime([]) == 0


def test_a_contact_of_our_own() -> None:
    assert contact_uri("") == ""
    assert contact_uri("sip:a@b;transport=tls") == contact_uri("<sip:a@b;transport=tls>;x") == "sip:a@b;transport=tls"
    with pytest.raises(LocalError):
        contact_uri("a b")
