"""How a network wants the agreement asked for: TS 24.229 with sec-agree, or carriers with mediasec."""

from __future__ import annotations

from dataclasses import dataclass

SEC_AGREE = "sec-agree"
"""Option tag of RFC 3329."""
MEDIASEC = "mediasec"
"""Option tag of draft-dawes-sipcore-mediasec-parameter, as carriers use it; never an RFC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementProfile:
    """What differs between networks. Nothing else in the machines asks which network it is."""

    name: str
    option_tag: str
    """In Require and Proxy-Require wherever Security-Client or Security-Verify stands."""
    client_on_renewal: bool = True
    """Security-Client in the first REGISTER of a renewal, beside Security-Verify (recalled, not verified)."""

    def option_tags(self, *, signalling: bool) -> tuple[str, ...]:
        """The tags to send; sec-agree too if mechanisms for `signalling` are in the list."""
        return tuple(dict.fromkeys((*((SEC_AGREE,) if signalling else ()), self.option_tag)))


THREE_GPP = AgreementProfile(name="3gpp", option_tag=SEC_AGREE)
CARRIER = AgreementProfile(name="carrier", option_tag=MEDIASEC)
