"""The parties of the forking world: each drives a `Negotiation` as a SIP stack would, and sends media as it is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from imsmediasec import (
    DialogExit,
    DialogRetired,
    Direction,
    Gate,
    KeysReady,
    KeysRetired,
    LocalError,
    MediaGate,
    MediaRemoved,
    Negotiation,
    NegotiationFailed,
    PeerAssertions,
    RekeyRequired,
    Retarget,
    SecurityChanged,
    SecurityPolicy,
    SecurityStatus,
    Side,
)
from tests.property import fork_sdp as sdp_of

if TYPE_CHECKING:
    from tests.property.fork_world import ForkWorld

Place = tuple[str, int]
"""A dialog and the index of an m-line."""


def counter(owner: int) -> Callable[[int], bytes]:
    """A random source that never repeats itself, nor another owner's."""
    count = owner << 64

    def draw(octets: int) -> bytes:
        nonlocal count
        count += 1
        return (count & ((1 << 8 * octets) - 1)).to_bytes(octets, "big")

    return draw


class Message:
    """Something on its way: over the network, or (`todo`) inside a terminal that takes its time."""

    __slots__ = ("dialog", "kind", "reliable", "sdp", "status", "to", "todo", "txn")

    def __init__(self, kind: str, to: Party, dialog: str, sdp: str | None = None, *, txn: int = 0, status: int = 0,
                 reliable: bool = False, todo: bool = False) -> None:  # fmt: skip
        self.kind, self.to, self.dialog, self.sdp = kind, to, dialog, sdp
        self.txn, self.status, self.reliable, self.todo = txn, status, reliable, todo

    def __repr__(self) -> str:
        text = f"{self.kind}{self.status or ''} to {self.to.name} in {self.dialog}"
        return text + (" with SDP" if self.sdp else "") + (" (reliable)" if self.reliable else "")


