"""`MediaStream`: re-keys without loss, counters carried on, nothing accepted twice, lifetimes told."""

import logging
import random
import traceback

import pytest

from imsmediasec import suites
from imsmediasec.errors import AuthenticationFailed, KeyLifetimeExhausted, LocalError, ReplayDetected
from imsmediasec.keys import SrtpKeys
from imsmediasec.media import KeyExpiring, MediaStream, PylibsrtpBackend
from imsmediasec.media.srtp_index import Start
from imsmediasec.media.srtp_session import _Earlier, _History
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

SEND, RECEIVE = Direction.SEND, Direction.RECEIVE
CM, GCM = suites.AES_CM_128_HMAC_SHA1_80, suites.AEAD_AES_128_GCM
EACH_BACKEND = pytest.mark.parametrize("libsrtp", [None, ()], ids=["libsrtp", "engine"])


def streams(libsrtp=None, **options):
    backend = PylibsrtpBackend(libsrtp_suites=libsrtp)
    return MediaStream(backend, **options), MediaStream(backend, **options)


def both(one, other, fill, *, suite=CM, **options):
    """Install the same key at both ends; gives what the sender installed."""
    mine = kit.keys(suite, fill, **options)
    one.install(SEND, mine)
    theirs = kit.keys(suite, fill, **options)
    other.install(RECEIVE, theirs)
    return mine, theirs


def test_without_keys_nothing_passes():
    one, _ = streams()
    for call in (one.protect, one.unprotect, one.protect_rtcp, one.unprotect_rtcp):
        with pytest.raises(LocalError, match="no key"):
            call(kit.rtp(1))
    assert one.roc(SEND) == {} and one.next_event() is None


@EACH_BACKEND
@pytest.mark.parametrize("suite", [CM, GCM], ids=lambda s: s.name)
@pytest.mark.parametrize("first", [100, 65500], ids=["plain", "wrap"])
def test_a_rekey_loses_nothing_under_reordering(libsrtp, suite, first):
    one, other = streams(libsrtp)
    both(one, other, 1, suite=suite)
    dice = random.Random(5)
    wire = []
    for number in range(first, first + 90):
        if number == first + 40:
            _, newest = both(one, other, 2, suite=suite)
        wire.append((number, one.protect(kit.rtp(number)), one.protect_rtcp(kit.rtcp())))
    order = sorted(range(90), key=lambda place: place + dice.randrange(20))
    if first == 65500:  # a stack may start in any round; the first packet decides
        order.sort(key=lambda place: place >= 1)
    for place in order:
        number, packet, report = wire[place]
        assert other.unprotect(packet) == kit.rtp(number)
        assert other.unprotect_rtcp(report) == kit.rtcp()
    for _, packet, report in wire:
        with pytest.raises(ReplayDetected):
            other.unprotect(packet)
        with pytest.raises(ReplayDetected):
            other.unprotect_rtcp(report)
    assert one.roc(SEND) == other.roc(RECEIVE) == {kit.SSRC: first + 89 >> 16}
    other.retire_all_but_newest(RECEIVE)
    assert len(newest.master_keys[0].key) == suite.key_length
    with pytest.raises((AuthenticationFailed, ReplayDetected)):
        other.unprotect(wire[3][1])
    assert other.unprotect(one.protect(kit.rtp(first + 90))) == kit.rtp(first + 90)


@EACH_BACKEND
def test_the_counter_goes_on_exactly_at_the_wrap(libsrtp):
    """The old key's last packet is 65535 in round 0, the new key's first is in round 1."""
    one, other = streams(libsrtp)
    both(one, other, 1)
    other.unprotect(one.protect(kit.rtp(65535)))
    both(one, other, 2)
    packet = one.protect(kit.rtp(65536))
    assert other.unprotect(packet) == kit.rtp(65536)
    assert one.roc(SEND) == other.roc(RECEIVE) == {kit.SSRC: 1}
    strict = MediaStream(PylibsrtpBackend())
    strict.install(RECEIVE, kit.keys(CM, 2, roc={kit.SSRC: 1}))
    assert strict.unprotect(packet) == kit.rtp(65536)
    assert strict.roc(RECEIVE) == {kit.SSRC: 1}


