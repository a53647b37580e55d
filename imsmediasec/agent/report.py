"""The report of one call: a self-contained HTML page, with pictures, without secrets (B9)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

import imsmediasec as ims
from imsmediasec.agent.journal import CallJournal, shown
from imsmediasec.agent.sip_dialog import Face

_ROW = 26
_LANES = {"phone": 90, "agent": 330, "network": 570}


@dataclass(frozen=True, slots=True)
class _Arrow:
    """One line of the ladder."""

    y: int
    x1: int
    x2: int
    label: str
    at: str
    dialog: str


@dataclass(frozen=True, slots=True)
class _Hearing:
    """Who can hear a stream, since when."""

    since: float
    stream: str
    protected: bool
    suite: str
    who: tuple[str, ...]


def render(journal: CallJournal) -> str:
    """The page. Raises nothing: whatever the other side wrote is shown escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: shown(value) if isinstance(value, str) else value,
    )
    template = environment.from_string(files("imsmediasec.agent").joinpath("report.html.j2").read_text("utf-8"))
    names = {tag: f"dialog {number}" for number, tag in enumerate(_tags(journal), 1)}
    status = journal.status
    return template.render(
        journal=journal,
        when=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(journal.started)),
        status=status,
        verdict=_verdict_of_call(journal),
        arrows=_arrows(journal, names),
        lanes=_LANES,
        height=_ROW * len(journal.messages) + 60,
        dialogs=_dialogs(journal, names),
        hearings=list(_hearings(journal)),
        names=names,
    )


def write_report(journal: CallJournal, folder: Path) -> Path:
    """Write the page into `folder` (made at need); where it is. Never over another one: both agents of a call may
    write here. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]+", "-", journal.call_id)[:40].strip("-") or "call"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(journal.started))
    page = render(journal).encode("utf-8", "replace")
    number = 1
    while True:
        path = folder / f"{stamp}-{name}{'' if number == 1 else f'-{number}'}.html"
        try:
            with path.open("xb") as file:
                file.write(page)
        except FileExistsError:
            number += 1
        else:
            return path


def verdict(status: ims.SecurityStatus | None) -> tuple[str, str]:
    """(good, fair or bad; one sentence) about a status."""
    if status is None or not status.streams:
        return "bad", "No media was agreed."
    if not any(stream.protected for stream in status.streams):
        return "bad", "Not protected: whoever is on the path can hear this call."
    if not status.protected:
        return "fair", "Partly protected: see the streams."
    if any(stream.scope is ims.Scope.END_TO_ACCESS_EDGE for stream in status.streams):
        return "fair", "Protected to the access edge of the operator's network; behind it the operator decides."
    if any(stream.scope is not ims.Scope.END_TO_END for stream in status.streams):
        return "fair", "Protected, but not end to end: see who has the keys."
    if status.fork_state is ims.ForkState.CONFIRMED:
        return (
            "good",
            "Protected end to end; only the terminal that took the call, and who handled its SDP, had the keys.",
        )
    return "fair", "Protected, but other terminals may hold a key."


def _verdict_of_call(journal: CallJournal) -> tuple[str, str]:
    """`verdict` over the whole call: what it was in the end is not all."""
    found = verdict(journal.status)
    if found[0] == "good" and journal.lost_protection:
        return "fair", "Protected in the end, but not all the time: see below."
    return found


def _tags(journal: CallJournal) -> list[str]:
    seen = dict.fromkeys(message.far_tag for message in journal.messages if message.far_tag)
    return list(dict.fromkeys([*seen, *journal.dialogs]))


def _arrows(journal: CallJournal, names: dict[str, str]) -> list[_Arrow]:
    arrows = []
    for row, message in enumerate(journal.messages):
        side = "phone" if message.face is Face.PHONE else "network"
        start, end = (side, "agent") if message.incoming else ("agent", side)
        arrows.append(
            _Arrow(
                y=50 + row * _ROW,
                x1=_LANES[start] + (6 if _LANES[start] < _LANES[end] else -6),
                x2=_LANES[end] - (6 if _LANES[start] < _LANES[end] else -6),
                label=_short(message.name) + (" + SDP" if message.with_sdp else ""),
                at=f"{message.at:.3f} s",
                dialog=names.get(message.far_tag, ""),
            )
        )
    return arrows


def _dialogs(journal: CallJournal, names: dict[str, str]) -> list[tuple[str, str, str]]:
    rows = []
    for tag, name in names.items():
        names_here = [m.name for m in journal.messages if m.far_tag == tag]
        answered = [_short(name) for name in names_here if name[:1].isdigit() and not name.startswith("100")]
        fate = journal.dialogs.get(tag, "rang, did not take the call" if answered else "no answer")
        rows.append((name, fate, ", ".join(dict.fromkeys(answered))))
    return rows


def _short(name: str) -> str:
    return name if len(name) <= 30 else name[:29] + "…"


def _hearings(journal: CallJournal) -> list[_Hearing]:
    rows: list[_Hearing] = []
    last: dict[int, tuple[object, ...]] = {}
    for at, status in journal.statuses:
        for stream in status.streams:
            who = tuple(f"{holder.name}: {holder.reason}" for holder in stream.key_holders)
            if not stream.protected:
                who = ("everybody on the path: the media is not protected",)
            what = (stream.protected, stream.suite, who)
            if last.get(stream.index) != what:
                last[stream.index] = what
                rows.append(
                    _Hearing(
                        since=at,
                        stream=f"{stream.index} {stream.media_type}",
                        protected=stream.protected,
                        suite=stream.suite.name if stream.suite else "none",
                        who=who,
                    )
                )
    return rows
