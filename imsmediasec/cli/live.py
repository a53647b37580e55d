"""The calls of an agent, live in the terminal."""

from __future__ import annotations

import contextlib
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

import imsmediasec as ims
from imsmediasec.agent.journal import CallJournal, shown
from imsmediasec.agent.report import verdict

_COLOURS = {"good": "green", "fair": "yellow", "bad": "red"}
_PADLOCKS = {"good": "locked", "fair": "half", "bad": "open"}


MAX_ROWS = 20
"""Calls in the live table; of the others it shows how many there are."""


class AgentConsole(Console):
    """Nobody reads any more: the calls go on, unseen."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class LiveCalls:
    """A table that follows the calls, or without a terminal one line a change.

    The table is drawn by `refresh`, not by each change: media must not wait for a terminal.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if live else None
        self._changed = False
        self._calls: dict[int, CallJournal] = {}
        self._said: dict[int, str] = {}

    def __enter__(self) -> LiveCalls:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self.refresh()
            self._live.stop()

    def refresh(self) -> None:
        """Draw what has changed since. To be called a few times a second."""
        if self._live is not None and self._changed:
            self._changed = False
            self._live.update(self._table(), refresh=True)

    def say(self, text: str) -> None:
        """A line above the table."""
        with contextlib.suppress(OSError):
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def changed(self, journal: CallJournal) -> None:
        """Something happened in this call."""
        self._calls[id(journal)] = journal
        self._changed = True
        if self._live is not None:
            return
        line = " | ".join(_cells(journal))
        if self._said.get(id(journal)) != line:
            self._said[id(journal)] = line
            self.say(line)

    def ended(self, journal: CallJournal) -> None:
        """The call is over."""
        self._calls.pop(id(journal), None)
        self._said.pop(id(journal), None)
        self._changed = True
        self.say(" | ".join(_cells(journal)))

    def _table(self) -> Table:
        table = Table(title=None if self._calls else "no calls")
        for column in ("call", "padlock", "suite", "ends at", "forking", "who has the keys", "warnings"):
            table.add_column(column)
        calls = list(self._calls.values())
        for journal in calls[-MAX_ROWS:]:
            style = _COLOURS[verdict(journal.status)[0]]
            table.add_row(*map(Text, _cells(journal)), style=style)
        if len(calls) > MAX_ROWS:
            table.caption = f"and {len(calls) - MAX_ROWS} more"
        return table


def _cells(journal: CallJournal) -> tuple[str, ...]:
    return tuple(map(shown, _texts(journal)))


def _texts(journal: CallJournal) -> tuple[str, ...]:
    arrow = "to" if journal.outgoing else "from"
    state = "" if journal.ended is None else f" (ended after {journal.ended:.1f} s)"
    call = f"{arrow} {journal.remote}{state}"
    status = journal.status
    if status is None:
        return (call, "no media yet", "", "", "", "", "; ".join(n.text for n in journal.notes if n.serious))
    suites = {stream.suite.name if stream.suite else "none" for stream in status.streams}
    identity = status.terminating_entity
    return (
        call,
        _PADLOCKS[verdict(status)[0]],
        ", ".join(sorted(suites)),
        f"{identity.uri} ({_known(identity)})",
        status.fork_state.value,
        "; ".join(holder.name for holder in status.key_holders) or "everybody on the path",
        "; ".join(warning.text for warning in status.warnings),
    )


def _known(identity: ims.Identity) -> str:
    return identity.source.value
