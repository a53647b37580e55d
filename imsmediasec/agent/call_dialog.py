"""What a call keeps of one of its dialogs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from imsmediasec.agent.endpoint import Endpoint
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.session_timer import SessionTimer
from imsmediasec.agent.sip_dialog import Face, SipDialog
from imsmediasec.sip import SipMessage


class OpenOffer(Enum):
    """Whose offer waits for an answer."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(kw_only=True, eq=False, repr=False)  # it holds SDP
class CallDialog:
    """What the call keeps of one of its dialogs. `id` is the far end's tag."""

    id: str
    sip: SipDialog | None = None
    open: OpenOffer | None = None
    invite_settled: bool = False
    """The INVITE's exchange is over in this dialog; what comes in its responses is a repetition."""
    invite_sdp: bytes | None = None
    """The SDP of the INVITE's response, as converted: 18x and 2xx repeat it (RFC 3261 13.2.1)."""
    ack: tuple[SipMessage, Endpoint] | None = None
    """Our last ACK of a 2xx, for when that comes again."""
    last_success: SipMessage | None = None
    own_ack: int | None = None
    """CSeq number of the caller's INVITE whose 2xx we acknowledged by ourselves: its ACK stays here."""
    acknowledged: bool = False
    busy: bool = False
    """An INVITE or UPDATE with an open offer runs in this dialog."""
    rekey_wanted: bool = False
    rekey_early: bool = False
    rekey_fresh: bool = False
    """Our own key has to change, whoever has seen it."""
    waiting: deque[tuple[Face, ServerTransaction]] = field(default_factory=deque)
    """Requests of the softphone that came during an exchange of our own."""
    timer: SessionTimer | None = None
    gone: bool = False
