"""Faults to seed into the forking rules. Each must be caught by the orders that the tests generate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from imsmediasec import Negotiation, Side
from imsmediasec.negotiation import forking, ledger, offers, status
from imsmediasec.negotiation.agreement import Agreement
from imsmediasec.negotiation.call import Call
from imsmediasec.negotiation.dialog import Dialog
from imsmediasec.negotiation.forking import FORK_TABLE, ForkInput, ForkPhase
from imsmediasec.terms import DialogExit, ForkState, Gate
from tests.property.fork_party import counter

Patch = pytest.MonkeyPatch


def _everywhere(patch: Patch, old: object, new: object) -> None:
    """Put `new` in the place of `old` in every module that has it by name."""
    found = False
    for module in list(sys.modules.values()):
        if module is not None and module.__name__.startswith("imsmediasec"):
            for name, value in list(vars(module).items()):
                if value is old:
                    patch.setattr(module, name, new)
                    found = True
    assert found


def _open_in(patch: Patch, *phases: ForkPhase) -> None:
    original = forking.gate_of

    def gate_of(phase: ForkPhase, side: Side) -> Gate:
        return Gate.OPEN if phase in phases else original(phase, side)

    _everywhere(patch, original, gate_of)


def _says(patch: Patch, phase: ForkPhase, lie: ForkState) -> None:
    original = forking.fork_state_of
    _everywhere(patch, original, lambda p, side: lie if p is phase else original(p, side))


def _with(patch: Patch, original: Callable[..., Any], **changed: object) -> None:
    """Call `original` with these arguments changed, whatever the caller says."""
    _everywhere(patch, original, lambda *args, **kw: original(*args, **{**kw, **changed}))


def _row(patch: Patch, phase: ForkPhase, what: ForkInput, to: ForkPhase) -> None:
    assert FORK_TABLE[phase, what] is not to
    patch.setitem(FORK_TABLE, (phase, what), to)


def gate_open_before_the_rekey(patch: Patch) -> None:
    """The caller speaks as soon as a dialog has taken the call."""
    _open_in(patch, ForkPhase.LIVE_SHARED)


def gate_open_on_18x(patch: Patch) -> None:
    _open_in(patch, ForkPhase.EARLY_SHARED)


def gate_open_in_an_early_dialog(patch: Patch) -> None:
    """A private key is no leave to speak to a dialog that may lose."""
    _open_in(patch, ForkPhase.EARLY_PRIVATE)


def gate_open_while_rekeying(patch: Patch) -> None:
    _open_in(patch, ForkPhase.LIVE_REKEYING)


def offer_counts_as_agreed(patch: Patch) -> None:
    _row(patch, ForkPhase.LIVE_SHARED, ForkInput.FRESH_KEY_OFFERED, ForkPhase.LIVE_PRIVATE)


def rekey_failure_ignored(patch: Patch) -> None:
    _row(patch, ForkPhase.LIVE_REKEYING, ForkInput.REKEY_FAILED, ForkPhase.LIVE_PRIVATE)


def invite_key_taken_back(patch: Patch) -> None:
    """A later exchange brings the INVITE's key back, and the dialog stays private."""
    _row(patch, ForkPhase.LIVE_PRIVATE, ForkInput.INVITE_KEY_AGREED, ForkPhase.LIVE_PRIVATE)


def offer_keeps_the_key(patch: Patch) -> None:
    _with(patch, offers.write_offer, fresh=False)


def answer_keeps_the_key(patch: Patch) -> None:
    _with(patch, offers.write_answer, fresh=False)


def one_fresh_key_for_all_dialogs(patch: Patch) -> None:
    """What a loser got as its fresh key, the winner gets too."""
    original = Negotiation.create_offer

    def create_offer(self: Any, plain: str, *, dialog: str | None = None, **more: Any) -> str:
        if dialog is not None and self.side is Side.UAC:
            self._call.random = counter(99)  # starts anew each time
        return original(self, plain, dialog=dialog, **more)

    patch.setattr(Negotiation, "create_offer", create_offer)


def losers_keys_kept(patch: Patch) -> None:
    patch.setattr(Agreement, "drop_keys", lambda self, d: None)


def losers_not_told(patch: Patch) -> None:
    original = Call.retire

    def retire(self: Any, d: Any, how: DialogExit | None, what: ForkInput = ForkInput.ENDS) -> None:
        if how is not DialogExit.FORGET:
            original(self, d, how, what)

    patch.setattr(Call, "retire", retire)


