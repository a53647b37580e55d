"""One master key in one direction: counting, tracking, and the move from libsrtp to the engine."""

import random

import pytest

from imsmediasec import suites
from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MalformedInput,
    MediaSecurityError,
    ReplayDetected,
)
from imsmediasec.keys import SessionParams
from imsmediasec.media.srtp_context import ContextSetup, MasterContext, window_size
from imsmediasec.media.srtp_index import Start
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

CM = suites.AES_CM_128_HMAC_SHA1_80
SSRC = kit.SSRC.to_bytes(4, "big")
BOTH = pytest.mark.parametrize("fast", [True, False], ids=["libsrtp", "engine"])


def context(direction, *, fast=True, lifetime=None, **setup):
    made = ContextSetup(direction=direction, suite=CM, params=SessionParams(), fast=fast, **setup)
    return MasterContext(kit.master(CM, lifetime=lifetime), made)


def sender(**setup):
    return context(Direction.SEND, **setup)


def receiver(**setup):
    return context(Direction.RECEIVE, **setup)


@BOTH
def test_highest_over_gaps_late_packets_two_ssrcs_and_a_wrap(fast):
    one, other = sender(fast=fast), receiver(fast=fast)
    numbers = [5, 6, 7, 10, 9, 11, 12]
    for number in numbers:
        assert other.process(one.process(kit.rtp(number))) == kit.rtp(number)
        other.process(one.process(kit.rtp(number + 100, ssrc=1)))
    assert one.highest == other.highest == {SSRC: 12, bytes([0, 0, 0, 1]): 112}
    for number in (30000, 60000, 65534, 65535, 65536, 65537, 65533, 65538):
        assert other.process(one.process(kit.rtp(number))) == kit.rtp(number)
        assert one.highest[SSRC] == other.highest[SSRC]
    assert one.highest[SSRC] == 65538
    assert one.on_libsrtp is other.on_libsrtp is fast


@BOTH
def test_highest_after_a_late_packet_and_another_ssrc_with_the_number_due(fast):
    one = sender(fast=fast)
    for number in (10, 20, 15):
        one.process(kit.rtp(number))
    assert one.highest == {SSRC: 20}
    one.process(kit.rtp(21))
    one.process(kit.rtp(22, ssrc=1))
    assert one.highest == {SSRC: 21, bytes([0, 0, 0, 1]): 22}


@BOTH
def test_a_run_over_two_rounds_is_counted_to_the_packet(fast):
    """The lifetime is long enough that most packets are counted by run."""
    total = 140_000 if fast else 3000
    told = []
    one = sender(fast=fast, lifetime=total, threshold=100, on_expiring=told.append)
    for number in range(total - 100):
        one.process(kit.rtp(number))
    assert told == []
    one.process(kit.rtp(total - 100))
    assert told == [False]
    for number in range(total - 99, total):
        one.process(kit.rtp(number))
    with pytest.raises(KeyLifetimeExhausted):
        one.process(kit.rtp(total))
    assert told == [False]
    assert one.highest == {SSRC: total - 1}


@BOTH
@pytest.mark.parametrize("direction", Direction)
def test_hard_stop_in_both_directions_and_only_for_that_protocol(fast, direction):
    told = []
    one = sender(fast=fast, lifetime=None if direction is Direction.RECEIVE else 4, on_expiring=told.append)
    other = receiver(fast=fast, lifetime=4 if direction is Direction.RECEIVE else None, on_expiring=told.append)
    for number in range(4):
        other.process(one.process(kit.rtp(number)))
        other.process_rtcp(one.process_rtcp(kit.rtcp()))
    with pytest.raises(KeyLifetimeExhausted):
        other.process(one.process(kit.rtp(4)))
    with pytest.raises(KeyLifetimeExhausted):
        other.process_rtcp(one.process_rtcp(kit.rtcp()))
    assert told == [False, True]


def test_refused_packets_do_not_count():
    one, other = sender(), receiver(lifetime=2)
    good = [one.process(kit.rtp(number)) for number in range(3)]
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            other.process(good[0][:-1] + bytes([good[0][-1] ^ 1]))
    other.process(good[0])
    with pytest.raises(ReplayDetected):
        other.process(good[0])
    other.process(good[1])
    with pytest.raises(KeyLifetimeExhausted):
        other.process(good[2])


