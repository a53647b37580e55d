"""registration/registration.py against the flow of a carrier and of TS 24.229 5.1.1 (values invented)."""

from __future__ import annotations

from typing import Any

import pytest

from imsmediasec.errors import (
    AuthenticationFailed,
    DowngradeDetected,
    LocalError,
    MalformedInput,
    NoCommonSecurity,
    PeerMisbehaved,
)
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import Mode, PolicyBook, Rule
from imsmediasec.registration.capabilities import EndToEndPreferences
from imsmediasec.registration.events import RegistrationChanged, RegistrationFailed, RetryRequest
from imsmediasec.registration.profile import CARRIER, THREE_GPP, AgreementProfile
from imsmediasec.registration.registration import MAX_ROUNDS, Registration
from imsmediasec.sip.security_agreement import MediaMechanism, SecurityMechanism, signalling_choice
from imsmediasec.terms import KeyManagement, Requirement, Scope

EDGE = SecurityPolicy(scope=(Scope.END_TO_ACCESS_EDGE,))
MIXED = SecurityPolicy(scope=(Scope.END_TO_END, Scope.END_TO_ACCESS_EDGE))
IPSEC = "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=5062;port-s=5064"
LIST = [("Security-Server", f"{name};mediasec") for name in ("msrp-tls", "sdes-srtp", "dtls-srtp")]
MIRROR = ("Security-Verify", "msrp-tls;mediasec, sdes-srtp;mediasec, dtls-srtp;mediasec")
CLIENT = ("Security-Client", "sdes-srtp;mediasec")
REQUIRED = [("Require", "mediasec"), ("Proxy-Require", "mediasec")]
CHALLENGE = [("WWW-Authenticate", 'Digest realm="tel.example", nonce="n"'), *LIST]
OK = [("Contact", "<sip:alice@192.0.2.1>;expires=600")]


class Terminal:
    def __init__(self, policy: SecurityPolicy | PolicyBook = EDGE, **options: Any) -> None:
        self.reg = Registration(policy, **options)
        self.now = 1000.0

    def headers(self, method: str = "REGISTER", **more: Any) -> list[tuple[str, str]]:
        return self.reg.request_headers(method=method, now=self.now, **more)

    def get(self, status: int, headers: list[tuple[str, str]] | None = None, method: str = "REGISTER") -> list[object]:
        self.reg.receive_response(method=method, status=status, headers=headers or [], now=self.now)
        return self.events()

    def events(self) -> list[object]:
        found: list[object] = []
        while (event := self.reg.next_event()) is not None:
            found.append(event)
        return found

    def register(self) -> Terminal:
        self.get(401, CHALLENGE)
        self.get(200, OK)
        return self


def failure(events: list[object]) -> BaseException:
    (event,) = [event for event in events if isinstance(event, RegistrationFailed)]
    return event.error


def retry(events: list[object]) -> list[tuple[str, str]]:
    (event,) = [event for event in events if isinstance(event, RetryRequest)]
    return list(event.headers)


def test_the_flow_of_a_carrier() -> None:
    ue = Terminal()
    assert ue.headers() == [CLIENT, *REQUIRED]
    assert ue.headers("INVITE") == []
    assert ue.get(100) == []
    assert ue.get(401, CHALLENGE) == [RetryRequest(method="REGISTER", status=401, headers=(CLIENT, MIRROR, *REQUIRED))]
    assert ue.headers() == [CLIENT, MIRROR, *REQUIRED]
    assert ue.headers("OPTIONS") == [MIRROR, *REQUIRED]
    (changed,) = ue.get(200, OK)
    assert isinstance(changed, RegistrationChanged)
    assert changed.status == ue.reg.status
    assert changed.status.registered and changed.status.verified
    assert changed.status.mechanisms == (MediaMechanism.SDES_SRTP,)
    assert changed.status.expires_at == ue.reg.next_timeout() == 1600
    assert ue.headers("INVITE") == ue.headers("MESSAGE") == [MIRROR, *REQUIRED]
    for method in ("ACK", "CANCEL", "PRACK"):
        assert ue.headers(method) == []
        assert ue.get(494, LIST, method=method) == []


