"""agent/transactions.py and the transactions under it: RFC 3261 17, RFC 6026, on a clock of the test's own."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from imsmediasec.agent import transaction_tables as tables
from imsmediasec.agent.client_transaction import ClientTransaction
from imsmediasec.agent.endpoint import Endpoint, TransportProtocol, response_endpoint
from imsmediasec.agent.server_transaction import ServerTransaction
from imsmediasec.agent.transaction_tables import Input, State, Timers
from imsmediasec.agent.transactions import MAX_SERVER_TRANSACTIONS, TransactionLayer
from imsmediasec.errors import LocalError
from imsmediasec.sip import SipMessage, Via

UDP = Endpoint(protocol=TransportProtocol.UDP, host="192.0.2.2", port=5060)
TCP = Endpoint(protocol=TransportProtocol.TCP, host="192.0.2.2", port=5060, flow=1)


class Handle:
    def __init__(self, pending: set[Handle]) -> None:
        self.pending = pending
        pending.add(self)

    def cancel(self) -> None:
        self.pending.discard(self)


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0
        self.heap: list[tuple[float, int, Handle, Callable[..., Any], tuple[Any, ...]]] = []
        self.pending: set[Handle] = set()
        self.count = itertools.count()

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        handle = Handle(self.pending)
        heapq.heappush(self.heap, (self.now + delay, next(self.count), handle, callback, args))
        return handle

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.heap and self.heap[0][0] <= end:
            self.now, _, handle, callback, args = heapq.heappop(self.heap)
            if handle in self.pending:
                self.pending.discard(handle)
                callback(*args)
        self.now = end


class Side:
    """A layer, its user and its transport: what was sent stands in `sent` with the time."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.sent: list[tuple[float, SipMessage, Endpoint]] = []
        self.broken = False
        self.hook: Callable[[bytes], None] | None = None
        self.requests: list[ServerTransaction] = []
        self.cancels: list[ServerTransaction] = []
        self.acks: list[SipMessage] = []
        self.strays: list[SipMessage] = []
        self.responses: list[tuple[int, bool]] = []
        self.failures: list[int] = []
        tokens = itertools.count(1)
        self.layer = TransactionLayer(
            transport=self,
            user=self,
            clock=self.clock,
            token=lambda: f"{next(tokens):08x}",  # type: ignore[arg-type]
        )

    def send(self, message: bytes, destination: Endpoint, failed: Callable[[str], None] | None = None) -> None:
        self.sent.append((self.clock.now, SipMessage.parse(message), destination))
        if self.broken and failed is not None:
            self.clock.call_later(0, failed, "broken")
        elif self.hook is not None:
            self.hook(message)

    def sent_by(self, destination: Endpoint) -> tuple[str, int]:
        return "192.0.2.1", 5070

    def request_received(self, transaction: ServerTransaction, source: Endpoint) -> None:
        transaction.on_failure = lambda _, status: self.failures.append(status)
        self.requests.append(transaction)

    def cancel_received(self, transaction: ServerTransaction) -> None:
        self.cancels.append(transaction)

    def ack_received(self, ack: SipMessage, source: Endpoint) -> None:
        self.acks.append(ack)

    def stray_response(self, response: SipMessage, source: Endpoint) -> None:
        self.strays.append(response)

    def on_response(self, transaction: ClientTransaction, response: SipMessage, local: bool) -> None:
        assert response.get_all("Via") == ["SIP/2.0/UDP softphone;branch=z9hG4bKup"]
        self.responses.append((response.status, local))

    def start(self, method: str = "INVITE", to: Endpoint = UDP) -> ClientTransaction:
        return self.layer.send_request(request(method), to, self.on_response)

    def times(self) -> list[float]:
        return [time for time, _, _ in self.sent]

    def lines(self) -> list[str]:
        return [bytes(message).split(b"\r\n")[0].decode() for _, message, _ in self.sent]

    def clean(self) -> bool:
        return not self.clock.pending and self.layer.active == 0


