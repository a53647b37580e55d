"""The agent under many calls at once: SIPp signals, this process speaks, a third of the calls is forked.

Media must come through in time, and when the calls are over nothing of them may be left in the agent's process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.agent_load import AgentLoad
from benchmarks.agent_process import Holdings
from benchmarks.bench_agent import MOST_DELAY, MOST_LOSS, added_delay, measure, time_for
from imsmediasec.agent import SecureForking

from .conftest import Lab
from .process import need

MOST_GROWTH = 64 << 10
"""Octets that a round of calls may leave in caches which the round before has filled."""
_OF_CALLS = (
    "imsmediasec.agent.call.",
    "imsmediasec.agent.sip_dialog.Half",
    "imsmediasec.agent.sip_dialog.SipDialog",
    "imsmediasec.keys.MasterKey",
    "imsmediasec.keys.SrtpKeys",
    "imsmediasec.media.relay.",
    "imsmediasec.media.srtp_",
    "imsmediasec.negotiation.negotiation.",
    "imsmediasec.secret.",
    "pylibsrtp.Session",
)
_NOT_OF_CALLS = ("imsmediasec.media.srtp_backend.", "imsmediasec.agent.call.OpenOffer")


def settled(load: AgentLoad) -> Holdings:
    """What is left when the last timer of the last transaction has run."""
    for _ in range(3):
        load.agent.skip(40)
    return load.agent.holdings()


def of_calls(holdings: Holdings) -> dict[str, int]:
    """Objects that belong to calls."""
    return {
        name: number
        for name, number in holdings.objects.items()
        if name.startswith(_OF_CALLS) and not name.startswith(_NOT_OF_CALLS)
    }


def check(lab: Lab, folder: Path, mode: SecureForking, *, calls: int, seconds: float, rounds: int) -> None:
    lab.start(_Sipp)
    with AgentLoad(folder, mode, trace=False) as load:
        with load.calls(6, 0):
            pass
        fresh = settled(load)
        for _ in range(rounds):
            with load.calls(calls, time_for(seconds)) as streams:
                assert len(streams) == calls
                result, bare, busy = measure(load, streams, seconds)
                held = load.agent.holdings()
                assert held.calls == calls
                assert of_calls(held)
            counters = load.agent.counters()
            added = added_delay(result, bare)
            print(f"{calls} calls, {mode.value}: {added:.2f} ms added at p99; {busy}")
            print(f"agent: {result}\nbare forwarder: {bare}")
            assert not result.silent
            assert result.loss <= MOST_LOSS, str(result)
            assert added <= MOST_DELAY, f"{result} against {bare}; {busy}"
            assert not counters["sent_plain"]
            assert not counters["received_plain"]
            assert not load.agent.failures()
        left = settled(load)
    assert (left.calls, left.dialogs, left.transactions, left.timers) == (0, 0, 0, 0)
    assert left.files == fresh.files
    assert not of_calls(left)
    assert grown(fresh, left) == {}


def grown(before: Holdings, after: Holdings) -> dict[str, int]:
    """Types of which there are more than before. Softphones that came and went are remembered by address."""
    more = {name: number - before.objects.get(name, 0) for name, number in after.objects.items()}
    return {name: number for name, number in more.items() if number > 0 and not name.endswith("endpoint.Endpoint")}


class _Sipp:
    """Its presence."""

    def __init__(self) -> None:
        need("sipp", "sip-tester")

    def stop(self) -> None:
        """Nothing runs."""


@pytest.mark.parametrize("mode", list(SecureForking))
def test_twenty_calls(lab: Lab, tmp_path: Path, mode: SecureForking) -> None:
    """The short form."""
    check(lab, tmp_path, mode, calls=20, seconds=3, rounds=1)


def test_memory_comes_back(lab: Lab, tmp_path: Path) -> None:
    """A second round of the same calls allocates nothing that stays."""
    lab.start(_Sipp)
    with AgentLoad(tmp_path, SecureForking.REKEY, trace=True) as load:
        left = []
        for _ in range(3):
            with load.calls(12, 0):
                pass
            left.append(settled(load).memory)
    assert left[1] > 0
    assert left[2] - left[1] <= MOST_GROWTH, left


@pytest.mark.long
@pytest.mark.parametrize("mode", list(SecureForking))
def test_two_hundred_calls(lab: Lab, tmp_path: Path, mode: SecureForking) -> None:
    """The long form."""
    check(lab, tmp_path, mode, calls=200, seconds=30, rounds=2)
