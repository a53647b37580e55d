"""sip/multipart.py: the session description in a body (RFC 3261 7.4, RFC 2046 5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import (
    SipMessage,
    body_parts,
    has_stray_description,
    replace_session_description,
    session_description,
)
from imsmediasec.sip.multipart import MAX_DEPTH, MAX_PARTS

SDP = b"v=0\r\ns=-\r\n"
MIXED = (
    b"preamble\r\n--b 1\r\nContent-Type: application/sdp\r\nX: y\r\n\r\n" + SDP + b"\r\n"
    b"--b 1 \r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\n\x00\xff\r\n"
    b"--b 1\r\n\r\nplain\r\n--b 1--\r\nepilogue"
)


def message(
    body: bytes, kind: str = 'multipart/mixed;boundary="b 1"', extra: tuple[tuple[str, str], ...] = ()
) -> SipMessage:
    return SipMessage.request("INVITE", "sip:b", extra, body, kind)


def test_a_plain_body() -> None:
    plain = message(SDP, "Application/SDP;charset=x")
    assert session_description(plain) == SDP
    replace_session_description(plain, b"v=1\r\n")
    assert plain.body == b"v=1\r\n" and plain.content_length == 5
    replace_session_description(plain, b"")
    assert plain.body == b"" and not plain.has("Content-Type")


def test_no_session_description() -> None:
    for other in (
        message(b""),
        message(b"x", "text/plain"),
        message(SDP, "application/sdp", (("Content-Disposition", "early-session"),)),
    ):
        assert session_description(other) is None
        with pytest.raises(LocalError):
            replace_session_description(other, SDP)


def test_a_body_without_type_is_nothing_known() -> None:
    bare = SipMessage.parse(b"INVITE sip:b SIP/2.0\r\n\r\nv=0\r\n")
    assert [part.content_type for part in body_parts(bare)] == [""]


def test_a_part_among_others() -> None:
    mixed = message(MIXED)
    parts = body_parts(mixed)
    assert [(p.content_type, p.disposition) for p in parts] == [
        ("application/sdp", ""),
        ("application/isup", "signal"),
        ("text/plain", ""),
    ]
    assert [mixed.body[p.start : p.end] for p in parts] == [SDP, b"\x00\xff", b"plain"]
    assert session_description(mixed) == SDP
    replace_session_description(mixed, b"v=0\r\nlonger\r\n")
    assert mixed.body == MIXED.replace(SDP, b"v=0\r\nlonger\r\n")
    assert mixed.content_length == len(mixed.body) and mixed.content_type == "multipart/mixed"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_length_of_the_part_follows(end: bytes) -> None:
    body = b"--b 1\nContent-Length:  9 \nContent-Type: application/sdp" + end * 2 + b"123456789\n--b 1--"
    mixed = message(body)
    replace_session_description(mixed, b"12")
    assert mixed.body == body.replace(b" 9 ", b" 2 ").replace(b"123456789", b"12")


def test_nested_and_empty_parts() -> None:
    inner = b"--i\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--i--"
    body = (
        b"--b 1\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n"
        + inner
        + b"\r\n--b 1\r\nA: b\r\n--b 1\r\n--b 1--"
    )
    nested = message(body)
    assert [(p.content_type, p.end - p.start) for p in body_parts(nested)] == [
        ("application/sdp", len(SDP)),
        ("text/plain", 0),
        ("text/plain", 0),
    ]
    replace_session_description(nested, b"x")
    assert nested.body == body.replace(SDP, b"x")


def test_two_session_descriptions_are_refused() -> None:
    two = b"--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n" * 2 + b"--b 1--"
    with pytest.raises(MalformedInput):
        session_description(message(two))


@pytest.mark.parametrize("name", ["Content-Encoding", "Content-Transfer-Encoding"])
def test_an_encoded_session_description_is_415(name: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        session_description(message(SDP, "application/sdp", ((name, "gzip"),)))
    assert caught.value.sip_status_hint == 415
    assert session_description(message(SDP, "application/sdp", ((name, "BINARY"),))) == SDP
    packed = body_parts(message(MIXED, extra=((name, "base64"),)))
    assert len(packed) == 1 and packed[0].encoded


@pytest.mark.parametrize("sdp", [b"v=0\r\n--b 1--\r\n", b"v=0\r\n--b 1\r\nContent-Type: application/sdp\r\n\r\nx"])
def test_a_boundary_cannot_be_smuggled_in(sdp: bytes) -> None:
    mixed = message(MIXED)
    with pytest.raises(LocalError):
        replace_session_description(mixed, sdp)
    assert mixed.body == MIXED


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (MIXED, "multipart/mixed"),
        (MIXED, 'multipart/mixed;boundary=""'),
        (MIXED, "multipart/mixed;boundary=" + "b" * 71),
        (MIXED, "multipart/mixed;boundary"),
        (MIXED, "multipart/mixed;;"),
        (b"no boundary here", "multipart/mixed;boundary=b"),
        (b"--b\r\n\r\nno end", "multipart/mixed;boundary=b"),
        (b"--b\r\nno header\r\n\r\n--b--", "multipart/mixed;boundary=b"),
        (b"--b\r\n" * (MAX_PARTS + 2) + b"--b--", "multipart/mixed;boundary=b"),
    ],
)
def test_broken_multiparts_are_malformed(body: bytes, kind: str) -> None:
    with pytest.raises(MalformedInput):
        body_parts(message(body, kind))


def test_too_many_levels_and_parts() -> None:
    body = b"x"
    for level in range(MAX_DEPTH + 1):
        body = b"--%d\r\nContent-Type: multipart/mixed;boundary=%d\r\n\r\n%s\r\n--%d--" % (
            level,
            level - 1,
            body,
            level,
        )
    with pytest.raises(MalformedInput):
        body_parts(message(body, f"multipart/mixed;boundary={MAX_DEPTH}"))
    inner = b"Content-Type: multipart/mixed;boundary=i\r\n\r\n" + b"--i\r\n\r\nx\r\n" * 60 + b"--i--\r\n"
    with pytest.raises(MalformedInput):
        body_parts(message(b"--o\r\n" + inner + b"--o\r\n" + inner + b"--o--", "multipart/mixed;boundary=o"))


@given(
    st.lists(
        st.sampled_from([b"--b", b"--", b"\r\n", b"\n", b"\r", b" ", b"Content-Type: application/sdp", b"v=0", b":"])
    )
)
def test_any_body_is_malformed_or_replaced_without_loss(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    mixed = message(body, "multipart/mixed;boundary=b")
    try:
        sdp = session_description(mixed)
    except MalformedInput:
        return
    if sdp is not None:
        replace_session_description(mixed, sdp)
    assert mixed.body == body


MEDIA = b"v=0\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"
EARLY = (("Content-Disposition", "early-session"),)


@pytest.mark.parametrize(
    "stray",
    [
        message(MEDIA, "text/plain"),
        message(MEDIA, "application/sdp", EARLY),
        message(MEDIA.replace(b"\r\n", b"\r"), "text/plain"),
        message(b"m=audio 4000 RTP/AVP 0", "x/y"),
        message(MIXED.replace(b"preamble", MEDIA)),
        message(MIXED.replace(b"epilogue", MEDIA)),
        message(MIXED.replace(b"plain", MEDIA)),
        message(MIXED.replace(b"isup", b"sdp").replace(b": signal", b": early-session").replace(b"\x00", MEDIA)),
        SipMessage.parse(b"INVITE sip:b SIP/2.0\r\n\r\n" + MEDIA),
        SipMessage.parse(b"INVITE sip:b SIP/2.0\r\nContent-Length: 0\r\n\r\n" + MEDIA),
    ],
)
def test_a_session_description_that_does_not_say_so(stray: SipMessage) -> None:
    """Some softphones read any body as SDP; nobody has led the media of this one anywhere."""
    assert has_stray_description(stray)
    with pytest.raises(MalformedInput, match="may be read") as caught:
        session_description(stray)
    assert caught.value.sip_status_hint == 415


def test_a_session_description_alone_is_no_stray_one() -> None:
    assert not has_stray_description(message(MEDIA, "application/sdp"))
    assert not has_stray_description(message(MIXED.replace(SDP, MEDIA)))
    assert not has_stray_description(message(b"am=1\r\nxc=2", "text/plain"))