def request(method: str = "INVITE", via: str = "SIP/2.0/UDP softphone;branch=z9hG4bKup") -> SipMessage:
    headers = [("Via", via), ("Max-Forwards", "70"), ("Route", "<sip:p;lr>"), ("From", "<sip:a@a>;tag=f")]
    headers += [("To", "<sip:b@b>"), ("Call-ID", "c1"), ("CSeq", f"7 {method}")]
    return SipMessage.request(method, "sip:b@b", headers)


def answer(transaction: ClientTransaction, status: int, tag: str = "t") -> SipMessage:
    return SipMessage.response_to(transaction.request, status, to_tag=tag)


@pytest.fixture
def side() -> Side:
    return Side()


# Client, INVITE


def test_invite_is_repeated_and_times_out(side: Side) -> None:
    side.start()
    side.clock.run(40)
    assert side.times() == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert side.responses == [(408, True)] and side.clean()


def test_over_tcp_nothing_is_repeated(side: Side) -> None:
    side.start(to=TCP)
    side.clock.run(40)
    assert side.times() == [0] and side.responses == [(408, True)] and side.clean()


def test_the_via_is_ours_on_top(side: Side) -> None:
    original = request()
    side.layer.send_request(original, TCP, side.on_response)
    assert side.sent[0][1].get_all("Via") == [
        "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK00000001;rport",
        "SIP/2.0/UDP softphone;branch=z9hG4bKup",
    ]
    assert bytes(original) == bytes(request())


def test_a_failure_is_acknowledged_hop_by_hop(side: Side) -> None:
    invite = side.start()
    side.layer.receive(answer(invite, 180), UDP)
    side.clock.run(10)
    assert len(side.sent) == 1
    busy = answer(invite, 486, "busy")
    for _ in range(3):
        side.layer.receive(busy, UDP)
    side.layer.receive(answer(invite, 180), UDP)
    side.layer.receive(answer(invite, 200), UDP)
    assert side.responses == [(180, False), (486, False)]
    acks = [message for _, message, _ in side.sent[1:]]
    assert len(acks) == 3 and acks[0].method == "ACK" and acks[0].uri == "sip:b@b"
    assert acks[0].get_all("Via") == [invite.request.get_list("Via")[0]]
    assert acks[0].get("To") == "<sip:b@b>;tag=busy" and acks[0].get("CSeq") == "7 ACK"
    assert acks[0].get("Route") == "<sip:p;lr>" and acks[0].get("From") == "<sip:a@a>;tag=f"
    side.clock.run(33)
    assert side.clean()
    side.layer.receive(busy, UDP)
    assert len(side.strays) == 1


def test_every_fork_and_every_2xx_reaches_the_user(side: Side) -> None:
    invite = side.start()
    for status, tag in ((180, "1"), (183, "2"), (180, "1"), (200, "2"), (200, "2"), (180, "1"), (486, "1"), (200, "3")):
        side.layer.receive(answer(invite, status, tag), UDP)
    assert [s for s, _ in side.responses] == [180, 183, 180, 200, 200, 200] and invite.state is State.ACCEPTED
    assert side.lines() == ["INVITE sip:b@b SIP/2.0"]
    side.layer.connection_lost(UDP)
    invite.handle(Input.TRANSPORT_ERROR)
    side.clock.run(32)
    assert side.clean() and invite.terminated
    assert invite.handle(Input.SUCCESS) is False


def test_straight_to_2xx_or_failure_without_1xx(side: Side) -> None:
    for status in (200, 404):
        side.layer.receive(answer(side.start(to=TCP), status), TCP)
    side.clock.run(0)
    assert side.layer.active == 1  # the failure is over at once over TCP
    side.clock.run(32)
    assert side.clean()


# CANCEL


