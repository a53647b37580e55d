"""Streams: MKIs on the wire, several master keys, direction, retirement."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsmediasec import suites
from imsmediasec.errors import (
    AuthenticationFailed,
    LocalError,
    MalformedInput,
    ReplayDetected,
)
from imsmediasec.keys import SessionParams, SrtpKeys
from imsmediasec.media import PylibsrtpBackend
from imsmediasec.media.srtp_stream import mki_octets
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

CM, GCM = suites.AES_CM_128_HMAC_SHA1_80, suites.AEAD_AES_256_GCM
BACKENDS = [PylibsrtpBackend(), PylibsrtpBackend(libsrtp_suites=())]
EACH_BACKEND = pytest.mark.parametrize("backend", BACKENDS, ids=["libsrtp", "engine"])
EACH_SUITE = pytest.mark.parametrize("suite", suites.ALL_SUITES, ids=lambda s: s.name)


def several(suite, *mkis, length=2, params=None):
    masters = tuple(kit.master(suite, mki, mki=mki, mki_length=length) for mki in mkis)
    return SrtpKeys(suite=suite, master_keys=masters, params=params or SessionParams())


def pair(backend, keys, other=None):
    return backend.open(Direction.SEND, keys), backend.open(Direction.RECEIVE, other or keys)


@EACH_BACKEND
@EACH_SUITE
@pytest.mark.parametrize("length", [1, 4, 128])
def test_the_mki_stands_before_the_tag_or_last_with_an_aead(backend, suite, length):
    mki = (1 << 8 * length) - 2
    bare, _ = pair(backend, kit.keys(suite))
    one, other = pair(backend, kit.keys(suite, mki=mki, mki_length=length))
    field = mki.to_bytes(length, "big")
    for send, plain, receive, text, tag in (
        (one.protect, bare.protect, other.unprotect, kit.rtp(1), suite.srtp_tag_length),
        (one.protect_rtcp, bare.protect_rtcp, other.unprotect_rtcp, kit.rtcp(), suite.srtcp_tag_length),
    ):
        with_mki, without = send(text), plain(text)
        cut = len(without) if suite.cipher is suites.Cipher.AES_GCM else len(without) - tag
        assert with_mki == without[:cut] + field + without[cut:]
        assert receive(with_mki) == text
        with pytest.raises(ReplayDetected):
            receive(with_mki)


@EACH_BACKEND
@pytest.mark.parametrize("suite", [CM, GCM], ids=lambda s: s.name)
def test_several_master_keys_are_told_apart_by_mki(backend, suite):
    receiver = backend.open(Direction.RECEIVE, several(suite, 1, 2, 3))
    senders = [backend.open(Direction.SEND, several(suite, n, *({1, 2, 3} - {n}))) for n in (1, 2, 3)]
    for number in range(9):
        sender = senders[number % 3]
        assert receiver.unprotect(sender.protect(kit.rtp(number))) == kit.rtp(number)
        assert receiver.unprotect_rtcp(sender.protect_rtcp(kit.rtcp())) == kit.rtcp()
    stranger = backend.open(Direction.SEND, several(suite, 4))
    with pytest.raises(AuthenticationFailed, match="MKI"):
        receiver.unprotect(stranger.protect(kit.rtp(20)))
    assert receiver.roc == {kit.SSRC: 0}
    assert receiver.highest == {kit.SSRC.to_bytes(4, "big"): 8}


def test_a_changed_mki_selects_the_wrong_key():
    receiver = BACKENDS[0].open(Direction.RECEIVE, several(CM, 1, 2))
    packet = BACKENDS[0].open(Direction.SEND, several(CM, 1)).protect(kit.rtp(1))
    with pytest.raises(AuthenticationFailed):
        receiver.unprotect(packet[:-11] + b"\2" + packet[-10:])


def test_no_room_for_the_mki_or_not_bytes():
    receiver = BACKENDS[0].open(Direction.RECEIVE, several(CM, 1, length=128))
    for call in (receiver.unprotect, receiver.unprotect_rtcp):
        with pytest.raises(MalformedInput):
            call(bytes(137))
        with pytest.raises(LocalError):
            call(bytearray(200))
        with pytest.raises(MalformedInput):
            call(bytes(70000))


def test_the_mki_is_last_where_srtp_has_no_tag():
    clear = SessionParams(unauthenticated_srtp=True)
    one, other = pair(BACKENDS[0], several(CM, 7, params=clear))
    packet = one.protect(kit.rtp(1))
    assert packet[-2:] == b"\0\7" and len(packet) == len(kit.rtp(1)) + 2
    assert other.unprotect(packet) == kit.rtp(1)
    assert other.unprotect_rtcp(one.protect_rtcp(kit.rtcp())) == kit.rtcp()


def test_mki_octets():
    assert mki_octets(kit.master(CM, mki=258, mki_length=3)) == b"\0\1\2"


def test_the_same_master_key_twice_is_refused():
    twice = SrtpKeys(suite=CM, master_keys=tuple(kit.master(CM, 1, mki=mki, mki_length=1) for mki in (1, 2)))
    with pytest.raises(LocalError, match="twice"):
        BACKENDS[0].open(Direction.RECEIVE, twice)


def test_a_stream_has_one_direction():
    one, other = pair(BACKENDS[0], kit.keys(CM))
    for call in (one.unprotect, one.unprotect_rtcp):
        with pytest.raises(LocalError, match="only sends"):
            call(kit.rtp(1))
    for call in (other.protect, other.protect_rtcp):
        with pytest.raises(LocalError, match="only receives"):
            call(kit.rtp(1))


@EACH_BACKEND
def test_retire_wipes_and_stops_everything_held_before(backend):
    for keys in (kit.keys(CM), several(CM, 1)):
        for direction in Direction:
            mine = several(CM, 1) if keys.master_keys[0].mki else kit.keys(CM)
            stream = backend.open(direction, mine)
            names = ("protect", "unprotect", "protect_rtcp", "unprotect_rtcp")
            held = [getattr(stream, name) for name in names]
            for _ in range(2):
                stream.retire()
            assert len(mine.master_keys[0].key) == len(mine.master_keys[0].salt) == 0
            packet = kit.rtp(1, b"\0\1" + bytes(10)) if direction is Direction.RECEIVE else kit.rtp(1)
            for call in (*held, *(getattr(stream, name) for name in names)):
                with pytest.raises(LocalError):
                    call(packet)
            with pytest.raises(LocalError, match="retired"):
                stream.protect(packet)
            assert stream.roc == {}


@EACH_BACKEND
@EACH_SUITE
def test_roc_is_kept_over_a_wrap_and_given_on(backend, suite):
    one, other = pair(backend, kit.keys(suite))
    for number in range(65530, 65540):
        other.unprotect(one.protect(kit.rtp(number)))
    assert one.roc == other.roc == {kit.SSRC: 1}
    later, reading = pair(backend, kit.keys(suite, 2, roc=dict(one.roc)))
    restarted = backend.open(Direction.SEND, kit.keys(suite, 2))
    assert reading.unprotect(later.protect(kit.rtp(5))) == kit.rtp(5)
    assert later.roc == reading.roc == {kit.SSRC: 1}
    from_zero = backend.open(Direction.RECEIVE, kit.keys(suite, 2, roc=dict(one.roc)))
    assert from_zero.unprotect(restarted.protect(kit.rtp(5))) == kit.rtp(5)
    assert from_zero.roc == {kit.SSRC: 0}


def test_what_a_stream_tells_of_itself():
    one, other = pair(BACKENDS[0], kit.keys(CM))
    other.unprotect_rtcp(one.protect_rtcp(kit.rtcp()))
    assert one.rtcp_next == {kit.SSRC.to_bytes(4, "big"): 1} and other.rtcp_next == {}
    assert one.on_libsrtp
    one.protect(kit.rtp(1, bytes(2000)))
    assert not one.on_libsrtp


def test_a_truncated_tag_does_not_open():
    for suite in (CM, suites.AES_CM_128_HMAC_SHA1_32, GCM):
        one, other = pair(BACKENDS[0], kit.keys(suite))
        packet, report = one.protect(kit.rtp(1, bytes(40))), one.protect_rtcp(kit.rtcp(bytes(40)))
        for cut in range(1, 16):
            with pytest.raises(AuthenticationFailed):
                other.unprotect(packet[:-cut])
            with pytest.raises(AuthenticationFailed):
                other.unprotect_rtcp(report[:-cut])
        assert other.unprotect(packet) == kit.rtp(1, bytes(40))


@settings(max_examples=150, deadline=None)
@given(
    suite=st.sampled_from(suites.ALL_SUITES),
    mki_length=st.one_of(st.none(), st.integers(1, 128)),
    payload=st.binary(max_size=300),
    csrcs=st.integers(0, 15),
    extension=st.one_of(st.none(), st.integers(0, 6)),
    sequence=st.integers(0, 0xFFFF),
    sending=st.sampled_from(BACKENDS),
    receiving=st.sampled_from(BACKENDS),
    clear=st.booleans(),
)
def test_round_trip(suite, mki_length, payload, csrcs, extension, sequence, sending, receiving, clear):
    extra = bytes(4 * csrcs)
    if extension is not None:
        extra += b"\xbe\xde" + extension.to_bytes(2, "big") + bytes(4 * extension)
    text = kit.rtp(sequence, payload, first=0x80 | csrcs | (0x10 if extension is not None else 0), extra=extra)
    limits = {} if mki_length is None else {"mki": 1, "mki_length": mki_length}
    params = SessionParams(unencrypted_srtp=clear, unencrypted_srtcp=clear)
    one = sending.open(Direction.SEND, kit.keys(suite, params=params, **limits))
    other = receiving.open(Direction.RECEIVE, kit.keys(suite, params=params, **limits))
    sealed = one.protect(text)
    assert other.unprotect(sealed) == text
    assert (payload in sealed[12:]) or not clear
    report = kit.rtcp(payload)
    assert other.unprotect_rtcp(one.protect_rtcp(report)) == report
    with pytest.raises(ReplayDetected):
        other.unprotect(sealed)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(BACKENDS),
    st.sampled_from([kit.keys(CM), several(CM, 1, 2), several(GCM, 1)]),
)
def test_garbage_is_refused_by_errors_of_ours(packet, backend, keys):
    receiver = backend.open(Direction.RECEIVE, keys)
    for call in (receiver.unprotect, receiver.unprotect_rtcp):
        with pytest.raises((MalformedInput, AuthenticationFailed)):
            call(packet)
    assert receiver.roc == {}