def late_2xx_accepted(patch: Patch) -> None:
    """The second dialog that takes the call gets it."""
    original = Negotiation.confirm

    def confirm(self: Any, *, dialog: str, now: float) -> None:
        self._call.live = None
        original(self, dialog=dialog, now=now)

    patch.setattr(Negotiation, "confirm", confirm)


def late_18x_accepted(patch: Patch) -> None:
    """A dialog that shows up after the call was taken gets keys."""
    original = Negotiation.receive_answer

    def receive_answer(self: Any, sdp: str, *, dialog: str, **more: Any) -> None:
        call = self._call
        live, call.live = call.live, None if dialog not in call.dialogs else call.live
        original(self, sdp, dialog=dialog, **more)
        call.live = live

    patch.setattr(Negotiation, "receive_answer", receive_answer)


def repeated_answer_counts_for_the_rekey(patch: Patch) -> None:
    original = Negotiation.receive_answer

    def receive_answer(self: Any, sdp: str, *, to_invite: bool = False, **more: Any) -> None:
        original(self, sdp, **more)

    patch.setattr(Negotiation, "receive_answer", receive_answer)


def offer_before_the_invites_answer(patch: Patch) -> None:
    """An early dialog's own offer is taken while the INVITE's is open, and its key then counts as the one in use."""
    original = Negotiation.receive_offer

    def receive_offer(self: Any, sdp: str, **more: Any) -> None:
        kept, self._invite_offer = self._invite_offer, None
        original(self, sdp, **more)
        self._invite_offer = kept

    patch.setattr(Negotiation, "receive_offer", receive_offer)
    move = Dialog.move
    patch.setattr(
        Dialog,
        "move",
        lambda self, what: None if what is ForkInput.INVITE_KEY_AGREED and self.answered_invite else move(self, what),
    )


def ledger_forgets_the_invite(patch: Patch) -> None:
    original = ledger.KeyLedger.record

    def record(self: Any, crypto: Any, disclosure: Any) -> None:
        if disclosure.dialog is not None:
            original(self, crypto, disclosure)

    patch.setattr(ledger.KeyLedger, "record", record)


def ledger_goes_by_object(patch: Patch) -> None:
    """A key of the INVITE that comes back counts as new."""

    def find(self: Any, key: Any) -> Any:
        seen = self._by_id.get(id(key))
        return seen[1] if seen is not None else None

    patch.setattr(ledger.KeyLedger, "_find", find)


def only_the_taken_line_is_noted(patch: Patch) -> None:
    """The callee forgets the INVITE's other a=crypto lines."""
    from imsmediasec.negotiation import judging

    original = judging.offered_keys
    _everywhere(patch, original, lambda doc: [line.crypto[0] for line in doc.media if line.crypto])


def status_confirms_early(patch: Patch) -> None:
    _says(patch, ForkPhase.LIVE_REKEYING, ForkState.CONFIRMED)


def status_confirms_shared(patch: Patch) -> None:
    _says(patch, ForkPhase.LIVE_SHARED, ForkState.CONFIRMED)


def status_leaves_losers_out(patch: Patch) -> None:
    _with(patch, status.derive, other_dialogs=())


def status_leaves_listeners_out(patch: Patch) -> None:
    original = status._shared_with
    _everywhere(patch, original, lambda crypto, facts: list(original(crypto, facts))[:1])


FAULTS: tuple[Callable[[Patch], None], ...] = (
    gate_open_before_the_rekey,
    gate_open_on_18x,
    gate_open_in_an_early_dialog,
    gate_open_while_rekeying,
    offer_counts_as_agreed,
    rekey_failure_ignored,
    invite_key_taken_back,
    offer_keeps_the_key,
    answer_keeps_the_key,
    one_fresh_key_for_all_dialogs,
    losers_keys_kept,
    losers_not_told,
    late_2xx_accepted,
    late_18x_accepted,
    repeated_answer_counts_for_the_rekey,
    offer_before_the_invites_answer,
    ledger_forgets_the_invite,
    ledger_goes_by_object,
    only_the_taken_line_is_noted,
    status_confirms_early,
    status_confirms_shared,
    status_leaves_losers_out,
    status_leaves_listeners_out,
)