@EACH_BACKEND
def test_an_old_key_that_wraps_after_the_new_was_installed(libsrtp):
    one, other = streams(libsrtp)
    both(one, other, 1)
    other.unprotect(one.protect(kit.rtp(65530)))
    other.install(RECEIVE, kit.keys(CM, 2))
    for number in (65535, 65536, 65536 + 30000, 65536 + 60000, 2 * 65536 + 9):
        other.unprotect(one.protect(kit.rtp(number)))
    one.install(SEND, kit.keys(CM, 2))
    assert other.unprotect(one.protect(kit.rtp(10))) == kit.rtp(10)
    assert other.roc(RECEIVE) == {kit.SSRC: 2}


@EACH_BACKEND
def test_peers_that_restart_the_counter_are_heard(libsrtp):
    one, other = streams(libsrtp)
    both(one, other, 1)
    for number in (65535, 65536):
        other.unprotect(one.protect(kit.rtp(number)))
    one.install(SEND, kit.keys(CM, 2, roc={kit.SSRC: 0}))
    other.install(RECEIVE, kit.keys(CM, 2))
    assert other.unprotect(one.protect(kit.rtp(1))) == kit.rtp(1)
    assert one.roc(SEND) == other.roc(RECEIVE) == {kit.SSRC: 0}


@EACH_BACKEND
def test_a_new_transport_starts_at_zero(libsrtp):
    one, other = streams(libsrtp)
    both(one, other, 1)
    for number in (65535, 65536):
        one.protect(kit.rtp(number))
        one.protect_rtcp(kit.rtcp())
    one.install(SEND, kit.keys(CM, 2, same_transport=False))
    fresh = MediaStream(PylibsrtpBackend())
    fresh.install(RECEIVE, kit.keys(CM, 2))
    assert fresh.unprotect(one.protect(kit.rtp(1))) == kit.rtp(1)
    assert one.protect_rtcp(kit.rtcp())[-14:-10] == b"\x80\0\0\0"
    assert one.roc(SEND) == {kit.SSRC: 0}


def test_a_stated_counter_equal_to_ours_keeps_our_place():
    one, _ = streams()
    one.install(SEND, kit.keys(CM, 1))
    one.protect(kit.rtp(65535))
    one.install(SEND, kit.keys(CM, 2, roc={kit.SSRC: 0, 99: 4}))
    one.protect(kit.rtp(0))
    one.protect(kit.rtp(3, ssrc=99))
    assert one.roc(SEND) == {kit.SSRC: 1, 99: 4}


def test_places_are_a_mapping_of_what_is_known_and_what_was_stated():
    history = _History()
    history.places = {b"aaaa": 0x1_0005, b"bbbb": 0x2_0006}
    places = _Earlier(history, {b"bbbb": Start(2), b"aaaa": Start(7), b"cccc": Start(9)})
    assert dict(places) == {b"aaaa": Start(7), b"bbbb": Start(2, 6), b"cccc": Start(9)}
    assert len(places) == 3
    with pytest.raises(KeyError):
        places[b"dddd"]


def test_the_srtcp_index_is_not_reset_by_a_rekey():
    one, other = streams()
    old, _ = both(one, other, 1)
    for _ in range(3):
        other.unprotect_rtcp(one.protect_rtcp(kit.rtcp()))
    both(one, other, 2)
    assert one.protect_rtcp(kit.rtcp())[-14:-10] == b"\x80\0\0\3"
    one.retire(SEND, old)
    both(one, other, 3)
    assert one.protect_rtcp(kit.rtcp())[-14:-10] == b"\x80\0\0\4"


