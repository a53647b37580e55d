"""`TransactionLayer`: matches messages to transactions and makes new ones (RFC 3261 17.1.3, 17.2.3).

Made for a proxy: it puts its own Via on requests and takes it off responses, lets 2xx and their
ACKs pass end to end, and gives all forks of an INVITE to one client transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from imsmediasec.agent.client_transaction import (
    ClientTransaction,
    InviteClientTransaction,
    NonInviteClientTransaction,
    ResponseUser,
)
from imsmediasec.agent.endpoint import Endpoint, Transport, response_endpoint
from imsmediasec.agent.server_transaction import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
)
from imsmediasec.agent.transaction import Clock, Key, Transaction
from imsmediasec.agent.transaction_tables import Input, State, Timers
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import CSeq, NameAddr, Parameters, SipMessage, Via, check
from imsmediasec.sip.headers import MAGIC_COOKIE

MAX_SERVER_TRANSACTIONS = 10_000
"""More at once are answered 503."""


class TransactionUser(Protocol):
    """What stands on top: the proxy core. All calls come from the event loop's thread."""

    def request_received(self, transaction: ServerTransaction, source: Endpoint) -> None:
        """A new request other than ACK and CANCEL. Answer with `transaction.respond`."""

    def cancel_received(self, transaction: ServerTransaction) -> None:
        """The INVITE of `transaction` is cancelled and has no final response yet. The CANCEL is answered."""

    def ack_received(self, ack: SipMessage, source: Endpoint) -> None:
        """The ACK of a 2xx (or of nothing known here): pass it on with `send_ack`, or drop it."""

    def stray_response(self, response: SipMessage, source: Endpoint) -> None:
        """A response that matches no transaction, all Vias in place."""