def test_the_lifetime_is_capped_by_the_suite():
    one = sender(lifetime=1 << 60)
    assert one._meter.limit == 1 << 48 and one._rtcp_meter.limit == 1 << 31


@BOTH
def test_a_sequence_number_is_not_sent_twice(fast):
    one = sender(fast=fast)
    for number in (1, 2):
        one.process(kit.rtp(number))
    with pytest.raises(LocalError):
        one.process(kit.rtp(2, b"another text"))
    one.process(kit.rtp(3))
    assert one.highest == {SSRC: 3}


@pytest.mark.parametrize("start", [Start(3), Start(0, 0xFFFF), Start(1, 2)], ids=str)
def test_sending_from_a_later_round_moves_to_the_engine(start):
    one = sender(start={SSRC: start})
    assert one.on_libsrtp
    one.process(kit.rtp(7, ssrc=1))
    assert one.on_libsrtp
    one.process(kit.rtp(7))
    assert not one.on_libsrtp
    assert one.highest == {SSRC: start.expected(7), bytes([0, 0, 0, 1]): 7}
    with pytest.raises(LocalError):
        one.process(kit.rtp(7, ssrc=1))
    other = receiver(fast=False, start={SSRC: start})
    assert other.process(one.process(kit.rtp(8))) == kit.rtp(8)


def test_sending_that_turns_out_to_be_in_the_first_round_stays_on_libsrtp():
    one = sender(start={SSRC: Start(0, 0xF000), b"abcd": Start(0, 0xF000), b"none": Start(0, 5)})
    with pytest.raises(MalformedInput):
        one.process(b"\x80")
    one.process(kit.rtp(0xF001))
    one.process(kit.rtp(0xF001, ssrc=int.from_bytes(b"abcd", "big")))
    for number in range(0xFFFE, 0x10003):
        one.process(kit.rtp(number))
    assert one.on_libsrtp and one.highest[SSRC] == 0x10002


@pytest.mark.parametrize("theirs", [0, 3])
def test_receiving_tries_the_continued_counter_and_zero(theirs):
    one = sender(fast=False, start={SSRC: Start(theirs, 10)})
    other = receiver(start={SSRC: Start(3, 10)})
    packet = one.process(kit.rtp(11))
    with pytest.raises(AuthenticationFailed):
        other.process(packet[:-1] + bytes([packet[-1] ^ 1]))
    assert other.on_libsrtp and other.highest == {}
    assert other.process(packet) == kit.rtp(11)
    assert other.on_libsrtp is (theirs == 0)
    with pytest.raises(ReplayDetected):
        other.process(packet)
    assert other.process(one.process(kit.rtp(12))) == kit.rtp(12)
    assert other.highest == {SSRC: theirs << 16 | 12}


def test_a_known_ssrc_is_not_tried_elsewhere_and_the_first_round_needs_no_engine(monkeypatch):
    sealed = sender(fast=False, start={SSRC: Start(3, 10)}).process(kit.rtp(12))
    first = sender(fast=False).process(kit.rtp(11))
    monkeypatch.delattr(MasterContext, "_new_engine")
    other = receiver(start={SSRC: Start(3, 10), b"abcd": Start(0, 5)})
    other.process(first)
    with pytest.raises(AuthenticationFailed):
        other.process(sealed)
    with pytest.raises(AuthenticationFailed):
        other.process(kit.rtp(3, bytes(30), ssrc=int.from_bytes(b"abcd", "big")))
    with pytest.raises(AuthenticationFailed):
        other.process(kit.rtp(3, bytes(30), ssrc=99))
    assert other.on_libsrtp


def test_long_packets_move_to_the_engine_and_no_replay_passes():
    one, other = sender(), receiver()
    early = [one.process(kit.rtp(number)) for number in range(5)]
    for packet in early[:4]:
        other.process(packet)
    long = one.process(kit.rtp(5, bytes(2000)))
    assert not one.on_libsrtp
    with pytest.raises(AuthenticationFailed):
        other.process(long[:-1] + bytes([long[-1] ^ 1]))
    assert other.on_libsrtp
    assert other.process(long) == kit.rtp(5, bytes(2000))
    assert not other.on_libsrtp
    for packet in [*early[:4], long]:
        with pytest.raises(ReplayDetected):
            other.process(packet)
    assert other.process(one.process(kit.rtp(6))) == kit.rtp(6)
    with pytest.raises(MalformedInput):
        one.process(kit.rtp(7, bytes(70000)))
    assert one.highest == other.highest == {SSRC: 6}


