"""`SecurityStatus` derived from what is recorded: the streams, the fork phase, the key ledger."""

from __future__ import annotations

from collections.abc import Iterable

from imsmediasec.negotiation.dialog import Dialog, Ends, Form, Stream
from imsmediasec.negotiation.forking import ForkPhase, fork_state_of
from imsmediasec.negotiation.ledger import KeyLedger
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import bare_uri
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.status import (
    HolderKind,
    Identity,
    KeyHolder,
    PeerAssertions,
    SecurityStatus,
    SecurityWarning,
    StreamStatus,
)
from imsmediasec.terms import (
    Direction,
    ForkState,
    Gate,
    Hop,
    IdentitySource,
    KeyManagement,
    Requirement,
    Scope,
    Side,
)

_REASONS = {
    HolderKind.TERMINATING_ENTITY: "it ends the protection",
    HolderKind.TRUSTED_MIDDLE: "it ends the protection, as a middle node that the policy trusts",
    HolderKind.ACCESS_EDGE: "it ends the protection, as the operator's access edge: behind it the operator decides",
    HolderKind.SIGNALLING_PATH: "SDES: the key stands in the SDP that they pass on",
    HolderKind.SIGNALLING_LISTENERS: "the SDP with the key went over a hop that is not protected",
    HolderKind.FORKED_TERMINALS: "the key stood in the INVITE",
    HolderKind.EARLY_DIALOG: "it answered an INVITE that holds the key",
}
_NAMES = {
    HolderKind.SIGNALLING_PATH: "every SIP node on the path",
    HolderKind.SIGNALLING_LISTENERS: "whoever can listen to the signalling",
    HolderKind.FORKED_TERMINALS: "every terminal that the INVITE reached",
}
_SENT, _RECEIVED, _BOTH = frozenset({Direction.SEND}), frozenset({Direction.RECEIVE}), frozenset(Direction)
_NOBODY = Identity(uri=None, source=IdentitySource.NONE)


def derive(
    *,
    side: Side,
    policy: SecurityPolicy,
    dialog: Dialog | None,
    other_dialogs: Iterable[str],
    ledger: KeyLedger,
    remote_target: str,
    early_peer: PeerAssertions | None,
    access_edge: Identity | None,
    retargeted_to: tuple[str, ...],
    notes: Iterable[SecurityWarning],
) -> SecurityStatus:
    """The status as of now. `other_dialogs`: ids of further dialogs that answered the same INVITE; `early_peer`:
    who is at the other end, where no dialog says it."""
    identity = _identity((dialog.peer if dialog is not None else None) or early_peer, remote_target)
    if dialog is None or dialog.phase is ForkPhase.RETIRED:  # before the call, or after it: no key is in use
        return SecurityStatus(
            dialog=dialog.id if dialog is not None and dialog.live else None,
            streams=(),
            terminating_entity=identity,
            fork_state=ForkState.UNKNOWN,
            warnings=tuple(notes),
            retargeted_to=retargeted_to,
            other_end=identity,
        )
    others = tuple(other_dialogs)
    middle = _is_trusted_middle(identity, policy)
    edge = access_edge or _NOBODY
    streams = tuple(
        [
            _stream_status(
                stream, dialog, edge if stream.ends is not Ends.FAR_END else identity, middle, others, ledger, side
            )
            for stream in dialog.streams.values()
            if stream.form not in (Form.REFUSED, Form.PASS)
        ]
    )
    ends_at_edge = any(stream.scope is Scope.END_TO_ACCESS_EDGE for stream in streams)
    unknown = dialog.phase is None or ends_at_edge  # who rings behind the edge, it does not say
    fork_state = ForkState.UNKNOWN if dialog.phase is None or unknown else fork_state_of(dialog.phase, side)
    warnings = [*_warnings(dialog, streams, policy, identity, fork_state, ends_at_edge), *notes]
    return SecurityStatus(
        dialog=dialog.id if dialog.live else None,
        streams=streams,
        terminating_entity=edge if ends_at_edge else identity,
        fork_state=fork_state,
        warnings=tuple(warnings),
        retargeted_to=retargeted_to,
        other_end=identity,
    )


def _identity(peer: PeerAssertions | None, remote_target: str) -> Identity:
    if peer is not None and peer.asserted is not None and peer.trusted_hop:
        return Identity(uri=peer.asserted, source=IdentitySource.NETWORK_ASSERTED)
    if peer is not None and peer.claimed is not None:
        return Identity(uri=peer.claimed, source=IdentitySource.CLAIMED)
    return Identity(uri=remote_target, source=IdentitySource.NONE)


def _is_trusted_middle(identity: Identity, policy: SecurityPolicy) -> bool:
    """The network vouches that a middle node answered which the user trusts with keys (B2, B4)."""
    if identity.source is not IdentitySource.NETWORK_ASSERTED or identity.uri is None:
        return False
    return bare_uri(identity.uri) in {bare_uri(trusted) for trusted in policy.trusted_middle}


