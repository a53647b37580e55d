"""`Negotiation`: the security of the media of one call, without I/O (RFC 3264, RFC 4568).

Text and the time go in, text and events come out. One object serves one INVITE and all dialogs that
it creates. Three things drive it: the application (`create_*`, `prepare_*`), the network
(`receive_*`, `offer_rejected`, `confirm`, `dialog_ended`), and the clock (`handle_timeout`).

A misuse raises `LocalError` and changes nothing. A fault on the wire never raises: it becomes the
event `NegotiationFailed`, and the state before it holds.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TypeVar

from imsmediasec import events
from imsmediasec.errors import LocalError, MalformedInput, MediaSecurityError, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation import status as status_of
from imsmediasec.negotiation.agreement import Agreement
from imsmediasec.negotiation.dialog import Dialog, LocalOffer
from imsmediasec.negotiation.exchange import ExchangeInput, ExchangeState
from imsmediasec.negotiation.forking import LIVE, SHARED, ForkInput, ForkPhase
from imsmediasec.negotiation.judging import judge_answer, judge_offer, offered_keys
from imsmediasec.negotiation.ledger import Disclosure, KeyLedger
from imsmediasec.negotiation.offers import read_own, write_answer, write_offer
from imsmediasec.negotiation.timers import Timer, TimerQueue, glare_delay
from imsmediasec.policy import SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.sdp.document import SessionDescription
from imsmediasec.status import PeerAssertions, SecurityStatus, SecurityWarning
from imsmediasec.terms import DialogExit, Forking, Hop, OnFailure, Retarget, Side

Text = TypeVar("Text", str, bytes)

REKEY_TIMEOUT = 32.0
"""Seconds after the 2xx until a re-key that the rules ask for counts as lost (64*T1)."""
CALLEE_PATIENCE = 5.0
"""Seconds a callee waits for the caller's re-key before it sends one offer of its own."""


