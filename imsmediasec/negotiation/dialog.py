"""What is known of one SIP dialog and of its media streams."""

from __future__ import annotations

from dataclasses import dataclass, field

from imsmediasec.errors import LocalError
from imsmediasec.keys import SrtpKeys
from imsmediasec.negotiation.exchange import EXCHANGE_TABLE, ExchangeInput, ExchangeState
from imsmediasec.negotiation.forking import FORK_TABLE, ForkInput, ForkPhase
from imsmediasec.policy import Quirk
from imsmediasec.records import quick_init
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.status import PeerAssertions
from imsmediasec.terms import Gate, Word


class Form(Word):
    """How an m-line carries its security."""

    PASS = "pass"
    """Not RTP, or already out of use: none of our business."""
    PLAIN = "plain"
    SECURE = "secure"
    """RTP/SAVP(F) with a=crypto (RFC 4568)."""
    OSRTP = "osrtp"
    """RTP/AVP(F) with a=crypto (RFC 8643)."""
    CAPNEG = "capneg"
    """RTP/AVP(F) with potential configurations (RFC 5939)."""
    REFUSED = "refused"
    """Answered with port 0."""


class Ends(Word):
    """Where the protection of an m-line ends."""

    FAR_END = "far-end"
    """Behind every node that passes it on (e2e, e2m2e)."""
    EDGE = "edge"
    """At the access edge (e2ae)."""
    EDGE_PRESUMED = "edge-presumed"
    """The policy asks for no more than the edge, and the peer's offer does not say where its protection ends."""


@dataclass(kw_only=True, slots=True)
class Stream:
    """One m-line of one dialog, as agreed last."""

    index: int
    mid: str | None
    media_type: str
    form: Form
    local: CryptoAttribute | None = None
    """Our line: the key of what we send."""
    remote: CryptoAttribute | None = None
    ends: Ends = Ends.FAR_END
    send_keys: SrtpKeys | None = None
    receive_keys: SrtpKeys | None = None
    gate: Gate | None = None
    asks: bool = False
    """It is unprotected, and the user wants to decide about that (`OnFailure.ASK`)."""
    local_transport: tuple[str | None, int] | None = None
    """c= value and port of our last SDP."""
    remote_transport: tuple[str | None, int] | None = None

    @property
    def protected(self) -> bool:
        return self.local is not None and self.remote is not None


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedMedia:
    """One m-line of an offer of ours."""

    form: Form
    proto: str
    crypto: tuple[CryptoAttribute, ...] = ()
    transport: tuple[str | None, int]
    was_protected: bool = False
    ends: Ends = Ends.FAR_END


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class LocalOffer:
    """An offer of ours that is open."""

    media: tuple[OfferedMedia, ...]
    fresh: bool
    """Every key in it was made for it."""


@dataclass(kw_only=True, slots=True)
class MediaPlan:
    """What we will answer to one m-line of the peer's offer, or agreed with it. Judging fills it in."""

    form: Form
    proto: str = ""
    mid: str | None = None
    media_type: str = ""
    ends: Ends = Ends.FAR_END
    remote: CryptoAttribute | None = None
    remote_transport: tuple[str | None, int] = (None, 0)
    local: CryptoAttribute | None = None
    local_transport: tuple[str | None, int] = (None, 0)
    quirks: tuple[tuple[Quirk, str], ...] = ()
    actual_configuration: str | None = None
    """Value of a=acfg, with CAPNEG."""
    refusal: str = ""

    @property
    def in_clear(self) -> bool:
        """The m-line is in use and nothing of ours protects it: plain RTP, or no RTP at all."""
        return self.form is Form.PLAIN or (self.form is Form.PASS and self.remote_transport[1] != 0)

    def answered(self, *, form: Form, local: CryptoAttribute | None, transport: tuple[str | None, int]) -> MediaPlan:
        """This plan with our part of the answer in it."""
        return MediaPlan(
            form=form,
            proto=self.proto,
            mid=self.mid,
            media_type=self.media_type,
            ends=self.ends,
            remote=self.remote if local is not None else None,
            remote_transport=self.remote_transport,
            local=local,
            local_transport=transport,
            quirks=self.quirks,
        )


@dataclass(kw_only=True)
class Dialog:
    """One dialog. `phase` is None until an offer/answer exchange has put keys into it."""

    id: str
    exchange: ExchangeState = ExchangeState.STABLE
    phase: ForkPhase | None = None
    streams: dict[int, Stream] = field(default_factory=dict)
    local_offer: LocalOffer | None = None
    remote_plan: tuple[MediaPlan, ...] | None = None
    live: bool = False
    offerless: bool = False
    """A callee's: the INVITE came without an offer, and ours went into the response."""
    answered_invite: bool = False
    """The offer in the INVITE has its reliable answer here."""
    answered_from_invite: bool = False
    """It answers (answered) the offer in the INVITE: it has the key from there."""
    failed: bool = False
    """What it answered cannot be used."""
    exposure_accepted: bool = False
    """By policy or the user's word, media flows though B7 is not met."""
    unprotected_accepted: bool = False
    """The user has decided to go on without protection."""
    exposed: bool = False
    """B7 cannot be met here, and the user has to decide about it."""
    reoffer_sent: bool = False
    """A callee's one re-offer to a caller that did not re-key."""
    peer: PeerAssertions | None = None

    @property
    def asks_unprotected(self) -> bool:
        """Media waits for the user's word on going on without protection."""
        if self.unprotected_accepted or self.phase is ForkPhase.RETIRED:
            return False
        return any(stream.asks for stream in self.streams.values())

    @property
    def awaiting_decision(self) -> bool:
        """The user is asked: go on, or end it?"""
        return self.asks_unprotected or (self.exposed and self.phase is not ForkPhase.RETIRED)

    def step(self, what: ExchangeInput) -> None:
        """Move the exchange. Raises LocalError if the table has no such row."""
        self.check(what)
        self.exchange = EXCHANGE_TABLE[self.exchange, what]

    def check(self, what: ExchangeInput) -> None:
        """Raise LocalError unless the exchange can take this step."""
        if not self.can(what):
            raise LocalError(
                f"dialog {self.id}: {what.value} while the exchange is {self.exchange.value}", clause="RFC 3264 4"
            )

    def answer_received(self, *, to_invite: bool) -> None:
        """Our open offer, perhaps that of the INVITE, has its final answer."""
        self.step(ExchangeInput.RECEIVE_ANSWER)
        self.local_offer = None
        self.answered_invite = self.answered_invite or to_invite

    def can(self, what: ExchangeInput) -> bool:
        return (self.exchange, what) in EXCHANGE_TABLE

    def move(self, what: ForkInput) -> None:
        """Move the fork phase. A dialog without keys has none, and stays so."""
        if self.phase is not None:
            phase = FORK_TABLE.get((self.phase, what))
            if phase is None:
                raise LocalError(f"dialog {self.id}: {what.value} in fork phase {self.phase.value}")
            self.phase = phase
