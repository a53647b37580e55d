"""What somebody outside may want to see of an agent at work: SIP messages, status, the end of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import imsmediasec as ims
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage

if TYPE_CHECKING:
    from imsmediasec.agent.call import Call


class Observer(Protocol):
    """Called in the event loop's thread. Must not block. Messages hold keys: redact before showing."""

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        """A message came in or goes out."""

    def call_started(self, call: Call) -> None: ...

    def event(self, call: Call, event: ims.Event) -> None:
        """`SecurityChanged`, `NegotiationFailed`, `PeerQuirk`, `DialogRetired`, …"""

    def call_ended(self, call: Call) -> None: ...


class NoObserver:
    """Nobody looks."""

    def sip(self, face: Face, *, incoming: bool, message: SipMessage) -> None:
        pass

    def call_started(self, call: Call) -> None:
        pass

    def event(self, call: Call, event: ims.Event) -> None:
        pass

    def call_ended(self, call: Call) -> None:
        pass
