"""`Call`: one INVITE, its dialogs, its keys and its media, between the two faces.

SDP is converted wherever it stands (INVITE, 18x, PRACK, UPDATE, 2xx, ACK); what the negotiation asks for
is done in SIP: a re-key of our own, the end of a dialog that lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import imsmediasec as ims
from imsmediasec.agent import offerless
from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.config import SecureForking
from imsmediasec.agent.endpoint import Endpoint
from imsmediasec.agent.identity import assertions
from imsmediasec.agent.media import CallMedia
from imsmediasec.agent.own_requests import OwnRequests
from imsmediasec.agent.passing import OFFER_METHODS, drop_description, next_hop, pass_request, pass_response
from imsmediasec.agent.retargeting import REDIRECT_PATIENCE, UNKNOWN, at_least_as_strict, forwarded_to
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.session_timer import SessionTimer
from imsmediasec.agent.sip_dialog import Face, SipDialog, sequence_of, tag_of
from imsmediasec.sip import NameAddr, SipMessage, parse_option_tags, replace_session_description, session_description

if TYPE_CHECKING:
    from imsmediasec.agent.b2bua import BackToBack

MAX_FORKS = 50
"""Dialogs of one INVITE; what further ones answer is not read."""
# What an answerer says that cannot do without an offer in the INVITE.
_NEEDS_OFFER = (400, 415, 488, 500, 501, 606)


class OpenOffer(Enum):
    """Whose offer waits for an answer."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(kw_only=True, eq=False, repr=False)  # it holds SDP
class CallDialog:
    """What the call keeps of one of its dialogs. `id` is the far end's tag."""

    id: str
    sip: SipDialog | None = None
    open: OpenOffer | None = None
    invite_settled: bool = False
    """The INVITE's exchange is over in this dialog; what comes in its responses is a repetition."""
    invite_sdp: bytes | None = None
    """The SDP of the INVITE's response, as converted: 18x and 2xx repeat it (RFC 3261 13.2.1)."""
    ack: tuple[SipMessage, Endpoint] | None = None
    """Our last ACK of a 2xx, for when that comes again."""
    last_success: SipMessage | None = None
    own_ack: int | None = None
    """CSeq number of the caller's INVITE whose 2xx we acknowledged by ourselves: its ACK stays here."""
    acknowledged: bool = False
    busy: bool = False
    """An INVITE or UPDATE with an open offer runs in this dialog."""
    rekey_wanted: bool = False
    rekey_early: bool = False
    rekey_fresh: bool = False
    """Our own key has to change, whoever has seen it."""
    waiting: deque[tuple[Face, ServerTransaction]] = field(default_factory=deque)
    """Requests of the softphone that came during an exchange of our own."""
    timer: SessionTimer | None = None
    gone: bool = False


