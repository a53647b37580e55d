"""What secure forking costs in time, with signalling that takes 50 ms each way, measured from captures.

From the 2xx at the caller: until the status says CONFIRMED, and until the first packet of speech that the winner can
open (it has the key by then, and the packet is there).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import pytest

import imsmediasec as ims
from imsmediasec.agent import SecureForking

from .capture import Datagram
from .conftest import Lab
from .forked import Guarded, Network, keys_in, keys_seen, look

DELAY = 0.05
RTT = 2 * DELAY
CALLS = 5


@dataclass
class Measured:
    """Seconds from the 2xx at the caller's agent."""

    confirmed: float
    """Until the status says so."""
    silent: float
    """Until the caller's first speech that the winner can open."""


class Course:
    """Calls to a winner of our choice, each measured."""

    def __init__(self, lab: Lab, winner: str, *, early: bool, mode: SecureForking) -> None:
        self.winner = winner
        self.network = Network(
            lab,
            (winner, "bob2"),
            delay=DELAY,
            prack=2 if early else 0,
            ringing=183 if early else 180,
            secure_forking=mode,
        )
        ports = [self.network.alice.agent.agent.network_port, self.network.sip_port(winner)]
        self.signalling = lab.capture(*ports, name="signalling")
        self.calls = 0
        self.early = early

    def call(self) -> Measured:
        """One call: rings, is taken, some speech, ends."""
        network, number = self.network, self.calls
        self.calls += 1
        phone, witness, bob = network.alice.phone, network.caller, network.bobs[self.winner]
        events, ended = len(witness.events), len(witness.ended)
        media, messages = len(network.capture.datagrams()), len(self.signalling.datagrams())
        since = bob.phone.now if isinstance(bob, Guarded) else bob.now
        phone.call(network.target)
        if isinstance(bob, Guarded):
            bob.phone.wait_event("incoming", since=since)
        else:
            bob.wait_event("CALL_INCOMING", since=since)
        phone.wait_state("EARLY", number)
        if self.early:
            # Rung long enough for the UPDATE to be answered.
            witness.wait(lambda w: _private(w.events[events:]))
        if isinstance(bob, Guarded):
            bob.phone.answer(call=number)
        else:
            bob.accept()
        witness.wait(lambda w: any(_is_confirmed(e) for e in w.events[events:]))
        network.capture.wait_packets(25, network.alice.media_ports, bob.media_ports)
        phone.hangup(number)
        witness.wait(lambda w: len(w.ended) > ended)
        if isinstance(bob, Guarded):
            bob.phone.wait_state("DISCONNECTED", number)
        else:
            bob.wait_event("CALL_CLOSED", since=since)
        confirmed_at = next(
            at for at, e in zip(witness.times[events:], witness.events[events:], strict=False) if _is_confirmed(e)
        )
        return self._measure(self.signalling.datagrams()[messages:], network.capture.datagrams()[media:], confirmed_at)

    def _measure(self, sip: list[Datagram], media: list[Datagram], confirmed_at: float) -> Measured:
        network, bob = self.network, self.network.bobs[self.winner]
        caller, called = network.alice.agent.agent.network_port, network.sip_port(self.winner)
        taken = next(d.time for d in sip if d.dst[1] == caller and _answer_to(d.payload, b"INVITE"))
        wanted = [d for d in media if d.src[1] in network.alice.media_ports and d.dst[1] in bob.media_ports]
        speech = [d for d in look(wanted, keys_seen(bob)).opened if d.time >= taken]
        # The key of the packet must be there too: it came in an ACK, a re-INVITE or an UPDATE.
        requests = [d for d in sip if d.dst[1] == called and b"a=crypto" in d.payload]
        usable = []
        for packet in speech:
            had = b"\n".join(d.payload for d in requests if d.time <= packet.time).decode("utf-8", "replace")
            if look([packet], keys_in(had)).opened:
                usable.append(packet)
                break
        assert usable
        return Measured(confirmed=confirmed_at - taken, silent=usable[0].time - taken)


def _answer_to(message: bytes, method: bytes) -> bool:
    return message.startswith(b"SIP/2.0 200") and b" " + method + b"\r\n" in message


def _is_confirmed(event: ims.Event) -> bool:
    return isinstance(event, ims.SecurityChanged) and event.status.fork_state is ims.ForkState.CONFIRMED


def _private(events: list[ims.Event]) -> bool:
    """True once the key of the INVITE is out of use in the early dialog."""
    return any(isinstance(e, ims.KeysRetired) and e.direction is ims.Direction.SEND for e in events)


CASES = {
    "offerless, stock baresip": ("bob1", False, SecureForking.OFFERLESS, RTT + 0.04),
    "offerless, agent": ("bob3", False, SecureForking.OFFERLESS, RTT + 0.04),
    "re-INVITE behind the ACK": ("bob3", False, SecureForking.REKEY, RTT + 0.04),
    "early UPDATE": ("bob3", True, SecureForking.REKEY, 0.04),
}


@pytest.mark.parametrize("case", CASES)
def test_latency(lab: Lab, case: str) -> None:
    """CONFIRMED within two round trips and 100 ms; tone missing for one and 40 ms, with early UPDATE for 40 ms."""
    winner, early, mode, limit = CASES[case]
    course = Course(lab, winner, early=early, mode=mode)
    measured = [course.call() for _ in range(CALLS)]
    confirmed = [m.confirmed for m in measured]
    silent = [m.silent for m in measured]
    print(
        f"{case}: CONFIRMED after {1000 * median(confirmed):.0f} ms (at most {1000 * max(confirmed):.0f}), "
        f"tone missing for {1000 * median(silent):.0f} ms (at most {1000 * max(silent):.0f})"
    )
    assert max(confirmed) <= 2 * RTT + 0.1
    assert sorted(silent)[-2] <= limit  # one of five may meet with whatever else this machine does
