"""How a message changes on its way through the agent. Everything not named here stays as it came."""

from __future__ import annotations

from dataclasses import replace

from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Half, sequence_of
from imsmediasec.errors import MalformedInput
from imsmediasec.sip import CSeq, NameAddr, RAck, SipMessage, SipUri, parse_uri, session_description
from imsmediasec.sip.headers import parse_max_forwards

# Hops behind the agent are not the other side's business (RFC 3261 12.1, 16.12): each half has its own.
_HOP_BY_HOP = ("Via", "Route", "Record-Route")

OFFER_METHODS = ("INVITE", "UPDATE", "PRACK")
"""Methods whose requests and responses carry offers and answers; an ACK does too."""


def pass_request(request: SipMessage, half: Half | None, *, uri: str | None = None) -> SipMessage:
    """The request for the other side, without Via. `half`: the dialog's half there; None: `uri`."""
    out = request.copy()
    _cut_trailing(out)
    for name in _HOP_BY_HOP:
        out.remove(name)
    if out.has("Max-Forwards"):
        out.set("Max-Forwards", str(max(0, parse_max_forwards(out.get("Max-Forwards") or "70") - 1)))
    else:
        out.append("Max-Forwards", "69")
    if half is not None:
        out.set_uri(half.remote_target)
        for route in half.route_set:
            out.append("Route", route)
        number = sequence_of(request)
        if request.method == "ACK":
            ours = half.numbers.get(number, number)
        else:
            ours = half.next_number(number)
            if request.method == "INVITE":
                half.numbers[number] = ours
        out.set("CSeq", f"{ours} {request.method}")
        if request.method == "PRACK" and request.has("RAck"):
            rack = RAck.parse(request.get("RAck") or "")
            out.set("RAck", str(replace(rack, cseq=half.numbers.get(rack.cseq, rack.cseq))))
    elif uri is not None:
        out.set_uri(uri)
    return out


def pass_response(response: SipMessage, request: SipMessage) -> SipMessage:
    """The response to `request` of the other side. `response` has its own Via taken off already."""
    out = response.copy()
    _cut_trailing(out)
    for name in _HOP_BY_HOP:
        out.remove(name)
    for route in reversed(request.get_all("Record-Route")):  # as a user agent server does (RFC 3261 12.1.1)
        out.prepend("Record-Route", route)
    for via in reversed(request.get_all("Via")):
        out.prepend("Via", via)
    out.set("CSeq", str(CSeq(number=sequence_of(request), method=request.method)))
    return out


def drop_description(message: SipMessage) -> None:
    """Take out an SDP that stands where none belongs: nobody leads its media through the relay."""
    try:
        if session_description(message) is None:
            return
    except MalformedInput:
        pass
    message.set_body(b"")


def route_set(message: SipMessage, *, reverse: bool) -> tuple[str, ...]:
    """Record-Route as route set: reversed for who sent the request (RFC 3261 12.1.2)."""
    routes = message.get_list("Record-Route")
    return tuple(reversed(routes)) if reverse else tuple(routes)


def next_hop(
    request: SipMessage, default: Endpoint | None, usual: TransportProtocol = TransportProtocol.UDP
) -> Endpoint:
    """Where to send it: the first Route, else `default`, else the Request-URI (RFC 3261 8.1.2).

    `usual` is the transport where the URI names none; TLS as `usual` allows no other, since what goes
    there may hold keys. Raises MalformedInput if there is no SIP URI, or it asks for a transport that
    is not allowed.
    """
    routes = request.get_list("Route")
    if not routes and default is not None:
        return default
    return endpoint_of(str(NameAddr.parse(routes[0]).uri) if routes else request.uri, usual)


def endpoint_of(uri: str, usual: TransportProtocol = TransportProtocol.UDP) -> Endpoint:
    """Transport, host and port of a SIP URI. `usual` and errors: as in `next_hop`."""
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise MalformedInput("this request needs a next hop: its URI names no host", sip_status_hint=416)
    name = (parsed.parameters.get("transport") or ("tls" if parsed.secure else usual.value)).upper()
    try:
        protocol = TransportProtocol("TLS" if parsed.secure else name)
    except ValueError:
        raise MalformedInput(f"transport {name[:20]} is not supported", sip_status_hint=503) from None
    if usual is TransportProtocol.TLS and protocol is not usual:
        raise MalformedInput(f"transport {name[:20]} is not used: this agent speaks TLS only", sip_status_hint=503)
    return Endpoint(protocol=protocol, host=parsed.host.strip("[]"), port=parsed.port or protocol.default_port)


def _cut_trailing(message: SipMessage) -> None:
    # Octets behind the body are no part of the message (RFC 3261 18.3), but some read them.
    if message.trailing:
        message.set_body(message.body)