def test_places_of_retired_keys_are_kept():
    one, _ = streams()
    old = kit.keys(CM, 1)
    one.install(SEND, old)
    for number in (65535, 65536):
        one.protect(kit.rtp(number))
        one.protect_rtcp(kit.rtcp())
    one.retire(SEND, old)
    assert one.roc(SEND) == {kit.SSRC: 1}
    with pytest.raises(LocalError, match="no key"):
        one.protect(kit.rtp(1))
    one.install(SEND, kit.keys(CM, 2))
    one.protect(kit.rtp(1))
    assert one.protect_rtcp(kit.rtcp())[-14:-10] == b"\x80\0\0\2"
    assert one.roc(SEND) == {kit.SSRC: 1}


@EACH_BACKEND
def test_installing_the_same_key_again_starts_nothing_anew(libsrtp):
    one, other = streams(libsrtp)
    mine, theirs = both(one, other, 1)
    packet, report = one.protect(kit.rtp(5)), one.protect_rtcp(kit.rtcp())
    other.unprotect(packet)
    other.unprotect_rtcp(report)
    for again in (theirs, kit.keys(CM, 1)):
        other.install(RECEIVE, again)
        with pytest.raises(ReplayDetected):
            other.unprotect(packet)
        with pytest.raises(ReplayDetected):
            other.unprotect_rtcp(report)
    for again in (mine, kit.keys(CM, 1)):
        one.install(SEND, again)
        with pytest.raises(LocalError):
            one.protect(kit.rtp(5, b"another text"))
        assert one.protect_rtcp(kit.rtcp())[-14:-10] != b"\x80\0\0\0"
    other.retire(RECEIVE, theirs)
    assert other.unprotect(one.protect(kit.rtp(6))) == kit.rtp(6)


def test_the_same_object_twice_is_retired_at_once():
    one, other = streams()
    mine, theirs = both(one, other, 1)
    one.install(SEND, mine)
    other.install(RECEIVE, theirs)
    assert other.unprotect(one.protect(kit.rtp(1))) == kit.rtp(1)
    one.retire(SEND, mine)
    other.retire(RECEIVE, theirs)
    for stream, direction in ((one, SEND), (other, RECEIVE)):
        with pytest.raises(LocalError, match="retired before"):
            stream.install(direction, kit.keys(CM, 1))


def test_going_back_to_the_old_key_after_a_rejected_offer():
    one, other = streams()
    old, _ = both(one, other, 1)
    new, theirs = kit.keys(CM, 2), kit.keys(CM, 2)
    for number in (65534, 65535):
        other.unprotect(one.protect(kit.rtp(number)))
    one.install(SEND, new)
    other.install(RECEIVE, theirs)
    for number in (65536, 65537):
        other.unprotect(one.protect(kit.rtp(number)))
    one.install(SEND, old)
    one.retire(SEND, new)
    other.retire(RECEIVE, theirs)
    with pytest.raises(LocalError):
        one.protect(kit.rtp(65535))
    assert other.unprotect(one.protect(kit.rtp(65538))) == kit.rtp(65538)
    assert one.roc(SEND) == {kit.SSRC: 1}


def test_going_back_long_after_keeps_the_round():
    one, _ = streams()
    old = kit.keys(CM, 1)
    one.install(SEND, old)
    one.protect(kit.rtp(65535))
    one.install(SEND, kit.keys(CM, 2))
    for number in (65536, 65536 + 30000, 65536 + 60000):
        one.protect(kit.rtp(number))
    one.install(SEND, old)
    one.protect(kit.rtp(60001))
    assert one.roc(SEND) == {kit.SSRC: 1}


def test_a_retired_key_never_comes_back():
    one, other = streams()
    mine, theirs = both(one, other, 1)
    one.retire(SEND, mine)
    other.retire(RECEIVE, theirs)
    with pytest.raises(LocalError, match="retired before"):
        one.install(SEND, kit.keys(CM, 1))
    with pytest.raises(LocalError, match="retired before"):
        other.install(RECEIVE, kit.keys(CM, 1))
    with pytest.raises(LocalError, match="not installed"):
        one.retire(SEND, mine)


