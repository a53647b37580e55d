"""`Negotiation`: the security of the media of one call, without I/O (RFC 3264, RFC 4568).

Text and the time go in, text and events come out. One object serves one INVITE and all dialogs that
it creates. Three things drive it: the application (`create_*`, `prepare_*`), the network
(`receive_*`, `offer_rejected`, `confirm`, `dialog_ended`), and the clock (`handle_timeout`).

A misuse raises `LocalError` and changes nothing. A fault on the wire never raises: it becomes the
event `NegotiationFailed`, and the state before it holds.
"""

from __future__ import annotations

import os
from typing import TypeVar

from imsmediasec import events
from imsmediasec.errors import LocalError, MediaSecurityError, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.call import Call
from imsmediasec.negotiation.dialog import Dialog, Ends, LocalOffer
from imsmediasec.negotiation.enforcement import Enforcement
from imsmediasec.negotiation.exchange import ExchangeInput, ExchangeState
from imsmediasec.negotiation.forking import SHARED, ForkInput, ForkPhase
from imsmediasec.negotiation.judging import check_required, judge_answer, judge_offer, offered_keys
from imsmediasec.negotiation.offers import read_own, write_answer, write_offer
from imsmediasec.policy import SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.sdp.document import SessionDescription
from imsmediasec.status import Identity, PeerAssertions, SecurityStatus, SecurityWarning
from imsmediasec.terms import DialogExit, Hop, Retarget, Side

Text = TypeVar("Text", str, bytes)


