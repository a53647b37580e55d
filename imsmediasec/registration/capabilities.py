"""End-to-end capabilities and preferences of a terminal, as Contact feature parameters (B10, RFC 3840).

No standard names these features. The names are ours, not registered anywhere, and configurable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from imsmediasec.errors import LocalError
from imsmediasec.policy import SecurityPolicy
from imsmediasec.policy_book import Mode, PolicyBook
from imsmediasec.sip.feature_parameters import FeatureParameters
from imsmediasec.suites import SrtpSuite, suite_by_name
from imsmediasec.terms import KeyManagement, Requirement, Scope

_PREFIX = re.compile(r"\+[A-Za-z][A-Za-z0-9.-]*\Z")
_PATTERN = re.compile(r"[!#-;=?-\[\]-~]+\Z")
_MODES = {mode.value: mode for mode in Mode}
_METHODS = {method.value: method for method in KeyManagement}
_MODE_OF = {
    Requirement.REQUIRED: Mode.ALWAYS,
    Requirement.PREFERRED: Mode.AUTOMATIC,
    Requirement.DISABLED: Mode.NEVER,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureNames:
    """The parameter names: `prefix` and a word each."""

    prefix: str = "+x.imsmediasec"

    def __post_init__(self) -> None:
        if not _PREFIX.match(self.prefix):
            raise LocalError("the prefix of feature names is + and a feature tag", clause="RFC 3840 9")

    @property
    def methods(self) -> str:
        """Key management methods: token list."""
        return f"{self.prefix}.methods"

    @property
    def suites(self) -> str:
        """SRTP crypto suites: token list of IANA names."""
        return f"{self.prefix}.suites"

    @property
    def middle(self) -> str:
        """Whether a trusted middle node may hold keys (e2m2e): boolean."""
        return f"{self.prefix}.middle"

    @property
    def wanted(self) -> str:
        """When security is wanted: always, automatic, on-request or never."""
        return f"{self.prefix}.wanted"

    @property
    def wanted_for(self) -> str:
        """With whom it is always wanted: a string of URI patterns, parted by spaces."""
        return f"{self.prefix}.wanted-for"


DEFAULT_NAMES = FeatureNames()


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEndCapabilities:
    """What a terminal can do end to end, best first. Nothing listed: it cannot, or does not say."""

    methods: tuple[KeyManagement, ...] = ()
    suites: tuple[SrtpSuite, ...] = ()

    @classmethod
    def of(cls, policy: SecurityPolicy) -> EndToEndCapabilities:
        """What the policy allows end to end."""
        if set(policy.scope) == {Scope.END_TO_ACCESS_EDGE} or policy.requirement is Requirement.DISABLED:
            return cls()
        return cls(methods=policy.key_management, suites=policy.suites)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndToEndPreferences:
    """What the user of a terminal wants."""

    wanted: Mode | None = None
    """None: not said."""
    wanted_for: tuple[str, ...] = ()
    """URI patterns of those with whom it is always wanted. The network learns them."""
    middle_accepted: bool = False
    """Whether a middle node may hold keys (e2m2e). False unless the terminal said so."""

    def __post_init__(self) -> None:
        if not all(map(_PATTERN.match, self.wanted_for)):
            raise LocalError("wanted_for: a pattern is printable ASCII without blanks, quotes and <>")

    @classmethod
    def of(cls, policy: SecurityPolicy | PolicyBook, *, tell_for_whom: bool = False) -> EndToEndPreferences:
        """What the policy, or the book's default, says. `tell_for_whom`: name the rules of mode ALWAYS too."""
        if isinstance(policy, SecurityPolicy):
            middle = Scope.END_TO_MIDDLE_TO_END in policy.scope
            return cls(wanted=_MODE_OF[policy.requirement], middle_accepted=middle)
        always = tuple(rule.pattern for rule in policy.rules if rule.mode is Mode.ALWAYS)
        return cls(
            wanted=policy.default.mode,
            wanted_for=always if tell_for_whom else (),
            middle_accepted=Scope.END_TO_MIDDLE_TO_END in policy.default.policy.scope,
        )


def write_features(
    capabilities: EndToEndCapabilities, preferences: EndToEndPreferences, names: FeatureNames = DEFAULT_NAMES
) -> str:
    """The parameters to put behind the Contact of a REGISTER, each with its ";"; "" if there is nothing to say."""
    values: list[tuple[str, str | None]] = []
    if capabilities.methods:
        values.append((names.methods, _quoted(method.value for method in capabilities.methods)))
        values.append((names.suites, _quoted(suite.name for suite in capabilities.suites)))
        values.append((names.middle, None if preferences.middle_accepted else '"FALSE"'))
    if preferences.wanted is not None:
        values.append((names.wanted, f'"{preferences.wanted.value}"'))
    if preferences.wanted_for:
        values.append((names.wanted_for, f'"<{" ".join(preferences.wanted_for)}>"'))
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in values)


def read_features(
    contact: FeatureParameters, names: FeatureNames = DEFAULT_NAMES
) -> tuple[EndToEndCapabilities, EndToEndPreferences]:
    """What a Contact says. Values that nobody here knows are passed over."""
    methods = (_METHODS.get(token.lower()) for token in contact.tokens(names.methods))
    suites = map(suite_by_name, contact.tokens(names.suites))
    wanted = [_MODES.get(token.lower()) for token in contact.tokens(names.wanted)]
    patterns = (contact.string(names.wanted_for) or "").split(" ")
    return (
        EndToEndCapabilities(
            methods=tuple(dict.fromkeys(method for method in methods if method is not None)),
            suites=tuple(dict.fromkeys(suite for suite in suites if suite is not None)),
        ),
        EndToEndPreferences(
            wanted=wanted[0] if len(wanted) == 1 else None,
            wanted_for=tuple(pattern for pattern in patterns if _PATTERN.match(pattern)),
            middle_accepted=contact.flag(names.middle) is True,
        ),
    )


def accept_contact(policy: SecurityPolicy, names: FeatureNames = DEFAULT_NAMES) -> str | None:
    """Accept-Contact for a call that must be protected end to end, None if this policy does not ask for it.

    With require and explicit only terminals that registered a common method and suite are tried
    (RFC 3841 5.2). A contact without any feature is immune (7.2.3): the network has to be told to drop it too.
    """
    if policy.requirement is not Requirement.REQUIRED or Scope.END_TO_ACCESS_EDGE in policy.scope:
        return None
    capabilities = EndToEndCapabilities.of(policy)
    methods = _quoted(method.value for method in capabilities.methods)
    suites = _quoted(suite.name for suite in capabilities.suites)
    return f"*;{names.methods}={methods};{names.suites}={suites};require;explicit"


def _quoted(tokens: Iterable[str]) -> str:
    return f'"{",".join(tokens)}"'
