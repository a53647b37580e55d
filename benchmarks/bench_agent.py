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
from benchmarks.media_load import speak
from imsmediasec.agent import SecureForking

MOST_LOSS = 0.005
MOST_DELAY = 20.0
"""Milliseconds, at p99."""
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


def holds(folder: Path, mode: SecureForking, number: int, seconds: float) -> bool:
    """Print what so many calls saw."""
    with AgentLoad(folder / f"load-{mode.value}-{number}", mode) as load, load.calls(number, seconds + 2) as streams:
        speak(streams, load.sealed, 0.5)
        before = load.agent.cpu()
        result = speak(streams, load.sealed, seconds)
        busy = (load.agent.cpu() - before) / seconds
    good = result.loss <= MOST_LOSS and result.delay(0.99)[0] <= MOST_DELAY and not result.silent
    print(
        f"load {number:4} calls {mode.value:9} {result}; agent {busy:.0%} of a core, load average "
        f"{os.getloadavg()[0]:.1f}: {'holds' if good else 'does not hold'}",
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