class Party:
    """A party of the call. What it was told by events is all that it knows of keys and gates."""

    side: Side

    def __init__(self, world: ForkWorld, name: str, number: int, policy: SecurityPolicy) -> None:
        self.world, self.name, self.number = world, name, number
        self.host = f"10.0.0.{number + 1}"
        self.port = 4000
        self.random = counter(number + 1)
        self.neg = Negotiation(
            policy,
            side=self.side,
            capabilities=world.capabilities,
            local_identity=f"sip:{name}@a.example",
            remote_target="sip:callee@a.example",
            signalling=world.hop,
            random=self.random,
        )
        self.policy = policy
        self.status = self.neg.status
        self.gates: dict[Place, Gate] = {}
        self.sending: dict[Place, bytes] = {}
        self.receiving: dict[Place, bytes] = {}
        """The newest key of the peer."""
        self.newest: dict[tuple[Place, Direction], int] = {}
        """The object that brought it: one key may come in two objects, and one of them be retired."""
        self.installed: dict[int, tuple[str, Direction]] = {}
        """Keys in force: id of the object, dialog, direction."""
        self.objects: list[object] = []
        self.disclosed: dict[bytes, set[str | None]] = {}
        """By key: the dialogs in whose SDP this party sent or read it; None: in the INVITE."""
        self.open: dict[str, int] = {}
        """Our offer's transaction, by dialog."""
        self.pending: dict[str, Message] = {}
        """Offers that we have yet to answer."""
        self.ended: set[str] = set()
        self.dialogs: list[str] = []
        """In the order in which this party came to know them."""
        self.shown: SecurityStatus | None = None
        self.failure: NegotiationFailed | None = None
        self.rekeyed: set[str] = set()
        self.peer_names: dict[str, str] = {}

    # Media

    def pump(self) -> None:
        """Take what the library reports. Called after every call of the library."""
        self._drain()
        self.status = self.neg.status

    def _drain(self) -> None:
        while (event := self.neg.next_event()) is not None:
            kind = type(event)
            if kind is SecurityChanged:
                self.shown = event.status  # type: ignore[attr-defined]
                continue
            dialog = event.dialog
            if kind is KeysReady:
                self._ready(event)  # type: ignore[arg-type]
            elif kind is KeysRetired:
                self._retired(event)  # type: ignore[arg-type]
            elif kind is MediaGate:
                place = (dialog, event.index)  # type: ignore[attr-defined]
                self.gates[place] = event.gate  # type: ignore[attr-defined, index]
                self._speak(place)  # type: ignore[arg-type]
            elif kind is MediaRemoved:
                self.gates.pop((dialog, event.index), None)  # type: ignore[attr-defined, arg-type]
            elif kind is NegotiationFailed:
                self.failure = event  # type: ignore[assignment]
            elif kind is RekeyRequired:
                self.world.post(Message("rekey", self, dialog, todo=True, reliable=event.early))  # type: ignore[arg-type, attr-defined]
            elif kind is DialogRetired:
                self.ended.add(dialog)  # type: ignore[arg-type]
                self.pending.pop(dialog, None)  # type: ignore[arg-type]
                self.world.met.add(f"{self.side.value}: {event.how.value}")  # type: ignore[attr-defined]
                if event.how is not DialogExit.FORGET:  # type: ignore[attr-defined]
                    self.bye(dialog)  # type: ignore[arg-type]

    def _ready(self, event: KeysReady) -> None:
        assert event.dialog is not None
        master = event.keys.master_keys[0]
        key = master.key.reveal() + master.salt.reveal()
        place = (event.dialog, event.index)
        self.installed[id(event.keys)] = (event.dialog, event.direction)
        self.objects.append(event.keys)  # ids stay unique while this lives
        self.newest[place, event.direction] = id(event.keys)
        if event.direction is Direction.SEND:
            if place in self.sending:
                self.rekeyed.add(event.dialog)
                self.world.met.add(f"{self.side.value}: new key, {'in the call' if self.status.dialog else 'early'}")
            self.sending[place] = key
            self._speak(place)
        else:
            self.receiving[place] = key

    def _retired(self, event: KeysRetired) -> None:
        assert event.dialog is not None
        del self.installed[id(event.keys)]
        place = (event.dialog, event.index)
        if self.newest[place, event.direction] == id(event.keys):
            del (self.sending if event.direction is Direction.SEND else self.receiving)[place]

    def _speak(self, place: Place) -> None:
        """Somebody speaks all the time; what leaves now is recorded."""
        if self.gates.get(place) is Gate.OPEN and place in self.sending:
            self.world.spoken.setdefault((self.name, place[0]), set()).add(self.sending[place])

    # Signalling

    def text(self, direction: str = "", dead: int | None = None) -> str:
        return sdp_of.plain(self.host, self.port, self.world.lines, direction, dead)

    def note(self, sdp: str | None, where: str | None) -> None:
        """This party sent or read that SDP."""
        if sdp:
            for key in sdp_of.keys(sdp):
                self.disclosed.setdefault(key, set()).add(where)

    def know(self, dialog: str) -> None:
        if dialog not in self.dialogs:
            self.dialogs.append(dialog)

    def assertions(self, dialog: str) -> PeerAssertions:
        self.peer_names[dialog] = name = f"sip:{self.world.across(self, dialog).name}@b.example"
        return PeerAssertions(
            claimed=name, asserted=name if self.world.asserting else None, trusted_hop=self.world.asserting
        )

    def send(self, kind: str, dialog: str, sdp: str | None = None, *, txn: int = 0, status: int = 0,
             reliable: bool = False) -> None:  # fmt: skip
        to = self.world.across(self, dialog)
        if sdp:
            self.note(sdp, dialog)
            self.check_sent(sdp)
            self.world.shown_to(to, sdp)
            self.world.shown_to(self, sdp)
            if kind in ("ack", "response") or (kind == "prack" and not txn):
                self.world.answered.update(sdp_of.keys(sdp))
        self.world.post(Message(kind, to, dialog, sdp, txn=txn, status=status, reliable=reliable))

    def check_sent(self, sdp: str) -> None:
        """For the caller to fill in."""

    def offer(self, dialog: str, kind: str, direction: str = "", dead: int | None = None) -> bool:
        """Send an offer of ours in a dialog, if none is open."""
        if dialog in self.ended or dialog in self.open:
            return False
        if self.world.chance(12):
            self.port += 10  # the transport moves
        try:
            sdp = self.neg.create_offer(self.text(direction, dead), dialog=dialog, now=self.world.now)
        except LocalError:
            return False
        self.open[dialog] = txn = self.world.transaction()
        self.world.met.add(f"{self.side.value} offers by {kind}")
        self.send(kind, dialog, sdp, txn=txn)
        self.pump()
        return True

    def take_offer(self, m: Message) -> None:
        """An offer in an UPDATE, re-INVITE or PRACK has come."""
        if m.dialog in self.ended:
            self.send("response", m.dialog, txn=m.txn, status=481)
        elif self.world.chance(20):
            self.send("response", m.dialog, txn=m.txn, status=self.world.one_of((488, 500, 491)))
        else:
            self.failure = None
            self.note(m.sdp, m.dialog)
            self.neg.receive_offer(m.sdp or "", dialog=m.dialog, peer=self.assertions(m.dialog), now=self.world.now)
            self.pump()
            status = self.failed_with()
            if status is not None:
                self.world.met.add(f"{self.side.value} answers {status} as told")
                self.send("response", m.dialog, txn=m.txn, status=status)
                return
            self.know(m.dialog)
            self.pending[m.dialog] = m
            if self.world.chance(8):
                self.world.post(Message("answer", self, m.dialog, todo=True))
            else:
                self.give_answer(m)

    def failed_with(self) -> int | None:
        """The status to refuse the peer's offer with, if it cannot be answered."""
        return None if self.failure is None else self.failure.error.sip_status_hint or 500

    def give_answer(self, m: Message) -> None:
        offer = self.pending.pop(m.dialog, None)
        if offer is None:
            return
        if self.world.chance(25):
            self.neg.remote_offer_withdrawn(dialog=m.dialog, now=self.world.now)
            self.pump()
            self.send("response", m.dialog, txn=offer.txn, status=488)
            return
        dead = self.world.choose(self.world.lines) if self.world.chance(30) else None
        sdp = self.neg.create_answer(self.text(dead=dead), dialog=m.dialog, now=self.world.now)
        self.send("response", m.dialog, sdp, txn=offer.txn, status=200)
        self.pump()

    def take_response(self, m: Message) -> None:
        if self.open.get(m.dialog) != m.txn:
            return  # the transaction is over: SIP drops it
        del self.open[m.dialog]
        if m.dialog in self.ended:
            return
        if m.status == 200:
            sdp = m.sdp or ""
            if self.world.chance(60):
                sdp = sdp_of.without_keys(sdp)
            self.note(sdp, m.dialog)
            self.neg.receive_answer(sdp, dialog=m.dialog, peer=self.assertions(m.dialog), now=self.world.now)
        elif m.status == 481:
            self.neg.dialog_ended(dialog=m.dialog, now=self.world.now)
            self.ended.add(m.dialog)
        else:
            self.world.met.add(f"{m.status} to the {self.side.value}'s offer")
            after = 2.0 if m.status == 500 and self.world.chance(2) else None
            self.neg.offer_rejected(dialog=m.dialog, status=m.status, retry_after=after, now=self.world.now)
        self.pump()

    def bye(self, dialog: str) -> None:
        self.pending.pop(dialog, None)
        self.ended.add(dialog)
        self.send("bye", dialog)

    def end(self, dialog: str) -> None:
        """The dialog is over; SIP told the library."""
        self.pending.pop(dialog, None)
        self.ended.add(dialog)
        self.neg.dialog_ended(dialog=dialog, now=self.world.now)
        self.pump()

    def receive(self, m: Message) -> None:
        if m.kind in ("update", "reinvite"):
            self.take_offer(m)
        elif m.kind == "response":
            self.take_response(m)
        elif m.kind == "answer":
            self.give_answer(m)
        elif m.kind == "rekey":
            self.rekey(m)
        elif m.kind == "bye":
            if m.dialog in self.dialogs:
                self.end(m.dialog)
        else:
            self.receive_more(m)

    def rekey(self, m: Message) -> None:
        if self.world.chance(30):
            return  # the application does not, and the deadline has to catch it
        self.offer(m.dialog, "update" if m.reliable else "reinvite")

    def receive_more(self, m: Message) -> None:
        raise AssertionError(m)

    def actions(self) -> list[tuple[int, Callable[[], object]]]:
        """What it may do now of its own will, with weights."""
        return []

    def talking(self) -> str | None:
        """The dialog that took the call."""
        return self.status.dialog if self.status.dialog not in self.ended else None

    def modify(self, dialog: str) -> None:
        """Hold, resume, a stream switched off, an address that moved."""
        dead = self.world.choose(self.world.lines) if self.world.chance(6) else None
        self.offer(
            dialog, self.world.one_of(("reinvite", "update")), self.world.one_of(("", "sendonly", "inactive")), dead
        )

    def time_out(self, dialog: str) -> None:
        """Timer F: no response came."""
        if self.open.pop(dialog, None) is not None and dialog not in self.ended:
            self.world.met.add(f"408 to the {self.side.value}'s offer")
            self.neg.offer_rejected(dialog=dialog, status=408, now=self.world.now)
            self.pump()

    def decide(self, go_on: bool) -> None:
        self.world.met.add(f"the {self.side.value}'s user decides")
        dialog = self.status.dialog
        assert dialog is not None
        if go_on:
            self.world.exposure_accepted.add(self.name)
        self.neg.accept_exposure(dialog=dialog, go_on=go_on, now=self.world.now)
        self.pump()

    def common_actions(self) -> list[tuple[int, Callable[[], object]]]:
        ways: list[tuple[int, Callable[[], object]]] = [(1, partial(self.time_out, d)) for d in self.open]
        dialog = self.talking()
        if dialog is not None:
            ways.append((3, partial(self.modify, dialog)))
            if self.world.chance(4):
                ways.append((1, partial(self.hang_up, dialog)))
            if any(warning.code == "decision-needed" for warning in self.status.warnings):
                ways += [(4, partial(self.decide, True)), (4, partial(self.decide, False))]
        return ways

    def hang_up(self, dialog: str) -> None:
        self.end(dialog)
        self.bye(dialog)


