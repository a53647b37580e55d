"""`PolicyBook`: the user's policy by callee, and on request for a single call (4.x.3).

An address book with patterns: the first rule whose pattern matches the other end's URI holds, else
the default. Values only; `imsmediasec.cli` reads one from a TOML file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from urllib.parse import unquote

from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.terms import Requirement


class Mode(Enum):
    """When media security is used."""

    ALWAYS = "always"
    """Protected, or the policy's `on_failure`."""
    AUTOMATIC = "automatic"
    """Protected whenever the other side can; no call fails for want of it."""
    ON_REQUEST = "on-request"
    """As ALWAYS in calls for which the user asks for it, unprotected otherwise."""
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the address book."""

    pattern: str
    """URI with ``*`` and ``?``, such as ``sip:*@police.example``; compared without case, port or parameters, and
    the same for sips."""
    mode: Mode
    policy: SecurityPolicy
    """What else holds for these: suites, scope, trusted middle nodes, terminals, …"""

    def __post_init__(self) -> None:
        wanted = [media for media, what in self.policy.requirement_by_media.items() if what is not Requirement.DISABLED]
        if self.mode is Mode.NEVER and wanted:
            raise LocalError(f"media: mode never contradicts what is asked for {', '.join(sorted(wanted))}")

    def matches(self, uri: str) -> bool:
        """True if the rule is for this URI."""
        return _fits(bare_uri(uri), self.pattern)


@dataclass(frozen=True, kw_only=True)
class PolicyBook:
    """Rules in order, and what holds where none matches."""

    default: Rule = field(default_factory=lambda: Rule(pattern="*", mode=Mode.ALWAYS, policy=SecurityPolicy()))
    rules: tuple[Rule, ...] = ()
    request_prefix: str = ""
    """Dialled in front of the user part it asks for security in this one call, and is taken off."""

    def __post_init__(self) -> None:
        for hidden, by in unreachable(self.rules):
            raise LocalError(f"rule {hidden.pattern} can never hold: {by.pattern} before it matches the same")
        if not self.request_prefix and any(rule.mode is Mode.ON_REQUEST for rule in (self.default, *self.rules)):
            raise LocalError("mode on-request needs a request_prefix, or nobody can ask for security")

    def policy_for(self, uri: str, *, requested: bool = False) -> SecurityPolicy:
        """The policy for a call with `uri`. `requested`: the user asked for security in this call."""
        rule = next((rule for rule in self.rules if rule.matches(uri)), self.default)
        requirement = {
            Mode.ALWAYS: Requirement.REQUIRED,
            Mode.AUTOMATIC: Requirement.REQUIRED if requested else Requirement.PREFERRED,
            Mode.ON_REQUEST: Requirement.REQUIRED if requested else Requirement.DISABLED,
            Mode.NEVER: Requirement.DISABLED,
        }[rule.mode]
        if requirement is Requirement.DISABLED:
            return replace(rule.policy, requirement=requirement, requirement_by_media={})
        return replace(rule.policy, requirement=requirement)

    def take_request(self, user: str) -> tuple[str, bool]:
        """User part without the request prefix, and whether it was there."""
        if self.request_prefix and user.startswith(self.request_prefix):
            return user[len(self.request_prefix) :], True
        return user, False


def bare_uri(uri: str) -> str:
    """Scheme, user and host in lower case, escapes resolved: what a pattern is compared with. sips counts as sip."""
    bare = unquote(uri.strip().strip("<>").split(";")[0].split("?")[0]).lower()
    if not bare.startswith(("sip:", "sips:")):
        return bare
    return "sip:" + re.sub(r":\d+$", "", bare.partition(":")[2])


def unreachable(rules: Iterable[Rule]) -> Iterable[tuple[Rule, Rule]]:
    """Rules that an earlier one hides, with that one."""
    earlier: list[Rule] = []
    for rule in rules:
        for before in earlier:
            # Whatever stands for a star, nothing and a text longer than all "?" included, the earlier one takes it.
            if all(_fits(rule.pattern.replace("*", star), before.pattern) for star in ("", "\0" * 300)):
                yield rule, before
                break
        earlier.append(rule)


def _fits(uri: str, pattern: str) -> bool:
    """Only ``*`` and ``?`` are special: a bracket belongs to an IPv6 address."""
    return fnmatchcase(_sip(uri.lower()), _sip(pattern.lower()).replace("[", "[[]"))


def _sip(uri: str) -> str:
    return "sip:" + uri.removeprefix("sips:") if uri.startswith("sips:") else uri