def test_cancel_waits_for_a_provisional_response(side: Side) -> None:
    invite = side.start(to=TCP)
    assert invite.cancel() and not invite.cancel() and invite.cancelled
    assert len(side.sent) == 1
    side.layer.receive(answer(invite, 100), TCP)
    cancel = side.sent[1][1]
    assert cancel.method == "CANCEL" and cancel.get("CSeq") == "7 CANCEL" and cancel.get("To") == "<sip:b@b>"
    assert cancel.get_all("Via") == [invite.request.get_list("Via")[0]]
    side.layer.receive(SipMessage.response_to(cancel, 200), TCP)
    side.layer.receive(answer(invite, 487), TCP)
    assert side.responses == [(100, False), (487, False)]
    side.clock.run(0)
    assert side.clean()


def test_cancel_without_an_end_gives_up(side: Side) -> None:
    invite = side.start()
    side.layer.receive(answer(invite, 180), UDP)
    assert invite.cancel()
    side.clock.run(31.9)
    assert side.responses == [(180, False)]
    side.clock.run(1)
    assert side.responses == [(180, False), (408, True)]
    side.clock.run(10)
    assert side.clean()


def test_cancel_that_crosses_a_2xx_changes_nothing(side: Side) -> None:
    invite = side.start()
    side.layer.receive(answer(invite, 180), UDP)
    invite.cancel()
    side.layer.receive(answer(invite, 200), UDP)
    assert side.responses[-1] == (200, False) and not invite.cancel()
    assert not side.start("OPTIONS").cancel()
    side.clock.run(64)
    assert side.clean() and (200, False) in side.responses


# Client, others


def test_non_invite_is_repeated_with_a_cap(side: Side) -> None:
    side.start("REGISTER")
    side.clock.run(40)
    assert side.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert side.responses == [(408, True)] and side.clean()


def test_non_invite_slows_down_after_a_provisional_response(side: Side) -> None:
    transaction = side.start("UPDATE")
    for status in (100, 100):
        side.layer.receive(answer(transaction, status), UDP)
    side.clock.run(9)
    assert side.times() == [0, 0.5, 4.5, 8.5]
    for status in (200, 200, 486, 100):
        side.layer.receive(answer(transaction, status), UDP)
    transaction.handle(Input.TRANSPORT_ERROR)
    assert side.responses == [(100, False), (100, False), (200, False)]
    side.clock.run(5)
    assert side.clean()


@pytest.mark.parametrize("status", [200, 486])
@pytest.mark.parametrize("provisional", [False, True])
def test_non_invite_ends_at_once_over_tcp(side: Side, status: int, provisional: bool) -> None:
    transaction = side.start("BYE", TCP)
    if provisional:
        side.layer.receive(answer(transaction, 100), TCP)
    side.layer.receive(answer(transaction, status), TCP)
    side.clock.run(0)
    assert side.responses[-1] == (status, False) and side.clean()


def test_non_invite_times_out_in_proceeding(side: Side) -> None:
    side.layer.receive(answer(side.start("BYE", TCP), 100), TCP)
    side.clock.run(33)
    assert side.responses == [(100, False), (408, True)] and side.clean()


@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_a_transport_error_is_503(side: Side, method: str) -> None:
    side.broken = True
    side.start(method)
    side.clock.run(0)
    assert side.responses == [(503, True)] and side.clean()


def test_a_resend_that_fails_at_once_stops_the_repetition(side: Side) -> None:
    transaction = side.start("BYE")
    side.hook = lambda octets: transaction.handle(Input.TRANSPORT_ERROR) and None
    side.clock.run(40)
    assert side.times() == [0, 0.5] and side.responses == [(503, True)] and side.clean()


