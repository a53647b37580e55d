"""Levels 0 to 3 are sans-IO: no socket, clock, thread, loop or file. (import-linter checks the levels themselves.)"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "imsmediasec"
SANS_IO = (
    *("errors", "records", "secret", "terms", "suites", "keys", "policy", "status", "events", "ports"),
    *("sdp", "sip", "mikey", "keymgmt", "negotiation", "registration"),
)
FORBIDDEN = {
    *("asyncio", "socket", "select", "selectors", "ssl", "subprocess", "threading", "multiprocessing"),
    *("time", "random", "tempfile", "sqlite3", "sqlalchemy", "redis", "pjsua2"),
}


def imported(source: str) -> set[str]:
    """The top-level names of all modules that a source imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def sans_io_files() -> list[Path]:
    """Every file of levels 0 to 3."""
    return [
        file
        for name in SANS_IO
        for file in (PACKAGE / f"{name}.py", *sorted((PACKAGE / name).rglob("*.py")))
        if file.is_file()
    ]


@pytest.mark.parametrize("file", sans_io_files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_sans_io(file: Path) -> None:
    """No file of the sans-IO levels imports anything that waits, listens or tells the time."""
    assert imported(file.read_text()) & FORBIDDEN == set()


def test_every_import_form_is_seen() -> None:
    """The check itself sees nested and dotted imports, and leaves relative ones alone."""
    source = "def f():\n import os.path as p\n from socket import socket\n from . import time\n"
    assert imported(source) == {"os", "socket"}
