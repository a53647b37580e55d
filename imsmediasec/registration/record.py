"""`RegistrationRecord`: what the network keeps of a registration (A6, B10)."""

from __future__ import annotations

from dataclasses import dataclass, field

from imsmediasec.registration.capabilities import EndToEndCapabilities, EndToEndPreferences
from imsmediasec.sip.security_agreement import MediaMechanism


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationRecord:
    """One terminal of one address of record."""

    aor: str
    """URI of To, as written."""
    contact: str
    """URI of Contact; "*" with `expires_at` in the past: all terminals of this address are gone."""
    terminal: str = ""
    """``+sip.instance``, which outlives the Contact (RFC 5626); "" if there is none. A claim, no proof."""
    mechanisms: tuple[MediaMechanism, ...] = ()
    """What terminal and edge both announced: each may protect media between them."""
    capabilities: EndToEndCapabilities = field(default_factory=EndToEndCapabilities)
    preferences: EndToEndPreferences = field(default_factory=EndToEndPreferences)
    expires_at: float
    """Unix seconds."""

    def active(self, now: float) -> bool:
        """Whether the binding has not expired or been removed."""
        return now < self.expires_at

    @property
    def middle_accepted(self) -> bool:
        """Whether middle nodes may be given keys of this terminal's media (e2m2e)."""
        return self.preferences.middle_accepted