def test_a_lost_connection_fails_what_has_no_response(side: Side) -> None:
    waiting, ringing = side.start(to=TCP), side.start(to=TCP)
    side.start()
    side.layer.receive(answer(ringing, 180), TCP)
    side.layer.connection_lost(TCP)
    assert waiting.terminated and side.responses == [(180, False), (503, True)]
    assert ringing.handle(Input.TRANSPORT_ERROR) is False and ringing.state is State.PROCEEDING
    bye = side.start("BYE", TCP)
    side.layer.receive(answer(bye, 100), TCP)
    bye.handle(Input.TRANSPORT_ERROR)
    assert side.responses[-1] == (503, True)
    failed = side.start(to=TCP)
    side.layer.receive(answer(failed, 500), TCP)
    failed.handle(Input.TRANSPORT_ERROR)
    assert failed.terminated
    side.layer.stop()
    assert side.clean()


def test_only_requests_that_have_transactions_start_one(side: Side) -> None:
    for wrong in (request("ACK"), request("CANCEL"), SipMessage.response_to(request(), 200)):
        with pytest.raises(LocalError):
            side.layer.send_request(wrong, UDP, side.on_response)
    for wrong in (request("BYE"), SipMessage.response_to(request(), 200)):
        with pytest.raises(LocalError):
            side.layer.send_ack(wrong, UDP)
    side.layer.send_ack(request("ACK"), UDP)
    assert len(side.sent[0][1].get_all("Via")) == 2 and side.clean()


# Server


def receive(side: Side, message: SipMessage, source: Endpoint = UDP) -> None:
    side.layer.receive(message.copy(), source)


def test_a_100_goes_out_by_itself(side: Side) -> None:
    receive(side, request())
    receive(side, request())
    side.clock.run(0.1)
    assert side.sent == []
    side.clock.run(0.2)
    receive(side, request())
    assert side.lines() == ["SIP/2.0 100 Trying"] * 2 and len(side.requests) == 1
    assert side.sent[0][1].get("Via") == "SIP/2.0/UDP softphone;branch=z9hG4bKup;received=192.0.2.2"


def test_invite_refused_until_the_ack(side: Side) -> None:
    receive(side, request())
    transaction = side.requests[0]
    assert transaction.reject(180, to_tag="t") and transaction.reject(183, "x", to_tag="t")
    receive(side, request("ACK"))
    receive(side, request())
    assert transaction.reject(486, to_tag="t")
    for status in (180, 200, 500):
        assert not transaction.reject(status)
    side.clock.run(4)
    receive(side, request())
    assert side.times() == [0, 0, 0, 0, 0.5, 1.5, 3.5, 4]
    receive(side, request("ACK"))
    receive(side, request("ACK"))
    receive(side, request())
    for status in (180, 200, 500):
        assert not transaction.reject(status)
    assert transaction.handle(Input.TRANSPORT_ERROR) is False
    side.clock.run(4.9)
    assert len(side.sent) == 8 and side.layer.active == 1 and side.acks == []
    side.clock.run(0.2)
    assert side.clean()


def test_invite_refused_and_never_acknowledged(side: Side) -> None:
    receive(side, request())
    side.requests[0].reject(486)
    side.clock.run(33)
    assert side.times() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert side.failures == [408] and side.clean()


def test_2xx_are_the_users_to_repeat(side: Side) -> None:
    receive(side, request())
    transaction = side.requests[0]
    for tag in ("1", "1", "2"):
        assert transaction.reject(200, to_tag=tag)
    receive(side, request())
    for status in (180, 486):
        assert not transaction.reject(status)
    receive(side, request("ACK"))
    receive(side, request("ACK", "SIP/2.0/UDP softphone;branch=z9hG4bKother"))
    assert len(side.acks) == 2 and len(side.sent) == 3
    transaction.handle(Input.TRANSPORT_ERROR)
    assert side.failures == [503] and transaction.state is State.ACCEPTED
    side.clock.run(32)
    assert side.clean()


def test_non_invite_server(side: Side) -> None:
    receive(side, request("BYE"))
    receive(side, request("BYE"))
    transaction = side.requests[0]
    assert side.sent == [] and len(side.requests) == 1
    transaction.reject(100)
    transaction.reject(180)
    receive(side, request("BYE"))
    transaction.reject(200)
    receive(side, request("BYE"))
    for status in (100, 200, 400):
        assert not transaction.reject(status)
    assert [m.status for _, m, _ in side.sent] == [100, 180, 180, 200, 200]
    side.clock.run(32)
    assert side.clean()


