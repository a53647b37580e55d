"""The order in which living keys are tried, and which of their errors is told."""

import pytest

from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MalformedInput,
    ReplayDetected,
)
from imsmediasec.media.srtp_trials import Trials


class Stream:
    """Opens packets that start with its letter; else raises."""

    def __init__(self, letter, error=None):
        self.letter = letter
        self.error = error or AuthenticationFailed(f"not {letter}")
        self.asked = 0

    def open(self, packet):
        self.asked += 1
        if not packet.startswith(self.letter):
            raise self.error
        return packet[1:]


def trials(*streams):
    made = Trials(lambda stream: stream.open)
    for stream in streams:
        made.add(stream)
    return made


def test_no_stream():
    with pytest.raises(LocalError, match="no key"):
        trials().unprotect(b"x")


def test_the_last_that_opened_then_the_newest():
    a, b, c = Stream(b"a"), Stream(b"b"), Stream(b"c")
    made = trials(a, b, c)
    assert made.unprotect(b"a1") == b"1"
    assert (a.asked, b.asked, c.asked) == (1, 0, 0)
    assert made.unprotect(b"c1") == b"1"
    assert (a.asked, b.asked, c.asked) == (2, 0, 1)
    made.unprotect(b"c2")
    assert (a.asked, b.asked, c.asked) == (2, 0, 2)
    made.unprotect(b"b1")
    made.remove(b)
    assert made.unprotect(b"c3") == b"3"
    with pytest.raises(AuthenticationFailed):
        made.unprotect(b"b2")
    made.remove(c)
    made.remove(a)
    with pytest.raises(LocalError):
        made.unprotect(b"c4")


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ([MalformedInput, AuthenticationFailed, ReplayDetected], ReplayDetected),
        ([ReplayDetected, AuthenticationFailed], ReplayDetected),
        ([KeyLifetimeExhausted, AuthenticationFailed], AuthenticationFailed),
        ([KeyLifetimeExhausted, MalformedInput], KeyLifetimeExhausted),
        ([MalformedInput], MalformedInput),
    ],
)
def test_the_most_telling_error(kinds, told):
    first, *others = [Stream(b"-", kind("x")) for kind in kinds]
    with pytest.raises(told) as raised:
        trials(first, *reversed(others)).unprotect(b"x")
    assert type(raised.value) is told


def test_an_exhausted_key_does_not_stop_the_others_but_misuse_does():
    made = trials(Stream(b"-", KeyLifetimeExhausted("x")), Stream(b"b"))
    assert made.unprotect(b"b1") == b"1"
    with pytest.raises(LocalError, match="misuse"):
        trials(Stream(b"-", LocalError("misuse")), Stream(b"b")).unprotect(b"b1")