def test_renewal_by_profile() -> None:
    ue = Terminal().register()
    assert ue.headers() == [CLIENT, MIRROR, *REQUIRED]
    profile = AgreementProfile(name="x", option_tag="mediasec", client_on_renewal=False)
    other = Terminal(profile=profile).register()
    assert other.headers() == [MIRROR, *REQUIRED]
    assert retry(other.get(401, CHALLENGE)) == [CLIENT, MIRROR, *REQUIRED]
    ue.now = 1300
    (changed,) = ue.get(200, OK)
    assert isinstance(changed, RegistrationChanged) and changed.status.expires_at == 1900
    assert ue.get(200, OK) == []


def test_494_takes_the_new_list_and_leaves_the_client_list_out() -> None:
    ue = Terminal()
    more = [*LIST, ("security-server", "bfcp-tls;mediasec")]
    mirror = (MIRROR[0], f"{MIRROR[1]}, bfcp-tls;mediasec")
    assert retry(ue.get(494, LIST)) == [MIRROR, *REQUIRED]
    assert ue.headers() == [MIRROR, *REQUIRED]
    assert retry(ue.get(494, more)) == [mirror, *REQUIRED]
    assert retry(ue.get(401)) == [CLIENT, mirror, *REQUIRED]
    assert len(ue.get(200, OK)) == 1
    assert ue.reg.status.verified


def test_494_to_the_answer_of_a_challenge() -> None:
    ue = Terminal()
    ue.get(401, CHALLENGE)
    assert retry(ue.get(494, LIST)) == [MIRROR, *REQUIRED]


def test_494_at_any_time_on_any_request() -> None:
    ue = Terminal().register()
    more = [*LIST, ("Security-Server", "bfcp-tls;mediasec")]
    events = ue.get(494, more, method="INVITE")
    assert retry(events) == ue.headers("INVITE")
    assert ue.headers("INVITE")[0] == (MIRROR[0], f"{MIRROR[1]}, bfcp-tls;mediasec")
    (changed,) = [event for event in events if isinstance(event, RegistrationChanged)]
    assert changed.status.registered and not changed.status.verified
    assert ue.headers()[0] == CLIENT
    assert ue.get(200, method="INVITE") == []
    assert ue.get(421, more, method="MESSAGE") == [
        RetryRequest(method="MESSAGE", status=421, headers=tuple(ue.headers("MESSAGE")))
    ]


def test_a_list_only_in_the_success_is_agreed_but_not_verified() -> None:
    ue = Terminal()
    ue.get(401)
    assert ue.headers() == [CLIENT, *REQUIRED]
    ue.get(200, [*OK, *LIST])
    assert ue.reg.status.mechanisms == (MediaMechanism.SDES_SRTP,)
    assert not ue.reg.status.verified
    assert ue.headers("INVITE") == [MIRROR, *REQUIRED]
    ue.get(200, [*OK, *LIST])
    assert ue.reg.status.verified


