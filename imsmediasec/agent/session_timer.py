"""The session timer of a dialog, as far as the agent's own requests touch it (RFC 4028).

A re-INVITE or UPDATE without Session-Expires would switch off the timer that the two ends have agreed.
"""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import SipMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionTimer:
    """What the last 2xx to an INVITE or UPDATE said."""

    interval: str
    """Seconds."""
    refresher: Face
    """Behind which face the side is that refreshes."""

    @classmethod
    def agreed(cls, response: SipMessage, asker: Face) -> SessionTimer | None:
        """From a 2xx to a request of the side behind `asker`; None: there is no timer (any more)."""
        interval, *parameters = (response.get("Session-Expires") or "").replace(" ", "").split(";")
        if not (interval.isascii() and interval.isdigit()):
            return None
        refreshes = next((p.partition("=")[2].lower() for p in parameters if p.lower().startswith("refresher=")), "uac")
        return cls(interval=interval, refresher=asker if refreshes == "uac" else asker.other)

    def header(self, asker: Face) -> tuple[str, str]:
        """The header for a request from the side behind `asker`, or the response to it."""
        return "Session-Expires", f"{self.interval};refresher={'uac' if self.refresher is asker else 'uas'}"
