"""`check`: whether a message has what each message must have (RFC 3261 8.1.1, 16.3, RFC 4475 3.3)."""

from __future__ import annotations

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.addresses import NameAddr
from imsmediasec.sip.headers import CSeq, Via, is_call_id, parse_max_forwards
from imsmediasec.sip.message import SipMessage
from imsmediasec.sip.uri import parse_uri

_SINGLE = ("From", "To", "Call-ID", "CSeq")


def check(message: SipMessage) -> None:
    """Return if `message` can be worked on; otherwise raise `MalformedInput`, with the status to answer.

    Checks the version (505), that From, To, Call-ID and CSeq stand there once and can be read, Via and
    Max-Forwards too, that the CSeq method is that of the request, and that the Request-URI is a URI.
    """
    if message.version.upper() != "SIP/2.0":
        raise MalformedInput("another version of SIP", clause="RFC 3261 7.1", sip_status_hint=505)
    for name in _SINGLE:
        if len(message.get_all(name)) != 1:
            raise MalformedInput(f"not exactly one {name}", clause="RFC 3261 8.1.1")
    NameAddr.parse(message.get("From") or "")
    NameAddr.parse(message.get("To") or "")
    if not is_call_id(message.get("Call-ID") or ""):
        raise MalformedInput("Call-ID breaks the grammar", clause="RFC 3261 25.1")
    cseq = CSeq.parse(message.get("CSeq") or "")
    vias = message.get_list("Via")
    if not vias:
        raise MalformedInput("no Via", clause="RFC 3261 8.1.1.7")
    Via.parse(vias[0])
    if message.is_request:
        if cseq.method != message.method:
            raise MalformedInput("CSeq names another method", clause="RFC 3261 8.1.1.5")
        parse_uri(message.uri)
        hops = message.get_all("Max-Forwards")
        if len(hops) > 1:
            raise MalformedInput("more than one Max-Forwards", clause="RFC 3261 20.22")
        for value in hops:
            parse_max_forwards(value)
