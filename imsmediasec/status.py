"""`SecurityStatus`: what protects a call, who ends the protection, who has the keys (A5, A7, B9).

Values only. They are derived from recorded facts in `imsmediasec.negotiation`, and never claim
more than was verified.
"""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.records import quick_init
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction, ForkState, IdentitySource, KeyManagement, Scope, Word


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class PeerAssertions:
    """What the SIP message that carried an SDP says of its sender, and who vouches for it."""

    claimed: str | None = None
    """URI from From, To or Contact."""
    asserted: str | None = None
    """URI from P-Asserted-Identity (RFC 3325)."""
    trusted_hop: bool = False
    """True if the message came from a hop that is trusted to assert identities."""
    history: tuple[str, ...] = ()
    """URIs of History-Info in order (RFC 7044)."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who is at the other end, and how that is known."""

    uri: str | None
    source: IdentitySource


class HolderKind(Word):
    """Who can hold a key."""

    TERMINATING_ENTITY = "terminating-entity"
    """The terminal that took the call (or whatever answered in its place)."""
    SIGNALLING_PATH = "signalling-path"
    """Every SIP node that handled an SDP with the key in it."""
    SIGNALLING_LISTENERS = "signalling-listeners"
    """Whoever can listen on an unprotected signalling hop."""
    FORKED_TERMINALS = "forked-terminals"
    """Every terminal that the INVITE reached."""
    EARLY_DIALOG = "early-dialog"
    """A terminal that answered, but has not taken the call (yet)."""
    TRUSTED_MIDDLE = "trusted-middle"
    ACCESS_EDGE = "access-edge"
    """The operator's node at the edge of its network, which ends the protection (e2ae)."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHolder:
    """Somebody, besides this side, who has or could have a key in use now, and why."""

    kind: HolderKind
    name: str
    """An identity, or what stands for a group."""
    reason: str
    directions: frozenset[Direction]
    """Whose media it opens: what we SEND, what we RECEIVE."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityWarning:
    """Something the user should know. `code` is stable, `text` is for people."""

    code: str
    text: str
    index: int | None = None
    """Index of the m-line, or None for the call."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class StreamStatus:
    """One media stream."""

    index: int
    mid: str | None
    media_type: str
    send_protected: bool
    receive_protected: bool
    may_send: bool
    """False while the gate lets keep-alives through only."""
    scope: Scope | None
    key_management: KeyManagement | None
    suite: SrtpSuite | None
    key_holders: tuple[KeyHolder, ...]

    @property
    def protected(self) -> bool:
        return self.send_protected and self.receive_protected


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityStatus:
    """The call as a whole, as of now."""

    dialog: str | None
    """The dialog that took the call, or None before."""
    streams: tuple[StreamStatus, ...]
    terminating_entity: Identity
    """The first entity that ends the protection, as far as that is known."""
    fork_state: ForkState
    warnings: tuple[SecurityWarning, ...]
    retargeted_to: tuple[str, ...] = ()
    other_end: Identity | None = None
    """Who the call is with; the `terminating_entity` itself unless the access edge ends the protection."""

    @property
    def protected(self) -> bool:
        """True if there is media, and every stream is protected in both directions."""
        return bool(self.streams) and all(stream.protected for stream in self.streams)

    @property
    def key_holders(self) -> tuple[KeyHolder, ...]:
        """All holders over all streams, each once."""
        return tuple(dict.fromkeys(holder for stream in self.streams for holder in stream.key_holders))
