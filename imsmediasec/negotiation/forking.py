"""Secure forking (B7) for SDES, as a table: what became, in one dialog, of the key that stood in the INVITE.

The offerer of the INVITE cannot know which terminals its INVITE reached, so its key counts as
held by all of them (RFC 4568 7.3) until a fresh one has gone to this dialog alone. Both ends
run the same table: the caller about its own key, the callee about the caller's.

An absent row is an error. formal/ForkTable.tla is generated from this table, and the model checker
searches it for a way around the rules.
"""

from __future__ import annotations

from imsmediasec.terms import ForkState, Gate, Side, Word


class ForkPhase(Word):
    """EARLY: the dialog has not taken the call. LIVE: it has. SHARED: the INVITE's key is in use."""

    EARLY_SHARED = "early-shared"
    EARLY_REKEYING = "early-rekeying"
    """A fresh key of the caller's is on its way to this dialog; not in use yet."""
    EARLY_PRIVATE = "early-private"
    LIVE_SHARED = "live-shared"
    LIVE_REKEYING = "live-rekeying"
    LIVE_PRIVATE = "live-private"
    """Only the terminal that took the call has the keys."""
    RETIRED = "retired"


class ForkInput(Word):
    FRESH_KEY_OFFERED = "fresh-key-offered"
    """The caller's fresh key is in an offer in this dialog."""
    FRESH_KEY_AGREED = "fresh-key-agreed"
    """That offer was answered, or the fresh key stood in an answer."""
    INVITE_KEY_AGREED = "invite-key-agreed"
    """A completed exchange put a key from the INVITE (back) into use."""
    REKEY_FAILED = "rekey-failed"
    TAKES_CALL = "takes-call"
    """The 2xx to the INVITE, the first of all dialogs."""
    LOSES = "loses"
    """Another dialog took the call."""
    ENDS = "ends"


_P, _I = ForkPhase, ForkInput

FORK_TABLE: dict[tuple[ForkPhase, ForkInput], ForkPhase] = {
    (_P.EARLY_SHARED, _I.FRESH_KEY_OFFERED): _P.EARLY_REKEYING,
    (_P.EARLY_SHARED, _I.FRESH_KEY_AGREED): _P.EARLY_PRIVATE,
    (_P.EARLY_SHARED, _I.INVITE_KEY_AGREED): _P.EARLY_SHARED,
    (_P.EARLY_SHARED, _I.TAKES_CALL): _P.LIVE_SHARED,
    (_P.EARLY_SHARED, _I.LOSES): _P.RETIRED,
    (_P.EARLY_SHARED, _I.ENDS): _P.RETIRED,
    (_P.EARLY_REKEYING, _I.FRESH_KEY_AGREED): _P.EARLY_PRIVATE,
    (_P.EARLY_REKEYING, _I.INVITE_KEY_AGREED): _P.EARLY_SHARED,
    (_P.EARLY_REKEYING, _I.REKEY_FAILED): _P.EARLY_SHARED,
    (_P.EARLY_REKEYING, _I.TAKES_CALL): _P.LIVE_REKEYING,
    (_P.EARLY_REKEYING, _I.LOSES): _P.RETIRED,
    (_P.EARLY_REKEYING, _I.ENDS): _P.RETIRED,
    (_P.EARLY_PRIVATE, _I.FRESH_KEY_OFFERED): _P.EARLY_PRIVATE,
    (_P.EARLY_PRIVATE, _I.FRESH_KEY_AGREED): _P.EARLY_PRIVATE,
    (_P.EARLY_PRIVATE, _I.INVITE_KEY_AGREED): _P.EARLY_SHARED,
    (_P.EARLY_PRIVATE, _I.REKEY_FAILED): _P.EARLY_PRIVATE,
    (_P.EARLY_PRIVATE, _I.TAKES_CALL): _P.LIVE_PRIVATE,
    (_P.EARLY_PRIVATE, _I.LOSES): _P.RETIRED,
    (_P.EARLY_PRIVATE, _I.ENDS): _P.RETIRED,
    (_P.LIVE_SHARED, _I.FRESH_KEY_OFFERED): _P.LIVE_REKEYING,
    (_P.LIVE_SHARED, _I.FRESH_KEY_AGREED): _P.LIVE_PRIVATE,
    (_P.LIVE_SHARED, _I.INVITE_KEY_AGREED): _P.LIVE_SHARED,
    (_P.LIVE_SHARED, _I.ENDS): _P.RETIRED,
    (_P.LIVE_REKEYING, _I.FRESH_KEY_AGREED): _P.LIVE_PRIVATE,
    (_P.LIVE_REKEYING, _I.INVITE_KEY_AGREED): _P.LIVE_SHARED,
    (_P.LIVE_REKEYING, _I.REKEY_FAILED): _P.LIVE_SHARED,
    (_P.LIVE_REKEYING, _I.ENDS): _P.RETIRED,
    (_P.LIVE_PRIVATE, _I.FRESH_KEY_OFFERED): _P.LIVE_PRIVATE,
    (_P.LIVE_PRIVATE, _I.FRESH_KEY_AGREED): _P.LIVE_PRIVATE,
    (_P.LIVE_PRIVATE, _I.INVITE_KEY_AGREED): _P.LIVE_SHARED,
    (_P.LIVE_PRIVATE, _I.REKEY_FAILED): _P.LIVE_PRIVATE,
    (_P.LIVE_PRIVATE, _I.ENDS): _P.RETIRED,
    (_P.RETIRED, _I.LOSES): _P.RETIRED,
    (_P.RETIRED, _I.ENDS): _P.RETIRED,
}

SHARED = frozenset({_P.EARLY_SHARED, _P.LIVE_SHARED, _P.EARLY_REKEYING, _P.LIVE_REKEYING})
"""The key from the INVITE is still the one in use."""
REKEYING = frozenset({_P.EARLY_REKEYING, _P.LIVE_REKEYING})
LIVE = frozenset({_P.LIVE_SHARED, _P.LIVE_REKEYING, _P.LIVE_PRIVATE})


def gate_of(phase: ForkPhase, side: Side) -> Gate:
    """What may be sent. The caller waits for a private key in the dialog that took the call; the
    callee's own key has gone to the caller only, whatever the INVITE did."""
    if side is Side.UAS:
        return Gate.KEEPALIVE_ONLY if phase is ForkPhase.RETIRED else Gate.OPEN
    return Gate.OPEN if phase is ForkPhase.LIVE_PRIVATE else Gate.KEEPALIVE_ONLY


def fork_state_of(phase: ForkPhase, side: Side) -> ForkState:
    """How far B7 is met in this dialog, as seen from `side`."""
    if phase is ForkPhase.LIVE_PRIVATE:
        return ForkState.CONFIRMED
    if side is Side.UAS or phase in (ForkPhase.EARLY_PRIVATE, ForkPhase.RETIRED):
        return ForkState.UNKNOWN
    if phase in (ForkPhase.EARLY_REKEYING, ForkPhase.LIVE_REKEYING):
        return ForkState.REKEYING
    return ForkState.EXPOSED
