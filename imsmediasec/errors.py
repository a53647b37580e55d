"""The error tree: who is at fault, and what to answer.

    MediaSecurityError
    ├── LocalError                 the caller used the library wrongly; no state has changed
    │   └── KeyLifetimeExhausted   a master key has protected all the packets it may (RFC 3711 9.2)
    ├── RemoteError                the other side is at fault
    │   ├── MalformedInput         the bytes break a grammar
    │   ├── PeerMisbehaved         well-formed, but it breaks a rule of the protocol
    │   ├── NoCommonSecurity       legal, but nothing that both sides can run or accept
    │   └── AuthenticationFailed   a tag, MAC, certificate or identity does not verify
    │       └── ReplayDetected     it verifies or would, but was seen before (RFC 3711 3.3.2)
    ├── KmsError                   the key management service refused, or cannot be reached
    └── DowngradeDetected          less protection than both sides could have had

Codecs raise `MalformedInput`. In the state machines a fault on the wire is always the event
`NegotiationFailed`, a misuse by the caller always a raised `LocalError`, never both.
Messages never hold key material: they name the clause, the place and the kind of fault.
"""

from __future__ import annotations


class MediaSecurityError(Exception):
    """Base of all that this library raises.

    `reason`: what is wrong, in one sentence. `clause`: where that is written, such as
    ``"RFC 4568 6.1"``, or "". `sip_status_hint`: the SIP status to answer with, or None.
    """

    default_status: int | None = None

    def __init__(self, reason: str, *, clause: str = "", sip_status_hint: int | None = None) -> None:
        super().__init__(f"{reason} ({clause})" if clause else reason)
        self.reason = reason
        self.clause = clause
        self.sip_status_hint = self.default_status if sip_status_hint is None else sip_status_hint


class LocalError(MediaSecurityError):
    """The caller asked for something that is not possible now; nothing has changed."""


class KeyLifetimeExhausted(LocalError):
    """No packet may be protected or accepted any more with this master key (RFC 3711 9.2)."""


class RemoteError(MediaSecurityError):
    """What came from the other side cannot be used."""

    default_status = 488


class MalformedInput(RemoteError):
    """The input breaks a grammar. `offset`: octet or character where, counted from 0, or None."""

    default_status = 400

    def __init__(
        self,
        reason: str,
        *,
        clause: str = "",
        offset: int | None = None,
        sip_status_hint: int | None = None,
    ) -> None:
        place = "" if offset is None else f" at offset {offset}"
        super().__init__(reason + place, clause=clause, sip_status_hint=sip_status_hint)
        self.offset = offset


class PeerMisbehaved(RemoteError):
    """Well-formed input that breaks a rule of the protocol, such as an answer nobody offered."""


class NoCommonSecurity(RemoteError):
    """The other side is within its rights, but no protection suits both sides and the policy."""


class AuthenticationFailed(RemoteError):
    """A tag, MAC, certificate or identity does not verify. The input must not be used."""

    default_status = 403


class ReplayDetected(AuthenticationFailed):
    """This packet or message was seen before, or is too old to tell."""


class KmsError(MediaSecurityError):
    """The key management service refused or did not answer in time."""

    default_status = 500


class DowngradeDetected(MediaSecurityError):
    """Somebody removed protection that both sides could have had."""

    default_status = 488