class Negotiation:
    """The media security of one call.

    `policy`: what the user wants; an emergency target relaxes it (`SecurityPolicy.for_target`).
    `side`: who sent the INVITE. `capabilities`: what the SRTP layer runs. `signalling`: what is
    known of the next SIP hop. `random`: n octets at a call, `os.urandom` unless a test needs others.
    Raises LocalError if no suite of the policy can run.
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
        random: sdes.Random = os.urandom,
    ) -> None:
        self.side = side
        self.local_identity = local_identity
        self.remote_target = remote_target
        self._wanted = policy
        self._policy = policy.for_target(remote_target)
        sdes.usable_suites(self._policy, capabilities)
        self._capabilities = capabilities
        self._signalling = signalling
        self._random = random
        self._events: deque[events.Event] = deque()
        self._dialogs: dict[str, Dialog] = {}
        self._invite_offer: LocalOffer | None = None
        self._live: str | None = None
        self._ledger = KeyLedger()
        self._timers = TimerQueue()
        self._agreement = Agreement(side, self._ledger, self._timers, self._events)
        self._retargeted_to: tuple[str, ...] = ()
        self._notes: dict[str, SecurityWarning] = {}
        self._last_status: SecurityStatus | None = None

    # What the application does

    def next_event(self) -> events.Event | None:
        """The oldest event not taken yet, or None."""
        return self._events.popleft() if self._events else None

    @property
    def policy(self) -> SecurityPolicy:
        """The policy that holds for this call."""
        return self._policy

    @property
    def status(self) -> SecurityStatus:
        """What protects the call now (B9)."""
        return status_of.derive(
            side=self.side,
            policy=self._policy,
            dialog=self._shown(),
            other_dialogs=[d.id for d in self._dialogs.values() if d.answered_from_invite],
            ledger=self._ledger,
            remote_target=self.remote_target,
            retargeted_to=self._retargeted_to,
            notes=self._notes.values(),
        )

    def change_policy(self, policy: SecurityPolicy, *, now: float) -> None:
        """A new policy for the rest of the call; if a call is up, an offer of ours is asked for."""
        effective = policy.for_target(self.remote_target)
        sdes.usable_suites(effective, self._capabilities)
        self._wanted, self._policy = policy, effective
        if self._live is not None:
            self._emit(events.RekeyRequired(dialog=self._live))
        self._show()

    def prepare_offer(self, *, dialog: str | None = None, now: float) -> None:
        """Fetch what `create_offer` needs. SDES needs nothing: `OfferPossible` follows at once."""
        self._emit(events.OfferPossible(dialog=dialog))

    def prepare_answer(self, *, dialog: str, now: float) -> None:
        """Fetch what `create_answer` needs; see `prepare_offer`."""
        self._emit(events.AnswerPossible(dialog=dialog))

    def create_offer(self, plain: Text, *, dialog: str | None = None, rekey: bool = False, now: float) -> Text:
        """Add the security to an offer of ours. `dialog` None: the INVITE, which may fork.

        Keys in use stay, unless `rekey` is set, the transport moved, or the rules ask for fresh ones.
        Raises LocalError: unreadable SDP, an exchange is open, the policy cannot be met.
        """
        doc = read_own(plain)
        d = None if dialog is None else self._dialogs.get(dialog)
        if dialog is not None and d is None:
            if self.side is Side.UAC or self._dialogs:
                raise LocalError(f"dialog {dialog} is not known")
            d = Dialog(id=dialog, offerless=True)
        if d is None and self._live is not None:
            raise LocalError("the call is up: an offer now belongs to its dialog")
        if d is not None and d.phase is ForkPhase.RETIRED:
            raise LocalError(f"dialog {dialog} is over")
        if d is not None and not d.can(ExchangeInput.SEND_OFFER):
            d.step(ExchangeInput.SEND_OFFER)
        shared = d is not None and d.phase in SHARED and self.side is Side.UAC
        offer = write_offer(
            doc,
            policy=self._policy,
            capabilities=self._capabilities,
            random=self._random,
            streams={} if d is None else d.streams,
            fresh=rekey or shared,
            keys_may_travel=self._keys_may_travel,
        )
        for line in offer.media:
            for crypto in line.crypto:
                self._ledger.record(crypto, Disclosure(dialog=dialog, hop=self._signalling))
        if d is None:
            self._invite_offer = offer
        else:
            self._dialogs.setdefault(d.id, d)
            d.step(ExchangeInput.SEND_OFFER)
            d.local_offer = offer
            if shared:
                d.move(ForkInput.FRESH_KEY_OFFERED)
                self._show()
        return _like(plain, doc)

    def create_answer(self, plain: Text, *, dialog: str, now: float) -> Text:
        """Answer the open offer of this dialog. The keys are in force from here on.

        Raises LocalError: unreadable SDP, no open offer, m-lines that do not fit it.
        """
        doc = read_own(plain)
        d = self._known(dialog)
        if d.remote_plan is None or not d.can(ExchangeInput.SEND_ANSWER):
            raise LocalError(f"dialog {dialog}: there is no offer to answer", clause="RFC 3264 4")
        fresh = d.phase in SHARED and self.side is Side.UAC
        plans = write_answer(
            doc,
            plans=d.remote_plan,
            policy=self._policy,
            random=self._random,
            streams=d.streams,
            fresh=fresh,
        )
        d.step(ExchangeInput.SEND_ANSWER)
        d.remote_plan = None
        for plan in plans:
            if plan.local is not None:
                self._ledger.record(plan.local, Disclosure(dialog=dialog, hop=self._signalling))
        self._commit(d, self._agreement.reach(d, plans, self._policy, now), now)
        return _like(plain, doc)

    def accept_exposure(self, *, dialog: str, go_on: bool, now: float) -> None:
        """The user's word on the warning "decision-needed" (policy `OnFailure.ASK`)."""
        d = self._known(dialog)
        if not d.awaiting_decision:
            raise LocalError(f"dialog {dialog}: no decision is asked for")
        d.awaiting_decision = False
        self._give_in(d) if go_on else self._end_exposed(d)
        self._show()

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
        d = self._dialogs.get(dialog)
        if d is None or (d.local_offer is None and not d.answered_invite and d.exchange is ExchangeState.STABLE):
            if self._invite_offer is None or self.side is Side.UAS:
                raise LocalError(f"dialog {dialog}: an answer without an offer", clause="RFC 3264 4")
            d = self._dialogs.setdefault(dialog, Dialog(id=dialog))
            d.answered_from_invite = True
            if d.phase is ForkPhase.RETIRED:
                self._show()
                return
            if self._live is not None:
                self._lost(d)
                return
            d.local_offer = self._invite_offer
            d.step(ExchangeInput.SEND_OFFER)
        if d.phase is ForkPhase.RETIRED or d.local_offer is None or (to_invite and d.answered_invite):
            return  # the answer again, in a later response (RFC 3261 13.2.1), or of a dialog that lost
        try:
            plans = judge_answer(
                SessionDescription.parse(sdp),
                offer=d.local_offer,
                policy=self._policy,
                capabilities=self._capabilities,
                streams=d.streams,
            )
        except MediaSecurityError as error:
            self._refuse_answer(d, error)
            return
        d.peer = peer or d.peer
        d.failed = False
        d.step(ExchangeInput.RECEIVE_ANSWER if reliable else ExchangeInput.RECEIVE_PREVIEW)
        from_invite = d.local_offer is self._invite_offer and d.answered_from_invite and not d.answered_invite
        if reliable:
            d.local_offer = None
            d.answered_invite = d.answered_invite or from_invite
        for plan in plans:
            if plan.remote is not None:
                self._ledger.record(plan.remote, Disclosure(dialog=dialog, hop=self._signalling))
        self._commit(d, self._agreement.reach(d, plans, self._policy, now), now)
        if reliable and update_allowed and d.phase is ForkPhase.EARLY_SHARED and self._enforcing(d):
            self._emit(events.RekeyRequired(dialog=dialog, early=True))

    def receive_offer(
        self, sdp: str | bytes, *, dialog: str, peer: PeerAssertions | None = None, now: float
    ) -> None:
        """An offer from the peer: in the INVITE, in a response to an INVITE without one, or later."""
        d = self._dialogs.get(dialog) or Dialog(id=dialog)  # known once its offer can be answered
        if self._live is not None and not d.live and d.phase is not ForkPhase.RETIRED:
            self._dialogs[dialog] = d
            self._lost(d)
        if d.phase is ForkPhase.RETIRED:
            self._fail(d, PeerMisbehaved("an offer in a dialog that lost the call", sip_status_hint=481))
            return
        unanswered = self.side is Side.UAC and self._invite_offer is not None and not d.answered_invite
        if unanswered or not d.can(ExchangeInput.RECEIVE_OFFER):
            glare = d.exchange is not ExchangeState.REMOTE_OFFER
            error = PeerMisbehaved(
                "an offer while another one is open", clause="RFC 3261 14.2", sip_status_hint=491 if glare else 500
            )
            self._fail(d, error)
            return
        # The INVITE's own offer may have reached other terminals too; a callee cannot tell.
        forkable = self.side is Side.UAS and not d.live and not d.streams and not d.offerless
        try:
            doc = SessionDescription.parse(sdp)
            if forkable:
                # All its lines, not only the one we take: a later offer may come back to another.
                for crypto in offered_keys(doc):
                    self._ledger.record(crypto, Disclosure(dialog=None, hop=self._signalling))
            plans = judge_offer(
                doc,
                policy=self._policy,
                capabilities=self._capabilities,
                streams=d.streams,
                keys_may_travel=self._keys_may_travel,
            )
        except MediaSecurityError as error:
            self._fail(d, error)
            return
        d.peer = peer or d.peer
        self._dialogs[dialog] = d
        d.step(ExchangeInput.RECEIVE_OFFER)
        d.remote_plan = plans
        for plan in plans:
            if plan.remote is not None and not forkable:
                self._ledger.record(plan.remote, Disclosure(dialog=dialog, hop=self._signalling))
        self._show()

    def offer_rejected(
        self, *, dialog: str | None = None, status: int, retry_after: float | None = None, now: float
    ) -> None:
        """Our open offer was refused (a SIP status) or lost (408): the state before it is back.

        `dialog` None: the INVITE failed; `create_offer` may be called again, with new keys.
        """
        if dialog is None:
            self._invite_offer = None
            return
        d = self._known(dialog)
        if d.local_offer is None:
            raise LocalError(f"dialog {dialog}: no offer of ours is open")
        d.step(ExchangeInput.REJECT)
        d.local_offer = None
        rekeying = d.phase in SHARED and self._enforcing(d)
        if d.phase in SHARED and self.side is Side.UAC:
            d.move(ForkInput.REKEY_FAILED)
        if rekeying and status == 491:
            self._timers.add(Timer(at=now + glare_delay(self.side, self._random), dialog=dialog, what="rekey"))
        elif rekeying and status in (500, 503) and retry_after is not None:
            self._timers.add(Timer(at=now + retry_after, dialog=dialog, what="rekey"))
        elif rekeying and d.phase in LIVE and (self.side is Side.UAC or d.reoffer_sent):
            self._exposed(d)
        self._show()

    def remote_offer_withdrawn(self, *, dialog: str, now: float) -> None:
        """The peer's open offer is void: it was refused by the application, or its request cancelled."""
        d = self._known(dialog)
        d.step(ExchangeInput.REJECT)
        d.remote_plan = None

    def confirm(self, *, dialog: str, now: float) -> None:
        """This dialog took the call: its 2xx arrived (UAC), or was acknowledged (UAS).

        The first one wins. Any further one is to be acknowledged and ended (RFC 3261 13.2.2.4).
        """
        d = self._dialogs.get(dialog)
        if d is not None and d.live:
            return
        if self._live is not None or d is None or d.failed or d.phase is ForkPhase.RETIRED or not d.streams:
            if d is None or d.failed or not d.streams:
                d = d or self._dialogs.setdefault(dialog, Dialog(id=dialog))
                if self._live is None and not d.failed:
                    self._fail(d, PeerMisbehaved("the call was taken without an answer", clause="RFC 3261 13.2.1"))
            self._retire(d, DialogExit.ACK_BYE if self.side is Side.UAC else DialogExit.BYE)
            self._show()
            return
        self._live = dialog
        d.live = True
        d.move(ForkInput.TAKES_CALL)
        for other in list(self._dialogs.values()):
            if other is not d and other.phase is not ForkPhase.RETIRED:
                self._retire(other, DialogExit.FORGET, ForkInput.LOSES)
        self._agreement.set_gates(d)
        if d.phase in SHARED and self._enforcing(d):
            if self.side is Side.UAC:
                self._timers.add(Timer(at=now + REKEY_TIMEOUT, dialog=dialog, what="rekey-deadline"))
                if d.phase is ForkPhase.LIVE_SHARED:
                    self._emit(events.RekeyRequired(dialog=dialog))
            else:
                self._timers.add(Timer(at=now + CALLEE_PATIENCE, dialog=dialog, what="callee-patience"))
        self._show()

    def dialog_ended(self, *, dialog: str, now: float) -> None:
        """The dialog is over (BYE, a final error, CANCEL): its keys go."""
        d = self._dialogs.get(dialog)
        if d is not None and d.phase is not ForkPhase.RETIRED:
            self._retire(d, None)
            self._show()

    def retargeted(self, *, to: str, cause: Retarget, now: float) -> None:
        """The call goes to somebody else: the policy is looked at anew, and no key is used again.

        After a redirect or a transfer, call `create_offer` for the new INVITE.
        """
        self._retargeted_to = (*self._retargeted_to, to)
        self.remote_target = to
        self._policy = self._wanted.for_target(to)
        if cause is not Retarget.FORWARDED:
            for d in list(self._dialogs.values()):
                if d.phase is not ForkPhase.RETIRED and not d.live:
                    self._retire(d, DialogExit.FORGET, ForkInput.LOSES)
            self._invite_offer = None
        self._notes["retargeted"] = SecurityWarning(code="retargeted", text=f"the call was passed on to {to}")
        self._show()

    # What the clock does

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout` (the same clock as `now`), or None."""
        return self._timers.next()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        for timer in self._timers.due(now):
            d = self._dialogs.get(timer.dialog)
            if timer.keys is not None:
                self._emit(timer.keys)
            elif d is None or d.phase not in SHARED or not self._enforcing(d):
                continue
            elif timer.what == "rekey" and d.can(ExchangeInput.SEND_OFFER):
                self._emit(events.RekeyRequired(dialog=d.id, early=not d.live))
            elif timer.what == "callee-patience" and not d.reoffer_sent:
                d.reoffer_sent = True
                self._timers.add(Timer(at=now + REKEY_TIMEOUT, dialog=d.id, what="rekey-deadline"))
                if d.can(ExchangeInput.SEND_OFFER):
                    self._emit(events.RekeyRequired(dialog=d.id))
            elif timer.what == "rekey-deadline":
                self._exposed(d)
        self._show()

    # Inside

    @property
    def _keys_may_travel(self) -> bool:
        return self._signalling is Hop.PROTECTED or self._policy.sdes_over_unprotected_signalling

    def _enforcing(self, d: Dialog) -> bool:
        return self._policy.forking is Forking.SECURE and not d.exposure_accepted

    def _known(self, dialog: str) -> Dialog:
        d = self._dialogs.get(dialog)
        if d is None:
            raise LocalError(f"dialog {dialog} is not known")
        return d

    def _shown(self) -> Dialog | None:
        """The dialog that the status speaks of: the one that took the call, else the newest early one."""
        if self._live is not None:
            return self._dialogs[self._live]
        early = [d for d in self._dialogs.values() if d.phase is not ForkPhase.RETIRED]
        return early[-1] if early else None

    def _commit(self, d: Dialog, lost_protection: bool, now: float) -> None:
        if d.reoffer_sent and d.live and d.phase in SHARED and d.exchange is ExchangeState.STABLE:
            self._exposed(d)  # even our own re-offer brought no fresh key
        self._show(lost_protection)

    def _refuse_answer(self, d: Dialog, error: MediaSecurityError) -> None:
        d.step(ExchangeInput.REJECT)
        d.local_offer = None
        if not d.streams:
            d.failed = True
        self._fail(d, error)
        if d.phase in SHARED and self.side is Side.UAC and d.can(ExchangeInput.SEND_OFFER):
            if d.phase in (ForkPhase.EARLY_REKEYING, ForkPhase.LIVE_REKEYING):
                d.move(ForkInput.REKEY_FAILED)
            if d.phase in LIVE and self._enforcing(d):
                self._exposed(d)
        self._show()

    def _exposed(self, d: Dialog) -> None:
        """B7 cannot be met in this dialog: do what the policy says."""
        if d.awaiting_decision:
            return
        if self._policy.on_exposed is OnFailure.REFUSE:
            self._end_exposed(d)
        elif self._policy.on_exposed is OnFailure.ASK:
            d.awaiting_decision = True
        else:
            self._give_in(d)

    def _give_in(self, d: Dialog) -> None:
        d.exposure_accepted = True
        self._agreement.set_gates(d)

    def _end_exposed(self, d: Dialog) -> None:
        self._fail(d, PeerMisbehaved("no fresh key could be agreed: other terminals may hold the key of the call",
                                     clause="RFC 4568 7.3"))  # fmt: skip
        self._retire(d, DialogExit.BYE)

    def _lost(self, d: Dialog) -> None:
        """A dialog that shows up after another one took the call."""
        self._retire(d, DialogExit.FORGET, ForkInput.LOSES)
        self._show()

    def _retire(self, d: Dialog, how: DialogExit | None, what: ForkInput = ForkInput.ENDS) -> None:
        if d.phase is None:
            d.phase = ForkPhase.RETIRED
        else:
            d.move(what)
        self._agreement.drop_keys(d)
        d.local_offer = None
        d.remote_plan = None
        self._timers.drop(d.id)
        if how is not None:
            self._emit(events.DialogRetired(dialog=d.id, how=how))

    def _fail(self, d: Dialog, error: MediaSecurityError) -> None:
        if isinstance(error, MalformedInput) and error.sip_status_hint == 400:
            error.sip_status_hint = 488 if d.streams else 400
        self._emit(events.NegotiationFailed(dialog=d.id, error=error))

    def _emit(self, event: events.Event) -> None:
        self._events.append(event)

    def _show(self, lost_protection: bool = False) -> None:
        status = self.status
        if lost_protection:
            warning = SecurityWarning(code="protection-lost", text="media that was protected no longer is")
            self._notes[warning.code] = warning
            status = self.status
        if status != self._last_status or lost_protection:
            self._last_status = status
            self._emit(
                events.SecurityChanged(dialog=self._live, status=status, lost_protection=lost_protection)
            )


def _like(given: Text, doc: SessionDescription) -> Text:
    return str(doc) if isinstance(given, str) else bytes(doc)
