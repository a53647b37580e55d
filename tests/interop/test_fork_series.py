"""Many forked calls in a row, each terminal taking its turn; now and then two answer at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import imsmediasec as ims

from .conftest import Lab
from .forked import TONES, Guarded, Network, keys_seen, look, sent_from, together
from .peers.baresip import Baresip
from .tones import hear

PACKETS = 50
TURNS = ("bob1", "bob2", "bob3", "race")


@dataclass
class Outcome:
    """What became of one call."""

    confirmed: bool
    ended: bool
    winner: str = ""
    """Who took it, if it was confirmed."""
    problems: list[str] = field(default_factory=list)
    recording: Path | None = None
    """What the winner heard."""


class Series:
    """Calls over one network, with a look at the wire after each."""

    def __init__(self, lab: Lab) -> None:
        self.network = Network(lab)
        self.calls = 0

    def call(self, turn: str) -> Outcome:
        """One call from ringing to the end; the wire is checked in any case."""
        network, phone, witness = self.network, self.network.alice.phone, self.network.caller
        started = len(network.capture.datagrams())
        messages = len(witness.messages)
        events, ended, calls = len(witness.events), len(witness.ended), self.calls
        marks = {name: self._mark(name) for name in network.bobs}
        self.calls += 1
        outcome = Outcome(confirmed=False, ended=False)
        phone.call(network.target)
        try:
            network.wait_ringing(messages)
            phone.wait_state("EARLY", calls)
            if turn == "race":
                together(lambda: network.take("bob1"), lambda: network.take("bob2"))
            else:
                self._take(turn, calls)
            witness.wait(lambda w: _confirmed(w.events[events:]))
            outcome.confirmed = True
            status = _confirmed(witness.events[events:])
            assert status is not None
            outcome.winner = network.who_has(status.dialog or "")
            winner = network.bobs[outcome.winner]
            network.capture.wait_packets(PACKETS, network.alice.media_ports, winner.media_ports)
        except (AssertionError, TimeoutError) as problem:
            outcome.confirmed = False
            outcome.problems.append(str(problem))
        phone.hangup(calls)
        try:
            witness.wait(lambda w: len(w.ended) > ended)
            phone.wait_state("DISCONNECTED", calls)
            for name, mark in marks.items():
                self._wait_idle(name, mark, calls)
            outcome.ended = True
        except (AssertionError, TimeoutError) as problem:
            outcome.problems.append(str(problem))
        self._check_wire(outcome, started)
        winner_ = network.bobs.get(outcome.winner)
        if isinstance(winner_, Baresip):
            outcome.recording = winner_.recording()
        elif winner_ is not None:
            outcome.recording = winner_.phone.recording(calls)
        return outcome

    def _mark(self, name: str) -> int:
        bob = self.network.bobs[name]
        return bob.phone.now if isinstance(bob, Guarded) else bob.now

    def _take(self, name: str, number: int) -> None:
        bob = self.network.bobs[name]
        if isinstance(bob, Guarded):
            bob.phone.answer(call=number)
        else:
            bob.accept()

    def _wait_idle(self, name: str, mark: int, number: int) -> None:
        bob = self.network.bobs[name]
        if isinstance(bob, Guarded):
            bob.phone.wait_state("DISCONNECTED", number)
        else:
            bob.wait_event("CALL_CLOSED", since=mark)

    def _check_wire(self, outcome: Outcome, started: int) -> None:
        network = self.network
        losers = [bob for name, bob in network.bobs.items() if name != outcome.winner]
        datagrams = network.capture.datagrams()[started:]
        assert not look(datagrams, keys_seen(*losers)).opened
        if outcome.confirmed:
            parties = keys_seen(network.bobs[outcome.winner])
            found = look(sent_from(datagrams, network.alice.media_ports), parties)
            assert len(found.opened) >= PACKETS // 2
            assert not found.opaque

    def check_heard(self, outcomes: list[Outcome]) -> None:
        """The winner of each confirmed call heard the caller, and the caller the winner."""
        self.network.alice.phone.stop()
        bob3 = self.network.bobs["bob3"]
        assert isinstance(bob3, Guarded)
        bob3.phone.stop()
        for number, outcome in enumerate(outcomes):
            if outcome.confirmed:
                assert outcome.recording is not None
                there = hear(outcome.recording, tuple(TONES.values()))
                here = hear(self.network.alice.phone.recording(number), tuple(TONES.values()))
                assert there.dominant == TONES["alice"], (number, outcome, there)
                assert here.dominant == TONES[outcome.winner], (number, outcome, here)


def _confirmed(events: list[ims.Event]) -> ims.SecurityStatus | None:
    for event in events:
        if isinstance(event, ims.SecurityChanged) and event.status.fork_state is ims.ForkState.CONFIRMED:
            return event.status
    return None


@pytest.mark.parametrize("count", [5, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_calls_in_a_row(lab: Lab, count: int) -> None:
    """At least 95 % are CONFIRMED, all end, and no loser can hear any of them."""
    series = Series(lab)
    outcomes = [series.call(TURNS[n % len(TURNS)]) for n in range(count)]
    confirmed = [o for o in outcomes if o.confirmed]
    winners = {name: sum(o.winner == name for o in confirmed) for name in TONES if name != "alice"}
    print(f"{len(confirmed)} of {count} calls CONFIRMED; {sum(o.ended for o in outcomes)} ended; taken by {winners}")
    problems = [
        f"call {number} ({TURNS[number % len(TURNS)]}): {p}" for number, o in enumerate(outcomes) for p in o.problems
    ]
    print("\n".join(problems))
    assert all(o.ended for o in outcomes), problems
    assert len(confirmed) >= 0.95 * count
    series.check_heard(outcomes)