class Call:
    """Made by `BackToBack` for an INVITE outside a dialog."""

    def __init__(self, core: BackToBack, key: tuple[str, str], side: ims.Side, request: SipMessage) -> None:
        self.core = core
        self.key = key
        self.side = side
        self.caller_face = Face.PHONE if side is ims.Side.UAC else Face.NETWORK
        self.dialogs: dict[str, CallDialog] = {}
        self.started = False
        self.ended = False
        phone = NameAddr.parse(request.get("From" if side is ims.Side.UAC else "To") or "").uri
        far = NameAddr.parse(request.get("From") or "").uri
        self.remote_target, requested = str(far), False
        if side is ims.Side.UAC:
            self.remote_target, requested = core.config.dialled(request.uri)
        self.negotiation = ims.Negotiation(
            core.config.policy_for(self.remote_target, requested=requested),
            side=side,
            capabilities=core.settings.backend.capabilities,
            local_identity=str(phone),
            remote_target=self.remote_target,
            signalling=core.config.hop,
        )
        self.media = CallMedia(core.settings, self.negotiation, self.rekey)
        self._own = OwnRequests(self)
        self._timer: asyncio.TimerHandle | None = None
        self._server: ServerTransaction | None = None
        self._client: ClientTransaction | None = None
        self._source: Endpoint | None = None
        self._phone_offer: bytes | None = None
        self._taken: CallDialog | None = None
        """The dialog that took the call."""
        self._cancelled = False
        self._forwarded: str | None = None
        """Whom the network says it has passed the INVITE on to."""
        self._redirect: asyncio.TimerHandle | None = None
        """After a 3xx: how long the softphone's next INVITE is waited for."""
        self._offerless = self._wants_offerless()
        core.observer.call_started(self)
        if side is ims.Side.UAC and core.transfers.take(request, self.now):
            self.negotiation.retargeted(to=self.remote_target, cause=ims.Retarget.TRANSFER, now=self.now)
            self._pump()

    @property
    def now(self) -> float:
        return self.core.loop.time()

    @property
    def has_open_invite(self) -> bool:
        """False once the INVITE has failed and the softphone may send it again, changed."""
        return self.started and self._redirect is None

    # The INVITE

    def invite_received(self, transaction: ServerTransaction, source: Endpoint) -> None:
        """The INVITE, from either face; again after a 401, 407 or 3xx, with new keys."""
        self._server, self._source = transaction, source
        transaction.user_data = self
        request = transaction.request
        sdp = session_description(request)
        if self.side is ims.Side.UAS:
            self._invite_to_phone(request, sdp)
            return
        if self._redirect is not None:
            self._redirect.cancel()
            self._redirect = None
        target, requested = self.core.config.dialled(request.uri)
        if target != self.remote_target:
            self.remote_target = target
            policy = self.core.config.policy_for(target, requested=requested)
            self.negotiation.change_policy(policy, now=self.now)
            self.negotiation.retargeted(to=target, cause=ims.Retarget.REDIRECT, now=self.now)
            self._offerless = self._wants_offerless()
        self._phone_offer = sdp
        self._invite_to_network(request, sdp)

    def cancelled(self) -> None:
        """The caller gave up. The 487 of the other side ends the call; a 2xx that crosses the CANCEL is refused."""
        self._cancelled = True
        if self._client is not None:
            self._client.cancel()

    def _invite_to_network(self, request: SipMessage, sdp: bytes | None) -> None:
        out = pass_request(request, None, uri=self.remote_target)
        if sdp is not None and self._offerless:
            self.media.check_phone(sdp)
            replace_session_description(out, b"")
            out.set_body(b"")
            _without_reliable_provisional(out)
        elif sdp is not None:
            replace_session_description(out, self.media.offer_from_phone(sdp, None, self.now))
        self._pump()
        self.core.contacts.exchange(out, Face.NETWORK)
        self.started = True
        hop = next_hop(out, self.core.config.outbound, self.core.config.network_protocol)
        self._client = self.core.send(Face.NETWORK, out, hop, self._response_from_network)

    def _invite_to_phone(self, request: SipMessage, sdp: bytes | None) -> None:
        d = CallDialog(id=tag_of(request, "From"))
        self.dialogs[d.id] = d
        uri, hop = self.core.contacts.phone_for(request)
        out = pass_request(request, None, uri=uri)
        if sdp is not None:
            replace_session_description(out, self.convert(Face.NETWORK, d, sdp, request))
        else:
            self.negotiation.receive_peer(dialog=d.id, peer=self.peer_of(request), now=self.now)
            self._pump()
        self.core.contacts.exchange(out, Face.PHONE)
        self.started = True
        self._client = self.core.send(Face.PHONE, out, hop, self._response_from_phone)

    # Responses to the INVITE

    def _response_from_network(self, client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
        self.core.observer.sip(Face.NETWORK, incoming=True, message=response)
        if response.status == 100 or self._server is None or (self.ended and response.status not in range(200, 300)):
            return
        if response.status >= 300:
            self._invite_failed(Face.PHONE, response)
            if made_here and self._taken is not None:  # what took the call cannot be passed on
                self.end(self._taken)
            return
        d = self._dialog_of(Face.PHONE, client, response)
        if d is None:
            return
        success = response.status >= 200
        if success and (self.ended or self._cancelled) and d is not self._taken:
            self._refuse(Face.NETWORK, d)
            return
        if self._taken is not None and d is not self._taken:
            self._loses(d, response)
            return
        if success and self._repeated(Face.NETWORK, d):
            return
        self._learn_of_peer(d, response)
        try:
            self._take_response(d, response)
        except ims.MediaSecurityError as error:
            self._response_unusable(d, response, error)
            return
        if not d.gone:
            self._answer_caller(d, response)

    def _learn_of_peer(self, d: CallDialog, response: SipMessage) -> None:
        """Who answers, and whether that is somebody else than was called."""
        to = forwarded_to(response, self.core.config)
        if to is not None and to != self._forwarded and (to != UNKNOWN or self._forwarded is None):
            self._forwarded = to
            policy = self.core.config.policy_for(to)
            if at_least_as_strict(policy, self.negotiation.policy):
                self.negotiation.change_policy(policy, now=self.now)
            self.negotiation.retargeted(to=to, cause=ims.Retarget.FORWARDED, now=self.now)
        self.negotiation.receive_peer(dialog=d.id, peer=self.peer_of(response), now=self.now)
        self._pump()

    def peer_of(self, message: SipMessage) -> ims.PeerAssertions:
        """What a message from the network says of its sender."""
        dialled = self.negotiation.remote_target if self.side is ims.Side.UAC else None
        return assertions(message, self.core.config, dialled=dialled)

    def _take_response(self, d: CallDialog, response: SipMessage) -> None:
        """Convert the SDP of a 1xx or 2xx from the network, and let the dialog win with a 2xx."""
        sdp = session_description(response)
        success = response.status >= 200
        if self._offerless and self._phone_offer is not None:
            if success:
                self._join(d, response, sdp)
            elif sdp is not None:
                response.set_body(b"")  # an offer in an unreliable response is none (RFC 3261 13.2.1)
            return
        if sdp is not None and d.invite_sdp is not None and d.invite_settled:
            replace_session_description(response, d.invite_sdp)
        elif sdp is not None:
            reliable = success or response.has("RSeq")
            was_answer = d.open is OpenOffer.OURS
            if was_answer or reliable:
                d.invite_sdp = self.convert(Face.NETWORK, d, sdp, response, reliable=reliable, to_invite=was_answer)
                d.invite_settled = reliable
                replace_session_description(response, d.invite_sdp)
                if not success:
                    self.media.choose(d.id)
            else:
                response.set_body(b"")
        if success and (failure := self._wins(d)) is not None:
            raise failure

    def _join(self, d: CallDialog, response: SipMessage, sdp: bytes | None) -> None:
        """The far end's offer came in its 2xx: answer it in the ACK, and the softphone in its 2xx."""
        if sdp is None or self._phone_offer is None:
            raise ims.PeerMisbehaved("a 2xx without an offer to an INVITE without one", clause="RFC 3261 13.2.1")
        far_offer = self.convert(Face.NETWORK, d, sdp, response)
        to_phone, to_far = offerless.join(self._phone_offer, far_offer)
        answer = self.convert(Face.PHONE, d, to_far, response)
        self._wins(d)
        if d.gone:
            return
        assert self._server is not None
        d.own_ack, d.acknowledged = sequence_of(self._server.request), True
        self._own.acknowledge(d, answer)
        replace_session_description(response, to_phone)

    def _wins(self, d: CallDialog) -> ims.MediaSecurityError | None:
        """The dialog takes the call. If it cannot, why: it is ended then."""
        self.negotiation.confirm(dialog=d.id, now=self.now)
        failure = self._pump(d.id)
        if d.gone:
            return failure
        self._taken = d
        self.media.choose(d.id)
        for other in self.dialogs.values():
            if other is not d and not other.gone:
                other.gone = True
                self.media.forget(other.id)
        return None

    def _loses(self, d: CallDialog, response: SipMessage) -> None:
        """A dialog that did not take the call answers all the same; a 2xx is acknowledged and ended."""
        d.gone = True
        success = response.status >= 200
        if d.ack is not None:
            if success:
                self.core.send_ack(Face.NETWORK, *d.ack)
            return
        sdp = None
        with suppress(ims.MediaSecurityError):
            sdp = session_description(response)
        if sdp is not None and not self._offerless and self._phone_offer is not None:
            # It answers the key of the INVITE, so it has it: the status is to know.
            self.negotiation.receive_answer(sdp, dialog=d.id, reliable=success, to_invite=True, now=self.now)
        if success:
            self.negotiation.confirm(dialog=d.id, now=self.now)
        self._pump()

    def _refuse(self, face: Face, d: CallDialog) -> None:
        """A 2xx from `face` that nobody waits for any more: the call was cancelled, or is over."""
        d.gone = True
        if d.ack is None:
            self._own.acknowledge(d, None, face=face)
            self._own.bye(d, face)
        else:
            self.core.send_ack(face, *d.ack)
        if not self.ended:
            assert self._server is not None
            self.core.answer(face.other, self._server, 487)
            self.close()
        self.core.forget_dialogs(self)

    def _answer_caller(self, d: CallDialog, response: SipMessage) -> None:
        assert self._server is not None
        face = self.caller_face
        back = pass_response(response, self._server.request)
        self.core.contacts.exchange(back, face)
        if response.status >= 200:
            d.last_success = back
            self.note_timer(d, self._server.request, response, face)
        self.core.respond(face, self._server, back)

    def _response_unusable(self, d: CallDialog, response: SipMessage, error: ims.MediaSecurityError) -> None:
        """A response whose SDP breaks a rule: a 18x goes on without it, a 2xx ends the call."""
        if response.status < 200:
            response.set_body(b"")
            self._answer_caller(d, response)
            return
        if not d.gone:
            self._own.acknowledge(d, None)
            self._own.bye(d, Face.NETWORK)
        assert self._server is not None
        self.core.answer(self.caller_face, self._server, error.sip_status_hint or 488, reason=error.reason)
        self.close()

    def _response_from_phone(self, client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
        self.core.observer.sip(Face.PHONE, incoming=True, message=response)
        if response.status == 100 or self.ended or self._server is None:
            return
        if response.status >= 300:
            self._invite_failed(Face.NETWORK, response)
            return
        d = self._dialog_of(Face.NETWORK, client, response)
        if d is None:
            return
        if self._cancelled and response.status >= 200 and d.last_success is None:
            self._refuse(Face.PHONE, d)
            return
        if response.status >= 200 and self._repeated(Face.PHONE, d):
            return
        try:
            sdp = session_description(response)
            if sdp is not None:
                if d.invite_sdp is None:
                    d.invite_sdp = self.convert(Face.PHONE, d, sdp, response)
                replace_session_description(response, d.invite_sdp)
                self.media.choose(d.id)
        except ims.MediaSecurityError as error:
            self._own.acknowledge(d, None, face=Face.PHONE)
            self._own.bye(d, Face.PHONE)
            self.core.answer(Face.NETWORK, self._server, error.sip_status_hint or 488, reason=error.reason)
            self.close()
            return
        self._answer_caller(d, response)

    def _repeated(self, face: Face, d: CallDialog) -> bool:
        """A 2xx that came before: acknowledge it again, or pass it on again."""
        if d.ack is not None:
            self.core.send_ack(face, *d.ack)
            return True
        if d.last_success is not None and self._server is not None:
            self.core.respond(face.other, self._server, d.last_success)
            return True
        return d.gone

    def _invite_failed(self, face: Face, response: SipMessage) -> None:
        assert self._server is not None
        if self._offerless and response.status in _NEEDS_OFFER and self._phone_offer is not None:
            self._offerless = False
            request = self._server.request.copy()
            number = int((request.get("CSeq") or "0").split()[0]) + 1
            request.set("CSeq", f"{number} INVITE")
            try:
                self._invite_to_network(request, self._phone_offer)
                return
            except ims.MediaSecurityError as error:
                self.core.answer(face, self._server, error.sip_status_hint or 488, reason=error.reason)
                self.close()
                return
        back = pass_response(response, self._server.request)
        drop_description(back)
        self.core.respond(face, self._server, back)
        if self.side is ims.Side.UAC and response.status < 400 and not self._cancelled:
            self._await_redirected()
            return
        if any(not d.gone and d.acknowledged for d in self.dialogs.values()):
            return
        self.close()

    def _await_redirected(self) -> None:
        """A 3xx: the softphone may send the INVITE again, to somebody else (RFC 3261 8.1.3.4)."""
        self.negotiation.offer_rejected(status=302, now=self.now)
        for d in self.dialogs.values():
            d.gone = True
            self.negotiation.dialog_ended(dialog=d.id, now=self.now)
            self.media.forget(d.id)
        self._pump()
        self._redirect = self.core.loop.call_later(REDIRECT_PATIENCE, self.close)

    # Requests in a dialog

    def ack_received(self, face: Face, dialog: SipDialog, ack: SipMessage) -> None:
        """The ACK of a 2xx that was passed on (or made here)."""
        d = self.dialogs.get(dialog.far_tag)
        if d is None or d.gone or self._own.took_ack(d, face):
            return
        if face is self.caller_face and d.own_ack == sequence_of(ack):
            return
        half = dialog.half(face.other)
        out = pass_request(ack, half)
        self.core.contacts.exchange(out, face.other)
        try:
            hop = self.core.hop(half, out)
            if d.ack is not None and d.ack[1] == hop and sequence_of(d.ack[0]) == sequence_of(out):
                self.core.send_ack(face.other, *d.ack)  # it comes again, as the 2xx did
                return
            sdp = session_description(ack)
            if sdp is not None:
                replace_session_description(out, self.convert(face, d, sdp, ack))
        except ims.MediaSecurityError as error:
            self.end(d, error)
            return
        d.ack = (out, hop)
        d.acknowledged = True
        d.busy = False
        self.core.send_ack(face.other, out, hop)
        if self.side is ims.Side.UAS and face is Face.NETWORK:
            self._wins(d)
        self._continue(d)

    def request_in_dialog(self, face: Face, dialog: SipDialog, transaction: ServerTransaction) -> None:
        """Any request but ACK and CANCEL within one of the call's dialogs. Raises what the core answers."""
        d = self.dialogs.get(dialog.far_tag)
        if d is None or d.gone:
            raise ims.LocalError("this dialog has ended", sip_status_hint=481)
        request = transaction.request
        negotiates = request.method in OFFER_METHODS
        sdp = session_description(request) if negotiates else None
        if request.method == "BYE":
            self._bye_received(face, d, transaction)
        elif request.method in ("INVITE", "UPDATE") and (sdp is not None or request.method == "INVITE"):
            self._offer_in_dialog(face, d, transaction, sdp)
        elif sdp is not None:
            self._exchange_in_dialog(face, d, transaction, sdp)
        else:

            def responded(response: SipMessage, back: SipMessage) -> bool:
                self.note_timer(d, request, response, face)
                if negotiates or request.method == "OPTIONS":
                    drop_description(back)
                return True

            self.core.pass_in_dialog(face, dialog, transaction, on_response=responded)

    def note_timer(self, d: CallDialog, request: SipMessage, response: SipMessage, asker: Face) -> None:
        """Note what a response to a request from `asker` says of the session timer (RFC 4028 7.2)."""
        if request.method in ("INVITE", "UPDATE") and 200 <= response.status < 300:
            d.timer = SessionTimer.agreed(response, asker)

    def _bye_received(self, face: Face, d: CallDialog, transaction: ServerTransaction) -> None:
        assert d.sip is not None
        self.negotiation.dialog_ended(dialog=d.id, now=self.now)
        self._pump()

        def done(response: SipMessage, back: SipMessage) -> bool:
            d.gone = True
            self.media.forget(d.id)
            if d is self._taken or all(other.gone for other in self.dialogs.values()):
                self.close()
            return True

        self.core.pass_in_dialog(face, d.sip, transaction, on_response=done)

    def _offer_in_dialog(self, face: Face, d: CallDialog, transaction: ServerTransaction, sdp: bytes | None) -> None:
        if self._own.busy(d):
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
            and self.media.is_rekey(sdp, d.id)
        ):
            self._own.answer_rekey(d, transaction, sdp)
            return
        self._exchange_in_dialog(face, d, transaction, sdp)

    def _exchange_in_dialog(self, face: Face, d: CallDialog, transaction: ServerTransaction, sdp: bytes | None) -> None:
        """Pass a request on whose SDP, or whose response's SDP, is to be converted."""
        assert d.sip is not None
        request = transaction.request
        converted = None if sdp is None else self.convert(face, d, sdp, request)
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
                self._continue(d)
                return True
            if invite and (d.ack is not None or d.last_success is not None):  # it came before
                if d.ack is not None:
                    self.core.send_ack(face.other, *d.ack)
                elif d.last_success is not None:
                    self.core.respond(face, transaction, d.last_success)
                return False
            self.note_timer(d, request, response, face)
            try:
                answer = session_description(response)
                if answer is not None:
                    replace_session_description(back, self.convert(face.other, d, answer, response))
            except ims.MediaSecurityError as error:
                self.core.answer(face, transaction, error.sip_status_hint or 488, reason=error.reason)
                if invite:
                    self._own.acknowledge(d, None, face=face.other)
                self.end(d, error)
                return False
            if invite:
                d.last_success = back
            else:
                d.busy = False
                self._continue(d)
            return True

        try:
            self.core.pass_in_dialog(face, d.sip, transaction, edit=edit, on_response=responded)
        except ims.MediaSecurityError:  # the dialog leads nowhere
            d.busy = False
            self._offer_refused(face, d, 503)
            raise

    def _offer_refused(self, face: Face, d: CallDialog, status: int) -> None:
        if face is Face.PHONE and d.open is OpenOffer.OURS:
            self.negotiation.offer_rejected(dialog=d.id, status=status, now=self.now)
        elif face is Face.NETWORK and d.open is OpenOffer.THEIRS:
            self.negotiation.remote_offer_withdrawn(dialog=d.id, now=self.now)
        d.open = None
        self._pump()

    # Shared with OwnRequests

    def convert(
        self,
        face: Face,
        d: CallDialog,
        sdp: bytes,
        message: SipMessage,
        *,
        reliable: bool = True,
        to_invite: bool = False,
    ) -> bytes:
        """SDP that came from `face`, for the other face. Raises what is wrong with it; nothing has changed then.

        `to_invite`: it answers the offer of the INVITE.
        """
        if face is Face.PHONE:
            if d.open is OpenOffer.THEIRS:
                out = self.media.answer_from_phone(sdp, d.id, self.now)
                d.open = None
            else:
                out = self.media.offer_from_phone(sdp, d.id, self.now)
                d.open = OpenOffer.OURS
        else:
            peer = self.peer_of(message)
            if d.open is OpenOffer.OURS:
                allows = d.sip.peer_allows if d.sip is not None else frozenset()
                early = message.has("RSeq") and "UPDATE" in allows
                out = self.media.answer_from_network(
                    sdp,
                    d.id,
                    reliable=reliable,
                    peer=peer,
                    update_allowed=early,
                    to_invite=to_invite,
                    now=self.now,
                )
                d.open = None if reliable else d.open
            else:
                out = self.media.offer_from_network(sdp, d.id, peer, self.now)
                d.open = OpenOffer.THEIRS
        failure = self._pump(d.id)
        if failure is not None:
            if face is Face.NETWORK:
                d.open = None
            raise failure
        return out

    def end(self, d: CallDialog, error: ims.MediaSecurityError | None = None) -> None:
        """End this dialog on both faces."""
        if d.gone:
            return
        d.gone = True
        self._own.bye(d, Face.NETWORK)
        self._own.bye(d, Face.PHONE)
        self.negotiation.dialog_ended(dialog=d.id, now=self.now)
        self._pump()
        self.close()

    def hang_up(self) -> None:
        """The agent stops: BYE to both sides, or the end of the attempt."""
        up = [d for d in self.dialogs.values() if d.acknowledged and not d.gone]
        if not up and self._server is not None and not self.ended:
            self.cancelled()
            self.core.answer(self.caller_face, self._server, 503)
        for d in up:
            self.end(d)
        self.close()

    def _continue(self, d: CallDialog) -> None:
        """An exchange is over: do what waited for that."""
        if d.gone or d.busy or self._own.busy(d):
            return
        if d.rekey_wanted:
            fresh, d.rekey_fresh, d.rekey_wanted = d.rekey_fresh, False, False
            self._own.rekey(d, early=d.rekey_early, fresh=fresh)
        elif d.waiting:
            face, transaction = d.waiting.popleft()
            try:
                self._offer_in_dialog(face, d, transaction, session_description(transaction.request))
            except ims.MediaSecurityError as error:
                self.core.answer(face, transaction, error.sip_status_hint or 500, reason=error.reason)

    @property
    def decision_needed(self) -> bool:
        """Media waits for the user's word (`OnFailure.ASK`)."""
        return any(warning.code == "decision-needed" for warning in self.negotiation.status.warnings)

    def decide(self, *, go_on: bool) -> None:
        """The user's word on the warning "decision-needed": go on, or end the call."""
        dialog = self.negotiation.status.dialog
        if dialog is not None and self.decision_needed:
            self.negotiation.accept_exposure(dialog=dialog, go_on=go_on, now=self.now)
            self._pump()

    def exchange_over(self, d: CallDialog) -> None:
        """An exchange of our own is over."""
        self._pump()
        self._continue(d)

    def close(self) -> None:
        """The call is over: no media, no keys, no timers."""
        if self.ended:
            return
        self.ended = True
        for d in self.dialogs.values():
            self.negotiation.dialog_ended(dialog=d.id, now=self.now)
        self._pump()
        for timer in (self._timer, self._redirect):
            if timer is not None:
                timer.cancel()
        self.media.close()
        self._own.close()
        for d in self.dialogs.values():
            for face, transaction in d.waiting:
                self.core.answer(face, transaction, 481)
            d.waiting.clear()
        self.core.calls.pop(self.key, None)
        self.core.forget_dialogs(self)
        self.core.observer.call_ended(self)

    def rekey(self, dialog: str) -> None:
        """Change our key in this dialog as soon as that is possible: it has protected nearly all the packets it may."""
        d = self.dialogs.get(dialog)
        if d is not None and not d.gone and not self.ended:
            d.rekey_wanted, d.rekey_early, d.rekey_fresh = True, False, True
            self._rekey_if_possible(d)

    # Inside

    def _wants_offerless(self) -> bool:
        policy = self.negotiation.policy
        return (
            self.side is ims.Side.UAC
            and self.core.config.secure_forking is SecureForking.OFFERLESS
            and policy.forking is ims.Forking.SECURE
            and policy.requirement is ims.Requirement.REQUIRED
            # Where no key may go, the call is refused at once, not when somebody has answered it.
            and (self.core.config.hop is ims.Hop.PROTECTED or policy.sdes_over_unprotected_signalling)
        )

    def _dialog_of(self, face: Face, client: ClientTransaction, response: SipMessage) -> CallDialog | None:
        """The dialog of a response to the INVITE that came from `face`; None without a tag (RFC 3261 12.1)."""
        if not tag_of(response, "To") or self._server is None or self._source is None:
            return None
        far = tag_of(response, "To") if face is Face.PHONE else tag_of(response, "From")
        if far not in self.dialogs and len(self.dialogs) >= MAX_FORKS:
            return None
        sip = self.core.dialog_from_response(face, self._server.request, client.request, response, self._source)
        if sip is None:
            return None
        d = self.dialogs.get(sip.far_tag)
        if d is None:
            offered = self._phone_offer is not None and not self._offerless
            d = CallDialog(id=sip.far_tag, open=OpenOffer.OURS if offered else None)
            self.dialogs[sip.far_tag] = d
        d.sip = sip
        sip.call = self
        if face is Face.PHONE and response.has("Allow"):
            sip.peer_allows = frozenset(parse_option_tags(response.get_all("Allow")))
        return d

    def _pump(self, dialog: str | None = None) -> ims.MediaSecurityError | None:
        """Carry out what the negotiation reports. The first failure in `dialog`, if any."""
        failure: ims.MediaSecurityError | None = None
        for event in self.media.events():
            self.core.observer.event(self, event)
            d = self.dialogs.get(event.dialog or "")
            match event:
                case ims.NegotiationFailed(error=error):
                    if event.dialog == dialog and failure is None:
                        failure = error
                case ims.RekeyRequired(early=early) if d is not None:
                    d.rekey_wanted, d.rekey_early = True, early
                    self.core.loop.call_soon(self._rekey_if_possible, d)
                case ims.DialogRetired(how=how) if d is not None:
                    self._retired(d, how)
                case _:
                    pass
        self._schedule()
        return failure

    def _rekey_if_possible(self, d: CallDialog) -> None:
        # Behind the ACK of the 2xx, or at once in an early dialog.
        if not self.ended and (d.acknowledged or d.rekey_early):
            self._continue(d)

    def _retired(self, d: CallDialog, how: ims.DialogExit) -> None:
        if how is ims.DialogExit.FORGET:
            d.gone = True
            self.media.forget(d.id)
        elif how is ims.DialogExit.ACK_BYE:
            d.gone = True
            if d.ack is None:
                self._own.acknowledge(d, None)
            self._own.bye(d, Face.NETWORK)
            self.media.forget(d.id)
        else:
            self.core.loop.call_soon(self.end, d)

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.negotiation.next_timeout()
        if due is not None and not self.ended:
            self._timer = self.core.loop.call_at(due, self._timeout)

    def _timeout(self) -> None:
        self._timer = None
        self.negotiation.handle_timeout(self.now)
        self._pump()


def _without_reliable_provisional(out: SipMessage) -> None:
    """Without 100rel the far end's offer can come in its 2xx only, where all is answered at once."""
    for name in ("Supported", "Require"):
        tags = parse_option_tags(out.get_all(name))
        if "100rel" in tags:
            out.remove(name)
            rest = [tag for tag in tags if tag != "100rel"]
            if rest:
                out.append(name, ", ".join(rest))
