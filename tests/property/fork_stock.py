"""A caller without the library: it knows nothing of forking, keeps its keys, or changes them as it likes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.property import fork_sdp as sdp_of
from tests.property.fork_party import Caller, Message


class StockCaller(Caller):
    """It has a Negotiation only because every party has; nothing reaches it."""

    invite_lines: list[list[tuple[str, str, bytes]]]
    live: str | None = None

    def check_sent(self, sdp: str) -> None:
        """It sends what it likes."""

    def invite(self) -> str | None:
        self.world.met.add("a caller without the library")
        self.invite_lines = self.fresh()
        return sdp_of.secured(self.text(), self.invite_lines)

    def fresh(self) -> list[list[tuple[str, str, bytes]]]:
        names = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
        return [[(str(n), name, self.random(30)) for n, name in enumerate(names, 1)] for _ in range(self.world.lines)]

    def lines(self) -> list[list[tuple[str, str, bytes]]]:
        """Its keys for the next offer: those of the INVITE, in this order or another, or new ones."""
        kind = self.world.choose(4)
        if kind == 0:
            return self.fresh()
        if kind == 1:
            return [[(str(n), s, k) for n, (_, s, k) in enumerate(reversed(line), 5)] for line in self.invite_lines]
        return self.invite_lines

    def on_answer(self, m: Message) -> None:
        if m.kind == "2xx":
            self.send("ack", m.dialog)
            self.world.taken(m.dialog)
            self.live = self.live or m.dialog
            if m.dialog != self.live:
                self.send("bye", m.dialog)
        elif m.reliable:
            self.send("prack", m.dialog)

    def receive(self, m: Message) -> None:
        if m.kind in ("update", "reinvite"):
            answer = []
            for offered, mine in zip(sdp_of.crypto_by_line(m.sdp or ""), self.lines(), strict=True):
                tag, suite = (offered[0][0], offered[0][1]) if offered else ("1", "AES_CM_128_HMAC_SHA1_80")
                answer.append([(tag, suite, next(key for _, name, key in mine if name == suite))])
            self.send("response", m.dialog, sdp_of.secured(self.text(), answer), txn=m.txn, status=200)
        elif m.kind in ("18x", "2xx"):
            self.on_answer(m)

    def actions(self) -> list[tuple[int, Callable[[], object]]]:
        if self.live is None:
            return []
        return [(3, self.reoffer), (1, partial(self.send, "bye", self.live))]

    def reoffer(self) -> None:
        assert self.live is not None
        self.send("reinvite", self.live, sdp_of.secured(self.text(), self.lines()), txn=self.world.transaction())