class Caller(Party):
    side = Side.UAC

    def __init__(self, world: ForkWorld, name: str, number: int, policy: SecurityPolicy) -> None:
        super().__init__(world, name, number, policy)
        self.cancelled = False
        self.answered_invite: list[str] = []
        """Dialogs that answered the offer in the INVITE, as far as this party has read."""

    def invite(self) -> str | None:
        if self.world.offerless:
            return None
        sdp = self.neg.create_offer(self.text(), now=self.world.now)
        self.pump()
        if self.world.chance(20):  # 401: the INVITE again, with new keys
            self.neg.offer_rejected(status=401, now=self.world.now)
            sdp = self.neg.create_offer(self.text(), now=self.world.now)
            self.pump()
        self.note(sdp, None)
        return sdp

    def check_sent(self, sdp: str) -> None:
        self.world.check_fresh(sdp)

    def receive_more(self, m: Message) -> None:
        if m.kind in ("18x", "2xx"):
            self.on_answer(m)
        elif m.kind == "gone":
            if m.dialog in self.dialogs:
                self.end(m.dialog)
        else:
            super().receive_more(m)

    def on_answer(self, m: Message) -> None:
        final, answer = m.kind == "2xx", None
        if self.world.winner is not None and m.dialog not in self.dialogs:
            self.world.met.add("a dialog first seen after the call was taken")
        if m.dialog in self.open and m.sdp and not self.world.offerless:
            self.world.met.add("the INVITE's answer again while a re-key is open")
        if m.sdp and not self.world.offerless:
            if m.dialog not in self.answered_invite:
                self.answered_invite.append(m.dialog)
            self.know(m.dialog)
            self.note(m.sdp, m.dialog)
            self.neg.receive_answer(
                m.sdp,
                dialog=m.dialog,
                reliable=final or m.reliable,
                peer=self.assertions(m.dialog),
                to_invite=True,
                update_allowed=not final and self.world.updates,
                now=self.world.now,
            )
            self.pump()
        elif m.sdp and m.dialog not in self.open and m.dialog not in self.ended and m.dialog not in self.dialogs:
            self.failure = None
            self.note(m.sdp, m.dialog)
            self.neg.receive_offer(m.sdp, dialog=m.dialog, peer=self.assertions(m.dialog), now=self.world.now)
            self.pump()
            if self.failed_with() is None:
                self.know(m.dialog)
                answer = self.neg.create_answer(self.text(), dialog=m.dialog, now=self.world.now)
                self.pump()
        if final:
            self.send("ack", m.dialog, answer)
            if m.dialog in self.dialogs and m.dialog not in self.ended:
                self.world.taken(m.dialog)
            self.know(m.dialog)
            self.neg.confirm(dialog=m.dialog, now=self.world.now)
            self.pump()
            if self.cancelled and m.dialog not in self.ended:
                self.world.met.add("a 2xx crosses the CANCEL")
                self.hang_up(m.dialog)
        elif m.reliable:
            if answer is None and self.world.chance(3) and self.prack_offer(m.dialog):
                return
            self.send("prack", m.dialog, answer)

    def prack_offer(self, dialog: str) -> bool:
        """The re-key rides on the PRACK."""
        return not self.world.offerless and self.offer(dialog, "prack")

    def actions(self) -> list[tuple[int, Callable[[], object]]]:
        ways = self.common_actions()
        if not self.cancelled and self.status.dialog is None and self.world.chance(4):
            ways.append((1, self.cancel))
        if self.world.chance(40):
            ways.append((1, self.forwarded))
        return ways

    def cancel(self) -> None:
        self.cancelled = True
        for terminal in self.world.terminals:
            self.world.post(Message("cancel", terminal, terminal.dialog))

    def forwarded(self) -> None:
        self.world.met.add("forwarded")
        self.neg.retargeted(to="sip:other@b.example", cause=Retarget.FORWARDED, now=self.world.now)
        self.pump()


