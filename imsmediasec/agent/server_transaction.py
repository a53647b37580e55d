"""Server transactions (RFC 3261 17.2, RFC 6026 7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imsmediasec.agent.transaction import Transaction, classify
from imsmediasec.agent.transaction_tables import (
    INVITE_SERVER,
    INVITE_SERVER_TIMERS,
    NON_INVITE_SERVER,
    NON_INVITE_SERVER_TIMERS,
    Input,
    State,
)
from imsmediasec.errors import LocalError
from imsmediasec.sip import SipMessage

FailureUser = Callable[["ServerTransaction", int], None]
"""Called with 503 if a response cannot be sent, or 408 if no ACK came for a failure response."""


class ServerTransaction(Transaction):
    """One request received, and the responses to it.

    `request` is what came, with `received` and `rport` filled in. `on_failure` may be set at any time.
    """

    def __init__(self, *, on_ack: Callable[[SipMessage, ServerTransaction], None], **common: Any) -> None:
        self.on_failure: FailureUser | None = None
        self.last_response: SipMessage | None = None
        self._on_ack = on_ack
        super().__init__(**common)

    def respond(self, response: SipMessage) -> bool:
        """Send a response; retransmissions are this object's from then on.

        A 2xx to an INVITE is not repeated here: give each repetition and the 2xx of other forks to
        `respond` again (RFC 6026 7.1). False, and nothing is sent, if the transaction is past that
        response, such as a provisional one after a final one. `LocalError` for a request.
        """
        if response.is_request:
            raise LocalError("respond needs a response")
        return self.handle(classify(response.status), response)

    def reject(self, status: int, reason: str | None = None, *, to_tag: str | None = None) -> bool:
        """Respond with no more than a status."""
        return self.respond(SipMessage.response_to(self.request, status, reason, to_tag=to_tag))

    def _send(self, what: Input, message: SipMessage | None) -> None:
        assert message is not None
        self.last_response = message
        timer = self._running.pop(Input.TIMER_TRYING, None)
        if timer is not None:
            timer[0].cancel()
        self._transmit(bytes(message))

    def _send_trying(self, what: Input, message: SipMessage | None) -> None:
        self._send(what, SipMessage.response_to(self.request, 100))

    def _resend(self, what: Input, message: SipMessage | None) -> None:
        if self.last_response is not None:
            self._transmit(bytes(self.last_response))

    def _pass_ack(self, what: Input, message: SipMessage | None) -> None:
        assert message is not None
        self._on_ack(message, self)

    def _time_out(self, what: Input, message: SipMessage | None) -> None:
        self._report(408)

    def _unreachable(self, what: Input, message: SipMessage | None) -> None:
        self._report(503)

    def _report(self, status: int) -> None:
        if self.on_failure is not None:
            self.on_failure(self, status)


class InviteServerTransaction(ServerTransaction):
    """RFC 3261 17.2.1 with RFC 6026 7.1. A 100 goes out by itself after 200 ms without a response."""

    initial, table, state_timers = State.PROCEEDING, INVITE_SERVER, INVITE_SERVER_TIMERS


class NonInviteServerTransaction(ServerTransaction):
    """RFC 3261 17.2.2."""

    initial, table, state_timers = State.TRYING, NON_INVITE_SERVER, NON_INVITE_SERVER_TIMERS
