"""Lifetimes: one warning, a hard stop."""

import pytest

from imsmediasec.errors import KeyLifetimeExhausted, LocalError
from imsmediasec.media.srtp_meter import Meter, default_threshold


def run(meter, packets):
    for _ in range(packets):
        if meter.used == meter.stop:
            meter.at_stop()
        meter.used += 1


def test_warns_once_then_stops():
    told = []
    meter = Meter(10, 3, rtcp=True, on_expiring=told.append)
    run(meter, 7)
    assert told == []
    run(meter, 1)
    assert told == [True]
    run(meter, 2)
    assert told == [True]
    for _ in range(2):
        with pytest.raises(KeyLifetimeExhausted):
            run(meter, 1)
    assert meter.used == 10


@pytest.mark.parametrize(("threshold", "told_at"), [(0, None), (-1, None), (99, 0), (10, 0), (1, 9)])
def test_threshold(threshold, told_at):
    seen = []
    meter = Meter(10, threshold, rtcp=False, on_expiring=lambda rtcp: seen.append(meter.used))
    run(meter, 10)
    assert seen == ([] if told_at is None else [told_at])


def test_default_threshold():
    assert [default_threshold(n) for n in (1, 2, 100, 1 << 20, 1 << 31)] == [
        1,
        1,
        50,
        1 << 16,
        (1 << 31) // 100,
    ]
    assert Meter(100, None, rtcp=False, on_expiring=print).stop == 50


def test_closed():
    meter = Meter(10, 0, rtcp=False, on_expiring=print)
    run(meter, 3)
    meter.close()
    with pytest.raises(LocalError, match="retired"):
        run(meter, 1)