class Negotiation:
    """The media security of one call.

    `policy`: what the user wants; an emergency target relaxes it (`SecurityPolicy.for_emergency`).
    `side`: who sent the INVITE. `capabilities`: what the SRTP layer runs. `signalling`: what is
    known of the next SIP hop. `access_edge`: who may end the protection in the operator's network, if the
    registration has agreed on sdes-srtp (`Registration.status.mechanisms`), and how that is known; None: nobody
    may. `random`: n octets at a call, `os.urandom` unless a test needs others.
    Raises LocalError if the policy requires protection and none of its suites or scopes can be had.
    """

    def __init__(
        self,
        policy: SecurityPolicy,
        *,
        side: Side,
        capabilities: SrtpCapabilities,
        local_identity: str,
        remote_target: str,
        signalling: Hop = Hop.UNPROTECTED,
        access_edge: Identity | None = None,
        random: sdes.Random = os.urandom,
    ) -> None:
        self.side = side
        self.local_identity = local_identity
        self._call = Call(
            policy,
            side=side,
            capabilities=capabilities,
            remote_target=remote_target,
            signalling=signalling,
            access_edge=access_edge,
            random=random,
        )
        self._rules = Enforcement(self._call)
        self._invite_offer: LocalOffer | None = None

    # What the application does

    def next_event(self) -> events.Event | None:
        """The oldest event not taken yet, or None. A changed status comes after all others."""
        queue = self._call.events
        return queue.popleft() if queue else self._call.status_event()

    @property
    def policy(self) -> SecurityPolicy:
        """The policy that holds for this call."""
        return self._call.policy

    @property
    def remote_target(self) -> str:
        """Who is called (UAC) or calls (UAS), as far as this side knows."""
        return self._call.remote_target

    @property
    def offers_to_edge(self) -> bool:
        """Whether a new call's offer asks the access edge to end the protection (`a=3ge2ae:requested`)."""
        return self._call.edge.offers is Ends.EDGE

    @property
    def status(self) -> SecurityStatus:
        """What protects the call now (B9)."""
        return self._call.status

    def change_policy(self, policy: SecurityPolicy, *, now: float) -> None:
        """A new policy for the rest of the call; if a call is up, an offer of ours is asked for."""
        call = self._call
        call.adopt(policy)
        if call.live is not None and call.dialogs[call.live].phase is not ForkPhase.RETIRED:
            call.events.append(events.RekeyRequired(dialog=call.live))
        call.changed()

    def prepare_offer(self, *, dialog: str | None = None, now: float) -> None:
        """Fetch what `create_offer` needs. SDES needs nothing: `OfferPossible` follows at once."""
        self._call.events.append(events.OfferPossible(dialog=dialog))

    def prepare_answer(self, *, dialog: str, now: float) -> None:
        """Fetch what `create_answer` needs; see `prepare_offer`."""
        self._call.events.append(events.AnswerPossible(dialog=dialog))

    def create_offer(self, plain: Text, *, dialog: str | None = None, rekey: bool = False, now: float) -> Text:
        """Add the security to an offer of ours. `dialog` None: the INVITE, which may fork.

        Keys in use stay, unless `rekey` is set, the transport moved, or the rules ask for fresh ones.
        Raises LocalError: unreadable SDP, an exchange is open, the policy cannot be met.
        """
        call = self._call
        doc = read_own(plain)
        d = None if dialog is None else self._dialog_to_offer_in(dialog)
        if d is None and call.live is not None:
            raise LocalError("the call is up: an offer now belongs to its dialog")
        shared = d is not None and d.phase in SHARED and self.side is Side.UAC
        offer = write_offer(
            doc,
            policy=call.policy,
            suites=call.suites,
            random=call.random,
            streams={} if d is None else d.streams,
            fresh=rekey or shared,
            keys_may_travel=call.keys_may_travel,
            edge=call.edge,
        )
        for line in offer.media:
            call.record(line.crypto, dialog)
        if d is None:
            self._invite_offer = offer
        else:
            call.dialogs[d.id] = d
            d.step(ExchangeInput.SEND_OFFER)
            d.local_offer = offer
            if shared:
                d.move(ForkInput.FRESH_KEY_OFFERED)
                call.changed()
        return _like(plain, doc)

    def create_answer(self, plain: Text, *, dialog: str, now: float) -> Text:
        """Answer the open offer of this dialog. The keys are in force from here on.

        Raises LocalError: unreadable SDP, no open offer, m-lines that do not fit it.
        """
        call = self._call
        doc = read_own(plain)
        d = call.known(dialog)
        if d.remote_plan is None:
            raise LocalError(f"dialog {dialog}: there is no offer to answer", clause="RFC 3264 4")
        plans = write_answer(
            doc,
            plans=d.remote_plan,
            policy=call.policy,
            random=call.random,
            streams=d.streams,
            fresh=d.phase in SHARED and self.side is Side.UAC,
        )
        try:
            check_required(plans, call.policy)
        except NoCommonSecurity as error:
            raise LocalError(f"dialog {dialog}: {error.reason}; refuse the offer") from None
        d.step(ExchangeInput.SEND_ANSWER)
        d.remote_plan = None
        call.record([plan.local for plan in plans], dialog)
        before = d.phase
        call.reach(d, plans, now)
        self._rules.after_exchange(d, before, ours=False, now=now)
        return _like(plain, doc)

    def accept_exposure(self, *, dialog: str, go_on: bool, now: float) -> None:
        """The user's word on the warning "decision-needed" (policy `OnFailure.ASK`)."""
        self._rules.decide(dialog, go_on)

    # What the network does

    def receive_answer(
        self,
        sdp: str | bytes,
        *,
        dialog: str,
        reliable: bool = True,
        peer: PeerAssertions | None = None,
        update_allowed: bool = False,
        to_invite: bool = False,
        now: float,
    ) -> None:
        """An answer to our offer in this dialog, or to that of the INVITE.

        `reliable`: False for a provisional response without PRACK; a later answer may then differ.
        `update_allowed`: the dialog is early, and the peer takes UPDATE (RFC 3311): a re-key may be
        asked for at once.
        `to_invite`: it stands in a response to the INVITE. Such an answer may come again in every later
        response; say so, or one that comes while an UPDATE of ours is open counts as its answer.
        Raises LocalError if there never was an offer.
        """
        call = self._call
        d = self._dialog_to_answer_in(dialog)
        if d.phase is ForkPhase.RETIRED or d.local_offer is None or (to_invite and d.answered_invite):
            return  # the answer again, in a later response (RFC 3261 13.2.1), or of a dialog that lost
        try:
            plans = judge_answer(
                SessionDescription.parse(sdp),
                offer=d.local_offer,
                policy=call.policy,
                capabilities=call.capabilities,
                edge=call.edge,
            )
            if not d.live:
                check_required(plans, call.policy)
        except MediaSecurityError as error:
            d.step(ExchangeInput.REJECT)
            d.failed = d.failed or (not d.live and d.local_offer is self._invite_offer)
            d.local_offer = None
            call.fail(d, error)
            self._rules.answer_unusable(d)
            call.changed()
            return
        d.peer = peer or d.peer
        d.failed = False
        if reliable:
            d.answer_received(to_invite=d.local_offer is self._invite_offer)
        else:
            d.step(ExchangeInput.RECEIVE_PREVIEW)
        call.record([plan.remote for plan in plans], dialog)
        before = d.phase
        call.reach(d, plans, now)
        self._rules.after_exchange(d, before, ours=True, now=now)
        if reliable and update_allowed:
            self._rules.after_early_answer(d)

    def receive_offer(self, sdp: str | bytes, *, dialog: str, peer: PeerAssertions | None = None, now: float) -> None:
        """An offer from the peer: in the INVITE, in a response to an INVITE without one, or later."""
        call = self._call
        d = call.dialogs.get(dialog) or Dialog(id=dialog)  # known once its offer can be answered
        if call.live is not None and not d.live and d.phase is not ForkPhase.RETIRED:
            call.dialogs[dialog] = d
            call.retire(d, DialogExit.FORGET, ForkInput.LOSES)
        if d.phase is ForkPhase.RETIRED:
            call.fail(d, PeerMisbehaved("an offer in a dialog that lost the call", sip_status_hint=481))
            return
        unanswered = self.side is Side.UAC and self._invite_offer is not None and not d.answered_invite
        if unanswered or not d.can(ExchangeInput.RECEIVE_OFFER):
            hint = 500 if d.exchange is ExchangeState.REMOTE_OFFER else 491
            reason = "an offer while another one is open"
            call.fail(d, PeerMisbehaved(reason, clause="RFC 3261 14.2", sip_status_hint=hint))
            return
        try:
            doc = SessionDescription.parse(sdp)
            plans = judge_offer(
                doc,
                policy=call.policy,
                suites=call.suites,
                capabilities=call.capabilities,
                streams=d.streams,
                keys_may_travel=call.keys_may_travel,
                edge=call.edge,
            )
        except MediaSecurityError as error:
            call.fail(d, error)
            return
        if self.side is Side.UAS and not d.live and not d.streams and not d.offerless:
            # The INVITE's own offer may have reached other terminals too; a callee cannot tell. All its
            # lines, not only the one we take: a later offer may come back to another.
            call.record(offered_keys(doc), None)
        else:
            call.record([plan.remote for plan in plans], dialog)
        d.peer = peer or d.peer
        call.dialogs[dialog] = d
        d.step(ExchangeInput.RECEIVE_OFFER)
        d.remote_plan = plans
        call.changed()

    def receive_peer(self, *, dialog: str, peer: PeerAssertions, now: float) -> None:
        """Who is at the other end, by a message whose SDP is not read (or that has none): an INVITE without an
        offer, a 180. So the status can name the other side while it rings."""
        call = self._call
        d = call.dialogs.get(dialog)
        if d is None:
            call.early_peer = peer
        elif d.phase is not ForkPhase.RETIRED:
            d.peer = peer
        call.changed()

    def offer_rejected(
        self, *, dialog: str | None = None, status: int, retry_after: float | None = None, now: float
    ) -> None:
        """Our open offer was refused (a SIP status) or lost (408): the state before it is back.

        `dialog` None: the INVITE failed; `create_offer` may be called again, with new keys.
        Raises LocalError if no offer of ours is open in the dialog.
        """
        if dialog is None:
            self._invite_offer = None
            return
        d = self._call.known(dialog)
        if d.local_offer is None:
            raise LocalError(f"dialog {dialog}: no offer of ours is open")
        d.step(ExchangeInput.REJECT)
        d.local_offer = None
        self._rules.offer_failed(d, status=status, retry_after=retry_after, now=now)
        self._call.changed()

    def remote_offer_withdrawn(self, *, dialog: str, now: float) -> None:
        """The peer's open offer is void: it was refused by the application, or its request cancelled."""
        d = self._call.known(dialog)
        if d.remote_plan is None:
            raise LocalError(f"dialog {dialog}: no offer of the peer is open")
        d.step(ExchangeInput.REJECT)
        d.remote_plan = None

    def confirm(self, *, dialog: str, now: float) -> None:
        """This dialog took the call: its 2xx arrived (UAC), or was acknowledged (UAS).

        The first one wins. Any further one is to be acknowledged and ended (RFC 3261 13.2.2.4).
        """
        self._rules.take_call(dialog, now)

    def dialog_ended(self, *, dialog: str, now: float) -> None:
        """The dialog is over (BYE, a final error, CANCEL): its keys go."""
        d = self._call.dialogs.get(dialog)
        if d is not None and d.phase is not ForkPhase.RETIRED:
            self._call.retire(d, None)

    def retargeted(self, *, to: str, cause: Retarget, now: float) -> None:
        """The call goes to somebody else, and no key is used again.

        After a redirect, call `create_offer` for the new INVITE; the INVITE of a transfer has its own
        `Negotiation`. A redirect to an emergency service relaxes the policy; a report that somebody
        forwarded the call does not, and an emergency call stays one.
        """
        call = self._call
        call.retargeted_to = (*call.retargeted_to, to)
        call.remote_target = to
        call.early_peer = None
        if cause is Retarget.REDIRECT:
            call.redirect(to)
        if cause is not Retarget.FORWARDED:
            for d in list(call.dialogs.values()):
                if d.phase is not ForkPhase.RETIRED and not d.live:
                    call.retire(d, DialogExit.FORGET, ForkInput.LOSES)
            self._invite_offer = None
        call.notes["retargeted"] = SecurityWarning(code="retargeted", text=f"the call was passed on to {to}")
        call.changed()

    # What the clock does

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout` (the same clock as `now`), or None."""
        return self._call.timers.next()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._rules.handle_timeout(now)

    # Inside

    def _dialog_to_offer_in(self, dialog: str) -> Dialog:
        d = self._call.dialogs.get(dialog)
        if d is None:
            if self.side is Side.UAC or self._call.dialogs:
                raise LocalError(f"dialog {dialog} is not known")
            return Dialog(id=dialog, offerless=True)
        if d.phase is ForkPhase.RETIRED:
            raise LocalError(f"dialog {dialog} is over")
        d.check(ExchangeInput.SEND_OFFER)
        return d

    def _dialog_to_answer_in(self, dialog: str) -> Dialog:
        """The dialog, with the offer that is open in it: the INVITE's, if nothing came in it so far."""
        call = self._call
        d = call.dialogs.get(dialog)
        if d is not None and (d.local_offer or d.answered_invite or d.exchange is not ExchangeState.STABLE):
            return d
        if self._invite_offer is None or self.side is Side.UAS:
            raise LocalError(f"dialog {dialog}: an answer without an offer", clause="RFC 3264 4")
        d = call.dialogs.setdefault(dialog, Dialog(id=dialog))
        d.answered_from_invite = True
        if d.phase is ForkPhase.RETIRED:
            call.changed()
        elif call.live is not None:
            call.retire(d, DialogExit.FORGET, ForkInput.LOSES)
        else:
            d.local_offer = self._invite_offer
            d.step(ExchangeInput.SEND_OFFER)
        return d


def _like(given: Text, doc: SessionDescription) -> Text:
    return str(doc) if isinstance(given, str) else bytes(doc)
