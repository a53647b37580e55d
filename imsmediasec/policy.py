"""`SecurityPolicy`: what the user wants protected, how, and what to do if it cannot be had (4.x.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from imsmediasec.errors import LocalError
from imsmediasec.suites import DEFAULT_PREFERENCE, SrtpSuite
from imsmediasec.terms import Forking, KeyManagement, OnFailure, OptionalForm, Requirement, Scope


class Quirk(Enum):
    """A known deviation of real peers. Each is refused unless the policy tolerates it, and then warned of."""

    UNPADDED_BASE64 = "unpadded-base64"
    """The key lacks its '=' padding (RFC 4568 6.1; rtpengine's default)."""
    LIFETIME_OUT_OF_RANGE = "lifetime-out-of-range"
    """A lifetime of 0 or above the suite's maximum (RFC 4568 6.1): the maximum is used."""
    TAG_RENUMBERED = "tag-renumbered"
    """The answer's tag was not offered, but exactly one offered line has its suite (RFC 4568 5.1.2)."""
    TAG_LEADING_ZERO = "tag-leading-zero"
    """The tag is written as 01 (RFC 4568 4.1)."""
    EMPTY_KEY_PARAMETER = "empty-key-parameter"
    """An empty parameter at the end of the key, such as a last '|' (RFC 4568 9.2)."""


STRICT: frozenset[Quirk] = frozenset()
TOLERANT: frozenset[Quirk] = frozenset(Quirk)


@dataclass(frozen=True, kw_only=True)
class SecurityPolicy:
    """The user's policy. Contradictions raise `LocalError` when it is made."""

    scope: tuple[Scope, ...] = (Scope.END_TO_END,)
    """Acceptable spans of protection, best first."""
    key_management: tuple[KeyManagement, ...] = (KeyManagement.SDES,)
    """Acceptable methods, best first. One method an offer (design: bid-down)."""
    requirement: Requirement = Requirement.REQUIRED
    requirement_by_media: Mapping[str, Requirement] = field(default_factory=dict)
    """Overrides by media type, such as ``{"video": Requirement.PREFERRED}``."""
    optional_form: OptionalForm = OptionalForm.OSRTP
    """How PREFERRED is offered."""
    forking: Forking = Forking.SECURE
    trusted_middle: tuple[str, ...] = ()
    """Identities of middle nodes that may hold keys (B2, B4)."""
    terminals: tuple[str, ...] = ()
    """Only these terminals may end the protection (4.1.1): authenticated identities, never Contacts. SDES cannot
    tell which terminal answers: with SDES alone this is refused, or with `on_exposed` WARN or ASK warned of."""
    suites: tuple[SrtpSuite, ...] = DEFAULT_PREFERENCE
    """Crypto suites to offer and to accept, best first."""
    tolerate: frozenset[Quirk] = frozenset({Quirk.UNPADDED_BASE64})
    """Deviations of the peer to live with: `STRICT`, `TOLERANT`, or some."""
    sdes_over_unprotected_signalling: bool = False
    """Let a=crypto go over a hop that nobody declared protected. The status then says so (RFC 4568 8.3)."""
    accept_unencrypted: bool = False
    """Accept UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP from the peer (RFC 4568 6.3)."""
    key_lifetime: int | None = None
    """Packets a key of ours may protect, written into the offer; None: the suite's maximum, unwritten."""
    mki_length: int | None = None
    """Octets of the MKI of our keys, 1 to 128; None: no MKI."""
    on_exposed: OnFailure = OnFailure.REFUSE
    """If B7 cannot be met (a re-key refused or lost): REFUSE ends the call, WARN goes on and says so."""
    on_caller_exposed: OnFailure = OnFailure.WARN
    """The same for a callee, whose caller alone can re-key: most phones never do, so the default is a warning."""
    on_unprotected: OnFailure = OnFailure.REFUSE
    """If a REQUIRED stream cannot be protected: REFUSE fails it, WARN goes on and says so, ASK holds the media back
    until the user has decided. With WARN and ASK protection is offered in the `optional_form`."""
    on_protection_lost: OnFailure = OnFailure.REFUSE
    """If the other side wants to take protection off a PREFERRED stream within a call."""
    emergency_numbers: tuple[str, ...] = ("112", "911")
    """User parts of a sip: or tel: URI that are emergency calls, besides ``urn:service:sos``."""

    def __post_init__(self) -> None:
        if not self.scope or not self.key_management or not self.suites:
            raise LocalError("policy: scope, key_management and suites need at least one entry each")
        for name, values in (("scope", self.scope), ("key_management", self.key_management), ("suites", self.suites)):
            if len(set(map(id, values))) != len(values):
                raise LocalError(f"policy: {name} names something twice")
        if self.trusted_middle and Scope.END_TO_MIDDLE_TO_END not in self.scope:
            raise LocalError("policy: trusted_middle names nodes, but scope does not list END_TO_MIDDLE_TO_END")
        if self.terminals and self.key_management == (KeyManagement.SDES,) and self.on_exposed is OnFailure.REFUSE:
            raise LocalError(
                "policy: terminals: SDES cannot tell which terminal answers; list mikey-ticket or dtls-srtp, "
                "or set on_exposed to a warning"
            )
        if self.mki_length is not None and not 1 <= self.mki_length <= 128:
            raise LocalError("policy: mki_length is 1 to 128 octets", clause="RFC 4568 6.1")
        if self.key_lifetime is not None and not 1 <= self.key_lifetime <= 2**31:
            # One value covers SRTP and SRTCP, whose limit is the smaller (RFC 3711 9.2).
            raise LocalError("policy: key_lifetime is 1 to 2^31 packets", clause="RFC 4568 6.1")

    def requirement_for(self, media_type: str) -> Requirement:
        """What holds for an m-line of this type ("audio", "video", …)."""
        requirement = self.requirement_by_media.get(media_type, self.requirement)
        if requirement is Requirement.REQUIRED and self.on_unprotected is not OnFailure.REFUSE:
            return Requirement.PREFERRED
        return requirement

    def asks_about(self, media_type: str) -> bool:
        """True if the user wants to be asked before an unprotected stream of this type is used."""
        required = self.requirement_by_media.get(media_type, self.requirement) is Requirement.REQUIRED
        return required and self.on_unprotected is OnFailure.ASK

    def is_emergency(self, target: str) -> bool:
        """True for ``urn:service:sos`` and its sub-services (RFC 5031), and the configured numbers."""
        uri = target.strip().strip("<>").lower()
        if uri == "urn:service:sos" or uri.startswith("urn:service:sos."):
            return True
        scheme, _, rest = uri.partition(":")
        user = rest.split("@")[0].split(";")[0]
        return scheme in ("sip", "sips", "tel") and user in map(str.lower, self.emergency_numbers)

    def for_emergency(self) -> SecurityPolicy:
        """The same policy as far as an emergency call bears it: protected if possible, never blocked."""
        return replace(
            self,
            scope=tuple(dict.fromkeys((*self.scope, Scope.END_TO_END))),
            requirement=Requirement.PREFERRED,
            requirement_by_media={},
            mki_length=None,
            forking=Forking.EXPOSED,
            on_exposed=OnFailure.WARN,
            on_caller_exposed=OnFailure.WARN,
            on_unprotected=OnFailure.WARN,
            on_protection_lost=OnFailure.WARN,
        )