def _stream_status(
    stream: Stream,
    dialog: Dialog,
    identity: Identity,
    middle: bool,
    others: tuple[str, ...],
    ledger: KeyLedger,
    side: Side,
) -> StreamStatus:
    protected = stream.protected
    return StreamStatus(
        index=stream.index,
        mid=stream.mid,
        media_type=stream.media_type,
        send_protected=protected,
        receive_protected=protected,
        may_send=stream.gate is Gate.OPEN,
        scope=_scope(stream, middle) if protected else None,
        key_management=KeyManagement.SDES if protected else None,
        suite=stream.remote.suite if stream.remote is not None and protected else None,
        key_holders=_holders(stream, dialog, identity, middle, others, ledger, side) if protected else (),
    )


def _scope(stream: Stream, middle: bool) -> Scope:
    if stream.ends is not Ends.FAR_END:
        return Scope.END_TO_ACCESS_EDGE
    return Scope.END_TO_MIDDLE_TO_END if middle else Scope.END_TO_END


def _holders(
    stream: Stream,
    dialog: Dialog,
    identity: Identity,
    middle: bool,
    others: tuple[str, ...],
    ledger: KeyLedger,
    side: Side,
) -> tuple[KeyHolder, ...]:
    assert stream.local is not None and stream.remote is not None
    sent, received = _shared_with(stream.local, ledger), _shared_with(stream.remote, ledger)
    kind = _ends_it(stream, middle)
    found = [KeyHolder(kind=kind, name=identity.uri or "unknown", reason=_REASONS[kind], directions=_BOTH)]
    for kind, name in _NAMES.items():
        if stream.ends is Ends.EDGE and kind is not HolderKind.SIGNALLING_LISTENERS:
            continue  # the edge takes the key out of the SDP
        if kind in sent or kind in received:
            directions = _BOTH if kind in sent and kind in received else _SENT if kind in sent else _RECEIVED
            found.append(KeyHolder(kind=kind, name=name, reason=_REASONS[kind], directions=directions))
            if kind is HolderKind.FORKED_TERMINALS and side is Side.UAC:
                kind, reason = HolderKind.EARLY_DIALOG, _REASONS[HolderKind.EARLY_DIALOG]
                found += [
                    KeyHolder(kind=kind, name=other, reason=reason, directions=directions)
                    for other in others
                    if other != dialog.id
                ]
    return tuple(found)


def _ends_it(stream: Stream, middle: bool) -> HolderKind:
    if stream.ends is not Ends.FAR_END:
        return HolderKind.ACCESS_EDGE
    return HolderKind.TRUSTED_MIDDLE if middle else HolderKind.TERMINATING_ENTITY


def _shared_with(crypto: CryptoAttribute, ledger: KeyLedger) -> list[HolderKind]:
    """Who else has these keys, by what is recorded of them."""
    disclosures = ledger.disclosures(crypto)
    kinds = [HolderKind.SIGNALLING_PATH] if disclosures else []
    if Hop.UNPROTECTED in [disclosure.hop for disclosure in disclosures]:
        kinds.append(HolderKind.SIGNALLING_LISTENERS)
    if None in [disclosure.dialog for disclosure in disclosures]:
        kinds.append(HolderKind.FORKED_TERMINALS)
    return kinds


def _warnings(
    dialog: Dialog,
    streams: tuple[StreamStatus, ...],
    policy: SecurityPolicy,
    identity: Identity,
    fork_state: ForkState,
    ends_at_edge: bool,
) -> Iterable[SecurityWarning]:
    for status in streams:
        if not status.protected and policy.requirement_for(status.media_type) is not Requirement.DISABLED:
            yield SecurityWarning(code="unprotected", text=f"{status.media_type} is not protected", index=status.index)
        if any(holder.kind is HolderKind.SIGNALLING_LISTENERS for holder in status.key_holders):
            yield SecurityWarning(
                code="signalling-unprotected",
                text="the keys went over signalling that is not protected: whoever reads it can hear the call",
                index=status.index,
            )
    if dialog.awaiting_decision:
        unprotected, exposed = "this call is not protected", "other terminals may hold the key of this call"
        what = unprotected if dialog.asks_unprotected else exposed
        yield SecurityWarning(code="decision-needed", text=f"{what}: go on (y) or end it (n)?")
    elif dialog.exposure_accepted and fork_state is not ForkState.CONFIRMED and not ends_at_edge:
        yield SecurityWarning(code="exposed", text="terminals that did not take the call may hold its key")
    protected = any(status.protected for status in streams)
    if protected and policy.terminals:
        yield SecurityWarning(code="terminal-unverified", text="SDES cannot tell which terminal answered")
    if ends_at_edge and policy.scope[0] is not Scope.END_TO_ACCESS_EDGE:
        yield SecurityWarning(
            code="edge-only",
            text=f"the protection ends at the access edge, and the policy prefers {policy.scope[0].value}",
        )
    if protected and policy.key_management[0] is not KeyManagement.SDES:
        better = policy.key_management[0].value
        yield SecurityWarning(
            code="method-unavailable", text=f"sdes is used: {better}, listed before it, is not available"
        )
    if identity.source in (IdentitySource.NONE, IdentitySource.CLAIMED):
        yield SecurityWarning(code="identity-unverified", text="nobody vouches for the identity of the other end")
