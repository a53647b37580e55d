"""Calls that reach somebody else than was dialled: 181 and History-Info (RFC 7044), 3xx, REFER (RFC 3515)."""

from __future__ import annotations

from dataclasses import dataclass

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


def at_least_as_strict(new: SecurityPolicy, old: SecurityPolicy) -> bool:
    """True if `new` allows nothing that `old` forbids, as far as requirement, forking and failures go."""
    requirement = (Requirement.DISABLED, Requirement.PREFERRED, Requirement.REQUIRED)
    forking = (Forking.EXPOSED, Forking.SECURE)
    failure = (OnFailure.WARN, OnFailure.ASK, OnFailure.REFUSE)
    types = {*new.requirement_by_media, *old.requirement_by_media}
    return (
        all(
            requirement.index(n) >= requirement.index(o)
            for n, o in [
                (new.requirement, old.requirement),
                *((new.requirement_for(t), old.requirement_for(t)) for t in types),
            ]
        )
        and forking.index(new.forking) >= forking.index(old.forking)
        and failure.index(new.on_exposed) >= failure.index(old.on_exposed)
        and failure.index(new.on_protection_lost) >= failure.index(old.on_protection_lost)
    )


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
