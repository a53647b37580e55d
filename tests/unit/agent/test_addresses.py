"""agent/addresses.py: every line that leads media goes through the relay, every other stays as it came."""

from __future__ import annotations

import pytest

from imsmediasec.agent.addresses import (
    essence,
    is_relayed,
    lead_through,
    make_plain,
    media_addresses,
    set_version,
)
from imsmediasec.sdp import SessionDescription


def sdp(*lines: str) -> SessionDescription:
    return SessionDescription.parse("".join(f"{line}\r\n" for line in lines))


HEAD = ("v=0", "o=- 7 8 IN IP4 192.0.2.1", "s=-")


def text(doc: SessionDescription) -> list[str]:
    return str(doc).split("\r\n")[:-1]


@pytest.mark.parametrize(
    ("media", "relayed"),
    [
        ("audio 4000 RTP/AVP 0", True),
        ("audio 4000 RTP/SAVPF 0", True),
        ("audio 0 RTP/AVP 0", False),
        ("message 4000 TCP/MSRP *", False),
        ("application 4000 UDP/BFCP *", False),
    ],
)
def test_what_is_relayed(media: str, relayed: bool) -> None:
    assert is_relayed(sdp(*HEAD, f"m={media}").media[0]) is relayed


@pytest.mark.parametrize(
    ("lines", "rtp", "rtcp"),
    [
        (("c=IN IP4 192.0.2.1",), 4000, 4001),
        (("c=IN IP4 192.0.2.1/127",), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:5000"), 4000, 5000),
        (("c=IN IP4 192.0.2.1", "a=rtcp:5000 IN IP4 192.0.2.9"), 4000, ("192.0.2.9", 5000)),
        (("c=IN IP4 192.0.2.1", "a=rtcp:5000 IN IP4 name.example"), 4000, 5000),
        (("c=IN IP4 192.0.2.1", "a=rtcp:5000 IN IP4"), 4000, 5000),
        (("c=IN IP4 192.0.2.1", "a=rtcp:0"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:99999"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:0012345678"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:x"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:\u0661"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:"), 4000, 4001),
        (("c=IN IP4 192.0.2.1", "a=rtcp:5000", "a=rtcp-mux"), 4000, 4000),
        (("c=IN IP4 0.0.0.0",), None, None),
        (("c=IN IP4 name.example",), None, None),
        (("c=IN IP4",), None, None),
        ((), None, None),
    ],
)
def test_where_media_goes(lines: tuple[str, ...], rtp: int | None, rtcp: int | tuple[str, int] | None) -> None:
    doc = sdp(*HEAD, "m=audio 4000 RTP/AVP 0", *lines)
    host = "192.0.2.1"
    wanted = rtcp if rtcp is None or isinstance(rtcp, tuple) else (host, rtcp)
    assert media_addresses(doc, doc.media[0]) == (None if rtp is None else (host, rtp), wanted)


def test_a_refused_stream_goes_nowhere() -> None:
    doc = sdp(*HEAD, "c=IN IP4 192.0.2.1", "m=audio 0 RTP/AVP 0")
    assert media_addresses(doc, doc.media[0]) == (None, None)


def test_the_last_port_has_no_next() -> None:
    doc = sdp(*HEAD, "c=IN IP6 2001:db8::1", "m=audio 65535 RTP/AVP 0")
    assert media_addresses(doc, doc.media[0]) == (("2001:db8::1", 65535), ("2001:db8::1", 65535))


def test_all_ways_round_are_closed() -> None:
    doc = sdp(
        *HEAD,
        "c=IN IP4 192.0.2.1",
        "a=group:BUNDLE 0 1",
        "a=ice-lite",
        "a=tool:x",
        "m=audio 4000 RTP/AVP 0",
        "a=rtcp:4009 IN IP4 192.0.2.2",
        "a=rtcp-mux",
        "a=candidate:1 1 UDP 1 192.0.2.3 4000 typ host",
        "a=remote-candidates:1 192.0.2.4 4000",
        "a=end-of-candidates",
        "a=ice-ufrag:x",
        "a=ice-pwd:y",
        "a=ptime:20",
        "a=unknown:  kept ",
    )
    lead_through(doc, "127.0.0.1", {0: 6000})
    assert text(doc) == [
        "v=0",
        "o=- 7 8 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "a=tool:x",
        "m=audio 6000 RTP/AVP 0",
        "a=ptime:20",
        "a=unknown:  kept ",
    ]
    assert "192.0.2" not in str(doc)


def test_streams_that_are_not_relayed_keep_their_address() -> None:
    doc = sdp(
        *HEAD,
        "c=IN IP4 192.0.2.1",
        "m=audio 4000 RTP/AVP 0",
        "m=message 4002 TCP/MSRP *",
        "m=message 4004 TCP/MSRP *",
        "c=IN IP4 192.0.2.5",
        "m=video 0 RTP/AVP 31",
    )
    lead_through(doc, "::1", {0: 6000})
    assert text(doc)[3:] == [
        "c=IN IP6 ::1",
        "m=audio 6000 RTP/AVP 0",
        "m=message 4002 TCP/MSRP *",
        "c=IN IP4 192.0.2.1",
        "m=message 4004 TCP/MSRP *",
        "c=IN IP4 192.0.2.5",
        "m=video 0 RTP/AVP 31",
    ]


def test_address_lines_of_single_streams() -> None:
    doc = sdp(
        *HEAD,
        "m=audio 4000 RTP/AVP 0",
        "c=IN IP4 192.0.2.1",
        "m=video 4002 RTP/AVP 31",
        "m=message 4004 TCP/MSRP *",
    )
    lead_through(doc, "127.0.0.1", {0: 6000, 1: 6002})
    assert text(doc)[3:] == [
        "m=audio 6000 RTP/AVP 0",
        "c=IN IP4 127.0.0.1",
        "m=video 6002 RTP/AVP 31",
        "c=IN IP4 127.0.0.1",
        "m=message 4004 TCP/MSRP *",
    ]


def test_an_origin_that_is_none_stays() -> None:
    doc = sdp("v=0", "o=odd", "s=-", "m=audio 4000 RTP/AVP 0")
    lead_through(doc, "127.0.0.1", {0: 6000})
    set_version(doc, 1, 2)
    assert text(doc)[1] == "o=odd"


def test_security_is_taken_off_relayed_streams_only() -> None:
    doc = sdp(
        *HEAD,
        "a=key-mgmt:mikey AAAA",
        "a=fingerprint:sha-256 AA",
        "m=audio 4000 RTP/SAVP 0",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret",
        "a=ptime:20",
        "m=message 4002 TCP/TLS/MSRP *",
        "a=fingerprint:sha-256 BB",
    )
    make_plain(doc)
    assert text(doc)[3:] == [
        "m=audio 4000 RTP/AVP 0",
        "a=ptime:20",
        "m=message 4002 TCP/TLS/MSRP *",
        "a=fingerprint:sha-256 BB",
    ]


def test_a_session_without_relayed_streams_keeps_its_security() -> None:
    doc = sdp(*HEAD, "a=fingerprint:sha-256 AA", "m=message 4002 TCP/TLS/MSRP *")
    before = str(doc)
    make_plain(doc)
    assert str(doc) == before


def test_essence_is_blind_to_keys_and_version() -> None:
    one = sdp(*HEAD, "m=audio 4000 RTP/SAVP 0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:one")
    two = sdp("v=0", "o=- 7 9 IN IP4 192.0.2.1", "s=-", "m=audio 4000 RTP/SAVP 0", "a=crypto:1 X inline:two")
    other = sdp(*HEAD, "m=audio 4002 RTP/SAVP 0")
    assert essence(str(one)) == essence(str(two)) != essence(str(other))


def test_version() -> None:
    doc = sdp(*HEAD, "m=audio 4000 RTP/AVP 0")
    set_version(doc, 5, 6)
    assert text(doc)[1] == "o=- 5 6 IN IP4 192.0.2.1"


def test_no_second_address_line_passes() -> None:
    """Some softphones go by the last c= line of a section, we by the first."""
    doc = sdp(
        *HEAD,
        "c=IN IP4 192.0.2.1",
        "o=- 7 8 IN IP4 192.0.2.2",
        "c=IN IP4 192.0.2.3",
        "m=audio 4000 RTP/AVP 0",
        "c=IN IP4 192.0.2.4",
        "c=IN IP4 192.0.2.5",
        "a=x",
        "c=IN IP4 192.0.2.6",
    )
    lead_through(doc, "127.0.0.1", {0: 6000})
    assert "192.0.2" not in str(doc)
    assert text(doc)[-3:] == ["m=audio 6000 RTP/AVP 0", "c=IN IP4 127.0.0.1", "a=x"]


@pytest.mark.parametrize(
    "line",
    [
        "a=RTCP:4009 IN IP4 192.0.2.9",
        "a=Candidate:1 1 UDP 1 192.0.2.9 4000 typ host",
        "a=altc:1 IP4 192.0.2.9 4000",
        "a=ccap:1 IN IP4 192.0.2.9",
        "a=visited-realm:1 x IN IP4 192.0.2.9 4000",
        "a=source-filter: incl IN IP4 * 192.0.2.9",
    ],
)
@pytest.mark.parametrize("port", [4000, 0])
def test_other_ways_round(line: str, port: int) -> None:
    """At session level too, in any case, and in streams that are out of use: a softphone may use them yet."""
    doc = sdp(*HEAD, "c=IN IP4 192.0.2.1", line, f"m=audio {port} RTP/AVP 0", line)
    lead_through(doc, "127.0.0.1", {0: 6000} if port else {})
    assert "192.0.2.9" not in str(doc)


def test_old_key_lines_go() -> None:
    """k= and capabilities with keys, at both levels."""
    key = "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40
    doc = sdp(*HEAD, "k=clear:x", f"a=acap:1 {key}", f"a={key}", "m=audio 4000 rtp/savp 0", "k=clear:y", f"a={key}")
    make_plain(doc)
    assert text(doc) == [*HEAD, "m=audio 4000 RTP/AVP 0"]
