"""agent/contacts.py: who stands behind a user part, and Contacts that lead to the agent, never past it."""

from __future__ import annotations

import pytest

from imsmediasec.agent import contacts as module
from imsmediasec.agent.config import AgentConfig
from imsmediasec.agent.contacts import Contacts
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol
from imsmediasec.agent.sip_dialog import Face
from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip import SipMessage

UDP, TCP = TransportProtocol.UDP, TransportProtocol.TCP
SOURCE = Endpoint(protocol=UDP, host="127.0.0.1", port=5070)
FLOW = Endpoint(protocol=TCP, host="127.0.0.1", port=33333, flow=7)


def book(**options: object) -> Contacts:
    made = Contacts(AgentConfig(**options))  # type: ignore[arg-type]
    made.addresses = {Face.PHONE: ("127.0.0.1", 5060), Face.NETWORK: ("192.0.2.1", 5080)}
    return made


def request(method: str = "INVITE", uri: str = "sip:alice@192.0.2.1:5080", *contacts: str) -> SipMessage:
    headers = [("CSeq", f"1 {method}"), *(("Contact", contact) for contact in contacts)]
    return SipMessage.request(method, uri, headers)


def response(method: str, *contacts: str) -> SipMessage:
    return SipMessage.response_to(request(method), 200, headers=[("Contact", contact) for contact in contacts])


def test_a_softphone_is_found_by_its_user_part() -> None:
    contacts = book()
    contacts.learn(request("REGISTER", "sip:x", "<sip:alice@127.0.0.1:5070>"), SOURCE)
    contacts.learn(request("REGISTER", "sip:x", "<sip:bob@127.0.0.1:5072;transport=tcp>"), FLOW)
    assert contacts.phone_for(request()) == (
        "sip:alice@127.0.0.1:5070",
        Endpoint(protocol=UDP, host="127.0.0.1", port=5070),
    )
    bob = "sip:bob@127.0.0.1:5072;transport=tcp"
    assert contacts.phone_for(request(uri="sip:bob@192.0.2.1")) == (bob, FLOW), "back over its connection"
    assert contacts.flow_of(bob) == FLOW
    assert contacts.flow_of("sip:alice@127.0.0.1:5070") is None
    assert contacts.flow_of("sip:carol@127.0.0.1") is None
    with pytest.raises(LocalError) as caught:
        contacts.phone_for(request(uri="sip:carol@192.0.2.1"))
    assert caught.value.sip_status_hint == 404


def test_a_softphone_moves() -> None:
    contacts = book()
    contacts.learn(request("REGISTER", "sip:x", "<sip:alice@127.0.0.1:5070>"), SOURCE)
    contacts.learn(request("INVITE", "sip:x", "<sip:alice@127.0.0.1:5074>"), SOURCE)
    assert contacts.phone_for(request())[0] == "sip:alice@127.0.0.1:5074"


def test_the_only_softphone_takes_what_is_for_nobody_known() -> None:
    contacts = book()
    contacts.add("alice", "sip:alice@127.0.0.1:5070")
    assert contacts.phone_for(request(uri="sip:anybody@192.0.2.1"))[0] == "sip:alice@127.0.0.1:5070"
    assert contacts.phone_for(request(uri="tel:+49"))[0] == "sip:alice@127.0.0.1:5070"


def test_the_configured_softphone_comes_before_the_only_one() -> None:
    contacts = book(softphone="sip:desk@127.0.0.1:5090")
    contacts.add("alice", "sip:alice@127.0.0.1:5070")
    assert contacts.phone_for(request(uri="sip:192.0.2.1"))[0] == "sip:desk@127.0.0.1:5090"
    assert contacts.phone_for(request())[0] == "sip:alice@127.0.0.1:5070"


def test_what_teaches_nothing() -> None:
    contacts = book()
    contacts.learn(request("REGISTER", "sip:x", "*"), SOURCE)
    contacts.learn(request("REGISTER", "sip:x", "<tel:+49>"), SOURCE)
    contacts.learn(request("REGISTER", "sip:x"), SOURCE)
    with pytest.raises(LocalError):
        contacts.phone_for(request())
    with pytest.raises(MalformedInput):
        contacts.learn(request("REGISTER", "sip:x", "<sip:"), SOURCE)


