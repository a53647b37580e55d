"""agent/passing.py: what changes on a message's way through the agent; all else stays as it came."""

from __future__ import annotations

import pytest

from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.passing import endpoint_of, next_hop, pass_request, pass_response, route_set
from imsmediasec.agent.sip_dialog import Face, Half
from imsmediasec.errors import MalformedInput
from imsmediasec.sip import SipMessage

UDP, TCP, TLS = TransportProtocol.UDP, TransportProtocol.TCP, TransportProtocol.TLS


def message(text: str) -> SipMessage:
    return SipMessage.parse(text.replace("\n", "\r\n").encode() + b"\r\n")


def half(**options: object) -> Half:
    return Half(
        face=Face.NETWORK,
        local="<sip:a@x>;tag=1",
        remote="<sip:b@x>;tag=2",
        remote_target="sip:b@203.0.113.1",
        **options,  # type: ignore[arg-type]
    )


INVITE = message(
    "INVITE sip:b@x SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\nRoute: <sip:127.0.0.1;lr>\n"
    "record-route: <sip:r>\nMax-Forwards: 70\nFrom:  A <sip:a@x> ;tag=1\nTo: <sip:b@x>\nCall-ID: c\n"
    "CSeq: 5 INVITE\nX-Odd:   kept\n folded\nContent-Length: 0\n"
)


def test_a_request_outside_a_dialog() -> None:
    out = pass_request(INVITE, None, uri="sip:b@y")
    assert (
        bytes(out)
        == message(
            "INVITE sip:b@y SIP/2.0\nMax-Forwards: 69\nFrom:  A <sip:a@x> ;tag=1\nTo: <sip:b@x>\nCall-ID: c\n"
            "CSeq: 5 INVITE\nX-Odd:   kept\n folded\nContent-Length: 0\n"
        ).__bytes__()
    )
    assert pass_request(INVITE, None).uri == "sip:b@x"
    assert INVITE.has("Via"), "what came is left alone"


@pytest.mark.parametrize(("line", "left"), [("Max-Forwards: 0\n", "0"), ("Max-Forwards: 1\n", "0"), ("", "69")])
def test_hops_are_counted(line: str, left: str) -> None:
    out = pass_request(message(f"OPTIONS sip:b SIP/2.0\n{line}CSeq: 1 OPTIONS\nContent-Length: 0\n"), None)
    assert out.get("Max-Forwards") == left


def in_dialog(method: str, number: int, more: str = "") -> SipMessage:
    return message(f"{method} sip:old SIP/2.0\nCSeq: {number} {method}\n{more}Content-Length: 0\n")


def test_a_dialog_has_target_route_and_numbers_of_its_own() -> None:
    there = half(route_set=("<sip:p1;lr>", "<sip:p2;lr>"), sequence=7)
    out = pass_request(in_dialog("INVITE", 3), there)
    assert out.uri == "sip:b@203.0.113.1"
    assert out.get_all("Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert out.get("CSeq") == "8 INVITE"
    assert pass_request(in_dialog("PRACK", 4, "RAck: 9 3 INVITE\n"), there).get("RAck") == "9 8 INVITE"
    assert pass_request(in_dialog("PRACK", 5, "RAck: 9 99 INVITE\n"), there).get("RAck") == "9 99 INVITE"
    assert pass_request(in_dialog("PRACK", 6), there).get("CSeq") == "11 PRACK"
    assert pass_request(in_dialog("ACK", 3), there).get("CSeq") == "8 ACK"
    assert pass_request(in_dialog("ACK", 42), there).get("CSeq") == "42 ACK"
    assert pass_request(in_dialog("INFO", 50), there).get("CSeq") == "50 INFO", "as it came, as long as that rises"
    assert there.numbers == {3: 8}


def test_a_response_takes_the_way_of_its_request() -> None:
    request = message(
        "INVITE sip:b SIP/2.0\nVia: SIP/2.0/UDP one;branch=1\nVia: SIP/2.0/UDP two;branch=2\n"
        "Record-Route: <sip:p1;lr>\nRecord-Route: <sip:p2;lr>\nCSeq: 3 INVITE\nContent-Length: 0\n"
    )
    response = message(
        "SIP/2.0 180 Ringing\nRecord-Route: <sip:far;lr>\nTo: <sip:b>;tag=2\nCSeq: 8 INVITE\nX: y\nContent-Length: 0\n"
    )
    assert (
        bytes(pass_response(response, request))
        == message(
            "SIP/2.0 180 Ringing\nVia: SIP/2.0/UDP one;branch=1\nVia: SIP/2.0/UDP two;branch=2\n"
            "Record-Route: <sip:p1;lr>\nRecord-Route: <sip:p2;lr>\nTo: <sip:b>;tag=2\nCSeq: 3 INVITE\nX: y\n"
            "Content-Length: 0\n"
        ).__bytes__()
    )


def test_route_sets() -> None:
    both = message("SIP/2.0 200 OK\nRecord-Route: <sip:p1>, <sip:p2>\nContent-Length: 0\n")
    assert route_set(both, reverse=False) == ("<sip:p1>", "<sip:p2>")
    assert route_set(both, reverse=True) == ("<sip:p2>", "<sip:p1>")


def test_next_hops() -> None:
    default = Endpoint(protocol=TLS, host="pcscf", port=5061)
    routed = message("OPTIONS sip:b@host SIP/2.0\nRoute: <sip:p1:5062;transport=tcp;lr>\nContent-Length: 0\n")
    plain = message("OPTIONS sip:b@host SIP/2.0\nContent-Length: 0\n")
    assert next_hop(routed, default) == Endpoint(protocol=TCP, host="p1", port=5062)
    assert next_hop(plain, default) is default
    assert next_hop(plain, None) == Endpoint(protocol=UDP, host="host", port=5060)


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("sip:b@host", (UDP, "host", 5060)),
        ("sips:b@host", (TLS, "host", 5061)),
        ("sips:b@host;transport=tcp", (TLS, "host", 5061)),
        ("sip:b@[2001:db8::1]:5066;transport=TCP", (TCP, "2001:db8::1", 5066)),
    ],
)
def test_endpoints(uri: str, endpoint: tuple[TransportProtocol, str, int]) -> None:
    protocol, host, port = endpoint
    assert endpoint_of(uri) == Endpoint(protocol=protocol, host=host, port=port)


@pytest.mark.parametrize(
    ("uri", "status"), [("tel:+49", 416), ("urn:service:sos", 416), ("sip:b;transport=sctp", 503), ("x", 400)]
)
def test_uris_that_lead_nowhere(uri: str, status: int) -> None:
    with pytest.raises(MalformedInput) as caught:
        endpoint_of(uri)
    assert caught.value.sip_status_hint == status


def test_where_tls_is_usual_nothing_else_is_used() -> None:
    """An agent that is told TLS sends nothing in clear because a URI says so."""
    assert endpoint_of("sip:b@host", TLS) == Endpoint(protocol=TLS, host="host", port=5061)
    assert endpoint_of("sip:b@host;transport=tls", TLS).protocol is TLS
    with pytest.raises(MalformedInput, match="this agent speaks TLS only"):
        endpoint_of("sip:b@host;transport=tcp", TLS)
    assert endpoint_of("sip:b@host;transport=tcp", UDP).protocol is TCP
