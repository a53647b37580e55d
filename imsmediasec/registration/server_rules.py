"""What the edge answers to a request, as a table (RFC 3329 2.3.1, 2.3.2; in a REGISTER TS 24.229 5.2.2)."""

from __future__ import annotations

from enum import Enum


class Seen(Enum):
    """What a request shows of the agreement."""

    NOTHING = "nothing"
    SUPPORTED = "supported"
    """The option tag in Supported only."""
    ASKED = "asked"
    """The option tag in Require or Proxy-Require, but neither list."""
    OFFER = "offer"
    """Security-Client without credentials: the first round."""
    UNVERIFIED = "unverified"
    """Security-Client with credentials, and no Security-Verify."""
    VERIFIED = "verified"
    """Security-Verify mirrors our list."""
    MISMATCH = "mismatch"
    """Security-Verify is something else."""


class Rule(Enum):
    PASS = "pass"
    EXTENSION_REQUIRED = 421
    AGREEMENT_REQUIRED = 494


_S = Seen

SERVER_TABLE: dict[tuple[bool, Seen, bool], Rule] = {
    # (REGISTER, what is seen, whether the agreement is demanded)
    (True, _S.NOTHING, False): Rule.PASS,
    (True, _S.NOTHING, True): Rule.EXTENSION_REQUIRED,
    (True, _S.SUPPORTED, False): Rule.PASS,
    (True, _S.SUPPORTED, True): Rule.AGREEMENT_REQUIRED,
    (True, _S.ASKED, False): Rule.AGREEMENT_REQUIRED,
    (True, _S.ASKED, True): Rule.AGREEMENT_REQUIRED,
    # The list goes with the challenge of the registrar, in place of a 494.
    (True, _S.OFFER, False): Rule.PASS,
    (True, _S.OFFER, True): Rule.PASS,
    (True, _S.UNVERIFIED, False): Rule.AGREEMENT_REQUIRED,
    (True, _S.UNVERIFIED, True): Rule.AGREEMENT_REQUIRED,
    (True, _S.VERIFIED, False): Rule.PASS,
    (True, _S.VERIFIED, True): Rule.PASS,
    (True, _S.MISMATCH, False): Rule.AGREEMENT_REQUIRED,
    (True, _S.MISMATCH, True): Rule.AGREEMENT_REQUIRED,
    (False, _S.NOTHING, False): Rule.PASS,
    (False, _S.NOTHING, True): Rule.EXTENSION_REQUIRED,
    (False, _S.SUPPORTED, False): Rule.PASS,
    (False, _S.SUPPORTED, True): Rule.AGREEMENT_REQUIRED,
    (False, _S.ASKED, False): Rule.AGREEMENT_REQUIRED,
    (False, _S.ASKED, True): Rule.AGREEMENT_REQUIRED,
    (False, _S.OFFER, False): Rule.AGREEMENT_REQUIRED,
    (False, _S.OFFER, True): Rule.AGREEMENT_REQUIRED,
    (False, _S.UNVERIFIED, False): Rule.AGREEMENT_REQUIRED,
    (False, _S.UNVERIFIED, True): Rule.AGREEMENT_REQUIRED,
    (False, _S.VERIFIED, False): Rule.PASS,
    (False, _S.VERIFIED, True): Rule.PASS,
    (False, _S.MISMATCH, False): Rule.AGREEMENT_REQUIRED,
    (False, _S.MISMATCH, True): Rule.AGREEMENT_REQUIRED,
}
