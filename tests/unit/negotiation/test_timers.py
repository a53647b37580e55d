"""Timers: due in order, dropped by dialog, without a clock."""

import pytest

from imsmediasec.negotiation.timers import Timer, TimerQueue, glare_delay
from imsmediasec.terms import Side


def test_queue() -> None:
    """What is due comes out, oldest first, once."""
    queue = TimerQueue()
    assert queue.next() is None
    for at, dialog in ((3.0, "a"), (1.0, "b"), (2.0, "a"), (9.0, "b")):
        queue.add(Timer(at=at, dialog=dialog, what="x"))
    assert queue.next() == 1.0
    assert [timer.at for timer in queue.due(2.5)] == [1.0, 2.0]
    assert [timer.at for timer in queue.due(2.5)] == []
    assert [timer.at for timer in queue.drop("a")] == [3.0]
    assert queue.next() == 9.0
    assert queue.drop("a") == []


@pytest.mark.parametrize(("side", "least", "most"), [(Side.UAC, 2.1, 4.0), (Side.UAS, 0.0, 2.0)])
def test_glare(side: Side, least: float, most: float) -> None:
    """RFC 3261 14.1: the owner of the Call-ID waits longer, in steps of 10 ms."""
    delays = [glare_delay(side, lambda n, i=i: i.to_bytes(n, "big")) for i in range(400)]
    assert (min(delays), max(delays)) == (least, most)
    assert all(round(delay * 100) / 100 == delay for delay in delays)
