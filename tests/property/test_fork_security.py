"""B7 over generated orders of events: who may speak, with which key, and what the status says of it.

`fork_world` plays one order; `python -m tests.property.test_fork_security SEED` prints the one of a seed.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.faults import FAULTS, Patch
from tests.property.fork_world import ForkWorld, Violation

ORDERS = 4_000
SOAK_ORDERS = 200_000
SHARE = 0.30
"""Of the orders, those that come to CONFIRMED with several dialogs and a re-key."""
FAULT_ORDERS = 2_000


def play(seed: int) -> ForkWorld:
    draw = random.Random(seed).random
    try:
        return ForkWorld(lambda below: int(draw() * below)).run()
    except Violation as error:
        raise Violation(f"seed {seed}: {error}") from None


def play_all(seeds: Iterable[int]) -> tuple[int, Counter[str]]:
    """How many came to CONFIRMED, and in how many each thing happened."""
    confirmed, met = 0, Counter[str]()
    for seed in seeds:
        world = play(seed)
        confirmed += world.confirmed_after_rekey
        met.update(world.met)
    return confirmed, met


HAPPENS = {
    "408 to the uac's offer": 100,
    "488 to the uac's offer": 100,
    "491 to the uac's offer": 100,
    "500 to the uac's offer": 30,
    "491 to the uas's offer": 100,
    "a 2xx crosses the CANCEL": 30,
    "a caller without the library": 100,
    "a dialog first seen after the call was taken": 300,
    "a second dialog takes the call": 50,
    "forwarded": 50,
    "the INVITE's answer again while a re-key is open": 50,
    "the session of the 18x is not that of the 2xx": 100,
    "the uac's user decides": 50,
    "the uas's user decides": 10,
    "uac answers 491 as told": 100,
    "uac offers by prack": 100,
    "uac offers by update": 300,
    "uac offers by reinvite": 300,
    "uac: ack-bye": 300,
    "uac: new key, early": 100,
    "uac: new key, in the call": 300,
    "uas offers by reinvite": 300,
    "uas: new key, in the call": 50,
}
"""What the generator has to bring about, and in how many of `ORDERS` at least."""


def test_only_the_terminal_that_takes_the_call_can_hear_it() -> None:
    confirmed, met = play_all(range(ORDERS))
    assert confirmed >= SHARE * ORDERS, confirmed
    assert {what: met[what] for what, least in HAPPENS.items() if met[what] < least} == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_only_the_terminal_that_takes_the_call_can_hear_it_at_length() -> None:
    first = int(os.environ.get("FORK_SEED", "1000000"))
    parts = [range(first + n, first + SOAK_ORDERS, 64) for n in range(64)]
    with ProcessPoolExecutor() as pool:
        done = list(pool.map(play_all, parts))
    confirmed = sum(one for one, _ in done)
    print(f"{SOAK_ORDERS} orders, {confirmed / SOAK_ORDERS:.1%} CONFIRMED with several dialogs and a re-key")
    assert confirmed >= SHARE * SOAK_ORDERS, confirmed


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 2**16 - 1), max_size=400))
def test_the_shortest_order_that_breaks_it(draws: list[int]) -> None:
    """Hypothesis draws the same decisions, and shrinks what it finds; after the draws, the first choice is taken."""
    left = iter(draws)
    ForkWorld(lambda below: next(left, 0) % below).run()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_seeded_fault_is_caught(fault: Callable[[Patch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(Violation):
            play_all(range(FAULT_ORDERS))


if __name__ == "__main__":
    world = play(int(sys.argv[1]))
    print("\n".join(world.trace))
