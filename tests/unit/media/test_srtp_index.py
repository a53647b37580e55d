"""Index estimation (RFC 3711 3.3.1, appendix A) and the replay window (3.3.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imsmediasec.media.srtp_index import INDEX_LIMIT, ReplayWindow, Start, estimate


@pytest.mark.parametrize(
    ("highest", "sequence", "index"),
    [
        (5, 6, 6),
        (5, 4, 4),
        (65535, 0, 65536),
        (65536, 65535, 65535),
        (65536 + 0x8000, 0, 65536),
        (65536 + 0x8001, 0, 2 * 65536),
        (3 * 65536 + 10, 0x8000 + 10, 3 * 65536 + 0x8000 + 10),
        (3 * 65536 + 10, 0x8000 + 11, 2 * 65536 + 0x8000 + 11),
        (5, 65535, 65535),  # nothing is before index 0
        (INDEX_LIMIT - 1, 0, INDEX_LIMIT),
    ],
)
def test_estimate(highest, sequence, index):
    assert estimate(highest, sequence) == index


@given(st.integers(0x10000, INDEX_LIMIT - 0x10000), st.integers(-0x7FFF, 0x7FFF))
def test_estimate_finds_any_index_within_half_a_round(highest, distance):
    assert estimate(highest, (highest + distance) & 0xFFFF) == highest + distance


def test_start():
    assert Start.after(0x2_0005) == Start(2, 5)
    assert Start(2, 5).top == 0x2_0005 and Start(2).top == 0x2_0000
    assert Start(2).expected(7) == 0x2_0007
    assert Start(2, 0xFFFF).expected(0) == 0x3_0000


def test_candidates_are_continued_zero_and_the_next_round_if_the_sequence_is_unknown():
    assert Start(2).candidates(7) == (0x2_0007, 7, 0x3_0007)
    assert Start(2, 0xFFFF).candidates(7) == (0x3_0007, 7)
    assert Start(0).candidates(7) == (7, 0x1_0007)
    assert Start(0, 7).candidates(8) == (8,)
    assert Start(0xFFFF_FFFF).candidates(7) == (0xFFFF_FFFF_0007, 7)
    assert Start(0xFFFF_FFFF, 0xFFFF).candidates(7) == (7,)


def test_window_limits():
    window = ReplayWindow(64, 100)
    window.mark(100)
    assert not window.is_fresh(100)
    assert window.is_fresh(37) and not window.is_fresh(36)
    assert window.is_fresh(101)
    window.mark(37)
    assert not window.is_fresh(37) and window.highest == 100


def test_window_slides_and_jumps():
    window = ReplayWindow(64)
    for index in (0, 2, 65):
        assert window.is_fresh(index)
        window.mark(index)
    assert [i for i in range(66) if window.is_fresh(i)] == [*range(3, 65)]
    window.mark(65 + 64)
    assert not window.is_fresh(65) and window.is_fresh(66) and not window.is_fresh(129)


def test_window_with_all_seen():
    window = ReplayWindow(64, 100, all_seen=True)
    assert not any(window.is_fresh(index) for index in range(101))
    assert window.is_fresh(101)


@given(st.lists(st.integers(0, 400), max_size=200), st.sampled_from([64, 100, 128]))
def test_window_never_takes_one_twice_and_all_fresh_ones_within_reach(indices, size):
    window, seen, top = ReplayWindow(size), set(), -1
    for index in indices:
        assert window.is_fresh(index) is (index not in seen and top - index < size)
        if window.is_fresh(index):
            window.mark(index)
            seen.add(index)
            top = max(top, index)
        assert window.highest == top
