"""Calls through the agent: what one costs to set up and to keep, and how many hold at once.

    python -m benchmarks.bench_agent [--fast]    exit 1 if a figure misses its mark

SIPp signals on both sides, this process speaks, the agent runs in a process of its own: agent_load.py.
*Set-up*: CPU time of the agent's process from the first INVITE until all calls are protected, divided by their
number, while 10, 100, 1000 are alive in the end. *Memory*: growth of its resident size, divided by their number.
*Load*: packets lost and delay while all calls speak both ways.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.agent_load import AgentLoad
from benchmarks.bench_relay import Relaying
from benchmarks.media_load import Result, Stream, speak
from imsmediasec.agent import SecureForking

MOST_LOSS = 0.005
MOST_DELAY = 20.0
"""Milliseconds at p99, above those of the bare forwarder."""
TURN = 5.0
"""Seconds that agent and forwarder take in turn."""
MOST_GROWTH = 1.5
"""A call beside 1000 others may cost so much of a call beside 10."""
ENOUGH = 200
"""Calls at once that have to hold."""


def set_up(folder: Path, mode: SecureForking, number: int) -> tuple[float, float]:
    """CPU milliseconds and KiB a call. The first calls of a process, which import and cache, do not count."""
    with AgentLoad(folder / f"set-up-{mode.value}-{number}", mode) as load:
        with load.calls(6, 0):
            pass
        idle, before = load.agent.holdings().resident, load.agent.cpu()
        with load.calls(number, 0):
            cpu = load.agent.cpu() - before
            held = load.agent.holdings().resident - idle
    return cpu / number * 1e3, held / number / 1024


def measure(load: AgentLoad, streams: Sequence[Stream], seconds: float) -> tuple[Result, Result, str]:
    """What the calls see, what as many streams through a bare forwarder see, and how busy the agent was.

    They take turns, so that both meet what else the machine does. Calls must live for `time_for(seconds)`.
    """
    through, bare, busy, waited = Result(), Result(), 0.0, 0.0
    others = [Stream() for _ in streams]
    turns = max(1, round(seconds / TURN))
    try:
        with Relaying(others, None, b"", b""):
            for _turn in range(turns):
                cpu, wait = load.agent.cpu(), load.agent.waited()
                through += speak(streams, load.sealed, seconds / turns)
                busy += (load.agent.cpu() - cpu) / seconds
                waited += (load.agent.waited() - wait) / seconds
                bare += speak(others, load.sealed, seconds / turns)
    finally:
        for stream in others:
            stream.close()
    average = f"load average {os.getloadavg()[0]:.1f}"
    return through, bare, f"agent {busy:.0%} of a core, {waited:.1%} of the time without the core it needs, {average}"


def time_for(seconds: float) -> float:
    """How long `measure` takes at most, with what two processes need to start and stop."""
    return 2 * (seconds + max(1, round(seconds / TURN))) + 2.5


def added_delay(through: Result, bare: Result) -> float:
    """Milliseconds at p99."""
    return through.delay(0.99)[0] - bare.delay(0.99)[0]


def holds(folder: Path, mode: SecureForking, number: int, seconds: float) -> bool:
    """Print what so many calls saw."""
    where = folder / f"load-{mode.value}-{number}"
    with AgentLoad(where, mode) as load, load.calls(number, time_for(seconds)) as streams:
        result, bare, busy = measure(load, streams, seconds)
    added = added_delay(result, bare)
    good = result.loss <= MOST_LOSS and added <= MOST_DELAY and not result.silent
    print(
        f"load {number:4} calls {mode.value:9} {'holds' if good else 'does not hold'}: {added:.1f} ms added at p99",
        busy,
        f"agent: {result}",
        f"bare forwarder: {bare}",
        sep="\n    ",
        flush=True,
    )
    return good


def main(argv: Sequence[str] = ()) -> int:
    fast = "--fast" in argv
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for mode in SecureForking:
            base = 0.0
            for number in (10, 100) if fast else (10, 100, 1000):
                cpu, kept = set_up(folder, mode, number)
                base = base or cpu
                missed |= cpu > MOST_GROWTH * base
                print(
                    f"set-up {mode.value:9} {number:4} alive {cpu:6.2f} ms CPU a call, {kept:5.0f} KiB a call"
                    f"  ratio {cpu / base:5.2f}  at most {MOST_GROWTH}",
                    flush=True,
                )
        for mode in SecureForking:
            for number in (20,) if fast else (ENOUGH, 300, 400):
                if not holds(folder, mode, number, 5 if fast else 30):
                    missed |= number <= ENOUGH
                    break
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
