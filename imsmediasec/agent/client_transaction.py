"""Client transactions (RFC 3261 17.1, RFC 6026 7.2), the ACK of 17.1.1.3 and the CANCEL of 9.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from imsmediasec.agent.transaction import Transaction, classify
from imsmediasec.agent.transaction_tables import (
    INVITE_CLIENT,
    INVITE_CLIENT_TIMERS,
    NON_INVITE_CLIENT,
    NON_INVITE_CLIENT_TIMERS,
    Input,
    State,
)
from imsmediasec.sip import CSeq, SipMessage

ResponseUser = Callable[["ClientTransaction", SipMessage, bool], None]
"""Called with each response, the topmost Via (this layer's own) taken off, and whether it was made
here: 408 after a time-out, 503 when nothing can be sent (RFC 3261 8.1.3.1)."""


class ClientTransaction(Transaction):
    """One request sent, and its responses: several with different To tags if it forks.

    `request` is what goes over the wire, with this layer's Via on top.
    """

    def __init__(
        self, *, on_response: ResponseUser, cancel: Callable[[ClientTransaction], None], **common: Any
    ) -> None:
        self._octets = bytes(common["request"])
        self._on_response = on_response
        self._cancel_now = cancel
        self._cancel = "no"  # no, waiting (for a 1xx), sent
        self.successor: ClientTransaction | None = None
        """The one that sends the request again, after a response that asked for that."""
        super().__init__(**common)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called in time to matter."""
        return self._cancel != "no"

    def start(self) -> None:
        """Send the request. Once, by the layer, when it can match the responses."""
        self._transmit(self._octets)

    def receive(self, response: SipMessage) -> None:
        """Take in a response that matches."""
        self.handle(classify(response.status), response)

    def cancel(self) -> bool:
        """Send a CANCEL, now or with the first provisional response (RFC 3261 9.1).

        False if it makes no sense any more: a final response came, it was cancelled before, or the
        method is not INVITE. After 64*T1 without a final response the user gets a 408 made here.
        """
        if self.successor is not None:
            return self.successor.cancel()
        if self.method != "INVITE" or self.cancelled or self.state not in (State.CALLING, State.PROCEEDING):
            return False
        self._cancel = "waiting"
        if self.state is State.PROCEEDING:
            self._send_waiting_cancel(Input.PROVISIONAL, None)
        return True

    def related_request(self, method: str, to: str | None = None) -> SipMessage:
        """The ACK of a failure (17.1.1.3) or the CANCEL (9.1) that belongs to this INVITE."""
        sent = self.request
        number = CSeq.parse(sent.get("CSeq") or "").number
        headers = [("Via", sent.get_list("Via")[0])]
        headers += [("Route", route) for route in sent.get_all("Route")]
        headers += [(name, sent.get(name) or "") for name in ("From", "Call-ID")]
        headers += [("To", to or sent.get("To") or ""), ("CSeq", f"{number} {method}"), ("Max-Forwards", "70")]
        return SipMessage.request(method, sent.uri, headers)

    def _resend(self, what: Input, message: SipMessage | None) -> None:
        self._transmit(self._octets)

    def _deliver(self, what: Input, message: SipMessage | None) -> None:
        assert message is not None
        response = message.copy()
        response.remove_item("Via")
        self._on_response(self, response, False)

    def _acknowledge(self, what: Input, message: SipMessage | None) -> None:
        assert message is not None
        self._transmit(bytes(self.related_request("ACK", message.get("To"))))

    def _send_waiting_cancel(self, what: Input, message: SipMessage | None) -> None:
        if self._cancel == "waiting":
            self._cancel = "sent"
            self._start(Input.TIMER_CANCEL, 64 * self._timers.t1)
            self._cancel_now(self)

    def _time_out(self, what: Input, message: SipMessage | None) -> None:
        self._make_response(408)

    def _unreachable(self, what: Input, message: SipMessage | None) -> None:
        self._make_response(503)

    def _make_response(self, status: int) -> None:
        response = SipMessage.response_to(self.request, status)
        response.remove_item("Via")
        self._on_response(self, response, True)


class InviteClientTransaction(ClientTransaction):
    """RFC 3261 17.1.1 with RFC 6026 7.2."""

    initial, table, state_timers = State.CALLING, INVITE_CLIENT, INVITE_CLIENT_TIMERS


class NonInviteClientTransaction(ClientTransaction):
    """RFC 3261 17.1.2."""

    initial, table, state_timers = State.TRYING, NON_INVITE_CLIENT, NON_INVITE_CLIENT_TIMERS
