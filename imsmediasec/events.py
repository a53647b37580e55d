"""What `Negotiation` reports. Drain with `next_event()` after every call."""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.errors import MediaSecurityError
from imsmediasec.keys import SrtpKeys
from imsmediasec.policy import Quirk
from imsmediasec.records import quick_init
from imsmediasec.status import SecurityStatus
from imsmediasec.terms import DialogExit, Direction, Gate, KeyManagement


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Base of all events. `dialog` names the SIP dialog; None is the INVITE itself."""

    dialog: str | None


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeysReady(Event):
    """Use these keys from now on. For RECEIVE, keys installed before stay valid until `KeysRetired`."""

    index: int
    """Index of the m-line, from 0."""
    mid: str | None
    direction: Direction
    keys: SrtpKeys


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KeysRetired(Event):
    """Forget these keys; nothing sent with them will come, or is accepted, any more."""

    index: int
    mid: str | None
    direction: Direction
    keys: SrtpKeys


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class MediaGate(Event):
    """What may be sent on this stream in this dialog, from now on."""

    index: int
    gate: Gate


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRemoved(Event):
    """The m-line was refused or taken out of use (port 0)."""

    index: int


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferPossible(Event):
    """`create_offer` for this dialog will not need to wait for anybody."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPossible(Event):
    """`create_answer` for this dialog will not need to wait for anybody."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class RekeyRequired(Event):
    """Send an offer of our own in this dialog: an UPDATE if `early`, else a re-INVITE or UPDATE."""

    early: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class DialogRetired(Event):
    """The call does not use this dialog (any more); end it as `how` says."""

    how: DialogExit


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class RetryWith(Event):
    """Send a new INVITE with the next method that the policy lists."""

    key_management: KeyManagement


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class PeerQuirk(Event):
    """The peer deviates from a rule, and the policy tolerates it."""

    index: int
    quirk: Quirk
    detail: str


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityChanged(Event):
    """Show this to the user (B9). `lost_protection`: something that was protected no longer is."""

    status: SecurityStatus
    lost_protection: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class NegotiationFailed(Event):
    """What the other side sent, or did not send, cannot be accepted. The state before it holds."""

    error: MediaSecurityError
