"""Every branch of each module of levels 0 to 3 is covered by that module's own test file, alone.

    python -m tests.maxi_cov            all modules; exit 1 if one is below 100 %
    python -m tests.maxi_cov sdp/crypto negotiation/call

`imsmediasec/sdp/crypto.py` belongs to `tests/unit/sdp/test_crypto.py`. Each pair runs in a process of its own,
forked from one that has the test tools loaded but nothing of imsmediasec.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tests.test_layers import PACKAGE, sans_io_files

ROOT = Path(__file__).parent.parent
REPORTED = 12


def has_code(module: Path) -> bool:
    """False for a package's `__init__` that only imports and names."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign) for node in body)


def test_file_of(module: Path) -> Path:
    """Where the tests of a module are."""
    place = module.relative_to(PACKAGE)
    return ROOT / "tests/unit" / place.with_name(f"test_{place.name}")


test_file_of.__test__ = False  # type: ignore[attr-defined]  # not a test itself


def measure(module: Path, tests: Path) -> str:
    """What is wrong, or "": to be run in a process that has not imported the package."""
    import coverage
    import pytest

    cover = coverage.Coverage(data_file=None, branch=True, include=[str(module)], config_file=False)
    cover.exclude(r"^\s*\.\.\.$")
    cover.start()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:cov", "-m", "not long", str(tests)])
    cover.stop()
    if status != 0:
        return "its tests fail:\n" + "\n".join(output.getvalue().splitlines()[-REPORTED:])
    report = io.StringIO()
    if cover.report(show_missing=True, file=report) < 100:
        return report.getvalue().splitlines()[2].split(maxsplit=1)[1]
    return ""


def start(module: Path) -> tuple[int, int]:
    """Fork a child that measures; its id, and where to read what it found."""
    tests = test_file_of(module)
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    try:
        fault = measure(module, tests) if tests.is_file() else f"{tests.relative_to(ROOT)} is missing"
    except BaseException as error:
        fault = f"the measurement failed: {error!r}"
    with open(writing, "w", encoding="utf-8") as pipe:
        pipe.write(fault)
    os._exit(0)


def faults(modules: list[Path]) -> Iterator[tuple[Path, str]]:
    """Measure all, a few at a time; what is wrong with each, or ""."""
    waiting = deque(modules)
    running: deque[tuple[Path, int, int]] = deque()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            module = waiting.popleft()
            running.append((module, *start(module)))
        module, child, reading = running.popleft()
        with open(reading, encoding="utf-8") as pipe:
            yield module, pipe.read()
        os.waitpid(child, 0)


def main(wanted: list[str]) -> int:
    """Measure all modules, or those named; the number that fall short."""
    for tool in ("coverage", "pytest"):
        __import__(tool)
    assert not any(name.startswith("imsmediasec") for name in sys.modules), "it must be imported under coverage"
    modules = [module for module in sans_io_files() if has_code(module)]
    if wanted:
        modules = [module for module in modules if str(module.relative_to(PACKAGE).with_suffix("")) in wanted]
    short = 0
    for module, fault in faults(modules):
        short += bool(fault)
        if fault:
            print(f"{module.relative_to(ROOT)}: {fault}", flush=True)
    print(f"{len(modules) - short} of {len(modules)} modules have every branch covered by their own test file")
    return short


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
