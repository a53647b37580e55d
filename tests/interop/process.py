"""Another program, started and stopped by its own process id, with its output as a journal."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from .journal import Journal


class MissingPeer(RuntimeError):
    """A program that the test needs is not installed. conftest.py turns it into a skip, or in CI into a failure."""


def need(program: str, package: str) -> str:
    """Where a program is; MissingPeer if it is not installed."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise MissingPeer(f"{program} is not installed (scripts/install-peers test; Debian package {package})")
    return found


class Process:
    """A running program. Standard output and error are one journal of lines, kept in a log file too."""

    all: ClassVar[set["Process"]] = set()
    """Every process that was started and not stopped, so that none outlives a peer whose start failed half-way."""

    def __init__(
        self, name: str, argv: Sequence[str], folder: Path, *, stdin: bool = False, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.lines: Journal[str] = Journal(name)
        self.log = folder / f"{name}.log"
        self.popen = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # a Ctrl-C in the terminal is for pytest, which then stops us in order
        )
        Process.all.add(self)
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.log.open("ab") as log, self.popen.stdout as output:
            for line in output:
                log.write(line)
                log.flush()
                self.lines.add(line.decode("utf-8", "replace").rstrip("\r\n"))
        self.lines.close()

    def write(self, line: str) -> None:
        """Send one line to the program's standard input."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def wait_line(self, pattern: str, timeout: float = 10, since: int = 0) -> str:
        """The first line of output that matches the regular expression."""
        return self.lines.wait(re.compile(pattern).search, timeout, since, what=f"line /{pattern}/")

    def text(self) -> str:
        """All output so far."""
        return "\n".join(self.lines.entries)

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self.popen.poll() is None

    def wait(self, timeout: float) -> int:
        """Wait for the program to end by itself; its exit status."""
        status = self.popen.wait(timeout)
        self._reader.join(5)
        return status

    def stop(self, first: signal.Signals = signal.SIGTERM, grace: float = 5) -> None:
        """End the program, kindly first. Does nothing if it has ended."""
        if self.running:
            self.popen.send_signal(first)
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(5)
        if self.popen.stdin is not None and not self.popen.stdin.closed:
            self.popen.stdin.close()
        self._reader.join(5)
        Process.all.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
