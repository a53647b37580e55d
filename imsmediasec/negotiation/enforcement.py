"""Requirement B7 enforced with SDES: who takes the call, the re-key behind it, and what happens if none comes."""

from __future__ import annotations

from imsmediasec import events
from imsmediasec.errors import LocalError, NoCommonSecurity, PeerMisbehaved
from imsmediasec.negotiation.call import Call
from imsmediasec.negotiation.dialog import Dialog
from imsmediasec.negotiation.exchange import ExchangeInput, ExchangeState
from imsmediasec.negotiation.forking import LIVE, REKEYING, SHARED, ForkInput, ForkPhase
from imsmediasec.negotiation.timers import Timer, glare_delay
from imsmediasec.terms import DialogExit, Forking, OnFailure, Side

REKEY_TIMEOUT = 32.0
"""Seconds after the 2xx until a re-key that the rules ask for counts as lost (64*T1)."""
CALLEE_PATIENCE = 5.0
"""Seconds a callee waits for the caller's re-key before it sends one offer of its own."""


class Enforcement:
    """The fork rules of one call. Every method may queue events."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def take_call(self, dialog: str, now: float) -> None:
        """The dialog was confirmed. The first one wins; any further one is ended (RFC 3261 13.2.2.4)."""
        call = self._call
        d = call.dialogs.get(dialog)
        if d is not None and d.live:
            return
        if d is None:
            d = call.dialogs[dialog] = Dialog(id=dialog)
        unanswered = not d.streams and d.remote_plan is None
        if call.live is not None or d.failed or unanswered or d.phase is ForkPhase.RETIRED:
            if call.live is None and unanswered and not d.failed and d.phase is not ForkPhase.RETIRED:
                call.fail(d, PeerMisbehaved("the call was taken without an answer", clause="RFC 3261 13.2.1"))
            call.retire(d, DialogExit.ACK_BYE if call.side is Side.UAC else DialogExit.BYE)
            return
        if d.exchange is ExchangeState.PROVISIONAL_ANSWER:
            # The 2xx came without the answer that the 18x had shown: that one it is.
            d.answer_received(to_invite=True)
        call.live = dialog
        d.live = True
        d.move(ForkInput.TAKES_CALL)
        for other in list(call.dialogs.values()):
            if other is not d and other.phase is not ForkPhase.RETIRED:
                call.retire(other, DialogExit.FORGET, ForkInput.LOSES)
        call.set_gates(d)
        self._demand_rekey(d, now)
        call.changed()

    def after_exchange(self, d: Dialog, before: ForkPhase | None, *, ours: bool, now: float) -> None:
        """An exchange put new keys into force. `ours`: we had offered. `before`: the phase until then."""
        if not (d.live and d.phase in SHARED and self.enforcing(d)):
            return
        if ours and d.reoffer_sent:
            self._exposed(d)  # even our own re-offer brought no fresh key
        elif before not in SHARED:
            self._demand_rekey(d, now)

    def after_early_answer(self, d: Dialog) -> None:
        """An early dialog whose peer takes UPDATE has its reliable answer: re-key at once."""
        if d.phase is ForkPhase.EARLY_SHARED and self.enforcing(d):
            self._call.events.append(events.RekeyRequired(dialog=d.id, early=True))

    def offer_failed(self, d: Dialog, *, status: int, retry_after: float | None, now: float) -> None:
        """Our offer in this dialog was refused or lost."""
        if d.phase in REKEYING:
            d.move(ForkInput.REKEY_FAILED)
        if not (d.phase in SHARED and self.enforcing(d)):
            return
        call = self._call
        if status == 491:
            call.timers.add(Timer(at=now + glare_delay(call.side, call.random), dialog=d.id, what="rekey"))
        elif status in (500, 503) and retry_after is not None:
            call.timers.add(Timer(at=now + retry_after, dialog=d.id, what="rekey"))
        elif d.phase in LIVE and (call.side is Side.UAC or d.reoffer_sent):
            self._exposed(d)

    def answer_unusable(self, d: Dialog) -> None:
        """The answer to our offer in this dialog was refused here."""
        if d.phase in REKEYING:
            d.move(ForkInput.REKEY_FAILED)
            if d.phase in LIVE and self.enforcing(d):
                self._exposed(d)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        call = self._call
        for timer in call.timers.due(now):
            if timer.keys is not None:
                call.events.append(timer.keys)
                continue
            d = call.known(timer.dialog)
            if not (d.phase in SHARED and self.enforcing(d)):
                continue
            if timer.what == "rekey-deadline":
                self._exposed(d)
                continue
            if timer.what == "callee-patience":
                d.reoffer_sent = True
                call.timers.add(Timer(at=now + REKEY_TIMEOUT, dialog=d.id, what="rekey-deadline"))
            if d.can(ExchangeInput.SEND_OFFER):
                call.events.append(events.RekeyRequired(dialog=d.id, early=not d.live))
        call.changed()

    def decide(self, dialog: str, go_on: bool) -> None:
        """The user's word on the warning "decision-needed". Raises LocalError if none is asked for."""
        d = self._call.known(dialog)
        if not d.awaiting_decision:
            raise LocalError(f"dialog {dialog}: no decision is asked for")
        if go_on:
            d.unprotected_accepted = d.unprotected_accepted or d.asks_unprotected
            d.exposure_accepted = d.exposure_accepted or d.exposed
            d.exposed = False
            self._call.set_gates(d)
            self._call.changed()
        elif d.exposed:
            self._end_exposed(d)
        else:
            self._call.fail(d, NoCommonSecurity("the user does not want this call unprotected"))
            self._call.retire(d, DialogExit.BYE)

    def enforcing(self, d: Dialog) -> bool:
        """True if media of this dialog has to wait for a key that no other terminal holds."""
        return self._call.policy.forking is Forking.SECURE and not d.exposure_accepted

    def _demand_rekey(self, d: Dialog, now: float) -> None:
        if not (d.phase in SHARED and self.enforcing(d)):
            return
        call = self._call
        if call.side is Side.UAS:
            call.timers.add(Timer(at=now + CALLEE_PATIENCE, dialog=d.id, what="callee-patience"))
            return
        call.timers.add(Timer(at=now + REKEY_TIMEOUT, dialog=d.id, what="rekey-deadline"))
        if d.phase is ForkPhase.LIVE_SHARED:
            call.events.append(events.RekeyRequired(dialog=d.id))

    def _exposed(self, d: Dialog) -> None:
        """B7 cannot be met in this dialog: do what the policy says."""
        policy = self._call.policy
        on_exposed = policy.on_exposed if self._call.side is Side.UAC else policy.on_caller_exposed
        if on_exposed is OnFailure.REFUSE:
            self._end_exposed(d)
            return
        if on_exposed is OnFailure.ASK:
            d.exposed = True
        else:
            d.exposure_accepted = True
        self._call.set_gates(d)
        self._call.changed()

    def _end_exposed(self, d: Dialog) -> None:
        reason = "no fresh key could be agreed: other terminals may hold the key of the call"
        self._call.fail(d, PeerMisbehaved(reason, clause="RFC 4568 7.3"))
        self._call.retire(d, DialogExit.BYE)
