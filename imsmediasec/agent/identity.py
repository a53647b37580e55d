"""Who the other end says it is, and what the network asserts (RFC 3325, RFC 7044)."""

from __future__ import annotations

from imsmediasec.agent.config import AgentConfig
from imsmediasec.errors import MalformedInput
from imsmediasec.sip import HistoryEntry, NameAddr, SipMessage
from imsmediasec.status import PeerAssertions


def assertions(message: SipMessage, config: AgentConfig) -> PeerAssertions:
    """Of a message from the network. A header that cannot be read says nothing."""
    return PeerAssertions(
        claimed=_uri(message.get("From" if message.is_request else "To")),
        asserted=_uri(_first(message, "P-Asserted-Identity")),
        trusted_hop=config.trust_asserted_identity,
        history=_history(message),
    )


def _first(message: SipMessage, name: str) -> str | None:
    try:
        values = message.get_list(name)
    except MalformedInput:
        return None
    return values[0] if values else None


def _uri(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(NameAddr.parse(value).uri)
    except MalformedInput:
        return None


def _history(message: SipMessage) -> tuple[str, ...]:
    try:
        return tuple(str(HistoryEntry.parse(value).address.uri) for value in message.get_list("History-Info"))
    except MalformedInput:
        return ()
