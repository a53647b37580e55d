"""The engine: counters, replay, start values; against libsrtp where that has the suite."""

import pylibsrtp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsmediasec import suites
from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MalformedInput,
    ReplayDetected,
)
from imsmediasec.keys import SessionParams
from imsmediasec.media.srtp_engine import RtcpOpener, RtcpSealer, RtpOpener, RtpSealer
from imsmediasec.media.srtp_index import Start
from imsmediasec.media.srtp_kdf import derive_srtcp, derive_srtp
from imsmediasec.media.srtp_transforms import build_transform
from tests.unit.media import srtp_kit as kit

CM = suites.AES_CM_128_HMAC_SHA1_80
SSRC = kit.SSRC.to_bytes(4, "big")
PROFILES = {
    CM: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    suites.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    suites.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    suites.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def rtp_transform(suite=CM):
    return build_transform(suite, SessionParams(), derive_srtp(suite, kit.master(suite)), suite.srtp_tag_length)


def rtcp_transform(suite=CM):
    return build_transform(suite, SessionParams(), derive_srtcp(suite, kit.master(suite)), suite.srtcp_tag_length)


def sealer(start=None, used=None, suite=CM):
    return RtpSealer(rtp_transform(suite), 64, start or {}, used or {})


def opener(start=None, used=None, suite=CM):
    return RtpOpener(rtp_transform(suite), 64, start or {}, used or {})


def libsrtp(suite, ssrc_type):
    master = kit.master(suite)
    key = master.key.reveal() + master.salt.reveal()
    return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=ssrc_type, srtp_profile=PROFILES[suite]))


@pytest.mark.parametrize("suite", PROFILES, ids=lambda s: s.name)
def test_the_same_octets_as_libsrtp_over_a_wrap(suite):
    theirs = libsrtp(suite, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    reader = libsrtp(suite, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    ours, reading = sealer(suite=suite), opener(suite=suite)
    for number in range(0xFFF0, 0x10010):
        text = kit.rtp(number, bytes(number & 63), first=0x91, extra=b"csrc\xbe\xde\0\1abcd")
        sealed = ours.process(text)
        assert sealed == theirs.protect(text)
        assert reader.unprotect(sealed) == text == reading.process(sealed)


@pytest.mark.parametrize("suite", PROFILES, ids=lambda s: s.name)
def test_srtcp_with_libsrtp(suite):
    theirs = libsrtp(suite, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    reader = libsrtp(suite, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    ours, reading = RtcpSealer(rtcp_transform(suite), {SSRC: 1}), RtcpOpener(rtcp_transform(suite), 64)
    for number in range(3):
        report = kit.rtcp(bytes(4 * number))
        sealed = ours.process(report)
        assert sealed == theirs.protect_rtcp(report)
        assert reader.unprotect_rtcp(sealed) == report == reading.process(sealed)


def test_a_sender_refuses_an_index_it_used():
    ours = sealer()
    ours.process(kit.rtp(100))
    with pytest.raises(LocalError):
        ours.process(kit.rtp(100, b"another text"))
    ours.process(kit.rtp(99))
    with pytest.raises(LocalError):
        ours.process(kit.rtp(100 - 64))
    assert ours.highest == {SSRC: 100}


def test_the_last_index_is_the_end():
    ours = sealer({SSRC: Start(0xFFFF_FFFF, 0xFFFE)})
    ours.process(kit.rtp(0xFFFF))
    with pytest.raises(KeyLifetimeExhausted):
        ours.process(kit.rtp(0))
    reading = opener(used={SSRC: (1 << 48) - 1})
    with pytest.raises(AuthenticationFailed):
        reading.process(sealer().process(kit.rtp(0)))


def test_a_receiver_accepts_once_and_changes_nothing_for_a_forgery():
    ours, reading = sealer(), opener()
    sealed = [ours.process(kit.rtp(number)) for number in range(10, 80)]
    forged = sealed[-1][:-1] + bytes([sealed[-1][-1] ^ 1])
    with pytest.raises(AuthenticationFailed):
        reading.process(forged)
    assert reading.highest == {}
    for packet in (sealed[-1], sealed[8]):
        reading.process(packet)
        with pytest.raises(ReplayDetected):
            reading.process(packet)
    with pytest.raises(ReplayDetected, match="too old"):
        reading.process(sealed[3])
    assert reading.highest == {SSRC: 79}


@pytest.mark.parametrize("theirs", [0, 5, 6])
def test_a_receiver_told_a_counter_finds_what_the_sender_does(theirs):
    reading = opener({SSRC: Start(5)})
    assert reading.process(sealer({SSRC: Start(theirs)}).process(kit.rtp(9))) == kit.rtp(9)
    assert reading.highest == {SSRC: theirs << 16 | 9}
    with pytest.raises(AuthenticationFailed):
        opener({SSRC: Start(5)}).process(sealer({SSRC: Start(3)}).process(kit.rtp(9)))


def test_indices_used_elsewhere_are_refused():
    with pytest.raises(LocalError):
        sealer(used={SSRC: 50}).process(kit.rtp(50))
    with pytest.raises(ReplayDetected):
        opener(used={SSRC: 50}).process(sealer().process(kit.rtp(49)))
    assert opener(used={SSRC: 50}).process(sealer().process(kit.rtp(51))) == kit.rtp(51)


def test_srtcp_index_starts_continues_wraps_and_skips():
    ours = RtcpSealer(rtcp_transform(), {})
    assert ours.process(kit.rtcp())[-14:-10] == b"\x80\0\0\0"
    assert ours.next_index == {SSRC: 1}
    ours.skip_to({SSRC: 7, b"abcd": 2})
    ours.skip_to({SSRC: 3})
    assert ours.next_index == {SSRC: 7, b"abcd": 2}
    last = RtcpSealer(rtcp_transform(), {SSRC: (1 << 31) - 1})
    assert last.process(kit.rtcp())[-14:-10] == b"\xff\xff\xff\xff"
    assert last.next_index == {SSRC: 0}
    with pytest.raises(MalformedInput):
        ours.process(bytes(7))


def test_srtcp_replay_and_forgery():
    ours, reading = RtcpSealer(rtcp_transform(), {SSRC: 100}), RtcpOpener(rtcp_transform(), 64)
    sealed = [ours.process(kit.rtcp()) for _ in range(3)]
    with pytest.raises(AuthenticationFailed):
        reading.process(sealed[0][:-1] + b"\0")
    for packet in (sealed[2], sealed[0]):
        assert reading.process(packet) == kit.rtcp()
        with pytest.raises(ReplayDetected):
            reading.process(packet)


@settings(max_examples=60)
@given(st.permutations(range(40)), st.integers(0, 0xFFFF), st.binary(max_size=40))
def test_any_order_within_the_window_arrives_once(order, first, payload):
    ours, reading = sealer({SSRC: Start(3)}), opener({SSRC: Start(3)})
    texts = [kit.rtp(first + number, payload) for number in range(40)]
    sealed = [ours.process(text) for text in texts]
    reading.process(sealed[0])
    for number in order:
        if number:
            assert reading.process(sealed[number]) == texts[number]
        with pytest.raises(ReplayDetected):
            reading.process(sealed[number])
