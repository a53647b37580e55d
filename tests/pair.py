"""Two `Negotiation`s, alice who calls and bob who is called, with a clock that stands still until it is told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import imsmediasec as ims
from imsmediasec.negotiation.ledger import KeyLedger

D = "alice;bob"
"""Name of the dialog, on both sides."""
CAPABILITIES = ims.SrtpCapabilities(suites=ims.ALL_SUITES, key_derivation_rate=True)
PEER = ims.PeerAssertions(asserted="sip:bob@ims.example", trusted_hop=True)

E_ = TypeVar("E_", bound=ims.Event)


def counter(start: int = 0) -> Callable[[int], bytes]:
    """A random source that gives different octets at each call, the same in each run."""
    calls = iter(range(start, 2**40))
    return lambda length: next(calls).to_bytes(length, "big")


def body(*media: str, host: str = "192.0.2.1", session: str = "") -> str:
    """SDP of an application: one m-line, or those given ("audio 4000 RTP/AVP 0" plus lines)."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", *session.split("\n")]
    for one in media or ("audio 4000 RTP/AVP 0",):
        lines += f"m={one}".split("\n")
    return "".join(f"{line}\r\n" for line in lines if line)


class Party:
    """A Negotiation and what came out of it."""

    def __init__(
        self,
        side: ims.Side,
        policy: ims.SecurityPolicy | None = None,
        *,
        capabilities: ims.SrtpCapabilities = CAPABILITIES,
        signalling: ims.Hop = ims.Hop.PROTECTED,
        target: str = "sip:peer@ims.example",
        random: Callable[[int], bytes] | None = None,
    ) -> None:
        self.negotiation = ims.Negotiation(
            policy or ims.SecurityPolicy(),
            side=side,
            capabilities=capabilities,
            local_identity="sip:self@ims.example",
            remote_target=target,
            signalling=signalling,
            random=random or counter(1 if side is ims.Side.UAC else 2**31),
        )
        self.now = 0.0
        self.events: list[ims.Event] = []
        self.keys: dict[tuple[str | None, int, ims.Direction], list[ims.SrtpKeys]] = {}
        self.gates: dict[tuple[str | None, int], ims.Gate] = {}

    def drain(self) -> list[ims.Event]:
        """Take all events that are there, and keep account of keys and gates."""
        new = list(self._drained())
        self.events += new
        return new

    def _drained(self) -> Iterator[ims.Event]:
        while (event := self.negotiation.next_event()) is not None:
            match event:
                case ims.KeysReady(dialog=d, index=i, direction=x, keys=k):
                    self.keys.setdefault((d, i, x), []).append(k)
                case ims.KeysRetired(dialog=d, index=i, direction=x, keys=k):
                    self.keys[d, i, x].remove(k)
                case ims.MediaGate(dialog=d, index=i, gate=gate):
                    self.gates[d, i] = gate
            yield event

    def of(self, kind: type[E_], new: list[ims.Event] | None = None) -> list[E_]:
        """Events of one kind: of those just drained, or of all."""
        return [event for event in (self.events if new is None else new) if isinstance(event, kind)]

    def offer(self, plain: str | None = None, *, dialog: str | None = D, rekey: bool = False) -> str:
        return self.negotiation.create_offer(plain or body(), dialog=dialog, rekey=rekey, now=self.now)

    def answer(self, plain: str | None = None, *, dialog: str = D) -> str:
        return self.negotiation.create_answer(plain or body(), dialog=dialog, now=self.now)

    def receive_offer(self, sdp: str, *, dialog: str = D, **more: Any) -> list[ims.Event]:
        self.negotiation.receive_offer(sdp, dialog=dialog, now=self.now, **more)
        return self.drain()

    def receive_answer(self, sdp: str, *, dialog: str = D, **more: Any) -> list[ims.Event]:
        self.negotiation.receive_answer(sdp, dialog=dialog, now=self.now, **more)
        return self.drain()

    def confirm(self, *, dialog: str = D) -> list[ims.Event]:
        self.negotiation.confirm(dialog=dialog, now=self.now)
        return self.drain()

    def rejected(self, status: int, *, dialog: str | None = D, **more: Any) -> list[ims.Event]:
        self.negotiation.offer_rejected(dialog=dialog, status=status, now=self.now, **more)
        return self.drain()

    def wait(self, seconds: float) -> list[ims.Event]:
        """Let time pass, with every time-out in its place."""
        end = self.now + seconds
        new: list[ims.Event] = []
        while (due := self.negotiation.next_timeout()) is not None and due <= end:
            self.now = due
            self.negotiation.handle_timeout(due)
            new += self.drain()
        self.now = end
        return new

    def error(self, new: list[ims.Event]) -> ims.MediaSecurityError:
        """The one fault among these events."""
        (failed,) = self.of(ims.NegotiationFailed, new)
        return failed.error

    def warnings(self) -> list[str]:
        return [warning.code for warning in self.negotiation.status.warnings]

    def octets(self, direction: ims.Direction, *, dialog: str = D, index: int = 0) -> list[bytes]:
        """The keys in force, oldest first."""
        installed = self.keys.get((dialog, index, direction), [])
        return [keys.master_keys[0].key.reveal() + keys.master_keys[0].salt.reveal() for keys in installed]


