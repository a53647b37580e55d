"""Calls that reach somebody else than was dialled: 181 and History-Info (RFC 7044), 3xx, REFER (RFC 3515)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from imsmediasec.agent.config import AgentConfig
from imsmediasec.agent.identity import assertions, history
from imsmediasec.errors import MalformedInput
from imsmediasec.policy import SecurityPolicy
from imsmediasec.sip import NameAddr, Replaces, SipMessage, SipUri, Uri, parse_uri
from imsmediasec.terms import Forking, OnFailure, Requirement

UNKNOWN = "sip:anonymous@anonymous.invalid"
"""The network says that it forwards the call, but not to whom (RFC 3323 4.1)."""
REDIRECT_PATIENCE = 32.0
"""Seconds for which a call waits after a 3xx for the softphone's next INVITE."""
TRANSFER_PATIENCE = 64.0
"""Seconds for which a REFER waits for the INVITE that it asks for."""
_MAX_TRANSFERS = 100
_REQUIREMENTS = (Requirement.DISABLED, Requirement.PREFERRED, Requirement.REQUIRED)
_FAILURES = (OnFailure.WARN, OnFailure.ASK, OnFailure.REFUSE)
T = TypeVar("T")


def forwarded_to(response: SipMessage, config: AgentConfig) -> str | None:
    """Whom the network has passed the INVITE on to, by a provisional or success response; None if to nobody else.

    What it says is a claim like others: it raises what the policy asks for, and lowers nothing.
    """
    entries = history(response)
    for entry in reversed(entries):
        if entry.mechanism in ("rc", "np"):
            continue  # another address of the same user (RFC 7044 5)
        moved = entry.mechanism == "mp" or not same_user(entry.address.uri, entries[0].address.uri)
        if len(entry.index) > 1 and moved:
            return str(_plain(entry.address.uri))
        break
    if response.status != 181:
        return None
    peer = assertions(response, config)
    return peer.asserted if peer.asserted is not None and peer.trusted_hop else UNKNOWN


def stricter(new: SecurityPolicy, old: SecurityPolicy) -> SecurityPolicy:
    """`old`, and what `new` asks for beyond it. It allows nothing that `old` forbids."""

    def written(policy: SecurityPolicy, media_type: str) -> Requirement:
        return policy.requirement_by_media.get(media_type, policy.requirement)

    demanding = [p for p in (old, new) if Requirement.REQUIRED in (p.requirement, *p.requirement_by_media.values())]
    on_exposed = _highest(_FAILURES, old.on_exposed, new.on_exposed)
    # SDES cannot tell terminals apart: with REFUSE that would be a contradiction.
    terminals = new.terminals if on_exposed is not OnFailure.REFUSE else ()
    return replace(
        old,
        scope=tuple(s for s in old.scope if s in new.scope) or old.scope,
        requirement=_highest(_REQUIREMENTS, old.requirement, new.requirement),
        requirement_by_media={
            media_type: _highest(_REQUIREMENTS, written(old, media_type), written(new, media_type))
            for media_type in {**old.requirement_by_media, **new.requirement_by_media}
        },
        forking=Forking.SECURE if Forking.SECURE in (old.forking, new.forking) else old.forking,
        trusted_middle=tuple(node for node in old.trusted_middle if node in new.trusted_middle),
        terminals=old.terminals or terminals,
        suites=tuple(suite for suite in new.suites if suite in old.suites) or old.suites,
        tolerate=old.tolerate & new.tolerate,
        sdes_over_unprotected_signalling=old.sdes_over_unprotected_signalling and new.sdes_over_unprotected_signalling,
        accept_unencrypted=old.accept_unencrypted and new.accept_unencrypted,
        on_exposed=on_exposed,
        on_caller_exposed=_highest(_FAILURES, old.on_caller_exposed, new.on_caller_exposed),
        on_unprotected=_highest(_FAILURES, *(p.on_unprotected for p in demanding or [old])),
        on_protection_lost=_highest(_FAILURES, old.on_protection_lost, new.on_protection_lost),
    )


def _highest(order: tuple[T, ...], *values: T) -> T:
    return max(values, key=order.index)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Transfer:
    until: float
    target: Uri
    replaces: Replaces | None


class Transfers:
    """REFERs that have gone to a softphone of ours, until it sends the INVITE that they ask for."""

    def __init__(self) -> None:
        self._waiting: list[_Transfer] = []

    def note(self, refer: SipMessage, now: float) -> None:
        """A REFER for the softphone passes. One that cannot be read is the softphone's business."""
        try:
            target = NameAddr.parse(refer.get("Refer-To") or "").uri
            replaces = None
            if isinstance(target, SipUri):
                value = next((v for name, v in target.header_items if name.lower() == "replaces"), None)
                replaces = Replaces.parse(value) if value is not None else None
        except MalformedInput:
            return
        self._waiting = [t for t in self._waiting if t.until > now][-_MAX_TRANSFERS + 1 :]
        self._waiting.append(_Transfer(until=now + TRANSFER_PATIENCE, target=target, replaces=replaces))

    def take(self, invite: SipMessage, now: float) -> bool:
        """True if this INVITE of the softphone follows a REFER; it is used up then."""
        try:
            target = parse_uri(invite.uri)
            value = invite.get("Replaces")
            replaces = Replaces.parse(value) if value is not None else None
        except MalformedInput:
            return False
        for transfer in self._waiting:
            if transfer.until > now and same_user(transfer.target, target) and transfer.replaces == replaces:
                self._waiting.remove(transfer)
                return True
        return False


def same_user(one: Uri, other: Uri) -> bool:
    """True if both name the same address, parameters aside (RFC 3261 19.1.4, for our purpose)."""
    if isinstance(one, SipUri) and isinstance(other, SipUri):
        return (one.user, one.host.lower(), one.port) == (other.user, other.host.lower(), other.port)
    return one == other


def _plain(uri: Uri) -> Uri:
    return uri.without_parameters() if isinstance(uri, SipUri) else uri