def test_together_with_ipsec() -> None:
    own = SecurityMechanism.parse(IPSEC)
    ue = Terminal(MIXED, profile=THREE_GPP, signalling_mechanisms=[own])
    theirs = "ipsec-3gpp;q=0.1;alg=hmac-sha-1-96;spi-c=3;spi-s=4;port-c=5;port-s=6"
    tags = [("Require", "sec-agree"), ("Proxy-Require", "sec-agree")]
    client = ("Security-Client", f"{IPSEC}, sdes-srtp;mediasec")
    assert ue.headers() == [client, *tags]
    verify = ("Security-Verify", f"{theirs}, sdes-srtp;mediasec;q=0.9")
    listed = [("Security-Server", verify[1])]
    assert retry(ue.get(401, listed)) == [client, verify, *tags]
    with pytest.raises(LocalError):
        ue.reg.announce_signalling([own])
    chosen = signalling_choice(ue.reg.status.server_mechanisms, {"ipsec-3gpp", "sdes-srtp"})
    assert chosen is not None and str(chosen) == theirs
    ue.get(200, [*OK, ("Security-Server", "sdes-srtp;mediasec, msrp-tls;mediasec")])
    assert ue.headers("INVITE")[0] == ("Security-Verify", f"{theirs}, sdes-srtp;mediasec, msrp-tls;mediasec")
    ue.reg.announce_signalling([SecurityMechanism.parse("ipsec-3gpp;alg=x;spi-c=9")])
    assert ue.headers()[0] == ("Security-Client", "ipsec-3gpp;alg=x;spi-c=9, sdes-srtp;mediasec")


def test_a_carrier_with_ipsec_requires_both_extensions() -> None:
    ue = Terminal(signalling_mechanisms=[SecurityMechanism.parse("tls")], profile=CARRIER)
    assert [value for name, value in ue.headers() if name == "Require"] == ["sec-agree", "mediasec"]


@pytest.mark.parametrize("listed", [[], LIST[:1], [("Security-Server", "tls")]])
@pytest.mark.parametrize("status", [401, 494])
def test_a_list_that_shrinks_is_a_downgrade(status: int, listed: list[tuple[str, str]]) -> None:
    ue = Terminal().register()
    before = ue.reg.status
    events = ue.get(status, listed)
    if listed:
        assert isinstance(failure(events), DowngradeDetected)
        assert ue.reg.status == before
        assert not [event for event in events if isinstance(event, RetryRequest)]
    elif status == 494:
        assert isinstance(failure(events), PeerMisbehaved)
    else:
        assert retry(events) == [CLIENT, MIRROR, *REQUIRED]


def test_a_success_without_media_entries_takes_nothing_away() -> None:
    ue = Terminal()
    ue.get(401, CHALLENGE)
    ue.get(200, [*OK, ("Security-Server", "tls;q=0.1")])
    assert ue.headers("INVITE")[0] == ("Security-Verify", f"tls;q=0.1, {MIRROR[1]}")
    assert isinstance(failure(ue.get(200, [*OK, *LIST[:2]])), DowngradeDetected)


def test_what_was_listed_is_remembered_over_a_restart_unless_told_otherwise() -> None:
    ue = Terminal().register()
    ue.reg.restart(now=ue.now)
    (changed,) = ue.events()
    assert isinstance(changed, RegistrationChanged) and not changed.status.registered
    assert changed.status.mechanisms == () and changed.status.server_mechanisms == ()
    assert ue.headers() == [CLIENT, *REQUIRED]
    assert isinstance(failure(ue.get(401, LIST[:2])), DowngradeDetected)
    ue.reg.restart(now=ue.now, trust_new_list=True)
    assert retry(ue.get(401, LIST[:2]))[1] == ("Security-Verify", "msrp-tls;mediasec, sdes-srtp;mediasec")


def test_loss_starts_the_round_over() -> None:
    ue = Terminal()
    ue.get(401, CHALLENGE)
    ue.reg.request_lost(method="REGISTER", now=ue.now)
    assert ue.events() == []
    assert ue.headers() == [CLIENT, *REQUIRED]
    ue.register()
    ue.get(494, LIST)
    ue.reg.request_lost(method="REGISTER", now=ue.now)
    ue.reg.request_lost(method="INVITE", now=ue.now)
    assert ue.reg.status.registered
    assert ue.headers() == [CLIENT, MIRROR, *REQUIRED]


