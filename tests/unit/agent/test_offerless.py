"""agent/offerless.py: two answers out of two offers (RFC 3264 6), as an answerer of each would write them."""

from __future__ import annotations

import pytest

from imsmediasec.agent.offerless import join
from imsmediasec.errors import NoCommonSecurity
from imsmediasec.sdp import SessionDescription


def offer(who: int, *media: str, session: tuple[str, ...] = ()) -> bytes:
    """An offer of host 192.0.2.`who`."""
    head = ("v=0", f"o=- {who} {who} IN IP4 192.0.2.{who}", f"s=from {who}", f"c=IN IP4 192.0.2.{who}", "t=0 0")
    return "".join(f"{line}\r\n" for line in (*head, *session, *media)).encode()


def joined(phone: bytes, far: bytes) -> tuple[SessionDescription, SessionDescription]:
    to_phone, to_far = join(phone, far)
    return SessionDescription.parse(to_phone), SessionDescription.parse(to_far)


def test_a_codec_in_common() -> None:
    phone = offer(1, "m=audio 4000 RTP/AVP 0 8 18", "a=ptime:20", "a=x-phone:1")
    far = offer(2, "m=audio 5000 RTP/AVP 9 8", "a=x-far:1")
    to_phone, to_far = joined(phone, far)
    assert str(to_phone) == (
        "v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=from 2\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
        "m=audio 5000 RTP/AVP 8\r\na=x-far:1\r\na=sendrecv\r\n"
    )
    assert str(to_far) == (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=from 1\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 8\r\na=ptime:20\r\na=x-phone:1\r\na=sendrecv\r\n"
    )


def test_dynamic_payload_types_are_the_far_ends() -> None:
    """Media passes as it is: both sides must mean the same by a number."""
    phone = offer(
        1,
        "m=audio 4000 RTP/AVP 96 97 101",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:97 AMR/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=rtcp-fb:* nack",
        "a=rtcp-fb:97 ccm fir",
    )
    far = offer(
        2,
        "m=audio 5000 RTP/AVP 110 111",
        "a=rtpmap:110 OPUS/48000/2",
        "a=rtpmap:111 telephone-event/8000/1",
        "a=fmtp:111 0-16",
    )
    to_phone, to_far = joined(phone, far)
    assert to_phone.media[0].lines[:-1] == (
        "m=audio 5000 RTP/AVP 110 111",
        "a=rtpmap:110 OPUS/48000/2",
        "a=rtpmap:111 telephone-event/8000/1",
        "a=fmtp:111 0-16",
    )
    assert to_far.media[0].lines[:-1] == (
        "m=audio 4000 RTP/AVP 110 111",
        "a=rtpmap:110 opus/48000/2",
        "a=fmtp:110 useinbandfec=1",
        "a=rtpmap:111 telephone-event/8000",
        "a=fmtp:111 0-15",
        "a=rtcp-fb:* nack",
    )


@pytest.mark.parametrize(
    ("phone", "far"),
    [
        (("m=audio 4000 RTP/AVP 0",), ("m=audio 5000 RTP/AVP 8",)),
        (("m=audio 4000 RTP/AVP 0",), ("m=video 5000 RTP/AVP 0",)),
        (("m=audio 4000 RTP/AVP 0",), ("m=audio 5000 RTP/AVPF 0",)),
        (("m=audio 0 RTP/AVP 0",), ("m=audio 5000 RTP/AVP 0",)),
        (("m=audio 4000 RTP/AVP 0",), ("m=audio 0 RTP/AVP 0",)),
        ((), ("m=audio 5000 RTP/AVP 0",)),
        # Tones and silence are no speech.
        (("m=audio 4000 RTP/AVP 13",), ("m=audio 5000 RTP/AVP 13",)),
    ],
)
def test_nothing_in_common(phone: tuple[str, ...], far: tuple[str, ...]) -> None:
    with pytest.raises(NoCommonSecurity, match="no codec in common") as caught:
        join(offer(1, *phone), offer(2, *far))
    assert caught.value.sip_status_hint == 488


def test_streams_that_one_side_lacks_are_refused() -> None:
    phone = offer(1, "m=audio 4000 RTP/AVP 0", "m=video 4002 RTP/AVP 31")
    far = offer(2, "m=audio 5000 RTP/AVP 0")
    to_phone, to_far = joined(phone, far)
    assert [media.port for media in to_phone.media] == [5000, 0]
    assert [media.port for media in to_far.media] == [4000]


@pytest.mark.parametrize(
    ("phone", "far", "to_phone", "to_far"),
    [
        ("sendrecv", "sendrecv", "sendrecv", "sendrecv"),
        ("sendonly", "sendrecv", "recvonly", "sendonly"),
        ("sendrecv", "sendonly", "sendonly", "recvonly"),
        ("sendonly", "sendonly", "inactive", "inactive"),
        ("recvonly", "sendonly", "sendonly", "recvonly"),
        ("inactive", "sendrecv", "inactive", "inactive"),
    ],
)
def test_directions_fit_their_offer(phone: str, far: str, to_phone: str, to_far: str) -> None:
    """RFC 3264 6.1: who is offered sendonly answers recvonly or inactive."""
    one = offer(1, "m=audio 4000 RTP/AVP 0", session=(f"a={phone}",))
    two = offer(2, "m=audio 5000 RTP/AVP 0", f"a={far}")
    answers = joined(one, two)
    assert [doc.direction(doc.media[0]) for doc in answers] == [to_phone, to_far]
    assert [doc.media[0].lines.count(f"a={doc.direction(doc.media[0])}") for doc in answers] == [1, 1]


def test_stream_names_are_the_offers() -> None:
    """RFC 5888 9.1."""
    to_phone, to_far = joined(
        offer(1, "m=audio 4000 RTP/AVP 0", "a=mid:phone"), offer(2, "m=audio 5000 RTP/AVP 0", "a=mid:far")
    )
    assert (to_phone.media[0].mid, to_far.media[0].mid) == ("phone", "far")
    to_phone, _ = joined(offer(1, "m=audio 4000 RTP/AVP 0"), offer(2, "m=audio 5000 RTP/AVP 0", "a=mid:far"))
    assert to_phone.media[0].mid is None


def test_addresses_of_single_streams() -> None:
    """A stream's address is its writer's, whether it stood in the session or in the stream."""
    bare = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n"
    to_phone, to_far = joined(bare, offer(2, "m=audio 5000 RTP/AVP 0"))
    assert to_phone.connection(to_phone.media[0]) == "IN IP4 192.0.2.2"
    assert to_far.connection(to_far.media[0]) == "IN IP4 192.0.2.1"
    nowhere = b"v=0\r\no=- 2 2 IN IP4 192.0.2.2\r\ns=-\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n"
    to_phone, _ = joined(bare, nowhere)
    assert to_phone.media[0].line("c") is None
