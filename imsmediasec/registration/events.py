"""What `Registration` reports. Drain with `next_event()` after every call."""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.errors import MediaSecurityError
from imsmediasec.sip.security_agreement import MediaMechanism, SecurityMechanism


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationStatus:
    """What holds between the terminal and the edge, as of now (A5, A6)."""

    registered: bool
    expires_at: float | None
    """Unix seconds; None while not registered."""
    mechanisms: tuple[MediaMechanism, ...]
    """What both sides announced, in our order: each may protect media to the access edge."""
    server_mechanisms: tuple[SecurityMechanism, ...]
    """The last list of the network, whole: what Security-Verify mirrors."""
    verified: bool
    """The network took a Security-Verify of this list, so nobody changed the list on its way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationChanged:
    """The registration, or what was agreed with it, is another now."""

    status: RegistrationStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryRequest:
    """Send the request again as a new one, with these headers in place of those that came from here.

    Accept-Contact stays as it was. After 401 and 407 the credentials are added by who holds them.
    """

    method: str
    status: int
    """The response that asks for it."""
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationFailed:
    """A response cannot be accepted, or refuses. What held before still holds; nothing is tried again by itself.

    After a 2xx that agrees on nothing though the policy needs it, the binding is there nevertheless.
    """

    error: MediaSecurityError
    method: str
    status: int
    """Of the response."""


RegistrationEvent = RegistrationChanged | RetryRequest | RegistrationFailed