def test_a_refused_install_changes_nothing():
    one, other = streams()
    both(one, other, 1)
    wrong = kit.keys(suites.AES_256_CM_HMAC_SHA1_80, 2)
    for bad in (
        SrtpKeys(suite=CM, master_keys=wrong.master_keys),
        kit.keys(suites.AES_CM_128_HMAC_SHA1_32, 1),
    ):
        for stream, direction in ((one, SEND), (other, RECEIVE)):
            with pytest.raises(LocalError):
                stream.install(direction, bad)
    assert other.unprotect(one.protect(kit.rtp(1))) == kit.rtp(1)


def test_lists_of_master_keys_that_overlap_share_what_they_have_in_common():
    def listed(*mkis):
        masters = tuple(kit.master(CM, mki, mki=mki, mki_length=1) for mki in mkis)
        return SrtpKeys(suite=CM, master_keys=masters)

    one, other = streams()
    one.install(SEND, listed(2, 1))
    first, second = listed(1, 2), listed(2, 3)
    other.install(RECEIVE, first)
    packet = one.protect(kit.rtp(1))
    other.unprotect(packet)
    other.install(RECEIVE, second)
    other.retire(RECEIVE, first)
    with pytest.raises(ReplayDetected):
        other.unprotect(packet)
    assert other.unprotect(one.protect(kit.rtp(2))) == kit.rtp(2)
    one.install(SEND, listed(3))
    assert other.unprotect(one.protect(kit.rtp(3))) == kit.rtp(3)


def test_lifetime_event_then_hard_stop_then_a_new_key_goes_on():
    one, other = streams(threshold=3)
    mine, theirs = both(one, other, 1, lifetime=10)
    events = []
    for number in range(10):
        other.unprotect(one.protect(kit.rtp(number)))
        while (event := one.next_event()) is not None:
            events.append((number, event))
    assert [(number, event.direction, event.rtcp) for number, event in events] == [(7, SEND, False)]
    assert isinstance(events[0][1], KeyExpiring) and events[0][1].keys is mine
    told = other.next_event()
    assert told.direction is RECEIVE and told.keys is theirs and other.next_event() is None
    for _ in range(2):
        with pytest.raises(KeyLifetimeExhausted):
            one.protect(kit.rtp(10))
    for _ in range(8):
        one.protect_rtcp(kit.rtcp())
    assert one.next_event().rtcp is True
    both(one, other, 2)
    assert other.unprotect(one.protect(kit.rtp(10))) == kit.rtp(10)


def test_close_wipes_both_directions():
    one, _ = streams()
    installed = [kit.keys(CM, fill) for fill in (1, 2, 3)]
    for direction, keys in zip((SEND, SEND, RECEIVE), installed, strict=True):
        one.install(direction, keys)
    one.close()
    assert [len(keys.master_keys[0].key) for keys in installed] == [0, 0, 0]
    for call in (one.protect, one.unprotect, one.protect_rtcp, one.unprotect_rtcp):
        with pytest.raises(LocalError):
            call(kit.rtp(1))


def test_a_second_stack_hears_nothing_of_the_key(caplog):
    """No repr, log or traceback shows key material."""
    caplog.set_level(logging.DEBUG)
    one, other = streams()
    mine, _ = both(one, other, 0x5A)
    shown = []
    for thing in (one, mine, mine.master_keys[0], one._sender, one._sender._contexts[0], one._sender._ring):
        shown.append(repr(thing))
    for call, packet in (
        (other.unprotect, kit.rtp(1, bytes(30))),
        (one.protect, b""),
        (one.protect, bytes(70000)),
    ):
        try:
            call(packet)
        except Exception as error:
            shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    text = "".join(shown) + caplog.text
    assert len(shown) == 9
    for secret in (b"\x5a" * 4, b"\xa5" * 4):
        for form in (secret.hex(), repr(secret)[2:-1], repr(list(secret))[1:-1]):
            assert form not in text
