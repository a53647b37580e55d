"""The agreement within one registration, as tables (RFC 3329 2.3.1, TS 24.229 5.1.1).

Every transition is a row; an absent row is an error of whoever caused the input. Which headers go with
a request follows from the state, from whether there is a binding, and from the list known.
"""

from __future__ import annotations

from enum import Enum


class Round(Enum):
    """Where the present REGISTER stands."""

    IDLE = "idle"
    """None is under way, or it is the first."""
    CHALLENGED = "challenged"
    """401 or 407: the next one has Security-Client again, and Security-Verify."""
    VERIFYING = "verifying"
    """494: the next one has Security-Verify only."""
    PLAIN = "plain"
    """420: the network does not know the extension, and the policy lets it be."""


class RoundInput(Enum):
    CHALLENGE = "challenge"
    AGREEMENT_REQUIRED = "agreement-required"
    """494 or 421 with a list."""
    SUCCESS = "success"
    REFUSED = "refused"
    LOST = "lost"
    """No response at all."""
    UNSUPPORTED = "unsupported"
    """420 that names our option tag, before any list was known."""
    RESTART = "restart"


_R, _I = Round, RoundInput

ROUND_TABLE: dict[tuple[Round, RoundInput], Round] = {
    (_R.IDLE, _I.CHALLENGE): _R.CHALLENGED,
    (_R.IDLE, _I.AGREEMENT_REQUIRED): _R.VERIFYING,
    (_R.IDLE, _I.SUCCESS): _R.IDLE,
    (_R.IDLE, _I.REFUSED): _R.IDLE,
    (_R.IDLE, _I.LOST): _R.IDLE,
    (_R.IDLE, _I.UNSUPPORTED): _R.PLAIN,
    (_R.IDLE, _I.RESTART): _R.IDLE,
    (_R.CHALLENGED, _I.CHALLENGE): _R.CHALLENGED,
    (_R.CHALLENGED, _I.AGREEMENT_REQUIRED): _R.VERIFYING,
    (_R.CHALLENGED, _I.SUCCESS): _R.IDLE,
    (_R.CHALLENGED, _I.REFUSED): _R.IDLE,
    (_R.CHALLENGED, _I.LOST): _R.IDLE,
    (_R.CHALLENGED, _I.UNSUPPORTED): _R.PLAIN,
    (_R.CHALLENGED, _I.RESTART): _R.IDLE,
    (_R.VERIFYING, _I.CHALLENGE): _R.CHALLENGED,
    (_R.VERIFYING, _I.AGREEMENT_REQUIRED): _R.VERIFYING,
    (_R.VERIFYING, _I.SUCCESS): _R.IDLE,
    (_R.VERIFYING, _I.REFUSED): _R.IDLE,
    (_R.VERIFYING, _I.LOST): _R.IDLE,
    (_R.VERIFYING, _I.RESTART): _R.IDLE,
    (_R.PLAIN, _I.CHALLENGE): _R.PLAIN,
    (_R.PLAIN, _I.AGREEMENT_REQUIRED): _R.VERIFYING,
    (_R.PLAIN, _I.SUCCESS): _R.PLAIN,
    (_R.PLAIN, _I.REFUSED): _R.IDLE,
    (_R.PLAIN, _I.LOST): _R.IDLE,
    (_R.PLAIN, _I.RESTART): _R.IDLE,
}


class Binding(Enum):
    UNREGISTERED = "unregistered"
    REGISTERED = "registered"


class BindingInput(Enum):
    REGISTERED = "registered"
    REMOVED = "removed"
    """A 2xx that leaves no binding."""
    EXPIRED = "expired"
    RESTART = "restart"


_B, _J = Binding, BindingInput

BINDING_TABLE: dict[tuple[Binding, BindingInput], Binding] = {
    (_B.UNREGISTERED, _J.REGISTERED): _B.REGISTERED,
    (_B.UNREGISTERED, _J.REMOVED): _B.UNREGISTERED,
    (_B.UNREGISTERED, _J.RESTART): _B.UNREGISTERED,
    (_B.REGISTERED, _J.REGISTERED): _B.REGISTERED,
    (_B.REGISTERED, _J.REMOVED): _B.UNREGISTERED,
    (_B.REGISTERED, _J.EXPIRED): _B.UNREGISTERED,
    (_B.REGISTERED, _J.RESTART): _B.UNREGISTERED,
}
