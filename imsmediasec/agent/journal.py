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
from imsmediasec.sip import SipMessage, session_description

MAX_ENTRIES = 2000
"""Entries of each kind that a journal keeps; further ones are counted only. The newest status is always kept."""
MAX_TEXT = 300
_FATES = {
    ims.DialogExit.FORGET: "did not take the call; its keys are gone",
    ims.DialogExit.BYE: "was ended",
    ims.DialogExit.ACK_BYE: "answered too late or badly; acknowledged and ended",
}


def shown(text: str) -> str:
    """Text from the other side as it may be shown: one line, nothing that steers a terminal or turns the writing
    direction, not endless."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: MAX_TEXT + 1])
    return clean if len(clean) <= MAX_TEXT else clean[:MAX_TEXT] + "…"


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
    lost_protection: bool = False
    """Media that had been protected went on in clear, or was to."""
    left_out: int = 0
    """Entries beyond `MAX_ENTRIES`."""
    ended: float | None = None
    """Seconds since the call began."""

    @property
    def status(self) -> ims.SecurityStatus | None:
        """The newest status that speaks of media."""
        return next((s for _, s in reversed(self.statuses) if s.streams), None)


class JournalObserver(NoObserver):
    """Keeps a journal of every call that runs; hands it over when the call ends.

    `changed` is called after each entry with the journal, `ended` once at the end. Both in the agent's thread.
    An INVITE that makes no call (refused at once) leaves nothing behind.
    """

    def __init__(
        self,
        changed: Callable[[CallJournal], None] = lambda journal: None,
        ended: Callable[[CallJournal], None] = lambda journal: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.running: dict[tuple[str, str], CallJournal] = {}
        """By Call-ID and the caller's tag: whoever was called may use the Call-ID for a call of its own."""
        self._changed = changed
        self._ended = ended
        self._clock = clock
        self._invite: tuple[tuple[str, str], float, Face, SipMessage] | None = None
        """The newest INVITE without a call: if one is made of it, that follows at once."""

    def call_started(self, call: Call) -> None:
        journal = CallJournal(
            call_id=call.key[0],
            local=shown(call.negotiation.local_identity),
            remote=shown(call.remote_target),
            started=self._clock(),
            outgoing=call.side is ims.Side.UAC,
        )
        self.running[call.key] = journal
        invite, self._invite = self._invite, None
        if invite is not None and invite[0] == call.key:
            _, journal.started, face, message = invite
            self._message(journal, face, incoming=True, message=message)
        self._changed(journal)

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        call_id = message.get("Call-ID") or ""
        keys = [(call_id, _tag(message, name)) for name in ("From", "To")]
        journal = next((self.running[key] for key in keys if key in self.running), None)
        if journal is None:
            if message.is_request and message.method == "INVITE" and incoming:
                self._invite = (keys[0], self._clock(), face, message)
            return
        self._message(journal, face, incoming=incoming, message=message)
        self._changed(journal)

    def event(self, call: Call, event: ims.Event) -> None:
        journal = self.running.get(call.key)
        if journal is None:
            return
        at = self._clock() - journal.started
        match event:
            case ims.SecurityChanged(status=status, lost_protection=lost):
                if len(journal.statuses) == MAX_ENTRIES:
                    journal.statuses.pop()
                    journal.left_out += 1
                journal.statuses.append((at, status))
                if status.dialog is not None:
                    journal.dialogs[status.dialog] = "took the call"
                if lost:
                    journal.lost_protection = True
                    self._note(journal, at, event, "protection was taken off media that had it", serious=True)
            case ims.NegotiationFailed(error=error):
                self._note(journal, at, event, str(error), serious=True)
            case ims.PeerQuirk(quirk=quirk, detail=detail):
                self._note(journal, at, event, f"tolerated: {quirk.value} ({detail})")
            case ims.RekeyRequired(early=early):
                how = "in the early dialog" if early else "behind the ACK"
                self._note(journal, at, event, f"a fresh key is due, {how}")
            case ims.DialogRetired(dialog=str(dialog), how=how_exit):
                journal.dialogs[dialog] = _FATES[how_exit]
            case _:
                pass
        self._changed(journal)

    def call_ended(self, call: Call) -> None:
        journal = self.running.pop(call.key, None)
        if journal is not None:
            journal.ended = self._clock() - journal.started
            self._ended(journal)

    def _note(self, journal: CallJournal, at: float, event: ims.Event, text: str, *, serious: bool = False) -> None:
        if len(journal.notes) == MAX_ENTRIES:
            journal.left_out += 1
            return
        journal.notes.append(Note(at=at, text=shown(text), dialog=event.dialog, serious=serious))

    def _message(self, journal: CallJournal, face: Face, *, incoming: bool, message: SipMessage) -> None:
        if len(journal.messages) == MAX_ENTRIES:
            journal.left_out += 1
            return
        name = message.method if message.is_request else f"{message.status} {message.reason}".strip()
        journal.messages.append(
            Message(
                at=self._clock() - journal.started,
                face=face,
                incoming=incoming,
                name=shown(name),
                far_tag=_far_tag(face, incoming, message),
                with_sdp=_has_sdp(message),
            )
        )


def _far_tag(face: Face, incoming: bool, message: SipMessage) -> str:
    """The tag of the end behind the network; "" if it has none yet, or the header cannot be read."""
    from_far = (face is Face.NETWORK) == incoming
    return _tag(message, "From" if from_far == message.is_request else "To")


def _tag(message: SipMessage, name: str) -> str:
    try:
        return tag_of(message, name)
    except MediaSecurityError:
        return ""


def _has_sdp(message: SipMessage) -> bool:
    try:
        return session_description(message) is not None
    except MediaSecurityError:
        return False