class Terminal(Party):
    side = Side.UAS

    def __init__(self, world: ForkWorld, name: str, number: int, policy: SecurityPolicy) -> None:
        super().__init__(world, name, number, policy)
        self.dialog = f"d{number}"
        self.invited = False
        self.answer: str | None = None
        """Our SDP to the INVITE: its answer, or without one in it, our offer."""
        self.acked_18x = True
        self.reliably = False
        self.took = False

    def receive_more(self, m: Message) -> None:
        if m.kind == "invite":
            self.on_invite(m)
        elif m.kind == "cancel":
            if not self.took and self.dialog not in self.ended:
                self.end(self.dialog)
        elif m.kind == "prack":
            self.acked_18x = True
            if m.sdp and m.txn:
                self.take_offer(m)
            else:
                self.late_answer(m)
        elif m.kind == "ack":
            self.late_answer(m)
            if self.dialog not in self.ended:
                self.neg.confirm(dialog=self.dialog, now=self.world.now)
                self.pump()
        else:
            super().receive_more(m)

    def on_invite(self, m: Message) -> None:
        self.invited = True
        self.know(self.dialog)
        if m.sdp:
            self.note(m.sdp, None)
            self.neg.receive_offer(m.sdp, dialog=self.dialog, peer=self.assertions(self.dialog), now=self.world.now)
            self.pump()

    def late_answer(self, m: Message) -> None:
        """The answer to the offer that our response to an INVITE without one brought."""
        if m.sdp and self.open.get(self.dialog) == -1 and self.dialog not in self.ended:
            del self.open[self.dialog]
            self.note(m.sdp, self.dialog)
            self.neg.receive_answer(m.sdp, dialog=self.dialog, peer=self.assertions(self.dialog), now=self.world.now)
            self.pump()

    def session(self) -> str:
        """The SDP of our 18x and 2xx."""
        if self.answer is None:
            if self.world.offerless:
                self.answer = self.neg.create_offer(self.text(), dialog=self.dialog, now=self.world.now)
                self.open[self.dialog] = -1
            else:
                self.answer = self.neg.create_answer(self.text(), dialog=self.dialog, now=self.world.now)
        return self.answer

    def ring(self, reliable: bool) -> None:
        if not reliable and self.world.offerless:
            return
        # A media server may speak first, with a session of its own.
        sdp = self.announcement() if not reliable and self.world.chance(3) else self.session()
        self.reliably = self.reliably or reliable
        self.acked_18x = self.acked_18x and not reliable
        self.send("18x", self.dialog, sdp, reliable=reliable)
        self.pump()

    def announcement(self) -> str:
        offered = sdp_of.crypto_by_line(self.world.invite_sdp or "")
        self.world.met.add("the session of the 18x is not that of the 2xx")
        lines = [[(line[0][0], line[0][1], self.random(len(line[0][2])))] for line in offered]
        return sdp_of.secured(sdp_of.plain("10.0.9.9", 9000, self.world.lines), lines)

    def take(self) -> None:
        repeat = not self.reliably or self.world.chance(2)
        sdp = self.session() if repeat and not (self.world.offerless and self.reliably) else None
        self.took = True
        self.send("2xx", self.dialog, sdp)
        self.pump()
        self.world.proxy_saw_2xx(self)

    def reject(self) -> None:
        self.end(self.dialog)
        if self.world.chance(2):
            self.send("gone", self.dialog)

    def actions(self) -> list[tuple[int, Callable[[], object]]]:
        ways = self.common_actions()
        if not self.invited or self.dialog in self.ended:
            return ways
        if not self.took:
            ways.append((6 if self.acked_18x else 1, self.take))
            if self.world.chance(2):
                ways.append((1, self.reject))
            ways.append((1, partial(self.send, "18x", self.dialog)))
            if not self.reliably and self.acked_18x:
                ways.append((3, partial(self.ring, False)))
                ways.append((7, partial(self.ring, True)))
            elif (
                self.dialog not in self.open
                and self.dialog not in self.pending
                and (
                    self.acked_18x or self.world.chance(3)  # before the PRACK it is against RFC 3311
                )
            ):
                ways.append((2, partial(self.offer, self.dialog, "update")))
        return ways
