"""What follows from a completed exchange: keys into force, keys out of force, gates.

One call of `reach` takes a dialog from what was agreed before to what is agreed now, and queues the
events that tell the SRTP layer about the difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from imsmediasec import events
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Dialog, Ends, Form, MediaPlan, Stream
from imsmediasec.negotiation.forking import SHARED, ForkInput, ForkPhase, gate_of
from imsmediasec.negotiation.ledger import KeyLedger
from imsmediasec.negotiation.timers import Timer, TimerQueue
from imsmediasec.policy import SecurityPolicy
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.terms import Direction, Forking, Gate, OnFailure, Side

RECEIVE_GRACE = 5.0
"""Seconds for which the peer's old key stays valid after a new one (RFC 4568 7.1.4: packets of both
exchanges may be on their way)."""


class Agreement:
    def __init__(self, side: Side, ledger: KeyLedger, timers: TimerQueue, queue: deque[events.Event]) -> None:
        self._side = side
        self._ledger = ledger
        self._timers = timers
        self._events = queue

    def reach(self, d: Dialog, plans: Sequence[MediaPlan], policy: SecurityPolicy, now: float) -> bool:
        """Put `plans` into force. True if media that was protected no longer is."""
        lost = False
        for index, plan in enumerate(plans):
            stream = d.streams.get(index)
            if stream is None:
                stream = Stream(index=index, mid=plan.mid, media_type=plan.media_type, form=Form.PASS)
                d.streams[index] = stream
            lost_here = self._reach_line(d, stream, plan, now)
            lost = lost or lost_here
            asks = lost_here and policy.on_protection_lost is OnFailure.ASK
            stream.asks = stream.form is Form.PLAIN and (stream.asks or asks or policy.asks_about(stream.media_type))
        self._settle_phase(d, policy)
        self.set_gates(d)
        return lost

    def set_gates(self, d: Dialog) -> None:
        """Report every gate that changed."""
        for stream in d.streams.values():
            if stream.form in (Form.REFUSED, Form.PASS):
                continue
            e2e = stream.protected and stream.ends is Ends.FAR_END
            if e2e and not d.exposure_accepted and d.phase is not None:
                gate = gate_of(d.phase, self._side)
            elif d.phase is ForkPhase.RETIRED or (stream.asks and not d.unprotected_accepted):
                gate = Gate.KEEPALIVE_ONLY
            else:
                gate = Gate.OPEN
            if gate is not stream.gate:
                stream.gate = gate
                self._events.append(events.MediaGate(dialog=d.id, index=stream.index, gate=gate))

    def drop_keys(self, d: Dialog) -> None:
        """The dialog is over: gates shut, all keys out of force, those in their grace period too."""
        self.set_gates(d)
        for timer in self._timers.drop(d.id):
            if timer.keys is not None:
                self._events.append(timer.keys)
        for stream in d.streams.values():
            self._retire(d, stream, Direction.SEND)
            self._retire(d, stream, Direction.RECEIVE)

    def _reach_line(self, d: Dialog, stream: Stream, plan: MediaPlan, now: float) -> bool:
        was_protected = stream.protected and stream.form is not Form.REFUSED
        form = Form.SECURE if plan.form is Form.CAPNEG and plan.remote is not None else plan.form
        for quirk, detail in plan.quirks:
            self._events.append(events.PeerQuirk(dialog=d.id, index=stream.index, quirk=quirk, detail=detail))
        stream.mid, stream.media_type = plan.mid, plan.media_type
        if plan.local is not None and plan.remote is not None:
            stream.form, stream.ends = form, plan.ends
            their_place_stays = stream.remote_transport == plan.remote_transport
            our_place_stays = stream.local_transport == plan.local_transport
            self._install(d, stream, Direction.RECEIVE, plan.remote, their_place_stays, now)
            self._install(d, stream, Direction.SEND, plan.local, our_place_stays, now)
            stream.local, stream.remote = plan.local, plan.remote
            stream.local_transport, stream.remote_transport = plan.local_transport, plan.remote_transport
            return False
        self._retire(d, stream, Direction.SEND)
        self._retire(d, stream, Direction.RECEIVE)
        stream.local = stream.remote = None
        gone = form is Form.REFUSED or (form is Form.PASS and stream.form not in (Form.PASS, Form.REFUSED))
        if gone and stream.form is not Form.REFUSED:
            self._events.append(events.MediaRemoved(dialog=d.id, index=stream.index))
            stream.gate = None
        stream.form = Form.REFUSED if gone else form
        return was_protected and plan.in_clear

    def _install(
        self, d: Dialog, stream: Stream, direction: Direction, crypto: CryptoAttribute, same_transport: bool, now: float
    ) -> None:
        current = stream.local if direction is Direction.SEND else stream.remote
        if current is not None and sdes.same_keys(current, crypto):
            return
        keys = sdes.to_keys(crypto, same_transport=same_transport)
        if direction is Direction.SEND:
            old, stream.send_keys = stream.send_keys, keys
        else:
            old, stream.receive_keys = stream.receive_keys, keys
        self._events.append(
            events.KeysReady(dialog=d.id, index=stream.index, mid=stream.mid, direction=direction, keys=keys)
        )
        if old is None:
            return
        retired = events.KeysRetired(dialog=d.id, index=stream.index, mid=stream.mid, direction=direction, keys=old)
        if direction is Direction.SEND:
            self._events.append(retired)
        else:
            self._timers.add(Timer(at=now + RECEIVE_GRACE, dialog=d.id, what="grace", keys=retired))

    def _retire(self, d: Dialog, stream: Stream, direction: Direction) -> None:
        if direction is Direction.SEND:
            keys, stream.send_keys = stream.send_keys, None
        else:
            keys, stream.receive_keys = stream.receive_keys, None
        if keys is not None:
            self._events.append(
                events.KeysRetired(dialog=d.id, index=stream.index, mid=stream.mid, direction=direction, keys=keys)
            )

    def _settle_phase(self, d: Dialog, policy: SecurityPolicy) -> None:
        """Move the fork phase on by what the ledger says of the keys now in use."""
        protected = shared = False
        for stream in d.streams.values():
            if stream.local is not None and stream.remote is not None:
                protected = True
                if stream.ends is not Ends.FAR_END:
                    continue  # the key ends at the access edge: no other terminal has seen it
                known = self._ledger.stood_in_invite
                shared = shared or known(stream.local) or known(stream.remote)
        if not protected:
            if d.phase in (ForkPhase.EARLY_REKEYING, ForkPhase.LIVE_REKEYING):
                d.move(ForkInput.REKEY_FAILED)
            return
        if d.phase is None:
            if shared:
                d.phase = ForkPhase.LIVE_SHARED if d.live else ForkPhase.EARLY_SHARED
            else:
                d.phase = ForkPhase.LIVE_PRIVATE if d.live else ForkPhase.EARLY_PRIVATE
            d.exposure_accepted = policy.forking is Forking.EXPOSED
        else:
            d.move(ForkInput.INVITE_KEY_AGREED if shared else ForkInput.FRESH_KEY_AGREED)
        assert d.phase is not None
        if d.phase not in SHARED:
            d.exposed = False
