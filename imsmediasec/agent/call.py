"""`Call`: one INVITE, its dialogs, its keys and its media, between the two faces.

SDP is converted wherever it stands (INVITE, 18x, PRACK, UPDATE, 2xx, ACK); what the negotiation asks for
is done in SIP: a re-key of our own, the end of a dialog that lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import imsmediasec as ims
from imsmediasec.agent.call_dialog import CallDialog, OpenOffer
from imsmediasec.agent.exchanging import Exchanging
from imsmediasec.agent.identity import assertions
from imsmediasec.agent.inviting import Inviting
from imsmediasec.agent.media import CallMedia
from imsmediasec.agent.own_requests import OwnRequests
from imsmediasec.agent.session_timer import SessionTimer
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.sip import NameAddr, SipMessage, session_description

if TYPE_CHECKING:
    from imsmediasec.agent.b2bua import BackToBack


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
            access_edge=None if core.registering is None else core.registering.access_edge(str(phone)),
        )
        self.media = CallMedia(core.settings, self.negotiation, self.rekey)
        self.own = OwnRequests(self)
        self._timer: asyncio.TimerHandle | None = None
        self.inviting = Inviting(self)
        self.exchanging = Exchanging(self)
        core.observer.call_started(self)
        if side is ims.Side.UAC and core.transfers.take(request, self.now):
            self.negotiation.retargeted(to=self.remote_target, cause=ims.Retarget.TRANSFER, now=self.now)
            self.pump()

    @property
    def now(self) -> float:
        return self.core.loop.time()

    @property
    def has_open_invite(self) -> bool:
        """False once the INVITE has failed and the softphone may send it again, changed."""
        return self.started and not self.inviting.waits_for_another

    def peer_of(self, message: SipMessage) -> ims.PeerAssertions:
        """What a message from the network says of its sender."""
        dialled = self.negotiation.remote_target if self.side is ims.Side.UAC else None
        return assertions(message, self.core.config, dialled=dialled)

    def note_timer(self, d: CallDialog, request: SipMessage, response: SipMessage, asker: Face) -> None:
        """Note what a response to a request from `asker` says of the session timer (RFC 4028 7.2)."""
        if request.method in ("INVITE", "UPDATE") and 200 <= response.status < 300:
            d.timer = SessionTimer.agreed(response, asker)

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
        failure = self.pump(d.id)
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
        self.own.bye(d, Face.NETWORK)
        self.own.bye(d, Face.PHONE)
        self.negotiation.dialog_ended(dialog=d.id, now=self.now)
        self.pump()
        self.close()

    def hang_up(self) -> None:
        """The agent stops: BYE to both sides, or the end of the attempt."""
        up = [d for d in self.dialogs.values() if d.acknowledged and not d.gone]
        if not up and self.inviting.server is not None and not self.ended:
            self.inviting.cancelled()
            self.core.answer(self.caller_face, self.inviting.server, 503)
        for d in up:
            self.end(d)
        self.close()

    def resume(self, d: CallDialog) -> None:
        """An exchange is over: do what waited for that."""
        if d.gone or d.busy or self.own.busy(d):
            return
        if d.rekey_wanted:
            fresh, d.rekey_fresh, d.rekey_wanted = d.rekey_fresh, False, False
            self.own.rekey(d, early=d.rekey_early, fresh=fresh)
        elif d.waiting:
            face, transaction = d.waiting.popleft()
            try:
                self.exchanging.offer_in_dialog(face, d, transaction, session_description(transaction.request))
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
            self.pump()

    def exchange_over(self, d: CallDialog) -> None:
        """An exchange of our own is over."""
        self.pump()
        self.resume(d)

    def close(self) -> None:
        """The call is over: no media, no keys, no timers."""
        if self.ended:
            return
        self.ended = True
        for d in self.dialogs.values():
            self.negotiation.dialog_ended(dialog=d.id, now=self.now)
        self.pump()
        if self._timer is not None:
            self._timer.cancel()
        self.inviting.close()
        self.media.close()
        self.own.close()
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

    def pump(self, dialog: str | None = None) -> ims.MediaSecurityError | None:
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
            self.resume(d)

    def _retired(self, d: CallDialog, how: ims.DialogExit) -> None:
        if how is ims.DialogExit.FORGET:
            d.gone = True
            self.media.forget(d.id)
        elif how is ims.DialogExit.ACK_BYE:
            d.gone = True
            if d.ack is None:
                self.own.acknowledge(d, None)
            self.own.bye(d, Face.NETWORK)
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
        self.pump()
