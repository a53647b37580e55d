"""`Inviting`: the INVITE of a call and its responses, from the first attempt to the dialog that takes the call.

With `SecureForking.OFFERLESS` the INVITE goes out without an offer: each terminal offers its own key in
its 2xx, and ours goes to the winner alone, in the ACK.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import imsmediasec as ims
from imsmediasec.agent import offerless
from imsmediasec.agent.call_dialog import CallDialog, OpenOffer
from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.config import SecureForking
from imsmediasec.agent.endpoint import Endpoint
from imsmediasec.agent.passing import drop_description, next_hop, pass_request, pass_response
from imsmediasec.agent.retargeting import REDIRECT_PATIENCE, UNKNOWN, forwarded_to, stricter
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.sip_dialog import Face, sequence_of, tag_of
from imsmediasec.sip import SipMessage, parse_option_tags, replace_session_description, session_description

if TYPE_CHECKING:
    from imsmediasec.agent.call import Call

RING_PATIENCE = 300.0
"""Seconds without any response but 100 until the INVITE is cancelled: a proxy waits for more than three minutes
(timer C, RFC 3261 16.8), and who needs longer sends another 18x each minute (13.3.1.1)."""
MAX_FORKS = 50
"""Dialogs of one INVITE; what further ones answer is not read."""
# What an answerer says that cannot do without an offer in the INVITE.
_NEEDS_OFFER = (400, 415, 488, 500, 501, 606)


class Inviting:
    """The INVITE of one call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._core = call.core
        self.server: ServerTransaction | None = None
        """The INVITE as it came from the caller."""
        self._client: ClientTransaction | None = None
        self._source: Endpoint | None = None
        self._phone_offer: bytes | None = None
        self.taken: CallDialog | None = None
        """The dialog that took the call."""
        self._cancelled = False
        self._forwarded: str | None = None
        """Whom the network says it has passed the INVITE on to."""
        self._redirect: asyncio.TimerHandle | None = None
        """After a 3xx: how long the softphone's next INVITE is waited for."""
        self._ringing: asyncio.TimerHandle | None = None
        self._offerless = self._wants_offerless()

    @property
    def waits_for_another(self) -> bool:
        """The INVITE has failed, and the softphone may send it again, changed."""
        return self._redirect is not None

    def close(self) -> None:
        """No timer runs on."""
        for timer in (self._redirect, self._ringing):
            if timer is not None:
                timer.cancel()

    def invite_received(self, transaction: ServerTransaction, source: Endpoint) -> None:
        """The INVITE, from either face; again after a 401, 407 or 3xx, with new keys."""
        self.server, self._source = transaction, source
        transaction.user_data = self._call
        self._wait_for_response()
        request = transaction.request
        sdp = session_description(request)
        if self._call.side is ims.Side.UAS:
            self._invite_to_phone(request, sdp)
            return
        if self._redirect is not None:
            self._redirect.cancel()
            self._redirect = None
        target, requested = self._core.config.dialled(request.uri)
        if target != self._call.remote_target:
            self._call.remote_target = target
            policy = self._core.config.policy_for(target, requested=requested)
            self._call.negotiation.change_policy(policy, now=self._call.now)
            self._call.negotiation.retargeted(to=target, cause=ims.Retarget.REDIRECT, now=self._call.now)
            self._offerless = self._wants_offerless()
        self._phone_offer = sdp
        self._invite_to_network(request, sdp)

    def _wait_for_response(self, response: SipMessage | None = None) -> None:
        """Begin to wait anew, if that was not the last response."""
        if self._ringing is not None:
            self._ringing.cancel()
            self._ringing = None
        if not self._call.ended and (response is None or response.status < 200):
            self._ringing = self._core.loop.call_later(RING_PATIENCE, self.cancelled)

    def cancelled(self) -> None:
        """The caller gave up. The 487 of the other side ends the call; a 2xx that crosses the CANCEL is refused."""
        self._cancelled = True
        if self._client is not None:
            self._client.cancel()

    def _invite_to_network(self, request: SipMessage, sdp: bytes | None) -> None:
        out = pass_request(request, None, uri=self._call.remote_target)
        if sdp is not None and self._offerless:
            self._call.media.check_phone(sdp)
            replace_session_description(out, b"")
            out.set_body(b"")
            _without_reliable_provisional(out)
        elif sdp is not None:
            replace_session_description(out, self._call.media.offer_from_phone(sdp, None, self._call.now))
        self._call.pump()
        self._core.contacts.exchange(out, Face.NETWORK)
        self._call.started = True
        hop = next_hop(out, self._core.config.outbound, self._core.config.network_protocol)
        self._client = self._core.send(Face.NETWORK, out, hop, self._response_from_network)

    def _invite_to_phone(self, request: SipMessage, sdp: bytes | None) -> None:
        d = CallDialog(id=tag_of(request, "From"))
        self._call.dialogs[d.id] = d
        uri, hop = self._core.contacts.phone_for(request)
        out = pass_request(request, None, uri=uri)
        if sdp is not None:
            replace_session_description(out, self._call.convert(Face.NETWORK, d, sdp, request))
        else:
            self._call.negotiation.receive_peer(dialog=d.id, peer=self._call.peer_of(request), now=self._call.now)
            self._call.pump()
        self._core.contacts.exchange(out, Face.PHONE)
        self._call.started = True
        self._client = self._core.send(Face.PHONE, out, hop, self._response_from_phone)

    def _response_from_network(self, client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
        self._core.observer.sip(Face.NETWORK, incoming=True, message=response)
        if (
            response.status == 100
            or self.server is None
            or (self._call.ended and response.status not in range(200, 300))
        ):
            return
        self._wait_for_response(response)
        if response.status >= 300:
            self._invite_failed(Face.PHONE, response)
            if made_here and self.taken is not None:  # what took the call cannot be passed on
                self._call.end(self.taken)
            return
        d = self._dialog_of(Face.PHONE, client, response)
        if d is None:
            return
        success = response.status >= 200
        if success and (self._call.ended or self._cancelled) and d is not self.taken:
            self._refuse(Face.NETWORK, d)
            return
        if self.taken is not None and d is not self.taken:
            self._loses(d, response)
            return
        if success and self.repeated(Face.NETWORK, d):
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
        to = forwarded_to(response, self._core.config)
        if to is not None and to != self._forwarded and (to != UNKNOWN or self._forwarded is None):
            self._forwarded = to
            policy = stricter(self._core.config.policy_for(to), self._call.negotiation.policy)
            if policy != self._call.negotiation.policy:
                self._call.negotiation.change_policy(policy, now=self._call.now)
            self._call.negotiation.retargeted(to=to, cause=ims.Retarget.FORWARDED, now=self._call.now)
        self._call.negotiation.receive_peer(dialog=d.id, peer=self._call.peer_of(response), now=self._call.now)
        self._call.pump()

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
                d.invite_sdp = self._call.convert(
                    Face.NETWORK, d, sdp, response, reliable=reliable, to_invite=was_answer
                )
                d.invite_settled = reliable
                replace_session_description(response, d.invite_sdp)
                if not success:
                    self._call.media.choose(d.id)
            else:
                response.set_body(b"")
        if success and (failure := self.wins(d)) is not None:
            raise failure

    def _join(self, d: CallDialog, response: SipMessage, sdp: bytes | None) -> None:
        """The far end's offer came in its 2xx: answer it in the ACK, and the softphone in its 2xx."""
        if sdp is None or self._phone_offer is None:
            raise ims.PeerMisbehaved("a 2xx without an offer to an INVITE without one", clause="RFC 3261 13.2.1")
        far_offer = self._call.convert(Face.NETWORK, d, sdp, response)
        to_phone, to_far = offerless.join(self._phone_offer, far_offer)
        answer = self._call.convert(Face.PHONE, d, to_far, response)
        self.wins(d)
        if d.gone:
            return
        assert self.server is not None
        d.own_ack, d.acknowledged = sequence_of(self.server.request), True
        self._call.own.acknowledge(d, answer)
        replace_session_description(response, to_phone)

    def wins(self, d: CallDialog) -> ims.MediaSecurityError | None:
        """The dialog takes the call. If it cannot, why: it is ended then."""
        self._call.negotiation.confirm(dialog=d.id, now=self._call.now)
        failure = self._call.pump(d.id)
        if d.gone:
            return failure
        self.taken = d
        self._call.media.choose(d.id)
        for other in self._call.dialogs.values():
            if other is not d and not other.gone:
                other.gone = True
                self._call.media.forget(other.id)
        return None

    def _loses(self, d: CallDialog, response: SipMessage) -> None:
        """A dialog that did not take the call answers all the same; a 2xx is acknowledged and ended."""
        d.gone = True
        success = response.status >= 200
        if d.ack is not None:
            if success:
                self._core.send_ack(Face.NETWORK, *d.ack)
            return
        sdp = None
        with suppress(ims.MediaSecurityError):
            sdp = session_description(response)
        if sdp is not None and not self._offerless and self._phone_offer is not None:
            # It answers the key of the INVITE, so it has it: the status is to know.
            self._call.negotiation.receive_answer(
                sdp, dialog=d.id, reliable=success, to_invite=True, now=self._call.now
            )
        if success:
            self._call.negotiation.confirm(dialog=d.id, now=self._call.now)
        self._call.pump()

    def _refuse(self, face: Face, d: CallDialog) -> None:
        """A 2xx from `face` that nobody waits for any more: the call was cancelled, or is over."""
        d.gone = True
        if d.ack is None:
            self._call.own.acknowledge(d, None, face=face)
            self._call.own.bye(d, face)
        else:
            self._core.send_ack(face, *d.ack)
        if not self._call.ended:
            assert self.server is not None
            self._core.answer(face.other, self.server, 487)
            self._call.close()
        self._core.forget_dialogs(self._call)

    def _answer_caller(self, d: CallDialog, response: SipMessage) -> None:
        assert self.server is not None
        face = self._call.caller_face
        back = pass_response(response, self.server.request)
        self._core.contacts.exchange(back, face)
        if response.status >= 200:
            d.last_success = back
            self._call.note_timer(d, self.server.request, response, face)
        self._core.respond(face, self.server, back)

    def _response_unusable(self, d: CallDialog, response: SipMessage, error: ims.MediaSecurityError) -> None:
        """A response whose SDP breaks a rule: a 18x goes on without it, a 2xx ends the call."""
        if response.status < 200:
            response.set_body(b"")
            self._answer_caller(d, response)
            return
        if not d.gone:
            self._call.own.acknowledge(d, None)
            self._call.own.bye(d, Face.NETWORK)
        assert self.server is not None
        self._core.answer(self._call.caller_face, self.server, error.sip_status_hint or 488, reason=error.reason)
        self._call.close()

    def _response_from_phone(self, client: ClientTransaction, response: SipMessage, made_here: bool) -> None:
        self._core.observer.sip(Face.PHONE, incoming=True, message=response)
        if response.status == 100 or self._call.ended or self.server is None:
            return
        self._wait_for_response(response)
        if response.status >= 300:
            self._invite_failed(Face.NETWORK, response)
            return
        d = self._dialog_of(Face.NETWORK, client, response)
        if d is None:
            return
        if self._cancelled and response.status >= 200 and d.last_success is None:
            self._refuse(Face.PHONE, d)
            return
        if response.status >= 200 and self.repeated(Face.PHONE, d):
            return
        try:
            sdp = session_description(response)
            if sdp is not None:
                if d.invite_sdp is None:
                    d.invite_sdp = self._call.convert(Face.PHONE, d, sdp, response)
                replace_session_description(response, d.invite_sdp)
                self._call.media.choose(d.id)
        except ims.MediaSecurityError as error:
            self._call.own.acknowledge(d, None, face=Face.PHONE)
            self._call.own.bye(d, Face.PHONE)
            self._core.answer(Face.NETWORK, self.server, error.sip_status_hint or 488, reason=error.reason)
            self._call.close()
            return
        self._answer_caller(d, response)

    def repeated(self, face: Face, d: CallDialog) -> bool:
        """A 2xx that came before: acknowledge it again, or pass it on again."""
        if d.ack is not None:
            self._core.send_ack(face, *d.ack)
            return True
        if d.last_success is not None and self.server is not None:
            self._core.respond(face.other, self.server, d.last_success)
            return True
        return d.gone

    def _invite_failed(self, face: Face, response: SipMessage) -> None:
        assert self.server is not None
        if self._offerless and response.status in _NEEDS_OFFER and self._phone_offer is not None:
            self._offerless = False
            request = self.server.request.copy()
            number = int((request.get("CSeq") or "0").split()[0]) + 1
            request.set("CSeq", f"{number} INVITE")
            try:
                self._invite_to_network(request, self._phone_offer)
                return
            except ims.MediaSecurityError as error:
                self._core.answer(face, self.server, error.sip_status_hint or 488, reason=error.reason)
                self._call.close()
                return
        back = pass_response(response, self.server.request)
        drop_description(back)
        self._core.respond(face, self.server, back)
        if self._call.side is ims.Side.UAC and response.status < 400 and not self._cancelled:
            self._await_redirected()
            return
        if any(not d.gone and d.acknowledged for d in self._call.dialogs.values()):
            return
        self._call.close()

    def _await_redirected(self) -> None:
        """A 3xx: the softphone may send the INVITE again, to somebody else (RFC 3261 8.1.3.4)."""
        self._call.negotiation.offer_rejected(status=302, now=self._call.now)
        for d in self._call.dialogs.values():
            d.gone = True
            self._call.negotiation.dialog_ended(dialog=d.id, now=self._call.now)
            self._call.media.forget(d.id)
        self._call.pump()
        self._redirect = self._core.loop.call_later(REDIRECT_PATIENCE, self._call.close)

    def _wants_offerless(self) -> bool:
        policy = self._call.negotiation.policy
        return (
            self._call.side is ims.Side.UAC
            and not self._call.negotiation.offers_to_edge  # no key passes the edge
            and self._core.config.secure_forking is SecureForking.OFFERLESS
            and policy.forking is ims.Forking.SECURE
            and policy.requirement is ims.Requirement.REQUIRED
            # Where no key may go, the call is refused at once, not when somebody has answered it.
            and (self._core.config.hop is ims.Hop.PROTECTED or policy.sdes_over_unprotected_signalling)
        )

    def _dialog_of(self, face: Face, client: ClientTransaction, response: SipMessage) -> CallDialog | None:
        """The dialog of a response to the INVITE that came from `face`; None without a tag (RFC 3261 12.1)."""
        if not tag_of(response, "To") or self.server is None or self._source is None:
            return None
        far = tag_of(response, "To") if face is Face.PHONE else tag_of(response, "From")
        if far not in self._call.dialogs and len(self._call.dialogs) >= MAX_FORKS:
            return None
        sip = self._core.dialog_from_response(face, self.server.request, client.request, response, self._source)
        if sip is None:
            return None
        d = self._call.dialogs.get(sip.far_tag)
        if d is None:
            offered = self._phone_offer is not None and not self._offerless
            d = CallDialog(id=sip.far_tag, open=OpenOffer.OURS if offered else None)
            self._call.dialogs[sip.far_tag] = d
        d.sip = sip
        sip.call = self._call
        if face is Face.PHONE and response.has("Allow"):
            sip.peer_allows = frozenset(parse_option_tags(response.get_all("Allow")))
        return d


def _without_reliable_provisional(out: SipMessage) -> None:
    """Without 100rel the far end's offer can come in its 2xx only, where all is answered at once."""
    for name in ("Supported", "Require"):
        tags = parse_option_tags(out.get_all(name))
        if "100rel" in tags:
            out.remove(name)
            rest = [tag for tag in tags if tag != "100rel"]
            if rest:
                out.append(name, ", ".join(rest))
