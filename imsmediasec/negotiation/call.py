"""What the parts of a negotiation share: policy, dialogs, facts about keys, and the events to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from imsmediasec import events
from imsmediasec.errors import LocalError, MalformedInput, MediaSecurityError
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation import status as status_of
from imsmediasec.negotiation.agreement import Agreement
from imsmediasec.negotiation.dialog import Dialog, Form, MediaPlan
from imsmediasec.negotiation.edge import EdgeRules
from imsmediasec.negotiation.forking import ForkInput, ForkPhase
from imsmediasec.negotiation.ledger import Disclosure, KeyLedger
from imsmediasec.negotiation.timers import TimerQueue
from imsmediasec.policy import SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.status import Identity, PeerAssertions, SecurityStatus, SecurityWarning
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import DialogExit, Hop, KeyManagement, OnFailure, Requirement, Side


class Call:
    """The state of one call, with what every input does to it. The rules are elsewhere."""

    def __init__(
        self,
        policy: SecurityPolicy,
        *,
        side: Side,
        capabilities: SrtpCapabilities,
        remote_target: str,
        signalling: Hop,
        access_edge: Identity | None = None,
        random: sdes.Random,
    ) -> None:
        self.side = side
        self.capabilities = capabilities
        self.remote_target = remote_target
        self.random = random
        self.dialogs: dict[str, Dialog] = {}
        self.live: str | None = None
        self.timers = TimerQueue()
        self.events: deque[events.Event] = deque()
        self.notes: dict[str, SecurityWarning] = {}
        self.early_peer: PeerAssertions | None = None
        """Who the newest message without SDP came from, as long as there is no dialog with one."""
        self.retargeted_to: tuple[str, ...] = ()
        self._signalling = signalling
        self._access_edge = access_edge
        self._ledger = KeyLedger()
        self._agreement = Agreement(side, self._ledger, self.timers, self.events)
        self._emergency = policy.is_emergency(remote_target)
        self.adopt(policy)
        self._last_status: SecurityStatus | None = None
        self._maybe_changed = False
        self._lost_protection = False

    def adopt(self, policy: SecurityPolicy) -> None:
        """Let this policy hold from now on. Raises LocalError if it requires what the SRTP layer cannot run."""
        effective = policy.for_emergency() if self._emergency else policy
        if not self._emergency:
            _check_available(effective)
        edge = EdgeRules.of(effective, agreed=self._access_edge is not None)
        required = Requirement.REQUIRED in (effective.requirement, *effective.requirement_by_media.values())
        if required and not edge.available:
            raise LocalError(
                "the policy's scope is e2ae alone, and no registration has agreed on it with the access edge",
                sip_status_hint=488,
            )
        suites = sdes.usable_suites(effective, self.capabilities)
        if not suites and required:
            wanted = ", ".join(suite.name for suite in policy.suites)
            raise LocalError(f"the SRTP layer runs none of the policy's suites: {wanted}")
        mki, capabilities = effective.mki_length, self.capabilities
        if mki is not None and not (capabilities.mki and mki <= capabilities.max_mki_length):
            raise LocalError(f"the SRTP layer cannot run the policy's MKI of {mki} octets")
        self._wanted = policy
        self.policy = effective
        self.suites: tuple[SrtpSuite, ...] = suites if edge.available else ()
        self.edge = edge
        self.keys_may_travel = self._signalling is Hop.PROTECTED or effective.sdes_over_unprotected_signalling

    def redirect(self, to: str) -> None:
        """The next INVITE goes to `to`. An emergency call stays one, wherever it is led."""
        self._emergency = self._emergency or self._wanted.is_emergency(to)
        self.adopt(self._wanted)

    # Dialogs

    def known(self, dialog: str) -> Dialog:
        """The dialog of that name. Raises LocalError."""
        d = self.dialogs.get(dialog)
        if d is None:
            raise LocalError(f"dialog {dialog} is not known")
        return d

    def record(self, lines: Iterable[CryptoAttribute | None], dialog: str | None) -> None:
        """The keys of these lines stood in an SDP of that dialog, or of the INVITE (None)."""
        disclosure = Disclosure(dialog=dialog, hop=self._signalling)
        for crypto in lines:
            if crypto is not None:
                self._ledger.record(crypto, disclosure)

    def reach(self, d: Dialog, plans: tuple[MediaPlan, ...], now: float) -> None:
        """An exchange is complete: put it into force."""
        lost = self._agreement.reach(d, plans, self.policy, now)
        if lost:
            self.notes["protection-lost"] = SecurityWarning(
                code="protection-lost", text="media that was protected no longer is"
            )
            self._lost_protection = True
        elif "protection-lost" in self.notes and all(
            stream.protected for stream in d.streams.values() if stream.form is not Form.REFUSED
        ):
            del self.notes["protection-lost"]
        self.changed()

    def set_gates(self, d: Dialog) -> None:
        """Report the gates that changed."""
        self._agreement.set_gates(d)

    def retire(self, d: Dialog, how: DialogExit | None, what: ForkInput = ForkInput.ENDS) -> None:
        """The call does not use this dialog any more; None: nothing is to be done about it in SIP."""
        if d.phase is None:
            d.phase = ForkPhase.RETIRED
        else:
            d.move(what)
        self._agreement.drop_keys(d)
        d.local_offer = None
        d.remote_plan = None
        if how is not None:
            self.events.append(events.DialogRetired(dialog=d.id, how=how))
        self.changed()

    # Events

    def fail(self, d: Dialog, error: MediaSecurityError) -> None:
        """Report a fault of the other side."""
        if isinstance(error, MalformedInput) and d.streams:
            error.sip_status_hint = 488  # within a call a 400 could end the dialog (RFC 3261 12.2.1.2)
        error.__traceback__ = error.__context__ = error.__cause__ = None  # their frames hold the SDP
        self.events.append(events.NegotiationFailed(dialog=d.id, error=error))

    def changed(self) -> None:
        """The status may have changed. It is derived when somebody comes to look."""
        self._maybe_changed = True

    def status_event(self) -> events.Event | None:
        """The status, if it changed since it was reported last: after all other events."""
        if self._maybe_changed:
            self._maybe_changed = False
            status = self.status
            if status != self._last_status or self._lost_protection:
                self._last_status = status
                lost, self._lost_protection = self._lost_protection, False
                return events.SecurityChanged(dialog=self.live, status=status, lost_protection=lost)
        return None

    @property
    def status(self) -> SecurityStatus:
        """What protects the call now."""
        return status_of.derive(
            side=self.side,
            policy=self.policy,
            dialog=self._shown(),
            other_dialogs=[d.id for d in self.dialogs.values() if d.answered_from_invite],
            ledger=self._ledger,
            remote_target=self.remote_target,
            early_peer=self.early_peer,
            access_edge=self._access_edge,
            retargeted_to=self.retargeted_to,
            notes=self.notes.values(),
        )

    def _shown(self) -> Dialog | None:
        """The dialog that the status speaks of: the one that took the call, else the newest early one."""
        if self.live is not None:
            return self.dialogs[self.live]
        shown = None
        for d in self.dialogs.values():
            if d.phase is not ForkPhase.RETIRED:
                shown = d
        return shown


def _check_available(policy: SecurityPolicy) -> None:
    """Nothing that the policy demands is accepted and then ignored. Raises LocalError."""
    if {policy.requirement, *policy.requirement_by_media.values()} == {Requirement.DISABLED}:
        return
    if KeyManagement.SDES not in policy.key_management:
        wanted = ", ".join(method.value for method in policy.key_management)
        raise LocalError(f"only sdes is available here, and the policy lists {wanted}")
    if policy.terminals and policy.on_exposed is OnFailure.REFUSE:
        raise LocalError("terminals: SDES, the method available here, cannot tell which terminal answers")
