"""The offer/answer exchange of one dialog, as a table (RFC 3264, RFC 6337).

Every transition is a row; an absent row is an error of whoever caused the input. The table does
not know who sent the INVITE.
"""

from __future__ import annotations

from imsmediasec.terms import Word


class ExchangeState(Word):
    STABLE = "stable"
    """No offer is open."""
    LOCAL_OFFER = "local-offer"
    """Ours is open: the other side owes an answer."""
    PROVISIONAL_ANSWER = "provisional-answer"
    """Ours is open; an unreliable 18x has previewed the answer (RFC 3261 13.2.1)."""
    REMOTE_OFFER = "remote-offer"
    """Theirs is open: we owe an answer."""


class ExchangeInput(Word):
    SEND_OFFER = "send-offer"
    RECEIVE_OFFER = "receive-offer"
    SEND_ANSWER = "send-answer"
    RECEIVE_PREVIEW = "receive-preview"
    """An answer in an unreliable provisional response."""
    RECEIVE_ANSWER = "receive-answer"
    REJECT = "reject"
    """The open offer was refused, withdrawn or lost: what was before it holds."""


_S, _I = ExchangeState, ExchangeInput

EXCHANGE_TABLE: dict[tuple[ExchangeState, ExchangeInput], ExchangeState] = {
    (_S.STABLE, _I.SEND_OFFER): _S.LOCAL_OFFER,
    (_S.STABLE, _I.RECEIVE_OFFER): _S.REMOTE_OFFER,
    (_S.LOCAL_OFFER, _I.RECEIVE_PREVIEW): _S.PROVISIONAL_ANSWER,
    (_S.LOCAL_OFFER, _I.RECEIVE_ANSWER): _S.STABLE,
    (_S.LOCAL_OFFER, _I.REJECT): _S.STABLE,
    (_S.PROVISIONAL_ANSWER, _I.RECEIVE_PREVIEW): _S.PROVISIONAL_ANSWER,
    (_S.PROVISIONAL_ANSWER, _I.RECEIVE_ANSWER): _S.STABLE,
    (_S.PROVISIONAL_ANSWER, _I.REJECT): _S.STABLE,
    (_S.REMOTE_OFFER, _I.SEND_ANSWER): _S.STABLE,
    (_S.REMOTE_OFFER, _I.REJECT): _S.STABLE,
}
