"""registration/server.py against RFC 3329 2.3.1, 2.3.2 and the edge's part of the carrier flow (values invented)."""

from __future__ import annotations

import pytest

from imsmediasec.errors import DowngradeDetected, LocalError, MalformedInput, NoCommonSecurity, RemoteError
from imsmediasec.policy_book import Mode
from imsmediasec.registration.profile import THREE_GPP
from imsmediasec.registration.server import FlowState, RegistrationServer, ServerPolicy, Verdict
from imsmediasec.sip.security_agreement import MediaMechanism, SecurityMechanism
from imsmediasec.suites import AES_CM_128_HMAC_SHA1_80
from imsmediasec.terms import KeyManagement

M = MediaMechanism
POLICY = ServerPolicy(mechanisms=(M.MSRP_TLS, M.SDES_SRTP, M.DTLS_SRTP))
DEMAND = ServerPolicy(mechanisms=POLICY.mechanisms, demand=True)
LIST = (
    ("Security-Server", "msrp-tls;mediasec"),
    ("Security-Server", "sdes-srtp;mediasec"),
    ("Security-Server", "dtls-srtp;mediasec"),
)
VERIFY = ("Security-Verify", "msrp-tls;mediasec, SDES-srtp;mediasec , dtls-srtp;mediasec")
CLIENT = ("Security-Client", "sdes-srtp;mediasec")
TAGS = [("Require", "mediasec"), ("Proxy-Require", "mediasec")]
CREDENTIALS = ("Authorization", 'Digest username="a", realm="r", nonce="n", uri="sip:r", response="0123"')
CONTACT = (
    'Contact: <sip:alice@192.0.2.1>;+sip.instance="<urn:uuid:1>";+x.imsmediasec.methods="sdes"'
    ';+x.imsmediasec.suites="AES_CM_128_HMAC_SHA1_80";+x.imsmediasec.wanted="always"'
)
BASE = [("To", "<sip:alice@ims.example>"), ("Contact", CONTACT.partition(": ")[2])]
OK = [("Contact", "<sip:alice@192.0.2.1>;expires=600")]

Headers = list[tuple[str, str]]


def ask(server: RegistrationServer, *more: tuple[str, str], method: str = "REGISTER") -> Verdict:
    return server.receive_request(method=method, headers=[*BASE, *more])


def registered(policy: ServerPolicy = POLICY) -> RegistrationServer:
    server = RegistrationServer(policy)
    assert ask(server, CLIENT, *TAGS).status is None
    server.receive_response(method="REGISTER", status=401, headers=[], request=BASE, now=0)
    assert ask(server, CLIENT, VERIFY, *TAGS, CREDENTIALS).status is None
    server.receive_response(method="REGISTER", status=200, headers=OK, request=BASE, now=0)
    return server


def test_the_flow_of_a_carrier() -> None:
    server = RegistrationServer(DEMAND)
    first = ask(server, CLIENT, *TAGS)
    assert (first.status, list(first.headers)) == (None, BASE)
    challenge = [("WWW-Authenticate", "Digest x"), ("security-server", "tls"), ("Security-Verify", "x")]
    answer = server.receive_response(method="REGISTER", status=401, headers=challenge, request=BASE, now=100)
    assert answer.headers == (("WWW-Authenticate", "Digest x"), *LIST)
    second = ask(server, CLIENT, VERIFY, *TAGS, CREDENTIALS)
    assert (second.status, list(second.headers)) == (None, [*BASE, CREDENTIALS])
    answer = server.receive_response(method="REGISTER", status=200, headers=OK, request=BASE, now=100)
    assert list(answer.headers) == OK
    (record,) = answer.records
    assert (record.aor, record.contact, record.terminal) == (
        "sip:alice@ims.example",
        "sip:alice@192.0.2.1",
        "urn:uuid:1",
    )
    assert record.mechanisms == (M.SDES_SRTP,)
    assert record.capabilities.methods == (KeyManagement.SDES,)
    assert record.capabilities.suites == (AES_CM_128_HMAC_SHA1_80,)
    assert record.preferences.wanted is Mode.ALWAYS
    assert record.expires_at == 700
    invite = server.receive_request(method="INVITE", headers=[VERIFY, *TAGS, ("Require", "100rel, mediasec")])
    assert invite == Verdict(status=None, headers=(("Require", "100rel"),))
    assert server.flow.agreed