def test_expiry_and_removal() -> None:
    ue = Terminal().register()
    ue.now = 1599
    assert ue.headers("INVITE") and ue.events() == []
    ue.now = 1600
    assert ue.headers("INVITE") == []
    (changed,) = ue.events()
    assert isinstance(changed, RegistrationChanged) and not changed.status.registered
    ue.register()
    (changed,) = ue.get(200)
    assert isinstance(changed, RegistrationChanged) and not changed.status.registered
    assert ue.reg.next_timeout() is None
    assert ue.get(200) == []


def test_expiry_within_a_round_keeps_the_list() -> None:
    ue = Terminal().register()
    ue.get(401, CHALLENGE)
    ue.now = 9999
    assert ue.headers() == [CLIENT, MIRROR, *REQUIRED]


def test_our_contact_among_several() -> None:
    several = [("m", "<sip:bob@x>;expires=9, <sip:alice@192.0.2.1>;expires=60"), ("Contact", "<sip:c@d>;expires=900")]
    for contact, expires in (
        ("sip:alice@192.0.2.1", 1060),
        ("<sip:alice@192.0.2.1>", 1060),
        ("", 1900),
        ("sip:z@z", 1900),
    ):
        ue = Terminal(contact=contact)
        ue.get(401, CHALLENGE)
        ue.get(200, several)
        assert ue.reg.next_timeout() == expires
    with pytest.raises(LocalError):
        Terminal(contact="<>")


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (401, [("Security-Server", "a;;b")], MalformedInput),
        (494, [("Security-Server", "a;;b")], MalformedInput),
        (494, [], PeerMisbehaved),
        (200, [*OK, ("Security-Server", "tls\r\nX: y")], MalformedInput),
        (200, [("Contact", "<sip:a@b>;expires=x")], MalformedInput),
        (200, [("Contact", '"open')], MalformedInput),
        (420, [("Unsupported", "a b")], MalformedInput),
        (420, [("Unsupported", "mediasec")], NoCommonSecurity),
        (420, [("Unsupported", "path")], Exception),
        (403, [], AuthenticationFailed),
        (503, [], Exception),
    ],
)
def test_a_fault_on_the_wire_is_an_event(status: int, headers: list[tuple[str, str]], error: type[Exception]) -> None:
    for ue in (Terminal(), Terminal().register()):
        before = ue.reg.status
        assert isinstance(failure(ue.get(status, headers)), error)
        assert ue.reg.status == before


def test_a_refused_first_registration_forgets_the_list() -> None:
    ue = Terminal()
    ue.get(401, CHALLENGE)
    ue.get(403)
    assert ue.headers() == [CLIENT, *REQUIRED]


def test_rounds_are_bounded() -> None:
    for status, error in ((401, AuthenticationFailed), (494, NoCommonSecurity)):
        ue = Terminal()
        for _ in range(2):
            for _ in range(MAX_ROUNDS):
                assert retry(ue.get(status, CHALLENGE))
            assert isinstance(failure(ue.get(status, CHALLENGE)), error)
    ue = Terminal().register()
    for _ in range(MAX_ROUNDS):
        ue.get(494, LIST, method="INVITE")
    assert isinstance(failure(ue.get(494, LIST, method="INVITE")), NoCommonSecurity)


def test_a_network_that_knows_nothing_of_it() -> None:
    ue = Terminal(MIXED)
    assert ue.get(420, [("Unsupported", "mediasec")]) == [RetryRequest(method="REGISTER", status=420, headers=())]
    assert retry(ue.get(401, CHALLENGE)) == []
    ue.get(200, [*OK, *LIST])
    assert ue.reg.status.registered and ue.reg.status.mechanisms == ()
    assert ue.headers("INVITE") == ue.headers() == []
    assert isinstance(failure(ue.get(420, [("Unsupported", "mediasec")])), PeerMisbehaved)
    assert retry(ue.get(494, LIST)) == [MIRROR, *REQUIRED]
    assert isinstance(failure(ue.get(420, [("Unsupported", "mediasec")])), NoCommonSecurity)
    ue = Terminal(MIXED)
    ue.get(420, [("Unsupported", "mediasec")])
    ue.get(200, OK)
    ue.now = 9999
    ue.reg.handle_timeout(ue.now)
    assert not ue.reg.status.registered


