"""The terminal's machine against the edge's, over a network that loses, repeats and reorders responses.

Whatever the order, a round ends agreed or with a clear failure, and Security-Verify is the last list that
the terminal accepted. Whatever the octets, nothing but the error tree comes out.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from imsmediasec.errors import MediaSecurityError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.registration import (
    CARRIER,
    THREE_GPP,
    Registration,
    RegistrationChanged,
    RegistrationFailed,
    RegistrationServer,
    RetryRequest,
    ServerPolicy,
)
from imsmediasec.sip.security_agreement import (
    MediaMechanism,
    SecurityMechanism,
    media_mechanisms,
    parse_security_mechanisms,
    same_mechanisms,
)
from imsmediasec.terms import Scope

Headers = list[tuple[str, str]]
EDGE = SecurityPolicy(scope=(Scope.END_TO_ACCESS_EDGE,))
BASE = [("To", "<sip:alice@ims.example>"), ("Contact", "<sip:alice@192.0.2.1>;expires=600")]
CREDENTIALS = ("Authorization", 'Digest username="a", realm="r", nonce="n", uri="sip:r", response="0123"')
PATIENCE = 60


def mirrored(headers: Headers) -> list[SecurityMechanism]:
    return parse_security_mechanisms([value for name, value in headers if name == "Security-Verify"])


class World:
    """One terminal, one edge, a registrar that challenges, and a network that hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        profile = data.draw(st.sampled_from([CARRIER, THREE_GPP]))
        ipsec = data.draw(st.booleans())
        listed = data.draw(st.lists(st.sampled_from(list(MediaMechanism)), min_size=1, unique=True))
        own = [SecurityMechanism.parse("ipsec-3gpp;alg=a;spi-c=1;spi-s=2")] if ipsec else []
        theirs = [SecurityMechanism.parse("ipsec-3gpp;q=0.1;alg=a;spi-c=3;spi-s=4")] if ipsec else []
        self.ue = Registration(EDGE, profile=profile, signalling_mechanisms=own)
        self.edge = RegistrationServer(
            ServerPolicy(
                mechanisms=tuple(listed),
                demand=data.draw(st.booleans()),
                profile=profile,
                list_in_success=data.draw(st.booleans()),
            ),
            signalling_mechanisms=theirs,
        )
        self.common = MediaMechanism.SDES_SRTP in listed
        self.now = 0.0
        self.faulty = True
        self.late: list[tuple[str, int, Headers]] = []
        self.failures: list[RegistrationFailed] = []

    def pick(self, *outcomes: str) -> str:
        return self.data.draw(st.sampled_from(outcomes)) if self.faulty else outcomes[0]

    def answer(self, method: str, credentials: bool) -> tuple[int, Headers]:
        """What comes back for a request that the terminal sends now; the headers are checked on the way."""
        added = self.ue.request_headers(method=method, now=self.now)
        known = self.ue.status.server_mechanisms
        assert same_mechanisms(mirrored(added), known) or not mirrored(added)
        assert mirrored(added) or not known
        self.check_names(added)
        headers = [*BASE, *added, *([CREDENTIALS] if credentials else [])]
        if self.pick("pass", "pass", "pass", "inject") == "inject":
            return 494, list(self.edge._list_lines())
        verdict = self.edge.receive_request(method=method, headers=headers)
        if verdict.status is not None:
            return verdict.status, list(verdict.headers)
        assert not [name for name, _ in verdict.headers if name.lower().startswith("security-")]
        assert not [value for name, value in verdict.headers if name in ("Require", "Proxy-Require")]
        status = 401 if method == "REGISTER" and not credentials else 200
        core = [BASE[1]] if status == 200 else [("WWW-Authenticate", 'Digest realm="r", nonce="n"')]
        outcome = self.edge.receive_response(method=method, status=status, headers=core, request=headers, now=self.now)
        return status, list(outcome.headers)

    @staticmethod
    def check_names(added: Headers) -> None:
        names = [name for name, _ in added]
        assert ("Security-Client" in names or "Security-Verify" in names) == ("Require" in names)
        assert ("Require" in names) == ("Proxy-Require" in names)

    def deliver(self, method: str, status: int, headers: Headers) -> list[RetryRequest]:
        """Hand a response over; a list that is taken becomes the one that Security-Verify mirrors."""
        self.ue.receive_response(method=method, status=status, headers=headers, now=self.now)
        listed = parse_security_mechanisms([value for name, value in headers if name == "Security-Server"])
        retries: list[RetryRequest] = []
        failed = False
        while (event := self.ue.next_event()) is not None:
            if isinstance(event, RetryRequest):
                retries.append(event)
            elif isinstance(event, RegistrationFailed):
                failed = True
                self.failures.append(event)
                assert isinstance(event.error, MediaSecurityError)
            else:
                assert isinstance(event, RegistrationChanged)
        if listed and not failed and (status != 200 or self.ue.status.registered):
            assert same_mechanisms(listed, self.ue.status.server_mechanisms)
        for retry in retries:
            assert not [1 for name, _ in retry.headers if name == "Security-Client" and status in (421, 494)]
        return retries

    def exchange(self, method: str) -> bool:
        """One request until it succeeds (True) or the terminal gives up."""
        credentials = False
        for _ in range(PATIENCE):
            self.now += 1
            status, headers = self.answer(method, credentials)
            fate = self.pick("arrives", "arrives", "arrives", "lost", "late", "twice")
            if fate == "lost":
                self.ue.request_lost(method=method, now=self.now)
                continue
            if fate == "late":
                self.late.append((method, status, headers))
                self.ue.request_lost(method=method, now=self.now)
                continue
            if self.late and self.pick("no", "yes") == "yes":
                self.deliver(*self.late.pop(0))
            retries = self.deliver(method, status, headers)
            if fate == "twice":
                self.deliver(method, status, headers)
            if status == 200:
                return True
            credentials = credentials or status == 401
            if not retries:
                return False
        return False

    def settled(self) -> None:
        """Once the network behaves, a registration and a call take at most a try more than a failure."""
        self.faulty = False
        self.failures.clear()
        if not self.exchange("REGISTER"):
            assert self.failures
            self.failures.clear()
            self.ue.restart(now=self.now)
            assert self.exchange("REGISTER")
        status = self.ue.status
        assert status.registered
        assert status.mechanisms == ((MediaMechanism.SDES_SRTP,) if self.common else ())
        assert self.common or self.failures
        assert same_mechanisms(status.server_mechanisms, self.edge._list)
        assert self.exchange("INVITE")
        assert self.ue.request_headers(method="ACK", now=self.now) == []


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_it_ends_agreed_or_with_a_clear_failure(data: st.DataObject) -> None:
    world = World(data)
    for method in data.draw(st.lists(st.sampled_from(["REGISTER", "REGISTER", "INVITE", "OPTIONS"]), max_size=6)):
        if not world.exchange(method) and data.draw(st.booleans()):
            world.ue.restart(now=world.now)
    for response in world.late:
        world.deliver(*response)
    world.settled()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_list_that_somebody_cuts_is_noticed(data: st.DataObject) -> None:
    """An attacker who takes entries out of any one response is found out by one side or the other."""
    world = World(data)
    world.faulty = False
    full = media_mechanisms(world.edge._list)
    kept = data.draw(st.lists(st.sampled_from(full), unique=True, max_size=len(full) - 1))
    cut: Headers = [("Security-Server", str(entry)) for entry in kept]
    status, headers = world.answer("REGISTER", False)
    if not cut or status != 401:
        return
    headers = [field for field in headers if field[0] != "Security-Server"] + cut
    (retry,) = world.deliver("REGISTER", status, headers)
    assert same_mechanisms(mirrored(list(retry.headers)), parse_security_mechanisms([v for _, v in cut]))
    assert world.answer("REGISTER", True)[0] == 494
    assert world.exchange("REGISTER")
    assert same_mechanisms(world.ue.status.server_mechanisms, world.edge._list)
    world.deliver("REGISTER", 494, cut)
    assert type(world.failures[-1].error).__name__ == "DowngradeDetected"
    assert same_mechanisms(world.ue.status.server_mechanisms, world.edge._list)