def test_the_agreement_outlives_the_process() -> None:
    server = RegistrationServer(POLICY, flow=registered().flow)
    assert ask(server, method="INVITE").status == 421
    assert ask(server, VERIFY, method="INVITE").status is None
    assert ask(server, VERIFY, *TAGS, CREDENTIALS).status is None  # a renewal without Security-Client
    outcome = server.receive_response(method="REGISTER", status=200, headers=OK, request=BASE, now=0)
    assert outcome.records[0].mechanisms == (M.SDES_SRTP,)


@pytest.mark.parametrize(
    ("more", "relaxed", "demanded"),
    [
        ([], None, 421),
        ([("Supported", "path, MediaSec")], None, 494),
        ([TAGS[0]], 494, 494),
        ([TAGS[1]], 494, 494),
        ([("Require", "sec-agree")], 494, 494),
        ([CLIENT], None, None),
        ([CLIENT, ("Authorization", 'Digest username="a", realm="r", nonce="", uri="x", response=""')], None, None),
        ([CLIENT, ("Authorization", "Bearer x")], None, None),
        ([CLIENT, CREDENTIALS], 494, 494),
        ([VERIFY], None, None),
        ([("Security-Verify", "sdes-srtp;mediasec")], 494, 494),
        ([("Security-Verify", "sdes-srtp;mediasec, msrp-tls;mediasec, dtls-srtp;mediasec")], 494, 494),
        ([("Security-Verify", ";;")], 494, 494),
        ([VERIFY, VERIFY], 494, 494),
        (
            [("Security-Verify", v) for v in ("msrp-tls;mediasec", "sdes-srtp;mediasec", "dtls-srtp;mediasec")],
            None,
            None,
        ),
    ],
)
def test_what_a_register_gets(more: Headers, relaxed: int | None, demanded: int | None) -> None:
    for policy, status in ((POLICY, relaxed), (DEMAND, demanded)):
        verdict = ask(RegistrationServer(policy), *more)
        assert verdict.status == status
        if status is not None:
            assert verdict.headers[:3] == LIST
            assert verdict.error is not None and verdict.error.sip_status_hint == status


def test_which_fault_it_is() -> None:
    server = RegistrationServer(DEMAND)
    assert isinstance(ask(server, ("Security-Verify", "tls")).error, DowngradeDetected)
    verdict = ask(server)
    assert isinstance(verdict.error, NoCommonSecurity)
    assert verdict.headers[3:] == (("Require", "mediasec"),)
    assert ask(server, *TAGS).headers == LIST


def test_other_requests() -> None:
    for policy, status in ((POLICY, None), (DEMAND, 421)):
        assert ask(RegistrationServer(policy), method="OPTIONS").status == status
        assert ask(RegistrationServer(policy), CLIENT, method="INVITE").status == 494
        assert ask(RegistrationServer(policy), VERIFY, method="INVITE").status is None
    assert ask(registered(), method="MESSAGE").status == 421
    for method in ("ACK", "CANCEL", "PRACK"):
        assert ask(RegistrationServer(DEMAND), ("Security-Verify", ";"), method=method) == Verdict(
            status=None, headers=tuple(BASE)
        )


def test_emergency_calls_pass() -> None:
    server = RegistrationServer(DEMAND)
    for target in ("urn:service:sos.fire", "tel:112"):
        assert server.receive_request(method="INVITE", headers=[("Contact", "bad <")], target=target).status is None
    assert server.receive_request(method="INVITE", headers=[], target="sip:bob@x").status == 421
    contact = [("To", "<sip:a@b>"), ("Contact", "<sip:a@192.0.2.1;sos>")]
    assert server.receive_request(method="REGISTER", headers=contact).status is None


@pytest.mark.parametrize(
    "more",
    [
        [("Security-Client", "a;;b")],
        [("Security-Client", "sdes-srtp;mediasec"), ("Security-Client", "sdes-srtp;mediasec")],
        [("Security-Client", "x" * 20000)],
        [("Require", "a b")],
        [("Contact", "<sip:x@y")],
        [("Contact", "<sip:x@y>;expires=-1")],
        [("Contact", "no address")],
        [("To", "<sip:second@x>")],
        [("Expires", "soon"), ("Contact", "*")],
    ],
)
def test_what_is_malformed_gets_400(more: Headers) -> None:
    verdict = ask(RegistrationServer(POLICY), *more)
    assert verdict.status == 400 and isinstance(verdict.error, MalformedInput)


