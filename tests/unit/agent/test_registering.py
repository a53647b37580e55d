"""The agreement around what the agent sends, against a core that only takes note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.agent import Account, AgentConfig, Endpoint, NoObserver, TransportProtocol
from imsmediasec.agent import registering as module
from imsmediasec.agent.registering import Registering
from imsmediasec.agent.sip_dialog import Face, Half, SipDialog, dialog_key
from imsmediasec.registration import THREE_GPP
from imsmediasec.sip import CSeq, SipMessage
from imsmediasec.sip.digest import Challenge, Credentials

HOP = Endpoint(protocol=TransportProtocol.TLS, host="pcscf.ims.example", port=5061)
CONFIG = AgentConfig(
    policy=ims.SecurityPolicy(scope=(ims.Scope.END_TO_ACCESS_EDGE,)),
    network_protocol=TransportProtocol.TLS,
    outbound=HOP,
    mediasec=True,
)
ACCOUNT = Account(username="alice", password=ims.Secret(b"secret"), realm="ims.example")
ALICE = "sip:alice@ims.example"
LIST = "msrp-tls;mediasec, sdes-srtp;mediasec"
LISTED = [("Security-Server", "msrp-tls;mediasec"), ("Security-Server", "sdes-srtp;mediasec")]
BINDING = [("Contact", "<sip:alice@10.0.0.1>;expires=60")]
CHALLENGE = Challenge(realm="ims.example", nonce="n1", qop=("auth",))


@dataclass(eq=False)
class Transaction:
    """A client transaction that sends nothing."""

    request: SipMessage
    respond: Callable[[Any, SipMessage, bool], None]
    cancelled: bool = False
    successor: Transaction | None = None

    def answer(self, status: int, headers: list[tuple[str, str]] | None = None, *, made_here: bool = False) -> None:
        response = SipMessage.response_to(self.request, status, to_tag="far", headers=headers or [])
        response.remove_item("Via")
        self.respond(self, response, made_here)


@dataclass(eq=False)
class Core:
    config: AgentConfig = CONFIG
    dialogs: dict[tuple[str, str, str], SipDialog] = field(default_factory=dict)
    observer: Any = field(default_factory=NoObserver)
    sent: list[Transaction] = field(default_factory=list)

    def transmit(self, face: Face, request: SipMessage, hop: Endpoint, respond: Any) -> Transaction:
        assert face is Face.NETWORK
        request = request.copy()
        request.prepend("Via", "SIP/2.0/TLS 10.0.0.1;branch=z9hG4bK1")
        self.sent.append(Transaction(request, respond))
        return self.sent[-1]


@dataclass(eq=False)
class Bench:
    """An agent's registering and what its core gets to see."""

    core: Core = field(default_factory=Core)
    seen: list[SipMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.registering = Registering(self.core, clock=lambda: self.now)  # type: ignore[arg-type]

    def send(self, message: SipMessage) -> Transaction:
        given: Any = self.registering.send(message, HOP, lambda client, response, here: self.seen.append(response))
        assert given is self.last
        return self.last

    @property
    def last(self) -> Transaction:
        return self.core.sent[-1]

    def registered(self) -> Bench:
        self.send(request("REGISTER"))
        self.last.answer(401, [*LISTED, ("WWW-Authenticate", str(CHALLENGE))])
        self.send(request("REGISTER", 2))
        self.last.answer(200, BINDING)
        return self


def request(method: str, number: int = 1, *headers: tuple[str, str], to_tag: str = "", **more: Any) -> SipMessage:
    user, call_id = more.get("user", ALICE), more.get("call_id", method)
    to = f"<{user}>" if method == "REGISTER" else "<sip:bob@ims.example>"
    fixed = [("From", f"<{user}>;tag=near"), ("To", to + (f";tag={to_tag}" if to_tag else "")), ("Call-ID", call_id)]
    fixed += [("CSeq", f"{number} {method}"), ("Max-Forwards", "70")]
    if method in ("REGISTER", "INVITE"):
        fixed.append(("Contact", more.get("contact", "<sip:alice@10.0.0.1>")))
    return SipMessage.request(method, "sip:ims.example", [*fixed, *headers])


def number(transaction: Transaction) -> int:
    return CSeq.parse(transaction.request.get("CSeq") or "").number


def agreement(transaction: Transaction) -> dict[str, list[str]]:
    names = ("Security-Client", "Security-Verify", "Require", "Proxy-Require")
    return {name: values for name in names if (values := transaction.request.get_all(name))}


TAGS = {"Require": ["mediasec"], "Proxy-Require": ["mediasec"]}


def test_passed_through() -> None:
    """The softphone answers the challenge; the agreement comes and goes without it."""
    bench = Bench()
    first = bench.send(request("REGISTER", 7, ("Security-Client", "digest"), ("Security-Verify", "digest")))
    assert agreement(first) == {"Security-Client": ["sdes-srtp;mediasec"], **TAGS}
    first.answer(100)
    first.answer(401, [*LISTED, ("WWW-Authenticate", str(CHALLENGE))])
    assert [response.status for response in bench.seen] == [100, 401]
    assert not bench.seen[-1].has("Security-Server")
    assert bench.registering.access_edge(ALICE) is None
    second = bench.send(request("REGISTER", 8, ("Require", "mediasec, gruu"), ("Authorization", "Digest x=y")))
    assert agreement(second) == {
        "Security-Client": ["sdes-srtp;mediasec"],
        "Security-Verify": [LIST],
        "Require": ["mediasec, gruu"],
        "Proxy-Require": ["mediasec"],
    }
    second.answer(200, BINDING)
    assert bench.registering.statuses[ALICE].verified
    edge = bench.registering.access_edge("sip:alice@ims.example:5061;user=phone")
    assert edge == ims.Identity(
        uri="sip:pcscf.ims.example:5061;transport=tls", source=ims.IdentitySource.CERTIFICATE
    )  # fmt: skip
    assert agreement(bench.send(request("INVITE"))) == {"Security-Verify": [LIST], **TAGS}
    assert agreement(bench.send(request("OPTIONS", user="sip:+491@ims.example"))) == {"Security-Verify": [LIST], **TAGS}
    assert agreement(bench.send(request("PRACK", 2, to_tag="far"))) == {}
    assert number(bench.send(request("REGISTER", 9))) == 9
    bench.now += 61
    assert bench.registering.access_edge(ALICE) is None


def test_edge_without_proof() -> None:
    """Where no certificate is checked, nobody vouches for the edge."""
    core = Core(replace(CONFIG, verify_tls=False, outbound=replace(HOP, host="2001:db8::1")))
    edge = Bench(core).registered().registering.access_edge(ALICE)
    assert edge == ims.Identity(uri="sip:[2001:db8::1]:5061;transport=tls", source=ims.IdentitySource.NONE)


def test_sent_again() -> None:
    """A 494 stays here: a new request with a number of its own, which all later ones are above."""
    bench = Bench()
    bench.send(request("REGISTER", 3, ("Authorization", "Digest x=y")))
    bench.last.answer(494, LISTED)
    assert bench.seen == []
    assert agreement(bench.last) == {"Security-Verify": [LIST], **TAGS}
    assert number(bench.last) == 4
    assert bench.last.request.get("Authorization") == "Digest x=y"
    bench.last.answer(401, [*LISTED, ("WWW-Authenticate", str(CHALLENGE))])
    assert [response.status for response in bench.seen] == [401]
    assert number(bench.send(request("REGISTER", 4))) == 5
    assert number(bench.send(request("REGISTER", 9))) == 9


def test_within_a_dialog() -> None:
    """The half of the dialog counts on, and what was passed on under the old number is found under the new one."""
    bench = Bench().registered()
    invite = request("INVITE", 5, to_tag="far")
    network = Half(face=Face.NETWORK, local="", remote="", remote_target="", sequence=5, numbers={4: 4, 3: 5})
    key = dialog_key(invite, Face.PHONE, request=True)
    phone = Half(face=Face.PHONE, local="", remote="", remote_target="")
    bench.core.dialogs[key] = SipDialog(
        call_id=key[0], phone_tag=key[1], far_tag=key[2], phone=phone, network=network
    )  # fmt: skip
    given = bench.send(invite)
    given.answer(494, LISTED)
    assert number(bench.last) == 6
    assert network.numbers == {4: 4, 3: 6}
    assert given.successor is bench.last
    bench.last.answer(200)
    assert [response.status for response in bench.seen[-1:]] == [200]


def test_credentials_of_the_agent() -> None:
    """It answers for the softphone, each time with a higher count; a wrong password is the softphone's to hear of."""
    bench = Bench(Core(replace(CONFIG, accounts=(ACCOUNT,))))
    bench.send(request("REGISTER", 1, ("Authorization", "Digest x=y")))
    bench.last.answer(401, [*LISTED, ("WWW-Authenticate", str(CHALLENGE))])

    def given() -> Credentials:
        (value,) = bench.last.request.get_all("Authorization")
        return Credentials.parse(value)

    assert bench.seen == []
    assert agreement(bench.last)["Security-Verify"] == [LIST]
    assert given().verifies(ACCOUNT.password, method="REGISTER")
    assert (given().nonce_count, number(bench.last)) == (1, 2)
    bench.last.answer(494, LISTED)
    assert (given().nonce_count, number(bench.last)) == (2, 3)
    assert "Security-Client" not in agreement(bench.last)
    stale = replace(CHALLENGE, nonce="n2", stale=True)
    bench.last.answer(401, [*LISTED, ("WWW-Authenticate", str(stale))])
    assert (given().nonce, given().nonce_count) == ("n2", 1)
    bench.last.answer(401, [*LISTED, ("WWW-Authenticate", str(CHALLENGE))])
    assert [response.status for response in bench.seen] == [401]
    bench.send(request("INVITE"))
    bench.last.answer(407, [("Proxy-Authenticate", str(CHALLENGE))])
    assert "Proxy-Authorization" in dict(bench.last.request.headers)
    other = replace(CHALLENGE, realm="elsewhere")
    bench.send(request("MESSAGE"))
    bench.last.answer(407, [("Proxy-Authenticate", str(other))])
    bench.send(request("MESSAGE", 2))
    bench.last.answer(401)
    assert [response.status for response in bench.seen] == [401, 407, 401]


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
def test_494_for_ever(method: str) -> None:
    """It ends, and the softphone is told why in words that it knows."""
    bench = Bench().registered()
    bench.send(request(method, 10, call_id="x"))
    for _ in range(20):
        bench.last.answer(494, LISTED)
        if bench.seen[-1].status == 403:
            break
    assert bench.seen[-1].status == 403
    assert "refuses its own list" in (bench.seen[-1].get("Warning") or "")
    assert not bench.seen[-1].has("Security-Server")


def test_too_often() -> None:
    """Whatever the reasons, one request goes out `MAX_SENDS` times."""
    bench = Bench(Core(replace(CONFIG, accounts=(ACCOUNT,))))
    bench.send(request("MESSAGE"))
    for n in range(20):
        if bench.seen:
            break
        stale = replace(CHALLENGE, nonce=f"n{n}", stale=True)
        bench.last.answer(407, [("Proxy-Authenticate", str(stale))])
    assert len(bench.core.sent) == module.MAX_SENDS
    assert [response.status for response in bench.seen] == [407]


def test_without_a_registration() -> None:
    """Nothing is added; a 494 is no word for a softphone."""
    bench = Bench()
    assert bench.registering.access_edge(ALICE) is None
    assert agreement(bench.send(request("INVITE"))) == {}
    bench.last.answer(494, LISTED)
    assert [response.status for response in bench.seen] == [403]


def test_cancelled() -> None:
    """A 494 that crosses a CANCEL: the call is not made anew."""
    bench = Bench().registered()
    transaction = bench.send(request("INVITE"))
    transaction.cancelled = True
    transaction.answer(494, LISTED)
    assert bench.last is transaction
    assert bench.seen[-1].status == 487


def test_shortened_list() -> None:
    """Somebody may have taken a mechanism out: no credentials go there, and the softphone is told."""
    bench = Bench().registered()
    bench.send(request("REGISTER", 3))
    bench.last.answer(401, [LISTED[1], ("WWW-Authenticate", str(CHALLENGE))])
    assert bench.seen[-1].status == 403
    assert "no longer in Security-Server" in (bench.seen[-1].get("Warning") or "")
    bench.send(request("REGISTER", 4))
    bench.last.answer(200, [*BINDING, LISTED[1]])
    assert bench.seen[-1].status == 200  # the binding is there


def test_refused_and_lost() -> None:
    """A refusal is the softphone's to hear; a request without an answer does not count as one."""
    bench = Bench().registered()
    bench.send(request("REGISTER", 3))
    bench.last.answer(403)
    bench.send(request("REGISTER", 4))
    bench.last.answer(408, made_here=True)
    assert [response.status for response in bench.seen[-2:]] == [403, 408]
    assert bench.registering.access_edge(ALICE) is not None


def test_network_that_does_not_know_it() -> None:
    """A 420 with the option tag: once more without, if the policy bears it."""
    policy = replace(CONFIG.policy, requirement=ims.Requirement.PREFERRED)
    bench = Bench(Core(replace(CONFIG, policy=policy, mediasec_profile=THREE_GPP)))
    first = bench.send(request("REGISTER"))
    assert agreement(first)["Require"] == ["sec-agree"]
    first.answer(420, [("Unsupported", "sec-agree")])
    assert agreement(bench.last) == {}


def test_several_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a registration; there is a bound."""
    monkeypatch.setattr(module, "MAX_REGISTRATIONS", 2)
    monkeypatch.setattr(module, "_MAX_NUMBERS", 1)
    bench = Bench(Core(replace(CONFIG, accounts=(ACCOUNT,)))).registered()
    bench.send(request("REGISTER", user="sip:bob@ims.example", contact="*", call_id="b"))
    bench.last.answer(401, [*LISTED, ("WWW-Authenticate", str(replace(CHALLENGE, nonce="n9")))])
    assert set(bench.registering.statuses) == {ALICE, "sip:bob@ims.example"}
    assert agreement(bench.send(request("OPTIONS", user="sip:carol@ims.example"))) == {}
    with pytest.raises(ims.LocalError, match="too many registrations"):
        bench.registering.send(request("REGISTER", user="sip:carol@ims.example"), HOP, lambda *_: None)


@pytest.mark.parametrize(
    ("options", "why"),
    [({"policy": ims.SecurityPolicy()}, "scope"), ({"outbound": None}, "outbound")],
)
def test_configuration_that_cannot_work(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ims.LocalError, match=why):
        replace(CONFIG, **options)