@pytest.mark.parametrize("method", ["INVITE", "INFO"])
@pytest.mark.parametrize("statuses", [(), (100,), (500,), (100, 500), (100, 200)])
def test_responses_that_cannot_be_sent(side: Side, method: str, statuses: tuple[int, ...]) -> None:
    receive(side, request(method), TCP)
    for status in statuses:
        side.requests[0].reject(status)
    side.requests[0].handle(Input.TRANSPORT_ERROR)
    assert side.failures == [503]
    side.clock.run(32)
    assert side.clean()


def test_without_a_listener_failures_are_silent(side: Side) -> None:
    receive(side, request("INFO"), TCP)
    side.requests[0].on_failure = None
    side.requests[0].handle(Input.TRANSPORT_ERROR)
    assert side.failures == [] and side.clean()


def test_respond_takes_responses(side: Side) -> None:
    receive(side, request())
    with pytest.raises(LocalError):
        side.requests[0].respond(request())
    side.layer.stop()
    side.layer.stop()
    side.requests[0].stop()
    assert side.clean() and not side.requests[0].reject(200)


def test_a_cancel_reaches_its_invite(side: Side) -> None:
    receive(side, request())
    side.requests[0].reject(180, to_tag="ring")
    receive(side, request("CANCEL"))
    receive(side, request("CANCEL"))
    assert side.cancels == side.requests and len(side.requests) == 1
    assert side.lines() == ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "SIP/2.0 200 OK"]
    assert side.sent[1][1].get("To") == "<sip:b@b>;tag=ring" and side.sent[1][1].get("CSeq") == "7 CANCEL"
    side.requests[0].reject(487)
    receive(side, request("ACK"))
    side.clock.run(33)
    assert side.clean()


def test_a_cancel_too_late_or_for_nothing(side: Side) -> None:
    receive(side, request("CANCEL"))
    assert side.lines() == ["SIP/2.0 481 Call/Transaction Does Not Exist"]
    receive(side, request())
    receive(side, request("CANCEL"))
    assert len(side.cancels) == 1
    receive(side, request(via="SIP/2.0/UDP softphone;branch=z9hG4bKtwo"))
    side.requests[1].reject(200, to_tag="x")
    receive(side, request("CANCEL", "SIP/2.0/UDP softphone;branch=z9hG4bKtwo"))
    assert len(side.cancels) == 1 and side.lines()[-1] == "SIP/2.0 200 OK"


@pytest.mark.parametrize("branch", ["", ";branch=1", ";branch=z9hG4bK"])
def test_rfc_2543_clients_are_told(side: Side, branch: str) -> None:
    receive(side, request(via="SIP/2.0/UDP softphone" + branch))
    receive(side, request("ACK", "SIP/2.0/UDP softphone" + branch))
    assert side.lines() == ["SIP/2.0 400 Via branch without the magic cookie"] and side.clean()


def test_what_breaks_the_rules_is_answered_or_dropped(side: Side) -> None:
    broken = request()
    broken.set("CSeq", "x")
    receive(side, broken)
    newer = SipMessage.parse(bytes(request()).replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1))
    receive(side, newer)
    assert [m.status for _, m, _ in side.sent] == [400, 505]
    silent = request("ACK")
    silent.remove("To")
    bare = request()
    bare.remove("Via")
    response = SipMessage.response_to(request(), 200)
    response.remove("CSeq")
    for message in (silent, bare, response):
        receive(side, message)
    assert len(side.sent) == 2 and side.clean() and not side.strays


def test_a_user_that_fails_leaves_nothing_behind(side: Side) -> None:
    def fail(transaction: ServerTransaction, source: Endpoint) -> None:
        raise RuntimeError("bug")

    side.request_received = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        receive(side, request("INFO"))
    assert side.lines() == ["SIP/2.0 500 Server Internal Error"]
    side.clock.run(33)
    assert side.clean()