class TransactionLayer:
    """All transactions over one transport. Give it each message received with `receive`."""

    def __init__(
        self,
        *,
        transport: Transport,
        user: TransactionUser,
        clock: Clock,
        timers: Timers | None = None,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._transport = transport
        self._user = user
        self._clock = clock
        self._timers = timers or Timers()
        self._token = token
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}

    @property
    def active(self) -> int:
        """How many transactions are alive."""
        return len(self._clients) + len(self._servers)

    def stop(self) -> None:
        """End all transactions: no timer runs on, and nobody is told."""
        for transaction in [*self._clients.values(), *self._servers.values()]:
            transaction.stop()

    def send_request(self, request: SipMessage, destination: Endpoint, on_response: ResponseUser) -> ClientTransaction:
        """Send `request` in a new client transaction, with this layer's Via on top; it is not changed itself.

        `LocalError` for ACK (see `send_ack`), for CANCEL (see `ClientTransaction.cancel`) and responses.
        """
        if not request.is_request or request.method in ("ACK", "CANCEL"):
            raise LocalError("this starts no client transaction", clause="RFC 3261 17.1")
        sent, branch = self._with_via(request, destination)
        return self._client(sent, (branch, sent.method), destination, on_response)

    def send_ack(self, ack: SipMessage, destination: Endpoint) -> None:
        """Send the ACK of a 2xx, with a Via and branch of its own (RFC 3261 13.2.2.4, 16.6).

        `LocalError` if it is another request.
        """
        if not ack.is_request or ack.method != "ACK":
            raise LocalError("this is no ACK")
        self._transport.send(bytes(self._with_via(ack, destination)[0]), destination)

    def receive(self, message: SipMessage, source: Endpoint) -> None:
        """Take in a message from the transport. What breaks RFC 3261 8.1.1 is answered, or dropped."""
        try:
            check(message)
        except MalformedInput as error:
            if message.is_request and message.method != "ACK" and message.has("Via"):
                self._answer(message, source, error.sip_status_hint or 400)
            return
        if message.is_request:
            self._receive_request(message, source)
        else:
            self._receive_response(message, source)

    def connection_lost(self, peer: Endpoint) -> None:
        """Requests sent to `peer` that have had no response fail now instead of by time-out."""
        for transaction in [*self._clients.values()]:
            if transaction.peer == peer and transaction.state in (State.CALLING, State.TRYING):
                transaction.handle(Input.TRANSPORT_ERROR)

    def _with_via(self, request: SipMessage, destination: Endpoint) -> tuple[SipMessage, str]:
        branch = MAGIC_COOKIE + self._token()
        host, port = self._transport.sent_by(destination)
        parameters = Parameters((("branch", branch), ("rport", None)))
        via = Via(transport=destination.protocol.value, host=host, port=port, parameters=parameters)
        sent = request.copy()
        sent.prepend("Via", str(via))
        return sent, branch

    def _client(
        self, sent: SipMessage, key: Key, destination: Endpoint, on_response: ResponseUser
    ) -> ClientTransaction:
        kind = InviteClientTransaction if sent.method == "INVITE" else NonInviteClientTransaction
        transaction = kind(
            on_response=on_response,
            cancel=self._send_cancel,
            key=key,
            request=sent,
            peer=destination,
            transport=self._transport,
            clock=self._clock,
            timers=self._timers,
            ended=self._client_ended,
        )
        self._clients[key] = transaction
        transaction.start()
        return transaction

    def _send_cancel(self, invite: ClientTransaction) -> None:
        # It has the branch of the INVITE; its own responses tell nothing more (RFC 3261 9.1).
        cancel = invite.related_request("CANCEL")
        self._client(cancel, (invite.key[0], "CANCEL"), invite.peer, lambda *_: None)

    def _client_ended(self, transaction: Transaction) -> None:
        self._clients.pop(transaction.key, None)

    def _server_ended(self, transaction: Transaction) -> None:
        self._servers.pop(transaction.key, None)

    def _receive_response(self, response: SipMessage, source: Endpoint) -> None:
        branch = Via.parse(response.get_list("Via")[0]).branch or ""
        method = CSeq.parse(response.get("CSeq") or "").method
        transaction = self._clients.get((branch, method))
        if transaction is None:
            self._user.stray_response(response, source)
        else:
            transaction.receive(response)

    def _receive_request(self, request: SipMessage, source: Endpoint) -> None:
        via = Via.parse(request.get_list("Via")[0])
        branch = via.branch or ""
        if not branch.lower().startswith(MAGIC_COOKIE.lower()) or len(branch) == len(MAGIC_COOKIE):
            # Matching of RFC 2543 clients (17.2.3) is not offered.
            if request.method != "ACK":
                self._answer(request, source, 400, "Via branch without the magic cookie")
            return
        request.replace_item("Via", 0, str(via.with_source(source.host, source.port)))
        match request.method:
            case "ACK":
                self._receive_ack(request, (branch, via.sent_by.lower(), "INVITE"), source)
            case "CANCEL":
                known = self._servers.get((branch, via.sent_by.lower(), "CANCEL"))
                invite = self._servers.get((branch, via.sent_by.lower(), "INVITE"))
                self._receive_cancel(request, known, invite, via, source)
            case method:
                key = (branch, via.sent_by.lower(), method)
                if key in self._servers:
                    self._servers[key].handle(Input.REQUEST)
                elif len(self._servers) >= MAX_SERVER_TRANSACTIONS:
                    self._answer(request, source, 503)
                else:
                    self._present(self._server(request, key, via, source), source)

    def _present(self, transaction: ServerTransaction, source: Endpoint) -> None:
        try:
            self._user.request_received(transaction, source)
        except Exception:
            # A transaction that nobody will answer would stay for ever.
            transaction.reject(500, to_tag=self._token())
            raise

    def _receive_ack(self, ack: SipMessage, key: Key, source: Endpoint) -> None:
        transaction = self._servers.get(key)
        if transaction is None:
            self._user.ack_received(ack, source)
        else:
            transaction.handle(Input.ACK, ack)

    def _receive_cancel(
        self,
        cancel: SipMessage,
        known: ServerTransaction | None,
        invite: ServerTransaction | None,
        via: Via,
        source: Endpoint,
    ) -> None:
        if known is not None:
            known.handle(Input.REQUEST)
            return
        if invite is None:
            self._answer(cancel, source, 481)
            return
        transaction = self._server(cancel, (*invite.key[:2], "CANCEL"), via, source)
        last = invite.last_response
        tag = NameAddr.parse(last.get("To") or "").tag if last is not None else None
        transaction.reject(200, to_tag=tag or self._token())
        if invite.state is State.PROCEEDING:
            self._user.cancel_received(invite)

    def _server(self, request: SipMessage, key: Key, via: Via, source: Endpoint) -> ServerTransaction:
        kind = InviteServerTransaction if request.method == "INVITE" else NonInviteServerTransaction
        transaction = kind(
            on_ack=lambda ack, owner: self._user.ack_received(ack, source),
            key=key,
            request=request,
            peer=response_endpoint(via, source),
            transport=self._transport,
            clock=self._clock,
            timers=self._timers,
            ended=self._server_ended,
        )
        self._servers[key] = transaction
        return transaction

    def _answer(self, request: SipMessage, source: Endpoint, status: int, reason: str | None = None) -> None:
        # Without a transaction, to where the request came from.
        response = SipMessage.response_to(request, status, reason, to_tag=self._token())
        self._transport.send(bytes(response), source)
