"""Requests and answers that the agent makes by itself within a call: re-key, ACK, BYE.

The softphone knows nothing of them; CSeq of the network half counts on (RFC 3261 12.2.1.1).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imsmediasec as ims
from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.config import Account
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.sip_dialog import Face, Half, sequence_of
from imsmediasec.errors import MalformedInput, MediaSecurityError
from imsmediasec.negotiation.timers import glare_delay
from imsmediasec.sip import SipMessage, SipUri, parse_uri, session_description
from imsmediasec.sip.digest import authorization, best_challenge

if TYPE_CHECKING:
    from imsmediasec.agent.call import Call
    from imsmediasec.agent.call_dialog import CallDialog

_T1 = 0.5
_T2 = 4.0
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, MESSAGE"


@dataclass(eq=False)
class _Unacknowledged:
    """A 2xx of ours to the peer's re-INVITE, sent again until its ACK comes (RFC 3261 13.3.1.4)."""

    transaction: ServerTransaction
    response: SipMessage
    timer: asyncio.TimerHandle
    waited: float = 0.0


class OwnRequests:
    """Those of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._core = call.core
        self._open: set[str] = set()
        """Dialogs in which an offer of our own is open."""
        self._unacknowledged: dict[str, _Unacknowledged] = {}
        self._later: list[asyncio.TimerHandle] = []

    def busy(self, d: CallDialog) -> bool:
        """True while an exchange of our own runs in this dialog."""
        return d.id in self._open or d.id in self._unacknowledged

    def close(self) -> None:
        for waiting in self._unacknowledged.values():
            waiting.timer.cancel()
        self._unacknowledged.clear()
        for timer in self._later:
            timer.cancel()

    # A re-key of our own

    def rekey(self, d: CallDialog, *, early: bool, fresh: bool) -> None:
        """Make an offer of our own: by UPDATE in an early dialog, else by re-INVITE. See `CallMedia.rekey_offer`."""
        method = "UPDATE" if early else "INVITE"
        try:
            offer = self._call.media.rekey_offer(d.id, self._call.now, fresh=fresh)
        except ims.LocalError:
            d.rekey_wanted, d.rekey_fresh = True, fresh  # an exchange has begun meanwhile: after it
            return
        self._open.add(d.id)

        def responded(request: SipMessage, response: SipMessage) -> None:
            if response.status < 200 or self._call.ended:
                return
            if d.id not in self._open:
                if response.status < 300 and d.ack is not None:
                    self._core.send_ack(Face.NETWORK, *d.ack)
                return
            self._open.discard(d.id)
            if response.status < 300:
                if method == "INVITE":
                    self.acknowledge(d, None, number=sequence_of(request))
                self._take_answer(d, response)
            elif not self._refused(d, response, fresh):
                return
            self._call.exchange_over(d)

        self._send(d, Face.NETWORK, method, responded, body=offer)

    def _refused(self, d: CallDialog, response: SipMessage, fresh: bool) -> bool:
        """Our offer was refused. False if the dialog is over with that."""
        call = self._call
        retry_after = _retry_after(response)
        call.negotiation.offer_rejected(dialog=d.id, status=response.status, retry_after=retry_after, now=call.now)
        if response.status in (408, 481):  # the other side has no such dialog (RFC 3261 12.2.1.2)
            call.end(d)
            return False
        if fresh and (response.status == 491 or retry_after is not None):
            delay = glare_delay(call.side, os.urandom) if response.status == 491 else retry_after
            self._later.append(call.core.loop.call_later(delay or 0, call.rekey, d.id))
        return True

    def _send(
        self,
        d: CallDialog,
        face: Face,
        method: str,
        on_response: Callable[[SipMessage, SipMessage], None],
        *,
        body: bytes = b"",
        credentials: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Send a request within the dialog; once more with credentials if it is challenged and we have some.

        `on_response` gets the request and each response; a 503 made here if the dialog leads nowhere.
        """
        try:
            request = self._request(d, face, method, body=body, extra=credentials)
            hop = self._core.hop(self._half(d, face), request)
        except MediaSecurityError:
            request = SipMessage.request(method, "sip:invalid.invalid", [("CSeq", f"0 {method}")])
            self._core.loop.call_soon(on_response, request, SipMessage.response_to(request, 503))
            return

        def responded(client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
            self._core.observer.sip(face, incoming=True, message=response)
            if response.status in (401, 407) and face is Face.NETWORK and not credentials:
                answer = self._credentials(response, request)
                if answer is not None:
                    self._send(d, face, method, on_response, body=body, credentials=(answer,))
                    return
            on_response(request, response)

        self._core.send(face, request, hop, responded)

    def _take_answer(self, d: CallDialog, response: SipMessage) -> None:
        try:
            sdp = session_description(response)
        except MalformedInput:
            sdp = None
        if sdp is None:
            self._call.negotiation.offer_rejected(dialog=d.id, status=488, now=self._call.now)
            return
        self._call.media.answer_from_network(
            sdp,
            d.id,
            reliable=True,
            peer=self._call.peer_of(response),
            update_allowed=False,
            now=self._call.now,
        )

    def _credentials(self, response: SipMessage, request: SipMessage) -> tuple[str, str] | None:
        """The header that answers a 401 or 407, if we have an account for it."""
        proxy = response.status == 407
        challenge = best_challenge(response.get_all("Proxy-Authenticate" if proxy else "WWW-Authenticate"))
        account = self._account(challenge.realm) if challenge is not None else None
        if challenge is None or account is None:
            return None
        value = authorization(
            challenge,
            username=account.username,
            password=account.password,
            method=request.method,
            uri=request.uri,
            cnonce=secrets.token_hex(8),
            body=request.body,
        )
        return ("Proxy-Authorization" if proxy else "Authorization", str(value))

    def _account(self, realm: str) -> Account | None:
        for account in self._core.config.accounts:
            if account.realm is None or account.realm == realm:
                return account
        return None

    # The peer's re-key, answered without the softphone

    def answer_rekey(self, d: CallDialog, transaction: ServerTransaction, sdp: bytes) -> None:
        """Raises what is wrong with the offer; it is then answered by the caller of this."""
        request = transaction.request
        call = self._call
        call.negotiation.receive_offer(sdp, dialog=d.id, peer=call.peer_of(request), now=call.now)
        failure = call.pump(d.id)
        if failure is not None:
            raise failure
        call.media.remember_remote(d.id, sdp)
        try:
            answer = call.media.answer_alone(d.id, call.now)
        except ims.LocalError:
            call.negotiation.remote_offer_withdrawn(dialog=d.id, now=call.now)
            raise
        headers = [("Contact", self._contact(d, Face.NETWORK)), ("Allow", _ALLOW)]
        if d.timer is not None and request.has("Session-Expires"):
            headers += [("Require", "timer"), d.timer.header(Face.NETWORK)]
        response = SipMessage.response_to(request, 200, headers=headers, body=answer)
        if request.method == "INVITE":
            timer = call.core.loop.call_later(_T1, self._again, d.id, _T1)
            self._unacknowledged[d.id] = _Unacknowledged(transaction, response, timer)
        self._core.respond(Face.NETWORK, transaction, response)
        call.exchange_over(d)

    def took_ack(self, d: CallDialog, face: Face) -> bool:
        """True if this ACK was for a 2xx of ours."""
        waiting = self._unacknowledged.pop(d.id, None) if face is Face.NETWORK else None
        if waiting is None:
            return False
        waiting.timer.cancel()
        self._call.exchange_over(d)
        return True

    def _again(self, dialog: str, delay: float) -> None:
        waiting = self._unacknowledged.get(dialog)
        if waiting is None:
            return
        waiting.waited += delay
        if waiting.waited >= 64 * _T1:
            del self._unacknowledged[dialog]
            d = self._call.dialogs.get(dialog)
            if d is not None:
                self._call.end(d)
            return
        self._core.respond(Face.NETWORK, waiting.transaction, waiting.response)
        delay = min(2 * delay, _T2)
        waiting.timer = self._core.loop.call_later(delay, self._again, dialog, delay)

    # ACK and BYE

    def acknowledge(
        self, d: CallDialog, answer: bytes | None, *, face: Face = Face.NETWORK, number: int | None = None
    ) -> None:
        """Acknowledge a 2xx ourselves. If the dialog leads nowhere, nothing goes out."""
        half = self._half(d, face)
        if number is None:
            number = max(half.numbers.values(), default=half.sequence)
        try:
            ack = self._request(d, face, "ACK", body=answer or b"", number=number)
            hop = self._core.hop(half, ack)
        except MediaSecurityError:
            return
        d.ack = (ack, hop)
        self._core.send_ack(face, ack, hop)

    def bye(self, d: CallDialog, face: Face) -> None:
        """End the dialog on one face."""
        if d.sip is not None:
            self._send(d, face, "BYE", lambda request, response: None)

    def _half(self, d: CallDialog, face: Face) -> Half:
        assert d.sip is not None
        return d.sip.half(face)

    def _contact(self, d: CallDialog, face: Face) -> str:
        """Ours on this face, with the user part that it has in all other messages: the other side's."""
        uri = parse_uri(self._half(d, face.other).remote_target)
        return f"<{self._core.contacts.own(face, uri.user if isinstance(uri, SipUri) else None)}>"

    def _request(
        self,
        d: CallDialog,
        face: Face,
        method: str,
        *,
        body: bytes = b"",
        number: int | None = None,
        extra: tuple[tuple[str, str], ...] = (),
    ) -> SipMessage:
        half = self._half(d, face)
        headers = [("Route", route) for route in half.route_set]
        headers += [
            ("Max-Forwards", "70"),
            ("From", half.local),
            ("To", half.remote),
            ("Call-ID", d.sip.call_id if d.sip is not None else ""),
            ("CSeq", f"{half.next_number() if number is None else number} {method}"),
        ]
        if method in ("INVITE", "UPDATE"):
            headers += [("Contact", self._contact(d, face)), ("Allow", _ALLOW)]
            if d.timer is not None:
                headers += [("Supported", "timer"), d.timer.header(face.other)]
        headers += extra
        return SipMessage.request(method, half.remote_target, headers, body)


def _retry_after(response: SipMessage) -> float | None:
    value = (response.get("Retry-After") or "").split(";")[0].split("(")[0].strip()
    try:
        return min(float(int(value)), 30.0) if value.isascii() and value.isdigit() else None
    except (ValueError, MalformedInput):
        return None
