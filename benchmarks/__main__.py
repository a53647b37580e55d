"""All benchmarks, one after the other, and at the end one table of their ratios.

    python -m benchmarks [--fast] [name …]    exit 1 if a ratio misses its mark; names: srtp, relay, agent, …

Each runs in a process of its own. See README.md for what the figures mean.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
PLAIN = ("relay", "agent")
"""Run as `python -m benchmarks.bench_NAME`; the others are pyperf's, with `-o FILE` and `--ratios FILE`."""
_RATIO = re.compile(r"\bratio +\d|\d\.\d+ of \w")


def run(name: str, fast: bool, folder: Path) -> tuple[int, str]:
    """Exit status and output of one benchmark."""
    module = [sys.executable, "-m", f"benchmarks.bench_{name}"]
    quick = ["--fast"] if fast else []
    if name in PLAIN:
        return _output([*module, *quick])
    results = folder / f"{name}.json"
    code, text = _output([*module, *quick, "--quiet", "-o", str(results)])
    return (code, text) if code else _output([*module, "--ratios", str(results)])


def _output(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def main(argv: Sequence[str]) -> int:
    known = sorted(file.stem.removeprefix("bench_") for file in HERE.glob("bench_*.py"))
    names = [name for name in argv if not name.startswith("-")] or known
    unknown = set(names) - set(known)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    codes: dict[str, int] = {}
    table: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            print(f"\n== {name} ==", flush=True)
            codes[name], text = run(name, "--fast" in argv, Path(folder))
            print(text, end="", flush=True)
            table += [f"{name:12} {line}" for line in text.splitlines() if _RATIO.search(line)]
    print("\n== ratios ==")
    print("\n".join(table))
    for name, code in codes.items():
        print(f"{name:12} {'holds' if code == 0 else 'MISSES A MARK' if code == 1 else f'FAILED ({code})'}")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
