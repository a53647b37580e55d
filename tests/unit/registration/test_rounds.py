"""registration/rounds.py and server_rules.py: the tables are whole."""

from __future__ import annotations

from itertools import product

from imsmediasec.registration.rounds import BINDING_TABLE, ROUND_TABLE, Binding, BindingInput, Round, RoundInput
from imsmediasec.registration.server_rules import SERVER_TABLE, Rule, Seen


def test_only_these_rows_are_absent() -> None:
    assert {*product(Round, RoundInput)} - ROUND_TABLE.keys() == {
        (Round.VERIFYING, RoundInput.UNSUPPORTED),
        (Round.PLAIN, RoundInput.UNSUPPORTED),
    }
    assert {*product(Binding, BindingInput)} - BINDING_TABLE.keys() == {(Binding.UNREGISTERED, BindingInput.EXPIRED)}
    assert SERVER_TABLE.keys() == {*product((True, False), Seen, (True, False))}


def test_a_demand_never_lets_more_pass() -> None:
    for register, seen in product((True, False), Seen):
        if SERVER_TABLE[register, seen, False] is not Rule.PASS:
            assert SERVER_TABLE[register, seen, True] is not Rule.PASS


def test_each_outcome_ends_the_round() -> None:
    for state in Round:
        assert ROUND_TABLE[state, RoundInput.LOST] is ROUND_TABLE[state, RoundInput.RESTART] is Round.IDLE
