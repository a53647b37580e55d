"""The fast path's seam to pylibsrtp."""

import pylibsrtp
import pytest

from imsmediasec import suites
from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MalformedInput,
    ReplayDetected,
)
from imsmediasec.media import srtp_libsrtp as libsrtp
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

CM = suites.AES_CM_128_HMAC_SHA1_80


def test_what_runs():
    assert [suite.name for suite in suites.ALL_SUITES if libsrtp.runs(suite)] == [
        "AEAD_AES_256_GCM",
        "AEAD_AES_128_GCM",
        "AES_CM_128_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_32",
    ]


def test_a_build_that_lacks_a_suite(monkeypatch):
    def refuse(policy):
        raise pylibsrtp.Error("unsupported parameter")

    monkeypatch.setattr(pylibsrtp, "Session", refuse)
    assert not libsrtp.runs(CM)


def test_sessions_open_each_other_and_the_policy_copy_is_wiped(monkeypatch):
    made = []

    def policy(**arguments):
        made.append(Policy(**arguments))
        return made[-1]

    Policy = pylibsrtp.Policy
    for name in ("SSRC_ANY_OUTBOUND", "SSRC_ANY_INBOUND"):
        setattr(policy, name, getattr(Policy, name))
    monkeypatch.setattr(pylibsrtp, "Policy", policy)
    sender = libsrtp.open_session(CM, kit.master(CM), Direction.SEND, 64)
    receiver = libsrtp.open_session(CM, kit.master(CM), Direction.RECEIVE, 32768)
    assert receiver.unprotect(sender.protect(kit.rtp(1))) == kit.rtp(1)
    assert [bytes(one.key) for one in made] == [bytes(30), bytes(30)]
    assert [one.window_size for one in made] == [64, 32767]


@pytest.mark.parametrize(
    ("fault", "direction", "kind"),
    [
        (TypeError("x"), Direction.SEND, LocalError),
        (AttributeError("x"), Direction.RECEIVE, LocalError),
        (IndexError("x"), Direction.SEND, MalformedInput),
        (pylibsrtp.Error("error parsing data"), Direction.RECEIVE, MalformedInput),
        (pylibsrtp.Error("unsupported parameter"), Direction.SEND, MalformedInput),
        (pylibsrtp.Error("can't use key any more"), Direction.SEND, KeyLifetimeExhausted),
        (pylibsrtp.Error("replay check failed (bad index)"), Direction.SEND, LocalError),
        (pylibsrtp.Error("replay check failed (index too old)"), Direction.RECEIVE, ReplayDetected),
        (pylibsrtp.Error("cipher failure"), Direction.SEND, LocalError),
        (pylibsrtp.Error("authentication failure"), Direction.RECEIVE, AuthenticationFailed),
        (pylibsrtp.Error("cipher failure"), Direction.RECEIVE, AuthenticationFailed),
    ],
)
def test_faults_become_errors_of_ours(fault, direction, kind):
    with pytest.raises(kind) as raised:
        libsrtp.translate(fault, direction)
    assert type(raised.value) is kind


def test_every_text_that_is_told_apart_is_one_of_libsrtp():
    assert libsrtp._REPLAY | libsrtp._MALFORMED | {libsrtp._EXHAUSTED} <= set(pylibsrtp.ERRORS)


def test_too_long():
    session = libsrtp.open_session(CM, kit.master(CM), Direction.SEND, 64)
    with pytest.raises(ValueError) as raised:
        session.protect(kit.rtp(1, bytes(2000)))
    assert libsrtp.is_too_long(raised.value)
    assert not libsrtp.is_too_long(pylibsrtp.Error("cipher failure"))
