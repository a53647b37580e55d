"""sip/framing.py against RFC 3261 18.3 and RFC 5626 3.5.1."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.errors import MalformedInput
from imsmediasec.sip import Keepalive, SipMessage, StreamFramer
from imsmediasec.sip.message import MAX_HEAD

ONE = b"OPTIONS sip:b SIP/2.0\r\nFrom: x\r\nl:\r\n 4\r\n\r\nbody"
TWO = b"SIP/2.0 200 OK\nCONTENT-LENGTH : 00\nX: y\n\n"


def read(framer: StreamFramer, *pieces: bytes) -> list[bytes | Keepalive]:
    return [item for piece in pieces for item in framer.feed(piece)]


def test_messages_and_keepalives_in_one_piece() -> None:
    framer = StreamFramer()
    found = read(framer, ONE + b"\r\n\r\n" + TWO + b"\r\n" + ONE[:20])
    assert found == [ONE, Keepalive.PING, TWO, Keepalive.PONG]
    assert framer.pending == 20 and framer.feed(ONE[20:]) == [ONE] and framer.pending == 0
    for item in (ONE, TWO):
        assert bytes(SipMessage.parse(item)) == item


def test_octet_by_octet() -> None:
    pieces = [bytes([octet]) for octet in ONE + TWO]
    assert read(StreamFramer(), *pieces) == [ONE, TWO]


@given(st.lists(st.sampled_from([ONE, TWO]), max_size=4), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_any_cut_gives_the_same_messages(messages: list[bytes], sizes: list[int]) -> None:
    data, framer, found = b"".join(messages), StreamFramer(), []
    for turn in range(len(data)):
        size = sizes[turn % len(sizes)]
        found += framer.feed(data[:size])
        data = data[size:]
    assert found == messages


def test_a_ping_in_two_halves() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == [Keepalive.PONG]
    assert framer.feed(b"\r\n\r\n") == [Keepalive.PING, Keepalive.PONG]
    assert read(framer, b"\r", b"\n") == [Keepalive.PING]
    assert read(framer, b"\n" + TWO) == [Keepalive.PONG, TWO]


def test_the_side_that_pings_gets_pongs() -> None:
    framer = StreamFramer(opened_here=True)
    assert read(framer, b"\r\n", b"\r\n", b"\r\n\r\n", b"\r\n") == [
        Keepalive.PONG,
        Keepalive.PONG,
        Keepalive.PING,
        Keepalive.PONG,
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\rx",
        b"A sip:b SIP/2.0\r\nFrom: x\r\n\r\n",
        b"A sip:b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\n",
        b"A sip:b SIP/2.0\r\nl: -1\r\n\r\n",
        b"A sip:b SIP/2.0\r\nl:\r\n\r\n",
        b"A sip:b SIP/2.0\r\nl: 99999999\r\n\r\n",
        b"A sip:b SIP/2.0\r\nl: 99999999999999999999\r\n\r\n",
        b"A" * (MAX_HEAD + 1),
        b"A sip:b SIP/2.0\r\nX: " + b"a" * MAX_HEAD + b"\r\nl: 0\r\n\r\n",
    ],
)
def test_a_stream_without_boundaries_is_over(data: bytes) -> None:
    framer = StreamFramer()
    with pytest.raises(MalformedInput):
        framer.feed(data)
    with pytest.raises(MalformedInput):
        framer.feed(ONE)
    assert framer.pending == 0


@given(st.binary(max_size=200))
def test_any_octets_give_messages_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedInput):
        StreamFramer().feed(b"A sip:b SIP/2.0\r\nl: 3\r\n" + data)


def test_a_slow_stream_takes_linear_time() -> None:
    framer, started = StreamFramer(), time.perf_counter()
    for _ in range(MAX_HEAD // 2):
        framer.feed(b"\na")
    with pytest.raises(MalformedInput):
        framer.feed(b"\na")
    assert time.perf_counter() - started < 2.0
