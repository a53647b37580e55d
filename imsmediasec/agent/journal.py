"""`CallJournal`: what happened in one call, for a status display and a report. Holds no secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import imsmediasec as ims
from imsmediasec.agent.call import Call
from imsmediasec.agent.observer import NoObserver
from imsmediasec.agent.sip_dialog import Face, tag_of
from imsmediasec.errors import MediaSecurityError
from imsmediasec.sip import SipMessage

MAX_ENTRIES = 2000
"""Entries of each kind that a journal keeps; further ones are counted only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One SIP message, by name only."""

    at: float
    """Seconds since the call began."""
    face: Face
    incoming: bool
    """Towards the agent."""
    name: str
    """ "INVITE" or "180 Ringing"."""
    far_tag: str
    with_sdp: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something the negotiation reported."""

    at: float
    text: str
    dialog: str | None
    serious: bool = False


@dataclass(kw_only=True)
class CallJournal:
    """One call from its INVITE to its end."""

    call_id: str
    local: str
    remote: str
    started: float
    """Unix time."""
    outgoing: bool
    messages: list[Message] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    statuses: list[tuple[float, ims.SecurityStatus]] = field(default_factory=list)
    dialogs: dict[str, str] = field(default_factory=dict)
    """What became of each dialog, by the far end's tag."""
    ended: float | None = None
    """Seconds since the call began."""

    @property
    def status(self) -> ims.SecurityStatus | None:
        """The newest status that speaks of media."""
        return next((s for _, s in reversed(self.statuses) if s.streams), None)


class JournalObserver(NoObserver):
    """Keeps a journal of every call that runs; hands it over when the call ends.

    `changed` is called after each entry with the journal, `ended` once at the end. Both in the agent's thread.
    """

    def __init__(
        self,
        changed: Callable[[CallJournal], None] = lambda journal: None,
        ended: Callable[[CallJournal], None] = lambda journal: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.running: dict[str, CallJournal] = {}
        self._changed = changed
        self._ended = ended
        self._clock = clock

    def call_started(self, call: Call) -> None:
        journal = CallJournal(
            call_id=call.key[0],
            local=call.negotiation.local_identity,
            remote=call.remote_target,
            started=self._clock(),
            outgoing=call.side is ims.Side.UAC,
        )
        # The INVITE was seen before the call was made of it.
        waiting = self.running.get(call.key[0])
        if waiting is not None:
            journal.started, journal.messages = waiting.started, waiting.messages
        self.running[call.key[0]] = journal

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        call_id = message.get("Call-ID") or ""
        journal = self.running.get(call_id)
        if journal is None:
            if not (message.is_request and message.method == "INVITE" and incoming):
                return
            journal = self.running[call_id] = CallJournal(
                call_id=call_id, local="", remote="", started=self._clock(), outgoing=face is Face.PHONE
            )
        if len(journal.messages) < MAX_ENTRIES:
            journal.messages.append(
                Message(
                    at=self._clock() - journal.started,
                    face=face,
                    incoming=incoming,
                    name=message.method if message.is_request else f"{message.status} {message.reason}".strip(),
                    far_tag=_tag(message, "To" if journal.outgoing else "From"),
                    with_sdp=message.content_type == "application/sdp" and bool(message.body),
                )
            )
        self._changed(journal)

    def event(self, call: Call, event: ims.Event) -> None:
        journal = self.running.get(call.key[0])
        if journal is None or len(journal.notes) >= MAX_ENTRIES or len(journal.statuses) >= MAX_ENTRIES:
            return
        at = self._clock() - journal.started
        match event:
            case ims.SecurityChanged(status=status, lost_protection=lost):
                journal.statuses.append((at, status))
                if status.dialog is not None:
                    journal.dialogs[status.dialog] = "took the call"
                if lost:
                    self._note(journal, at, event, "protection was taken off media that had it", serious=True)
            case ims.NegotiationFailed(error=error):
                self._note(journal, at, event, str(error), serious=True)
            case ims.PeerQuirk(quirk=quirk, detail=detail):
                self._note(journal, at, event, f"tolerated: {quirk.value} ({detail})")
            case ims.RekeyRequired(early=early):
                how = "in the early dialog" if early else "behind the ACK"
                self._note(journal, at, event, f"a fresh key is due, {how}")
            case ims.DialogRetired(how=how_exit):
                if event.dialog is not None:
                    journal.dialogs[event.dialog] = {
                        ims.DialogExit.FORGET: "did not take the call; its keys are gone",
                        ims.DialogExit.BYE: "was ended",
                        ims.DialogExit.ACK_BYE: "answered too late or badly; acknowledged and ended",
                    }[how_exit]
            case _:
                pass
        self._changed(journal)

    def call_ended(self, call: Call) -> None:
        journal = self.running.pop(call.key[0], None)
        if journal is not None:
            journal.ended = self._clock() - journal.started
            self._changed(journal)
            self._ended(journal)

    def _note(self, journal: CallJournal, at: float, event: ims.Event, text: str, *, serious: bool = False) -> None:
        journal.notes.append(Note(at=at, text=text, dialog=event.dialog, serious=serious))


def _tag(message: SipMessage, header: str) -> str:
    try:
        return tag_of(message, header)
    except MediaSecurityError:
        return ""