def test_the_book_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of registrations is forgotten; who is known may still move."""
    monkeypatch.setattr(module, "MAX_PHONES", 2)
    contacts = book()
    for user in ("alice", "bob", "carol"):
        contacts.learn(request("REGISTER", "sip:x", f"<sip:{user}@127.0.0.1:5070>"), SOURCE)
    contacts.learn(request("REGISTER", "sip:x", "<sip:alice@127.0.0.1:5099>"), SOURCE)
    assert contacts.phone_for(request())[0] == "sip:alice@127.0.0.1:5099"
    with pytest.raises(LocalError):
        contacts.phone_for(request(uri="sip:carol@x"))


def test_contacts_lead_to_the_agent() -> None:
    contacts = book()
    out = request("INVITE", "sip:x", '"A" <sip:alice@127.0.0.1:5070;ob>;+sip.instance="<urn:x>";q=0.5')
    contacts.exchange(out, Face.NETWORK)
    assert out.get_all("Contact") == ['"A" <sip:alice@192.0.2.1:5080>;+sip.instance="<urn:x>";q=0.5']
    back = response("INVITE", "<sip:bob@203.0.113.1>")
    contacts.exchange(back, Face.PHONE)
    assert back.get_all("Contact") == ["<sip:bob@127.0.0.1:5060>"]


def test_contacts_that_stay() -> None:
    contacts = book()
    for message in (request("REGISTER", "sip:x", "*"), request("INVITE", "sip:x", "<tel:+49>"), request("INVITE")):
        before = bytes(message)
        contacts.exchange(message, Face.NETWORK)
        assert bytes(message) == before
    redirect = response("INVITE", "<sip:carol@203.0.113.1>")
    contacts.exchange(redirect, Face.PHONE, keep=True)
    assert redirect.get("Contact") == "<sip:carol@203.0.113.1>"


def test_a_softphone_recognizes_its_own_binding() -> None:
    contacts = book()
    contacts.add("alice", "sip:alice@127.0.0.1:5070;ob")
    contacts.add("desk", "tel:+49")
    others = ("<sip:alice@203.0.113.1:5080>", "<sip:carol@192.0.2.1:5080>", "<sip:desk@192.0.2.1:5080>")
    registered = response("REGISTER", "<sip:alice@192.0.2.1:5080>;expires=60", *others)
    contacts.exchange(registered, Face.PHONE)
    assert registered.get_all("Contact") == ["<sip:alice@127.0.0.1:5070;ob>;expires=60", *others]


@pytest.mark.parametrize(
    ("protocol", "face", "user", "uri"),
    [
        (UDP, Face.NETWORK, "alice", "sip:alice@192.0.2.1:5080"),
        (TCP, Face.NETWORK, None, "sip:192.0.2.1:5080;transport=tcp"),
        (TransportProtocol.TLS, Face.NETWORK, "alice", "sip:alice@192.0.2.1:5080;transport=tls"),
        (TransportProtocol.TLS, Face.PHONE, "alice", "sip:alice@127.0.0.1:5060"),
    ],
)
def test_our_own_contact(protocol: TransportProtocol, face: Face, user: str | None, uri: str) -> None:
    assert str(book(network_protocol=protocol).own(face, user)) == uri


def test_our_own_contact_on_ipv6() -> None:
    contacts = book()
    contacts.addresses[Face.NETWORK] = ("2001:db8::1", 5080)
    assert str(contacts.own(Face.NETWORK, "alice")) == "sip:alice@[2001:db8::1]:5080"
    contacts.add("alice", "sip:alice@127.0.0.1:5070")
    registered = response("REGISTER", "<sip:alice@[2001:db8::1]:5080>;expires=60")
    contacts.exchange(registered, Face.PHONE)
    assert registered.get("Contact") == "<sip:alice@127.0.0.1:5070>;expires=60"


def test_too_many_contacts() -> None:
    """The time to replace them grows with the square of their number."""
    contacts = book()
    most = request("MESSAGE", "sip:x", ",".join(["<sip:eve@192.0.2.7>"] * module.MAX_CONTACTS))
    contacts.exchange(most, Face.PHONE)
    assert most.get_list("Contact") == ["<sip:eve@127.0.0.1:5060>"] * module.MAX_CONTACTS
    most.append("Contact", "<sip:eve@192.0.2.7>")
    with pytest.raises(MalformedInput, match="more than"):
        contacts.exchange(most, Face.PHONE)