def test_an_edge_that_can_nothing_of_ours() -> None:
    other = [("Security-Server", "bfcp-tls;mediasec, new-srtp;mediasec")]
    ue = Terminal()
    ue.get(401, other)
    events = ue.get(200, OK)
    assert isinstance(failure(events), NoCommonSecurity)
    assert ue.reg.status.registered and ue.reg.status.mechanisms == ()
    assert ue.headers("INVITE")[0] == ("Security-Verify", other[0][1])
    ue = Terminal(MIXED)
    ue.get(401, other)
    (changed,) = ue.get(200, OK)
    assert isinstance(changed, RegistrationChanged) and changed.status.mechanisms == ()


def test_a_policy_without_the_edge_announces_nothing() -> None:
    for policy in (SecurityPolicy(), SecurityPolicy(scope=EDGE.scope, requirement=Requirement.DISABLED)):
        ue = Terminal(policy)
        assert ue.headers() == []
        assert retry(ue.get(401, CHALLENGE)) == []
        ue.get(200, OK)
        assert ue.reg.status.registered and ue.reg.status.mechanisms == ()
        assert isinstance(failure(ue.get(494, LIST)), NoCommonSecurity)
        with pytest.raises(LocalError):
            Terminal(policy, mechanisms=[MediaMechanism.SDES_SRTP])


def test_what_is_announced() -> None:
    methods = (KeyManagement.DTLS_SRTP, KeyManagement.MIKEY_TICKET, KeyManagement.SDES)
    policy = SecurityPolicy(scope=EDGE.scope, key_management=methods)
    assert Terminal(policy).headers()[0][1] == "dtls-srtp;mediasec, sdes-srtp;mediasec"
    every = ", ".join(f"{mechanism.value};mediasec" for mechanism in MediaMechanism)
    assert Terminal(mechanisms=list(MediaMechanism)).headers()[0][1] == every
    assert Terminal(mechanisms=[]).headers() == []
    for entry in ("sdes-srtp;mediasec", "tls;q=0.5", "Digest;d-alg=MD5"):
        with pytest.raises(LocalError):
            Terminal(signalling_mechanisms=[SecurityMechanism.parse(entry)])


def test_contact_parameters_and_accept_contact() -> None:
    ue = Terminal(MIXED)
    assert ';+x.imsmediasec.methods="sdes"' in ue.reg.contact_parameters
    assert Terminal(names=None).reg.contact_parameters == ""
    book = PolicyBook(default=Rule(pattern="*", mode=Mode.AUTOMATIC, policy=MIXED))
    assert Terminal(book).reg.contact_parameters.endswith(';+x.imsmediasec.wanted="automatic"')
    wanted = EndToEndPreferences(wanted=Mode.NEVER)
    assert Terminal(preferences=wanted).reg.contact_parameters == ';+x.imsmediasec.wanted="never"'
    call = SecurityPolicy()
    ue.register()
    (accept,) = [value for name, value in ue.headers("INVITE", policy=call) if name == "Accept-Contact"]
    assert accept.endswith(";require;explicit")
    for more in ({}, {"policy": MIXED}, {"policy": call, "target": "urn:service:sos"}):
        assert ue.headers("INVITE", **more) == [MIRROR, *REQUIRED]
    assert ue.headers("MESSAGE", policy=call) == [MIRROR, *REQUIRED]
    assert Terminal(names=None).headers("INVITE", policy=call) == []


@pytest.mark.parametrize("status", [0, 99, 700])
def test_what_is_no_status(status: int) -> None:
    with pytest.raises(LocalError):
        Terminal().get(status)