def test_a_long_packet_counts():
    one = sender(lifetime=2, threshold=0)
    one.process(kit.rtp(1, bytes(2000)))
    one.process(kit.rtp(2))
    with pytest.raises(KeyLifetimeExhausted):
        one.process(kit.rtp(3))


def test_resume_goes_on_from_the_furthest():
    one = sender()
    one.process(kit.rtp(10))
    one.process_rtcp(kit.rtcp())
    one.resume({SSRC: Start(0, 9), b"abcd": Start(0)}, {SSRC: 0})
    assert one.rtcp_next == {SSRC: 1}
    one.resume({SSRC: Start(2, 20)}, {SSRC: 8})
    assert one.rtcp_next == {SSRC: 8}
    one.process(kit.rtp(21))
    assert one.highest[SSRC] == 2 << 16 | 21
    with pytest.raises(LocalError):
        one.process(kit.rtp(20))


def test_resume_with_nothing_new_keeps_libsrtp_and_means_nothing_to_a_receiver():
    one, other = sender(), receiver()
    one.process(kit.rtp(10))
    one.resume({SSRC: Start(0, 10)}, {})
    assert one.on_libsrtp
    other.resume({SSRC: Start(2, 20)}, {})
    assert other.highest == {} == other.rtcp_next


@BOTH
def test_close(fast):
    one = sender(fast=fast)
    one.process(kit.rtp(10))
    one.process(kit.rtp(11))
    one.close()
    assert one.highest == {SSRC: 11}
    for call, packet in ((one.process, kit.rtp(12)), (one.process_rtcp, kit.rtcp())):
        with pytest.raises(LocalError, match="retired"):
            call(packet)
    assert not hasattr(one, "_transform") and not hasattr(one, "_rtcp") and not hasattr(one, "_operation")


@BOTH
@pytest.mark.parametrize("direction", Direction)
def test_garbage_raises_only_errors_of_ours(fast, direction):
    one = context(direction, fast=fast, start={SSRC: Start(1)})
    dice = random.Random(7)
    good = sender().process(kit.rtp(1))
    outcomes = set()
    for _ in range(3000):
        packet = bytearray(dice.choice([good, kit.rtp(1), b"", dice.randbytes(dice.randrange(80))]))
        for _ in range(dice.randrange(4)):
            if packet:
                packet[dice.randrange(len(packet))] = dice.randrange(256)
        for call in (one.process, one.process_rtcp):
            try:
                call(bytes(packet[: dice.randrange(len(packet) + 1)]))
                outcomes.add("passed")
            except MediaSecurityError as error:
                outcomes.add(type(error).__name__)
    assert {
        "MalformedInput",
        "AuthenticationFailed" if direction is Direction.RECEIVE else "passed",
    } <= outcomes


@BOTH
@pytest.mark.parametrize("direction", Direction)
def test_only_bytes(fast, direction):
    one = context(direction, fast=fast)
    one.process(sender().process(kit.rtp(1)) if direction is Direction.RECEIVE else kit.rtp(1))
    for wrong in (
        bytearray(kit.rtp(2)),
        memoryview(kit.rtp(2)),
        "text of some length",
        None,
        [0] * 20,
        [0, 0, 0, 2],
    ):
        for call in (one.process, one.process_rtcp):
            with pytest.raises((LocalError, MalformedInput)):
                call(wrong)


def test_window_size():
    assert window_size(SessionParams(window_size_hint=1)) == 64
    assert window_size(SessionParams(window_size_hint=500)) == 500


@BOTH
@pytest.mark.parametrize("size", [64, 192])
def test_the_window_is_as_large_as_agreed(fast, size):
    made = ContextSetup(direction=Direction.RECEIVE, suite=CM, params=SessionParams(window_size_hint=size), fast=fast)
    other, one = MasterContext(kit.master(CM), made), sender()
    sealed = [one.process(kit.rtp(number)) for number in range(301)]
    other.process(sealed[300])
    assert other.process(sealed[301 - size]) == kit.rtp(301 - size)
    with pytest.raises(ReplayDetected):
        other.process(sealed[300 - size])