class Pair:
    """alice and bob. `call` and `reinvite` do whole exchanges."""

    def __init__(self, alice: ims.SecurityPolicy | None = None, bob: ims.SecurityPolicy | None = None) -> None:
        self.alice = Party(ims.Side.UAC, alice)
        self.bob = Party(ims.Side.UAS, bob)

    def call(self, plain: str | None = None, answer: str | None = None) -> tuple[str, str]:
        """INVITE, 200, ACK; no re-key yet. The offer and the answer."""
        offer = self.alice.offer(plain, dialog=None)
        self.bob.receive_offer(offer)
        answered = self.bob.answer(answer or plain)
        self.bob.drain()
        self.alice.receive_answer(answered)
        self.alice.confirm()
        self.bob.confirm()
        return offer, answered

    def reinvite(
        self, plain: str | None = None, answer: str | None = None, *, by_bob: bool = False, rekey: bool = False
    ) -> tuple[str, str]:
        """An exchange in the dialog. The offer and the answer."""
        offerer, answerer = (self.bob, self.alice) if by_bob else (self.alice, self.bob)
        offer = offerer.offer(plain, rekey=rekey)
        answerer.receive_offer(offer)
        answered = answerer.answer(answer or plain)
        answerer.drain()
        offerer.receive_answer(answered)
        return offer, answered

    def confirmed(self, plain: str | None = None) -> Pair:
        """A call after its re-key."""
        self.call(plain)
        self.reinvite(plain)
        return self

    def agrees(self, *, index: int = 0) -> bool:
        """What one sends with, the other receives with, in both directions."""
        send, receive = ims.Direction.SEND, ims.Direction.RECEIVE
        ways = ((self.alice, self.bob), (self.bob, self.alice))
        return all(
            one.octets(send, index=index)[-1:] == other.octets(receive, index=index)[-1:] != []
            and one.keys[D, index, send][-1].suite is other.keys[D, index, receive][-1].suite
            for one, other in ways
        )


def snapshot(negotiation: ims.Negotiation) -> object:
    """Everything that a Negotiation knows, in a form that can be compared. Facts about keys only ever grow, and
    events come and go: both are left out."""
    return _plain(negotiation, set())


def _plain(value: Any, seen: set[int]) -> object:
    if isinstance(value, ims.Secret):
        return value.reveal()
    if isinstance(value, KeyLedger) or callable(value):
        return None
    if isinstance(value, dict):
        return [(_plain(key, seen), _plain(item, seen)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(item, seen) for item in value]
    if type(value).__module__.startswith("imsmediasec") and not hasattr(value, "_value_"):
        if id(value) in seen:
            return type(value).__name__
        seen = seen | {id(value)}
        names = list(getattr(value, "__dict__", ())) + [
            name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())
        ]
        volatile = ("events", "_events", "_maybe_changed", "_last_status")
        kept = [name for name in names if name not in volatile and hasattr(value, name)]
        return [type(value).__name__, *((name, _plain(getattr(value, name), seen)) for name in kept)]
    return copy.copy(value)