def test_too_many_transactions_are_503(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SERVER_TRANSACTIONS >= 1000
    monkeypatch.setattr("imsmediasec.agent.transactions.MAX_SERVER_TRANSACTIONS", 1)
    for number in range(2):
        receive(side, request(via=f"SIP/2.0/UDP softphone;branch=z9hG4bK{number}x"))
    assert side.lines() == ["SIP/2.0 503 Service Unavailable"] and len(side.requests) == 1


def test_where_responses_go() -> None:
    plain, rport = Via.parse("SIP/2.0/UDP h:5090"), Via.parse("SIP/2.0/UDP h;rport")
    source = Endpoint(protocol=TransportProtocol.UDP, host="192.0.2.9", port=40000)
    assert response_endpoint(plain, source).port == 5090 and response_endpoint(plain, source).host == "192.0.2.9"
    assert response_endpoint(Via.parse("SIP/2.0/UDP h"), source).port == 5060
    assert response_endpoint(rport, source) == source and response_endpoint(plain, TCP) == TCP
    assert TransportProtocol.TLS.default_port == 5061 and TransportProtocol.UDP.default_port == 5060


# The tables


@pytest.mark.parametrize("name", ["INVITE_CLIENT", "NON_INVITE_CLIENT", "INVITE_SERVER", "NON_INVITE_SERVER"])
def test_no_input_from_outside_lacks_a_row(name: str) -> None:
    table, timers = getattr(tables, name), getattr(tables, name + "_TIMERS")
    outside = [Input.PROVISIONAL, Input.SUCCESS, Input.FAILURE, Input.TRANSPORT_ERROR]
    if "SERVER" in name:
        outside.append(Input.REQUEST)
    if name == "INVITE_SERVER":
        outside.append(Input.ACK)
    states = {state for state, _ in table}
    assert State.TERMINATED not in states
    for state in states:
        assert all((state, what) in table for what in (*outside, *timers.get(state, ())))
    reachable = {state for _, state in table.values()}
    assert states <= reachable | {State.CALLING, State.TRYING}


# Two sides and a line that loses, doubles and reorders


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("method", ["INVITE", "BYE"])
@pytest.mark.parametrize("status", [200, 486])
def test_over_a_bad_line_both_sides_end_and_agree(seed: int, method: str, status: int) -> None:
    rng, clock = random.Random(seed), FakeClock()
    client, server = Side(clock), Side(clock)

    def line(to: Side) -> Callable[[bytes], None]:
        def carry(octets: bytes) -> None:
            for _ in range(rng.choice((0, 1, 1, 1, 2))):
                clock.call_later(rng.uniform(0.01, 0.3), lambda: to.layer.receive(SipMessage.parse(octets), UDP))

        return carry

    client.hook, server.hook = line(server), line(client)

    def received(transaction: ServerTransaction, source: Endpoint) -> None:
        server.requests.append(transaction)

        def repeat(times: int) -> None:
            transaction.reject(status, to_tag="t")
            if method == "INVITE" and status == 200 and times:
                clock.call_later(0.5, repeat, times - 1)

        clock.call_later(0.4, repeat, 10)

    server.request_received = received  # type: ignore[method-assign]
    client.start(method)
    clock.run(200)
    finals = [s for s, _ in client.responses if s >= 200]
    assert len(server.requests) == 1 and finals and set(finals) == {status}
    assert len(finals) == 1 or (method, status) == ("INVITE", 200)
    assert client.clean() and server.clean()


def test_other_base_values() -> None:
    timers = Timers(t1=0.01)
    assert timers.delay(Input.TIMER_B, reliable=False) == 0.64 and timers.delay(Input.TIMER_A, reliable=False) == 0.01
    assert timers.delay(Input.TIMER_D, reliable=True) == 0 and timers.delay(Input.TIMER_I, reliable=False) == 5
