"""Where SIP messages come from and go to, and what the transaction layer wants of a transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from imsmediasec.sip import Via


class TransportProtocol(Enum):
    """As in Via (RFC 3261 20.42)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def reliable(self) -> bool:
        return self is not TransportProtocol.UDP

    @property
    def default_port(self) -> int:
        """RFC 3261 19.1.2."""
        return 5061 if self is TransportProtocol.TLS else 5060


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The other side of a hop."""

    protocol: TransportProtocol
    host: str
    """Address, or a name to look up. For TLS it is also what the certificate must be for."""
    port: int
    flow: int | None = None
    """The connection a message came over, or None. A destination with one is never connected anew."""


class Transport(Protocol):
    """Takes whole messages to other hosts. `TransportLayer` is the one with sockets."""

    def send(self, message: bytes, destination: Endpoint, failed: Callable[[str], None] | None = None) -> None:
        """Send now or as soon as connected. `failed(reason)` is called, later, if that is impossible."""

    def sent_by(self, destination: Endpoint) -> tuple[str, int]:
        """Host and port for the Via of a request to `destination` (RFC 3261 18.1.1)."""


def response_endpoint(via: Via, source: Endpoint) -> Endpoint:
    """Where responses go whose request came from `source` with `via` on top (RFC 3261 18.2.2, RFC 3581 4).

    Over a connection, back through it. Over UDP to the source address, at its source port if the
    client asked for that with `rport`, else at the port of sent-by. `maddr` is not followed: it would
    let a stranger aim responses.
    """
    if source.protocol.reliable or via.parameters.has("rport"):
        return source
    return Endpoint(protocol=source.protocol, host=source.host, port=via.port or 5060)
