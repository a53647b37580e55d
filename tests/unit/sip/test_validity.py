"""sip/validity.py: what each message must have (RFC 3261 8.1.1, RFC 4475 3.1.2 and 3.3)."""

from __future__ import annotations

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.sip import SipMessage, check

GOOD = (
    b"OPTIONS sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:bob@b>\r\n"
    b"Call-ID: 1@a\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n"
)


def test_good_messages_pass() -> None:
    request = SipMessage.parse(GOOD)
    check(request)
    check(SipMessage.response_to(request, 200, to_tag="2"))
    check(SipMessage.parse(GOOD.replace(b"Max-Forwards: 70\r\n", b"")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\n", b""),
        (b"SIP/2.0/UDP a;", b"SIP/2.0/UDP a;;,;,,"),
        (b"SIP/2.0/UDP a;", b"SIP/2.0/UDP ;"),
        (b"From: <sip:a@a>;tag=1\r\n", b""),
        (b"From: <sip:a@a>", b"From: <sip:a@a"),
        (b"To: <sip:bob@b>", b'To: "Mr. J. User <sip:bob@b>'),
        (b"To:", b"t: <sip:x@y>\r\nTo:"),
        (b"Call-ID: 1@a", b"Call-ID: 1 @a"),
        (b"CSeq: 1 OPTIONS", b"CSeq: 36893488147419103232 OPTIONS"),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"),
        (b"Max-Forwards: 70", b"Max-Forwards: 300"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\r\nMax-Forwards: 5"),
        (b"OPTIONS sip:bob@b ", b"OPTIONS bob "),
    ],
)
def test_what_cannot_be_worked_on_is_malformed(old: bytes, new: bytes) -> None:
    assert old in GOOD
    with pytest.raises(MalformedInput) as caught:
        check(SipMessage.parse(GOOD.replace(old, new, 1)))
    assert caught.value.sip_status_hint == 400


def test_another_version_is_505() -> None:
    with pytest.raises(MalformedInput) as caught:
        check(SipMessage.parse(GOOD.replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1)))
    assert caught.value.sip_status_hint == 505
