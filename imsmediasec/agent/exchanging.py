"""`Exchanging`: ACK and the requests within a call, whose SDP is converted on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imsmediasec as ims
from imsmediasec.agent.call_dialog import CallDialog, OpenOffer
from imsmediasec.agent.passing import OFFER_METHODS, drop_description, pass_request
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.sip_dialog import Face, SipDialog, sequence_of
from imsmediasec.sip import SipMessage, replace_session_description, session_description

if TYPE_CHECKING:
    from imsmediasec.agent.call import Call

BYE_PATIENCE = 32.0
"""Seconds for which a call whose BYE was challenged waits for the next one."""


class Exchanging:
    """The offer/answer exchanges of one call after its INVITE."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._core = call.core

    def ack_received(self, face: Face, dialog: SipDialog, ack: SipMessage) -> None:
        """The ACK of a 2xx that was passed on (or made here)."""
        d = self._call.dialogs.get(dialog.far_tag)
        if d is None or d.gone or self._call.own.took_ack(d, face):
            return
        if face is self._call.caller_face and d.own_ack == sequence_of(ack):
            return
        half = dialog.half(face.other)
        out = pass_request(ack, half)
        self._core.contacts.exchange(out, face.other)
        try:
            hop = self._core.hop(half, out)
            if d.ack is not None and d.ack[1] == hop and sequence_of(d.ack[0]) == sequence_of(out):
                self._core.send_ack(face.other, *d.ack)  # it comes again, as the 2xx did
                return
            sdp = session_description(ack)
            if sdp is not None:
                replace_session_description(out, self._call.convert(face, d, sdp, ack))
        except ims.MediaSecurityError as error:
            self._call.end(d, error)
            return
        d.ack = (out, hop)
        d.acknowledged = True
        d.busy = False
        self._core.send_ack(face.other, out, hop)
        if self._call.side is ims.Side.UAS and face is Face.NETWORK:
            self._call.inviting.wins(d)
        self._call.resume(d)

    def request_in_dialog(self, face: Face, dialog: SipDialog, transaction: ServerTransaction) -> None:
        """Any request but ACK and CANCEL within one of the call's dialogs. Raises what the core answers."""
        d = self._call.dialogs.get(dialog.far_tag)
        if d is None or d.gone:
            raise ims.LocalError("this dialog has ended", sip_status_hint=481)
        request = transaction.request
        negotiates = request.method in OFFER_METHODS
        sdp = session_description(request) if negotiates else None
        if request.method == "BYE":
            self._bye_received(face, d, transaction)
        elif request.method in ("INVITE", "UPDATE") and (sdp is not None or request.method == "INVITE"):
            self.offer_in_dialog(face, d, transaction, sdp)
        elif sdp is not None:
            self._exchange_in_dialog(face, d, transaction, sdp)
        else:

            def responded(response: SipMessage, back: SipMessage) -> bool:
                self._call.note_timer(d, request, response, face)
                if negotiates or request.method == "OPTIONS":
                    drop_description(back)
                return True

            self._core.pass_in_dialog(face, dialog, transaction, on_response=responded)

    def _bye_received(self, face: Face, d: CallDialog, transaction: ServerTransaction) -> None:
        assert d.sip is not None
        self._call.negotiation.dialog_ended(dialog=d.id, now=self._call.now)
        self._call.pump()

        def done(response: SipMessage, back: SipMessage) -> bool:
            if response.status < 200:
                return True
            if response.status in (401, 407):  # it comes again, with credentials
                self._core.loop.call_later(BYE_PATIENCE, self._call.close)
                return True
            d.gone = True
            self._call.media.forget(d.id)
            if d is self._call.inviting.taken or all(other.gone for other in self._call.dialogs.values()):
                self._call.close()
            return True

        self._core.pass_in_dialog(face, d.sip, transaction, on_response=done)

    def offer_in_dialog(self, face: Face, d: CallDialog, transaction: ServerTransaction, sdp: bytes | None) -> None:
        if self._call.own.busy(d):
            if face is Face.PHONE:
                d.waiting.append((face, transaction))
                return
            raise ims.LocalError("our own offer is open", clause="RFC 3261 14.2", sip_status_hint=491)
        if d.busy:
            raise ims.LocalError("another offer is open", clause="RFC 3261 14.2", sip_status_hint=491)
        request = transaction.request
        if (
            face is Face.NETWORK
            and sdp is not None
            # What may be the peer's refresh of the session has to reach a softphone that waits for it.
            and (not request.has("Session-Expires") or (d.timer is not None and d.timer.refresher is Face.PHONE))
            and self._call.media.is_rekey(sdp, d.id)
        ):
            self._call.own.answer_rekey(d, transaction, sdp)
            return
        self._exchange_in_dialog(face, d, transaction, sdp)

    def _exchange_in_dialog(self, face: Face, d: CallDialog, transaction: ServerTransaction, sdp: bytes | None) -> None:
        """Pass a request on whose SDP, or whose response's SDP, is to be converted."""
        assert d.sip is not None
        request = transaction.request
        converted = None if sdp is None else self._call.convert(face, d, sdp, request)
        d.busy = True
        d.ack = None
        d.last_success = None
        invite = request.method == "INVITE"

        def edit(out: SipMessage) -> None:
            if converted is not None:
                replace_session_description(out, converted)

        def responded(response: SipMessage, back: SipMessage) -> bool:
            if response.status < 200:
                back.set_body(b"")
                return True
            if response.status >= 300:
                d.busy = False
                drop_description(back)
                self._offer_refused(face, d, response.status)
                self._call.resume(d)
                return True
            if invite and (d.ack is not None or d.last_success is not None):  # it came before
                if d.ack is not None:
                    self._core.send_ack(face.other, *d.ack)
                elif d.last_success is not None:
                    self._core.respond(face, transaction, d.last_success)
                return False
            self._call.note_timer(d, request, response, face)
            try:
                answer = session_description(response)
                if answer is not None:
                    replace_session_description(back, self._call.convert(face.other, d, answer, response))
            except ims.MediaSecurityError as error:
                self._core.answer(face, transaction, error.sip_status_hint or 488, reason=error.reason)
                if invite:
                    self._call.own.acknowledge(d, None, face=face.other)
                self._call.end(d, error)
                return False
            if invite:
                d.last_success = back
            else:
                d.busy = False
                self._call.resume(d)
            return True

        try:
            self._core.pass_in_dialog(face, d.sip, transaction, edit=edit, on_response=responded)
        except ims.MediaSecurityError:  # the dialog leads nowhere
            d.busy = False
            self._offer_refused(face, d, 503)
            raise

    def _offer_refused(self, face: Face, d: CallDialog, status: int) -> None:
        if face is Face.PHONE and d.open is OpenOffer.OURS:
            self._call.negotiation.offer_rejected(dialog=d.id, status=status, now=self._call.now)
        elif face is Face.NETWORK and d.open is OpenOffer.THEIRS:
            self._call.negotiation.remote_offer_withdrawn(dialog=d.id, now=self._call.now)
        d.open = None
        self._call.pump()