def test_only_the_first_hop_may_use_it() -> None:
    more = (("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b"), CLIENT)
    verdict = ask(RegistrationServer(DEMAND), *more)
    assert verdict.status == 502 and type(verdict.error) is RemoteError
    assert ask(RegistrationServer(POLICY), *more).status is None
    assert ask(RegistrationServer(ServerPolicy(demand=True, single_hop=False)), *more).status is None
    assert ask(RegistrationServer(DEMAND), ("Via", "SIP/2.0/UDP a"), CLIENT).status is None


def test_a_client_list_that_changes_after_the_challenge() -> None:
    server = RegistrationServer(POLICY)
    ask(server, CLIENT)
    server.receive_response(method="REGISTER", status=407, headers=[], request=BASE, now=0)
    verdict = ask(server, ("Security-Client", "dtls-srtp;mediasec"), VERIFY)
    assert verdict.status == 400 and isinstance(verdict.error, DowngradeDetected)
    assert server.flow == FlowState()
    ask(server, CLIENT)
    server.receive_response(method="REGISTER", status=401, headers=[], request=BASE, now=0)
    assert ask(server, ("Security-Client", "dtls-srtp;mediasec")).status is None  # the round starts over
    assert ask(server, ("Security-Client", "sdes-srtp;mediasec"), VERIFY).status is None


def test_ipsec_beside() -> None:
    own = SecurityMechanism.parse("ipsec-3gpp;q=0.1;alg=hmac-sha-1-96;spi-s=1")
    policy = ServerPolicy(profile=THREE_GPP, list_in_success=True)
    server = RegistrationServer(policy, signalling_mechanisms=[own])
    listed = (("Security-Server", str(own)), ("Security-Server", "sdes-srtp;mediasec"))
    assert ask(server, ("Require", "sec-agree")).headers == listed
    assert ask(server, CLIENT, ("Require", "sec-agree")).status is None
    outcome = server.receive_response(method="REGISTER", status=200, headers=OK, request=BASE, now=0)
    assert outcome.headers == (*OK, *listed)
    with pytest.raises(LocalError):
        RegistrationServer(policy, signalling_mechanisms=[SecurityMechanism.parse("x;mediasec")])


def test_responses_that_change_nothing() -> None:
    server = RegistrationServer(ServerPolicy(list_in_success=True))
    core = [("Security-Server", "tls"), ("X", "y")]
    for method, status in (("INVITE", 401), ("REGISTER", 100), ("REGISTER", 401), ("REGISTER", 500), ("REGISTER", 200)):
        outcome = server.receive_response(method=method, status=status, headers=core, request=BASE[:1], now=0)
        assert outcome.headers == (("X", "y"),) and outcome.records == () and outcome.error is None
    assert server.flow == FlowState()


def test_removal_and_queries() -> None:
    server = registered()
    query = server.receive_response(method="REGISTER", status=200, headers=OK, request=BASE[:1], now=5)
    assert query.records == () and server.flow.agreed
    for contact, answer in ((f"{BASE[1][1]};expires=0", OK), (BASE[1][1], []), ("*", [])):
        server = registered()
        request = [BASE[0], ("Contact", contact)]
        (record,) = server.receive_response(
            method="REGISTER", status=200, headers=answer, request=request, now=5
        ).records
        assert not record.active(5)
        assert not server.flow.agreed


def test_a_response_that_cannot_be_read() -> None:
    server = registered()
    for answer in ([("Contact", "x y")], [("Contact", '"')]):
        outcome = server.receive_response(method="REGISTER", status=200, headers=answer, request=BASE, now=5)
        assert outcome.headers == tuple(answer) and outcome.records == () and outcome.error is not None


def test_features_of_others_that_break_the_grammar_do_no_harm() -> None:
    server = RegistrationServer(POLICY)
    request = [BASE[0], ("Contact", "<sip:alice@192.0.2.1>;+g.odd=a:b")]
    assert server.receive_request(method="REGISTER", headers=request).status is None
    (record,) = server.receive_response(method="REGISTER", status=200, headers=OK, request=request, now=0).records
    assert record.active(1) and record.terminal == "" and record.mechanisms == ()