WILD = st.text(alphabet=st.characters(max_codepoint=0xFF), max_size=60) | st.sampled_from(
    ["sdes-srtp;mediasec", "tls;q=0.1", "tls;q=0.1, tls;q=0.2", "*", "<sip:a@b>;expires=5", "mediasec", "0", "a,b", '"']
)
NAMES = st.sampled_from(
    [
        *("Security-Server", "Security-Client", "Security-Verify", "Contact", "m", "Require", "Proxy-Require"),
        *("Supported", "Unsupported", "k", "Expires", "To", "t", "Via", "v", "Authorization", "X", "\xff"),
    ]
)
FIELDS: Any = st.lists(st.tuples(NAMES, WILD), max_size=6)
METHODS = st.sampled_from(["REGISTER", "INVITE", "ACK", "CANCEL", "PRACK", "OPTIONS", "", "x y"])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(METHODS, st.integers(100, 699) | st.sampled_from([200, 401, 420, 494]), FIELDS), max_size=5))
def test_no_octets_from_the_network_upset_the_terminal(responses: list[tuple[str, int, Headers]]) -> None:
    ue = Registration(EDGE)
    for method, status, headers in responses:
        ue.receive_response(method=method, status=status, headers=headers, now=1.0)
        for _, value in ue.request_headers(method="REGISTER", now=1.0):
            assert "\r" not in value and "\n" not in value
        while (event := ue.next_event()) is not None:
            assert not isinstance(event, RegistrationFailed) or isinstance(event.error, MediaSecurityError)


@settings(max_examples=500, deadline=None)
@given(METHODS, FIELDS, FIELDS, st.integers(100, 699), st.booleans())
def test_no_octets_from_the_terminal_upset_the_edge(
    method: str, request: Headers, response: Headers, status: int, demand: bool
) -> None:
    edge = RegistrationServer(ServerPolicy(demand=demand))
    verdict = edge.receive_request(method=method, headers=request, target="sip:a@b")
    assert verdict.status in (None, 400, 421, 494, 502)
    outcome = edge.receive_response(method=method, status=status, headers=response, request=request, now=1.0)
    assert outcome.error is None or isinstance(outcome.error, MediaSecurityError)
    names = {name.lower() for name, _ in verdict.headers}
    assert "security-client" not in names and "security-verify" not in names
