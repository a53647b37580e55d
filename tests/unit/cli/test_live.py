"""cli/live.py: one line a change without a terminal, a table with one, and nothing that steers the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.agent.journal import CallJournal, Note
from imsmediasec.cli import live
from imsmediasec.cli.live import AgentConsole, LiveCalls


def journal(call_id: str = "c", remote: str = "sip:bob@x", **options: Any) -> CallJournal:
    return CallJournal(call_id=call_id, local="sip:alice@x", remote=remote, started=0, outgoing=True, **options)


def status(uri: str | None = "sip:bob@x", *, protected: bool = True, **options: Any) -> ims.SecurityStatus:
    holder = ims.KeyHolder(
        kind=ims.HolderKind.TERMINATING_ENTITY, name="sip:bob@x", reason="r", directions=frozenset(ims.Direction)
    )
    stream = ims.StreamStatus(
        index=0,
        mid=None,
        media_type="audio",
        send_protected=protected,
        receive_protected=protected,
        may_send=True,
        scope=ims.Scope.END_TO_END,
        key_management=ims.KeyManagement.SDES,
        suite=ims.suite_by_name("AEAD_AES_256_GCM") if protected else None,
        key_holders=(holder,) if protected else (),
    )
    values: dict[str, Any] = {
        "dialog": "b",
        "streams": (stream,),
        "warnings": (),
        "fork_state": ims.ForkState.CONFIRMED,
    }
    identity = ims.Identity(uri=uri, source=ims.IdentitySource.CLAIMED)
    return ims.SecurityStatus(terminating_entity=identity, **(values | options))


class Screen:
    def __init__(self, *, terminal: bool = False) -> None:
        self.file = io.StringIO()
        self.console = AgentConsole(file=self.file, width=200, height=50, force_terminal=terminal, color_system=None)
        self.calls = LiveCalls(self.console, live=terminal)

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def test_one_line_a_change() -> None:
    screen = Screen()
    call = journal()
    with screen.calls as calls:
        calls.changed(call)
        calls.changed(call)
        call.statuses.append((1.0, status()))
        calls.changed(call)
        call.ended = 2.5
        calls.ended(call)
        calls.refresh()
        calls.changed(journal())
    assert screen.lines == [
        "to sip:bob@x | no media yet |  |  |  |  | ",
        "to sip:bob@x | locked | AEAD_AES_256_GCM | sip:bob@x (claimed) | confirmed | sip:bob@x | ",
        "to sip:bob@x (ended after 2.5 s) | locked | AEAD_AES_256_GCM | sip:bob@x (claimed) | confirmed | sip:bob@x | ",
        "to sip:bob@x | no media yet |  |  |  |  | ",
    ]


@pytest.mark.parametrize(
    ("shown", "cells"),
    [
        (status(protected=False), "open | none | sip:bob@x (claimed) | confirmed | everybody on the path |"),
        (status(fork_state=ims.ForkState.UNKNOWN), "half | AEAD_AES_256_GCM | sip:bob@x (claimed) | unknown |"),
        (
            status(warnings=(ims.SecurityWarning(code="x", text="one"), ims.SecurityWarning(code="y", text="two"))),
            "| one; two",
        ),
    ],
)
def test_what_a_line_says(shown: ims.SecurityStatus, cells: str) -> None:
    screen = Screen()
    call = journal(statuses=[(1.0, shown)])
    call.outgoing = False
    screen.calls.changed(call)
    assert screen.lines[0].startswith("from sip:bob@x | ")
    assert cells in screen.lines[0]


def test_why_there_is_no_media() -> None:
    screen = Screen()
    notes = [Note(at=0, text="a trifle", dialog=None), Note(at=0, text="refused", dialog=None, serious=True)]
    screen.calls.changed(journal(notes=notes))
    assert screen.lines == ["to sip:bob@x | no media yet |  |  |  |  | refused"]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("hostile", ["[/red]", "[bold]x[/bold]", "sip:a@[fe80::1]", "a\x1b[2Jb", "a\r\nb", "a\x9b2Jb"])
def test_what_others_write_steers_nothing(terminal: bool, hostile: str) -> None:
    screen = Screen(terminal=terminal)
    with screen.calls as calls:
        calls.changed(journal(remote=hostile, statuses=[(1.0, status(hostile))]))
        calls.refresh()
    visible = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in hostile)
    assert visible in screen.text
    assert "\x1b[2J" not in screen.text and "\x9b" not in screen.text


def test_a_table_in_a_terminal() -> None:
    screen = Screen(terminal=True)
    first, second = journal("one", "sip:bob@x", statuses=[(1.0, status())]), journal("two", "sip:carol@x")
    with screen.calls as calls:
        calls.changed(first)
        calls.changed(second)
        assert "sip:bob@x" not in screen.text, "drawn by refresh only"
        calls.refresh()
        drawn = screen.text
        assert all(word in drawn for word in ("padlock", "sip:bob@x", "locked", "sip:carol@x", "no media yet"))
        calls.refresh()
        assert screen.text == drawn, "nothing new, nothing drawn"
        calls.say("a line above")
        first.ended = 3.0
        calls.ended(first)
        calls.ended(second)
    assert "a line above" in screen.text
    assert "(ended after 3.0 s)" in screen.text
    assert "no calls" in screen.text


def test_a_table_of_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_ROWS", 2)
    screen = Screen(terminal=True)
    with screen.calls as calls:
        for number in range(5):
            calls.changed(journal(str(number), f"sip:user{number}@x"))
    assert "and 3 more" in screen.text
    assert "user4" in screen.text and "user2" not in screen.text


def test_nobody_reads() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    screen = Screen()
    console = AgentConsole(file=Broken())
    calls = LiveCalls(console, live=False)
    calls.say("one")
    calls.say("two")
    console.on_broken_pipe()
    assert console.quiet
    assert screen.text == ""
