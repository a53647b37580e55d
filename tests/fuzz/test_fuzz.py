"""The fuzz targets in CI: 20,000 inputs, the whole kept corpus among them."""

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.run import corpus, covered, inputs, run
from tests.fuzz.targets import ANSWERED, REJECTED, TARGETS

COUNT = 20_000
SOAK = 1_000_000


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_but_our_errors(target: str) -> None:
    """No other exception, no broken promise, bounded time, and enough inputs reach what is behind the parser."""
    result = run(target, COUNT, seed=20261125)
    print(result)
    assert result.findings == []
    assert result.count == COUNT
    assert result.past_first_stage >= 0.3
    assert result.stages[ANSWERED] > 0


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_at_length(target: str) -> None:
    """The same with a million inputs, other ones each day."""
    result = run(target, SOAK, seed=random.randrange(2**32))
    print(result)
    assert result.findings == []


def test_coverage() -> None:
    """The inputs go through most of the code."""
    assert covered("sdp", 1500, 1) > 75


def test_same_seed_same_inputs() -> None:
    """A finding can be had again."""
    assert list(inputs("sdp", 300, 7)) == list(inputs("sdp", 300, 7))
    assert list(inputs("sdp", 300, 7)) != list(inputs("sdp", 300, 8))


@pytest.mark.parametrize("data", [b"", b"\0", b"v=0", b"v=0\n\n\n"])
def test_little(data: bytes) -> None:
    """The mutator and the target bear inputs of next to nothing."""
    rng = random.Random(1)
    for _ in range(200):
        mutated([data, *corpus("sdp")[:1]], rng)
        TARGETS["sdp"](mutated([data], rng))
    assert TARGETS["sdp"](b"") == REJECTED
