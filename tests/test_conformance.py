"""conformance.csv tells the truth: every green row names tests that exist, every red row names none.

A test id is `path::function` or `path::Class::method`, the path from the root of the repository. Spaces part several.
"""

import ast
import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COLUMNS = ["id", "clause", "text", "status", "tests"]
REQUIRED = {
    *(f"A{n}" for n in range(1, 8)),
    *(f"B{n}" for n in range(1, 11)),
    *("4.x.2", "4.x.3", "4.1.1", "4.1.2", "4.1.3", "4.1.4", "4.1.y", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7"),
}


@cache
def test_ids(path: str) -> frozenset[str]:
    """Every test that a file defines, as the part of its id after the path."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()

    def names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                yield prefix + node.name
            elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from names(node.body, f"{prefix}{node.name}::")

    return frozenset(names(ast.parse(file.read_text()).body, ""))


test_ids.__test__ = False  # type: ignore[attr-defined]  # not a test itself


def faults(columns: list[str], rows: list[dict[str, str]]) -> list[str]:
    """What is wrong with the table, one line each."""
    if columns != COLUMNS:
        return [f"columns are {columns}, not {COLUMNS}"]
    found = []
    ids = [row["id"] for row in rows]
    found += [f"{i}: appears twice" for i in sorted({i for i in ids if ids.count(i) > 1})]
    found += [f"{i}: is missing" for i in sorted(REQUIRED - set(ids))]
    for row in rows:
        name, tests = row["id"], (row["tests"] or "").split()
        if None in row or None in row.values():
            found.append(f"{name}: wrong number of fields")
        if not row["text"]:
            found.append(f"{name}: no text")
        if row["status"] == "red" and tests:
            found.append(f"{name}: red, but names tests")
        elif row["status"] == "green" and not tests:
            found.append(f"{name}: green without a test")
        elif row["status"] not in ("red", "green"):
            found.append(f"{name}: status {row['status']!r}")
        for test in tests:
            path, _, function = test.partition("::")
            if function.partition("[")[0] not in test_ids(path):
                found.append(f"{name}: no such test: {test}")
    return found


def test_conformance_table() -> None:
    """The table in the repository has no fault."""
    with (ROOT / "tests/conformance.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert faults(list(reader.fieldnames or []), rows) == []


@pytest.mark.parametrize(
    ("status", "tests", "fault"),
    [
        ("green", "tests/test_conformance.py::test_nothing", "no such test"),
        ("green", "tests/no_such_file.py::test_conformance_table", "no such test"),
        ("green", "", "without a test"),
        ("red", "tests/test_conformance.py::test_conformance_table", "red, but names"),
        ("yellow", "", "status"),
    ],
)
def test_a_lie_is_found(status: str, tests: str, fault: str) -> None:
    """Each kind of false row is reported."""
    row = {"id": "A1", "clause": "4.8", "text": "x", "status": status, "tests": tests}
    assert any(fault in line for line in faults(COLUMNS, [row]))


def test_unknown_column_is_found() -> None:
    """A table with another shape is refused as a whole."""
    assert faults([*COLUMNS, "note"], []) != []


def test_true_green_row_passes() -> None:
    """A green row with an existing test has no fault of its own."""
    tests = "tests/test_conformance.py::test_conformance_table"
    row = {"id": "A1", "clause": "4.8", "text": "x", "status": "green", "tests": tests}
    assert not [line for line in faults(COLUMNS, [row]) if line.startswith("A1")]
