"""Who a call was passed on to: what 181, History-Info and REFER say, and what of it counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.agent import AgentConfig
from imsmediasec.agent.retargeting import TRANSFER_PATIENCE, UNKNOWN, Transfers, forwarded_to, stricter
from imsmediasec.sip import SipMessage

CONFIG = AgentConfig()
TRUSTING = AgentConfig(trust_asserted_identity=True)
BOB = "<sip:bob@ims.example>;index=1"


def response(status: int, *headers: tuple[str, str]) -> SipMessage:
    """A response from the network."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return SipMessage.parse(
        f"SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        f"To: <sip:bob@ims.example>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n".encode()
    )


@pytest.mark.parametrize(
    ("status", "history", "to"),
    [
        (200, "", None),
        (180, BOB, None),
        (180, f"{BOB}, <sip:carol@ims.example>;index=1.1;mp=1", "sip:carol@ims.example"),
        (181, f"{BOB}, <sip:carol@ims.example;cause=408?Reason=SIP>;index=1.1;mp=1", "sip:carol@ims.example"),
        (200, f"{BOB}, <sip:bob@10.0.0.1:5080>;index=1.1;rc=1", None),
        (200, f"{BOB}, <sip:carol@h>;index=1.1;mp=1, <sip:c@10.0.0.2>;index=1.1.1;rc=1.1", "sip:carol@h"),
        (200, f"{BOB}, <sip:bob@ims.example;x=y>;index=1.1", None),
        (200, f"{BOB}, <sip:mail@ims.example>;index=1.2", "sip:mail@ims.example"),
        (200, f"{BOB}, <sip:carol@ims.example>", None),
        (200, "nonsense", None),
        (181, "", UNKNOWN),
        (181, "nonsense", UNKNOWN),
    ],
)  # fmt: skip
def test_history(status: int, history: str, to: str | None) -> None:
    """An address of the same user is no forwarding; what cannot be read says nothing."""
    headers = [("History-Info", history)] if history else []
    assert forwarded_to(response(status, *headers), CONFIG) == to


def test_181_without_history_names_whom_the_network_asserts() -> None:
    """And only if that is trusted."""
    message = response(181, ("P-Asserted-Identity", "<sip:carol@ims.example>"))
    assert forwarded_to(message, CONFIG) == UNKNOWN
    assert forwarded_to(message, TRUSTING) == "sip:carol@ims.example"


def refer(to: str) -> SipMessage:
    """A REFER for the softphone."""
    return SipMessage.request("REFER", "sip:alice@h", [("Refer-To", to)])


def invite(uri: str, replaces: str = "") -> SipMessage:
    """The softphone's INVITE."""
    return SipMessage.request("INVITE", uri, [("Replaces", replaces)] if replaces else [])


def test_transfer_is_known_once_and_in_time() -> None:
    """The INVITE to the URI of the REFER, parameters aside; once, and not for ever."""
    transfers = Transfers()
    transfers.note(refer("<sip:carol@h;transport=udp>"), 0)
    assert not transfers.take(invite("sip:dave@h"), 1)
    assert transfers.take(invite("sip:carol@h"), 1)
    assert not transfers.take(invite("sip:carol@h"), 1)
    transfers.note(refer("sip:carol@h"), 0)
    assert not transfers.take(invite("sip:carol@h"), TRANSFER_PATIENCE)


def test_attended_transfer_needs_the_same_replaces() -> None:
    """The dialog to be replaced stands in the Refer-To (RFC 3891)."""
    transfers = Transfers()
    transfers.note(refer("<sip:carol@h?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>"), 0)
    assert not transfers.take(invite("sip:carol@h"), 1)
    assert not transfers.take(invite("sip:carol@h", "y;to-tag=1;from-tag=2"), 1)
    assert transfers.take(invite("sip:carol@h", "x;to-tag=1;from-tag=2"), 1)


@pytest.mark.parametrize("to", ["", "<sip:carol@h?Replaces=x>", "<<"])
def test_unreadable_refer_is_ignored(to: str) -> None:
    """It is the softphone's business."""
    transfers = Transfers()
    transfers.note(refer(to), 0)
    assert not transfers.take(invite("sip:carol@h"), 1)


def test_many_refers_are_bounded() -> None:
    """A flood pushes the oldest out."""
    transfers = Transfers()
    for number in range(1000):
        transfers.note(refer(f"sip:u{number}@h"), 0)
    assert not transfers.take(invite("sip:u0@h"), 1)
    assert transfers.take(invite("sip:u999@h"), 1)


STRICT = ims.SecurityPolicy()


@pytest.mark.parametrize(
    "weaker",
    [
        replace(STRICT, requirement=ims.Requirement.PREFERRED),
        replace(STRICT, requirement_by_media={"video": ims.Requirement.DISABLED}),
        replace(STRICT, forking=ims.Forking.EXPOSED),
        replace(STRICT, on_exposed=ims.OnFailure.WARN),
        replace(STRICT, on_protection_lost=ims.OnFailure.ASK),
        replace(STRICT, on_unprotected=ims.OnFailure.ASK),
        replace(STRICT, sdes_over_unprotected_signalling=True),
        replace(STRICT, accept_unencrypted=True),
        replace(STRICT, tolerate=ims.TOLERANT),
        replace(STRICT, suites=ims.ALL_SUITES),
        replace(
            STRICT,
            scope=(ims.Scope.END_TO_END, ims.Scope.END_TO_MIDDLE_TO_END),
            trusted_middle=("sip:mailbox@x",),
        ),
    ],
)
def test_strictness(weaker: ims.SecurityPolicy) -> None:
    """A claim of the network may raise what is asked for, and lower nothing."""
    assert stricter(STRICT, STRICT) == STRICT
    assert effect(stricter(weaker, STRICT)) == effect(STRICT)
    assert effect(stricter(STRICT, weaker)) == effect(STRICT)


def effect(policy: ims.SecurityPolicy) -> tuple[object, ...]:
    """What counts of a policy."""
    video = policy.requirement_by_media.get("video", policy.requirement)
    return replace(policy, requirement_by_media={}, scope=(ims.Scope.END_TO_END,), trusted_middle=()), video


def test_demands_of_both_hold() -> None:
    """Where each asks for something, both get it."""
    relaxed = replace(STRICT, requirement=ims.Requirement.PREFERRED)
    both = stricter(replace(STRICT, suites=STRICT.suites[1:], tolerate=ims.TOLERANT), relaxed)
    assert (both.requirement, both.suites) == (ims.Requirement.REQUIRED, STRICT.suites[1:])
    assert both.tolerate == STRICT.tolerate
    one, other = (replace(STRICT, suites=(suite,)) for suite in STRICT.suites[:2])
    assert stricter(one, other).suites == other.suites


def test_terminals() -> None:
    """Those of the first policy stay; others are added where they can be warned of."""
    warn = replace(STRICT, on_exposed=ims.OnFailure.WARN)
    some = replace(warn, terminals=("a",))
    assert stricter(warn, some).terminals == ("a",)
    assert stricter(some, warn).terminals == ("a",)
    assert stricter(some, STRICT) == STRICT


def test_what_was_accepted_in_clear_needs_no_demand() -> None:
    """`on_unprotected` counts where protection is required."""
    asked = replace(STRICT, on_unprotected=ims.OnFailure.WARN)
    assert stricter(replace(STRICT, requirement=ims.Requirement.PREFERRED), asked) == asked
    assert stricter(STRICT, asked) == STRICT
