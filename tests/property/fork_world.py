"""A call behind a forking network, its media, and an attacker: one generated order of events.

The world draws every decision from `choose`; what it draws makes the order. After each step `check` compares
what the library did and says with what the world itself saw. No code of the library takes part in that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from imsmediasec import (
    ALL_SUITES,
    Direction,
    Forking,
    ForkState,
    Gate,
    HolderKind,
    Hop,
    OnFailure,
    SecurityPolicy,
    SrtpCapabilities,
)
from tests.property import fork_sdp as sdp_of
from tests.property.fork_party import Caller, Message, Party, Terminal
from tests.property.fork_stock import StockCaller

T = TypeVar("T")
CAPABILITIES = SrtpCapabilities(suites=ALL_SUITES)
SUITES = tuple(s for s in ALL_SUITES if s.name in ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"))


class Violation(AssertionError):
    """What must hold does not."""


class ForkWorld:
    def __init__(self, choose: Callable[[int], int], *, max_steps: int = 70) -> None:
        self.choose = choose
        self.max_steps = max_steps
        self.now = 1000.0
        self.trace: list[str] = []
        self.bag: list[Message] = []
        self.spoken: dict[tuple[str, str], set[bytes]] = {}
        """Keys of packets with speech, by sender and dialog: what the attacker has recorded."""
        self.seen: dict[str, set[bytes]] = {}
        """Keys by terminal that has, or may have, read them."""
        self.answered: set[bytes] = set()
        """Keys that stood in an answer within a dialog: in use from there on, whether it has arrived yet or not."""
        self.met: set[str] = set()
        """What happened in this order; the tests assert that everything does, in some."""
        self.winner: str | None = None
        self.confirmed_after_rekey = False
        """The caller came to CONFIRMED with several dialogs and a re-key."""
        self.exposure_accepted: set[str] = set()
        self._transactions = 0
        self.capabilities = CAPABILITIES
        self.lines = 2 if self.chance(4) else 1
        self.offerless = self.chance(16)
        self.updates = not self.chance(3)
        self.asserting = not self.chance(2)
        self.hop = Hop.UNPROTECTED if self.chance(4) else Hop.PROTECTED
        stock = self.chance(14) and not self.offerless
        caller_policy = self._policy(self.one_of((OnFailure.REFUSE, OnFailure.ASK, OnFailure.WARN)))
        callee_policy = self._policy(self.one_of((OnFailure.WARN, OnFailure.REFUSE, OnFailure.ASK)))
        self.caller: Caller | StockCaller = (StockCaller if stock else Caller)(self, "alice", 0, caller_policy)
        count = self.one_of((3, 2, 3)) if not self.chance(20) else 1
        self.terminals = [Terminal(self, f"t{n}", n, callee_policy) for n in range(1, count + 1)]
        self.parties: list[Party] = [self.caller, *self.terminals]
        self._by_dialog = {terminal.dialog: terminal for terminal in self.terminals}
        self.invite_sdp = self.caller.invite()
        for terminal in self.terminals:
            if self.invite_sdp:
                self.shown_to(terminal, self.invite_sdp)
            self.post(Message("invite", terminal, terminal.dialog, self.invite_sdp))

    def _policy(self, on_exposed: OnFailure) -> SecurityPolicy:
        return SecurityPolicy(
            suites=SUITES,
            on_exposed=on_exposed,
            on_caller_exposed=on_exposed,
            forking=Forking.SECURE,
            sdes_over_unprotected_signalling=self.hop is Hop.UNPROTECTED,
        )

    # What parties use

    def chance(self, one_in: int) -> bool:
        """True once in so many; the smallest draw is False."""
        return self.choose(one_in) == one_in - 1

    def one_of(self, values: tuple[T, ...]) -> T:
        return values[self.choose(len(values))]

    def transaction(self) -> int:
        self._transactions += 1
        return self._transactions

    def post(self, message: Message) -> None:
        self.bag.append(message)

    def across(self, party: Party, dialog: str) -> Party:
        return self._by_dialog[dialog] if party is self.caller else self.caller

    def shown_to(self, party: Party, sdp: str) -> None:
        self.seen.setdefault(party.name, set()).update(sdp_of.keys(sdp))

    def taken(self, dialog: str) -> None:
        """The caller read a 2xx: the first one takes the call."""
        if self.winner is not None and self.winner != dialog:
            self.met.add("a second dialog takes the call")
        self.winner = self.winner or dialog

    def proxy_saw_2xx(self, taker: Terminal) -> None:
        for terminal in self.terminals:
            if terminal is not taker and self.chance(2):
                self.post(Message("cancel", terminal, terminal.dialog))

    # The order

    def run(self) -> ForkWorld:
        self.check()
        for _ in range(self.max_steps):
            if not self.step():
                break
            self.check()
        for party in self.parties:
            if party.status != party.neg.status:
                self.fail(f"{party.name}: the status changed by itself")
        return self

    def step(self) -> bool:
        ways: list[tuple[int, str, Callable[[], object]]] = []
        if self.bag:
            ways += [(36, "deliver", self.deliver), (1, "lose", self.lose), (1, "repeat", self.repeat)]
        for party in self.parties:
            ways += [(weight, party.name, way) for weight, way in party.actions()]
        if any(party.neg.next_timeout() is not None for party in self.parties):
            ways.append((2, "clock", self.tick))
        if not ways:
            return False
        draw = self.choose(sum(way[0] for way in ways))
        for weight, name, way in ways:
            if draw < weight:
                self.trace.append(f"{name}: {_told(way)}")
                way()
                return True
            draw -= weight
        raise AssertionError("unreachable")

    def _pick(self) -> int:
        return self.choose(min(len(self.bag), 3)) if not self.chance(5) else self.choose(len(self.bag))

    def deliver(self) -> None:
        message = self.bag.pop(self._pick())
        self.trace[-1] = f"deliver {message}"
        message.to.receive(message)

    def lose(self) -> None:
        message = self.bag[self._pick()]
        if not message.todo:
            self.bag.remove(message)
            self.trace[-1] = f"lose {message}"

    def repeat(self) -> None:
        """A response to the INVITE comes once more later; other repetitions end in the transaction layer."""
        message = self.bag[self._pick()]
        if message.kind in ("18x", "2xx"):
            self.trace[-1] = f"deliver {message}, and once more later"
            message.to.receive(message)

    def tick(self) -> None:
        due = [at for party in self.parties if (at := party.neg.next_timeout()) is not None]
        self.now = max(self.now, min(due))
        self.trace[-1] = f"clock {self.now - 1000:.2f}"
        for party in self.parties:
            at = party.neg.next_timeout()
            if at is not None and at <= self.now:
                party.neg.handle_timeout(self.now)
                party.pump()

    # What must hold

    def check(self) -> None:
        for party in self.parties:
            self._check_told(party)
            self._check_holders(party)
            self._check_confirmed(party)
            self._check_speech(party)
        if isinstance(self.caller, Caller):
            self._check_live(self.caller)

    def fail(self, text: str) -> None:
        raise Violation(text + "\n  " + "\n  ".join(self.trace))

    def others(self, party: Party, dialog: str) -> set[bytes]:
        """All that terminals saw which are not the two ends of this dialog."""
        ends = (party.name, self.across(party, dialog).name, self.caller.name)
        return set().union(*(keys for name, keys in self.seen.items() if name not in ends))

    def _check_told(self, party: Party) -> None:
        if party.shown is not None and party.shown != party.status:
            self.fail(f"{party.name}: the status is not what the last SecurityChanged said")

    def _check_speech(self, party: Party) -> None:
        """No speech opens with what a terminal saw that is not an end of its dialog, or that loses."""
        if party is self.caller and (party.policy.on_exposed is OnFailure.WARN or party.name in self.exposure_accepted):
            return
        for (name, dialog), keys in self.spoken.items():
            if name != party.name or isinstance(party, StockCaller):
                continue
            if keys & self.others(party, dialog):
                self.fail(f"{name} spoke in {dialog} with a key that another terminal holds")
            if party is self.caller and dialog != self.winner:
                self.fail(f"{name} spoke to {dialog}, which did not take the call ({self.winner} did)")

    def check_fresh(self, sdp: str) -> None:
        """A fresh key for every dialog, in answers too: none of the INVITE's keys goes out again."""
        if self.invite_sdp and set(sdp_of.keys(sdp)) & set(sdp_of.keys(self.invite_sdp)):
            self.fail(f"{self.caller.name} uses a key of the INVITE in an SDP within a dialog")

    def _check_live(self, caller: Caller) -> None:
        live = caller.status.dialog
        if live is not None and live != self.winner:
            self.fail(f"{live} is live, but {self.winner} took the call")
        if len({place[0] for place, gate in caller.gates.items() if gate is Gate.OPEN}) > 1:
            self.fail("two dialogs may carry speech")
        if self.winner is not None:
            for dialog, direction in caller.installed.values():
                if dialog != live or dialog in caller.ended:
                    self.fail(f"{caller.name} keeps a {direction.value} key of {dialog}, which is not the call")
            for dialog in caller.dialogs:
                if dialog not in (live, *caller.ended):
                    self.fail(f"{dialog} lost the call, and nobody was told")

    def _check_confirmed(self, party: Party) -> None:
        status = party.status
        if status.fork_state is not ForkState.CONFIRMED:
            return
        dialog = status.dialog
        if dialog is None or dialog in party.ended:
            self.fail(f"{party.name}: CONFIRMED without a call")
            return
        keys = {key for table in (party.sending, party.receiving) for (d, _), key in table.items() if d == dialog}
        if keys & self.others(party, dialog):
            self.fail(f"{party.name}: CONFIRMED, but another terminal holds a key in use")
        if party is self.caller and dialog in party.rekeyed and len(party.dialogs) > 1:
            self.confirmed_after_rekey = True
        if party is self.caller and not keys <= self.across(party, dialog).disclosed.keys() | self.answered:
            self.fail(f"{party.name}: CONFIRMED, but the terminal in {dialog} never got the key")

    def _check_holders(self, party: Party) -> None:
        """The status' key holders equal those of the log of SDPs."""
        status = party.status
        told = {
            stream.index: {(holder.kind, holder.name): holder.directions for holder in stream.key_holders}
            for stream in status.streams
            if stream.key_holders
        }
        found = self._holders(party)
        if told != found:
            self.fail(f"{party.name}: key holders\n  in the status {told}\n  in the log    {found}")

    def _holders(self, party: Party) -> dict[int, dict[tuple[HolderKind, str], frozenset[Direction]]]:
        going = [dialog for dialog in party.dialogs if dialog not in party.ended]
        dialog = party.status.dialog or (going[-1] if going else None)
        if dialog is None or dialog in party.ended:
            return {}
        found: dict[int, dict[tuple[HolderKind, str], frozenset[Direction]]] = {}
        for direction, table in ((Direction.SEND, party.sending), (Direction.RECEIVE, party.receiving)):
            for (where, index), key in table.items():
                if where != dialog:
                    continue
                who = [
                    (HolderKind.TERMINATING_ENTITY, party.peer_names[dialog]),
                    (HolderKind.SIGNALLING_PATH, "every SIP node on the path"),
                ]
                if self.hop is Hop.UNPROTECTED:
                    who.append((HolderKind.SIGNALLING_LISTENERS, "whoever can listen to the signalling"))
                if None in party.disclosed[key]:
                    who.append((HolderKind.FORKED_TERMINALS, "every terminal that the INVITE reached"))
                    if isinstance(party, Caller):
                        who += [(HolderKind.EARLY_DIALOG, d) for d in party.answered_invite if d != dialog]
                line = found.setdefault(index, {})
                for holder in who:
                    line[holder] = line.get(holder, frozenset()) | {direction}
        return found


def _told(way: Callable[[], object]) -> str:
    if isinstance(way, partial):
        return f"{way.func.__name__} {' '.join(map(str, way.args))}"
    return getattr(way, "__name__", "")
