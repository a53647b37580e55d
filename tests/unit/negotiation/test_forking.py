"""The fork table, gates and states (B7)."""

import pytest

from imsmediasec.negotiation.forking import (
    FORK_TABLE,
    LIVE,
    REKEYING,
    SHARED,
    ForkInput,
    ForkPhase,
    fork_state_of,
    gate_of,
)
from imsmediasec.terms import ForkState, Gate, Side

P, IN = ForkPhase, ForkInput


def test_retired_is_the_end() -> None:
    """Nothing leads out of it, and every phase leads into it."""
    assert {to for (phase, _), to in FORK_TABLE.items() if phase is P.RETIRED} == {P.RETIRED}
    assert all(FORK_TABLE[phase, IN.ENDS] is P.RETIRED for phase in P)


def test_only_a_fresh_key_makes_it_private() -> None:
    """From shared to private there is one way, and a loser never gets there."""
    for (phase, what), to in FORK_TABLE.items():
        if phase in SHARED and to not in SHARED and to is not P.RETIRED:
            assert what is IN.FRESH_KEY_AGREED
        if what is IN.INVITE_KEY_AGREED:
            assert to in SHARED


def test_early_and_live() -> None:
    """Only the 2xx makes a dialog live."""
    for (phase, what), to in FORK_TABLE.items():
        assert ((phase not in LIVE) and to in LIVE) is (what is IN.TAKES_CALL)


@pytest.mark.parametrize("phase", list(P))
def test_gates(phase: ForkPhase) -> None:
    """The caller speaks with a private key in the live dialog only; the callee until it is over."""
    assert gate_of(phase, Side.UAC) is (Gate.OPEN if phase is P.LIVE_PRIVATE else Gate.KEEPALIVE_ONLY)
    assert gate_of(phase, Side.UAS) is (Gate.KEEPALIVE_ONLY if phase is P.RETIRED else Gate.OPEN)


@pytest.mark.parametrize("phase", list(P))
def test_states(phase: ForkPhase) -> None:
    """Confirmed is claimed in one phase; a callee never claims to know of others."""
    for side in Side:
        assert (fork_state_of(phase, side) is ForkState.CONFIRMED) is (phase is P.LIVE_PRIVATE)
    caller = fork_state_of(phase, Side.UAC)
    assert (caller is ForkState.REKEYING) is (phase in REKEYING)
    if phase in SHARED - REKEYING:
        assert caller is ForkState.EXPOSED
    if phase is not P.LIVE_PRIVATE:
        assert fork_state_of(phase, Side.UAS) is ForkState.UNKNOWN
