"""Mutate the kept corpus through a target.

    python -m tests.fuzz.run --target sdp --count 1000000 --seed 1

Prints the share that got past the first stage and that led to an agreement, the slowest input, and the line
coverage of the modules fuzzed (over the first inputs, since measuring slows). An input that breaks a promise is
kept in the directory that --keep names, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutate import mutated

HERE = Path(__file__).parent
LONGEST = 0.5
"""Seconds of processor time that an input may take (typical: under a millisecond)."""
MEASURED = 3000
"""Inputs over which coverage is measured."""
FUZZED = ("*/imsmediasec/sdp/*", "*/imsmediasec/keymgmt/*", "*/imsmediasec/negotiation/*")


@dataclass
class Result:
    """What came of a run."""

    count: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    findings: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def past_first_stage(self) -> float:
        return 1 - self.stages["rejected"] / max(1, self.count)

    def __str__(self) -> str:
        answered = self.stages["answered"] / max(1, self.count)
        return (
            f"{self.count} inputs: {self.past_first_stage:.1%} past the first stage, {answered:.1%} to an agreement; "
            f"slowest {self.slowest * 1000:.0f} ms; {len(self.findings)} findings"
        )


def corpus(target: str) -> list[bytes]:
    """The kept inputs of a target, and the fixtures of its kind."""
    files = [*sorted((HERE / "corpus" / target).glob("*")), *sorted((HERE.parent / "fixtures" / target).glob("*"))]
    return [file.read_bytes() for file in files]


def inputs(target: str, count: int, seed: int) -> Iterator[bytes]:
    """The corpus itself, then mutations of it: the same ones for the same seed."""
    kept = corpus(target)
    yield from kept[:count]
    rng = random.Random(seed)
    for _ in range(count - len(kept)):
        yield mutated(kept, rng)


def run(target: str, count: int, seed: int, *, most_findings: int = 10, progress: int = 0) -> Result:
    """Feed the inputs to the target."""
    from tests.fuzz.targets import TARGETS

    feed = TARGETS[target]
    result = Result()
    for data in inputs(target, count, seed):
        started = time.process_time()
        try:
            result.stages[feed(data)] += 1
        except Exception as error:
            result.findings.append((data, f"{type(error).__name__}: {error}"))
        spent = time.process_time() - started
        result.slowest = max(result.slowest, spent)
        if spent > LONGEST:
            result.findings.append((data, f"took {spent:.2f} s"))
        result.count += 1
        if len(result.findings) >= most_findings:
            break
        if progress and result.count % progress == 0:
            print(result, flush=True)
    return result


def covered(target: str, count: int, seed: int) -> float:
    """Line coverage in percent of the fuzzed modules, over that many inputs."""
    import coverage

    cover = coverage.Coverage(data_file=None, include=list(FUZZED), config_file=False)
    for name in [name for name in sys.modules if name.startswith(("imsmediasec", "tests.fuzz.targets", "tests.pair"))]:
        del sys.modules[name]
    cover.start()
    run(target, count, seed)
    cover.stop()
    with open("/dev/null", "w", encoding="utf-8") as nothing:
        return cover.report(file=nothing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="sdp")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--progress", type=int, default=0, help="print the figures every so many inputs")
    parser.add_argument("--keep", type=Path, default=None, help="directory for inputs that broke a promise")
    arguments = parser.parse_args()
    started = time.monotonic()
    result = run(arguments.target, arguments.count, arguments.seed, progress=arguments.progress)
    print(f"{result} in {time.monotonic() - started:.0f} s")
    for data, why in result.findings:
        print(f"{why}\n    {data!r}")
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    measured = min(MEASURED, arguments.count)
    print(f"line coverage of the fuzzed modules over {measured} inputs: "
          f"{covered(arguments.target, measured, arguments.seed):.1f} %")  # fmt: skip
    return int(bool(result.findings))


if __name__ == "__main__":
    sys.exit(main())
