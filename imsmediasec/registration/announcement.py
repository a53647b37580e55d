"""`Announcement`: what a terminal says in Security-Client, and which extensions it requires for it."""

from __future__ import annotations

from collections.abc import Sequence

from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.registration.profile import AgreementProfile
from imsmediasec.sip.security_agreement import MediaMechanism, SecurityMechanism
from imsmediasec.terms import KeyManagement, Requirement, Scope

_MECHANISM_OF = {
    KeyManagement.SDES: MediaMechanism.SDES_SRTP,
    KeyManagement.DTLS_SRTP: MediaMechanism.DTLS_SRTP,
}


class Announcement:
    """Security-Client of one terminal.

    `mechanisms` None: what the policy's key management says, for RTP only. Raises LocalError: mechanisms
    that the policy does not allow to the access edge. To announce is to consent that the edge ends the
    protection (TS 33.328, as restated).
    """

    def __init__(
        self,
        policy: SecurityPolicy,
        *,
        profile: AgreementProfile,
        mechanisms: Sequence[MediaMechanism] | None,
        signalling_mechanisms: Sequence[SecurityMechanism],
    ) -> None:
        edge = Scope.END_TO_ACCESS_EDGE in policy.scope and policy.requirement is not Requirement.DISABLED
        if mechanisms is None:
            mechanisms = [_MECHANISM_OF[m] for m in policy.key_management if edge and m in _MECHANISM_OF]
        if mechanisms and not edge:
            raise LocalError("mechanisms: the policy does not let the access edge end the protection")
        only_edge = {*policy.scope} == {Scope.END_TO_ACCESS_EDGE}
        self.needed = only_edge and policy.requirement is Requirement.REQUIRED
        """Whether without any agreed mechanism the policy cannot be met."""
        self.profile = profile
        self.mechanisms = tuple(dict.fromkeys(mechanisms))
        self.signalling: tuple[SecurityMechanism, ...] = ()
        self.set_signalling(signalling_mechanisms)

    def set_signalling(self, entries: Sequence[SecurityMechanism]) -> None:
        """The entries for signalling. Raises LocalError for one with mediasec, q, or of the mechanism digest."""
        for entry in entries:
            if entry.mediasec or entry.q is not None:
                raise LocalError("an entry for signalling has neither mediasec nor q here", clause="RFC 3329 2.3.1")
            if entry.name.lower() == "digest":
                raise LocalError("d-ver of the mechanism digest is not supported", clause="RFC 3329 2.2")
        self.signalling = tuple(entries)

    @property
    def client(self) -> tuple[SecurityMechanism, ...]:
        """The entries of Security-Client; none if there is nothing to announce."""
        media = (f"{mechanism.value};mediasec" for mechanism in self.mechanisms)
        return (*self.signalling, *map(SecurityMechanism.parse, media))

    @property
    def option_tags(self) -> tuple[str, ...]:
        """For Require and Proxy-Require."""
        return self.profile.option_tags(signalling=bool(self.signalling))
