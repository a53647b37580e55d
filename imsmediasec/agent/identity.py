"""Who the other end says it is, and what the network asserts (RFC 3325, RFC 7044)."""

from __future__ import annotations

from imsmediasec.agent.config import AgentConfig
from imsmediasec.errors import MalformedInput
from imsmediasec.sip import HistoryEntry, NameAddr, SipMessage
from imsmediasec.status import PeerAssertions


def assertions(message: SipMessage, config: AgentConfig, *, dialled: str | None = None) -> PeerAssertions:
    """Of a message from the network. A header that cannot be read says nothing.

    `dialled`: where our INVITE went last. To in a response is our own word, and stays as it was however
    often the call is passed on (RFC 3261 8.1.1.2), so `dialled` goes before it.
    """
    claimed = _uri(message.get("From")) if message.is_request else dialled or _uri(message.get("To"))
    return PeerAssertions(
        claimed=claimed,
        asserted=_uri(_first(message, "P-Asserted-Identity")),
        trusted_hop=config.trust_asserted_identity,
        history=tuple(str(entry.address.uri) for entry in history(message)),
    )


def history(message: SipMessage) -> tuple[HistoryEntry, ...]:
    """The entries of History-Info in order; none if one cannot be read."""
    try:
        return tuple(HistoryEntry.parse(value) for value in message.get_list("History-Info"))
    except MalformedInput:
        return ()


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
