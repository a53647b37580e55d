"""policy_book.py: which rule holds for whom, on request, and what contradicts itself."""

from __future__ import annotations

import pytest

import imsmediasec as ims
from imsmediasec.policy_book import Mode, PolicyBook, Rule, bare_uri, unreachable
from imsmediasec.terms import OnFailure, Requirement

POLICY = ims.SecurityPolicy()


def rule(pattern: str, mode: Mode = Mode.ALWAYS, policy: ims.SecurityPolicy = POLICY, **more: tuple[str, ...]) -> Rule:
    return Rule(pattern=pattern, mode=mode, policy=policy, **more)


@pytest.mark.parametrize(
    ("pattern", "uri", "fits"),
    [
        ("sip:*@police.example", "sip:Bob@Police.Example", True),
        ("sip:*@police.example", "<sip:bob@police.example;transport=tls?subject=x>", True),
        ("sip:*@police.example", "sip:bob@police.example:5070", True),
        ("sip:*@police.example", "sips:bob@police.example", True),
        ("sips:*@police.example", "sip:bob@police.example", True),
        ("sip:bob@x.example", "sip:%62ob@x.example", True),
        ("sip:b?b@x.example", "sip:bob@x.example", True),
        ("sip:*@police.example", "sip:bob@police.example.attacker.example", False),
        ("sip:*@police.example", "tel:112", False),
        ("tel:+49*", "tel:+4930123", True),
        ("tel:+49*", "tel:+49:30", True),
        ("sip:*@[2001:db8::1]", "sip:bob@[2001:db8::1]:5060", True),
        ("sip:[ab]@x.example", "sip:a@x.example", False),
    ],
)
def test_matching(pattern: str, uri: str, fits: bool) -> None:
    """Case, port, parameters and sips make no difference; the rest does."""
    assert rule(pattern).matches(uri) is fits


def test_bare_uri_of_another_scheme() -> None:
    assert bare_uri(" <TEL:+49-30;phone-context=x> ") == "tel:+49-30"


@pytest.mark.parametrize(
    ("mode", "plain", "requested"),
    [
        (Mode.ALWAYS, Requirement.REQUIRED, Requirement.REQUIRED),
        (Mode.AUTOMATIC, Requirement.PREFERRED, Requirement.REQUIRED),
        (Mode.ON_REQUEST, Requirement.DISABLED, Requirement.REQUIRED),
        (Mode.NEVER, Requirement.DISABLED, Requirement.DISABLED),
    ],
)
def test_modes(mode: Mode, plain: Requirement, requested: Requirement) -> None:
    book = PolicyBook(rules=(rule("sip:*@x.example", mode),), request_prefix="*9")
    assert book.policy_for("sip:bob@x.example").requirement is plain
    assert book.policy_for("sip:bob@x.example", requested=True).requirement is requested
    assert book.policy_for("sip:bob@y.example").requirement is Requirement.REQUIRED


def test_first_rule_holds() -> None:
    book = PolicyBook(rules=(rule("sip:boss@x.example", Mode.NEVER), rule("sip:*@x.example")))
    assert book.policy_for("sip:boss@x.example").requirement is Requirement.DISABLED
    assert book.policy_for("sip:bob@x.example").requirement is Requirement.REQUIRED


def test_the_rest_of_the_policy_is_the_rules() -> None:
    lenient = ims.SecurityPolicy(on_unprotected=OnFailure.WARN)
    book = PolicyBook(rules=(rule("sip:*@x.example", policy=lenient),))
    assert book.policy_for("sip:bob@x.example").on_unprotected is OnFailure.WARN
    assert book.policy_for("sip:bob@y.example").on_unprotected is OnFailure.REFUSE


def test_unprotected_is_unprotected_for_every_media_type() -> None:
    """What is asked for by media type does not outlive the request that was not made."""
    by_media = ims.SecurityPolicy(requirement_by_media={"video": Requirement.PREFERRED})
    book = PolicyBook(rules=(rule("sip:*@x.example", Mode.ON_REQUEST, by_media),), request_prefix="*9")
    assert book.policy_for("sip:b@x.example").requirement_for("video") is Requirement.DISABLED
    asked = book.policy_for("sip:b@x.example", requested=True)
    assert asked.requirement_for("video") is Requirement.PREFERRED
    assert asked.requirement_for("audio") is Requirement.REQUIRED


def test_never_contradicts_a_media_type() -> None:
    by_media = ims.SecurityPolicy(requirement_by_media={"video": Requirement.REQUIRED, "text": Requirement.DISABLED})
    with pytest.raises(ims.LocalError, match="mode never contradicts what is asked for video"):
        rule("sip:*@x.example", Mode.NEVER, by_media)


def test_request_prefix() -> None:
    book = PolicyBook(request_prefix="*9")
    assert book.take_request("*9bob") == ("bob", True)
    assert book.take_request("bob") == ("bob", False)
    assert PolicyBook().take_request("*9bob") == ("*9bob", False)


def test_on_request_needs_a_prefix() -> None:
    with pytest.raises(ims.LocalError, match="request_prefix"):
        PolicyBook(rules=(rule("sip:*", Mode.ON_REQUEST),))
    with pytest.raises(ims.LocalError, match="request_prefix"):
        PolicyBook(default=rule("*", Mode.ON_REQUEST))


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ("sip:*@x.example", "sip:bob@x.example", True),
        ("sip:*", "sips:*@x.example", True),
        ("sip:*@x.example", "sip:?@x.example", True),
        ("sip:bob@x.example", "sip:*@x.example", False),
        ("sip:?@x.example", "sip:*@x.example", False),
        ("sip:??*@x.example", "sip:*@x.example", False),
        ("sip:a@x.example", "sip:b@x.example", False),
    ],
)
def test_unreachable_rules(first: str, second: str, hidden: bool) -> None:
    rules = (rule(first), rule(second))
    assert list(unreachable(rules)) == ([(rules[1], rules[0])] if hidden else [])
    if hidden:
        with pytest.raises(ims.LocalError, match="can never hold"):
            PolicyBook(rules=rules)


def test_terminals_need_a_method_that_tells_them_apart() -> None:
    """4.1.1: an SDES answer, a Contact or an instance id does not authenticate a terminal."""
    desk = ("sip:desk@x.example",)
    with pytest.raises(ims.LocalError, match="SDES cannot tell which terminal answers"):
        ims.SecurityPolicy(terminals=desk)
    both = (ims.KeyManagement.MIKEY_TICKET, ims.KeyManagement.SDES)
    assert ims.SecurityPolicy(key_management=both, terminals=desk).terminals == desk
    assert ims.SecurityPolicy(on_exposed=OnFailure.WARN, terminals=desk).terminals == desk
