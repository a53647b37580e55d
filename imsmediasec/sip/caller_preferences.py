"""Accept-Contact and Reject-Contact: which of the callee's terminals a request is for (RFC 3841 7.2, 8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.feature_parameters import (
    FeatureParameters,
    Filter,
    RangeFilter,
    StringFilter,
    TokenFilter,
    parse_feature_values,
)

_Q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A contact that is left after the caller's preferences, best first in a list of them."""

    contact: FeatureParameters
    q: Fraction
    """The callee's own preference; 1 where none was registered."""
    preference: Fraction
    """How well it fits what the caller wants, Qa of RFC 3841 7.2.4; from 0 to 1."""


def parse_preferences(header_values: Iterable[str]) -> list[FeatureParameters]:
    """All values of Accept-Contact or Reject-Contact. `MalformedInput` for another head than ``*``."""
    found = parse_feature_values(header_values)
    if any(value.head != "*" for value in found):
        raise MalformedInput("a caller preference begins with *", clause="RFC 3841 10")
    return found


def rank_contacts(
    contacts: Sequence[FeatureParameters],
    *,
    accept: Sequence[FeatureParameters] = (),
    reject: Sequence[FeatureParameters] = (),
    method: str | None = None,
    event: str | None = None,
    immune: bool = True,
) -> list[Target]:
    """The contacts to try, best first.

    Without `accept` and `reject`, `method` and `event` (of SUBSCRIBE) are what the caller wants, and if
    nobody fits all stay. `immune`: a contact that registered no feature at all stays in any case, as
    RFC 3841 7.2.3 wants; with False it is judged as one that lacks each feature. `MalformedInput` if a q
    breaks the grammar.
    """
    implicit = not accept and not reject and (method is not None or event is not None)
    if implicit:
        wanted = {"methods": method, "events": event}
        terms = "".join(f';{name}="{value}"' for name, value in wanted.items() if value is not None)
        accept = [FeatureParameters.parse(f"*;require{terms}")]
    found: list[Target] = []
    for contact in contacts:
        if immune and not contact.features:
            preference: Fraction | None = Fraction(1)
        else:
            preference = None if _rejected(contact, reject) else _preference(contact, accept)
        if preference is not None:
            found.append(Target(contact=contact, q=_q(contact), preference=preference))
    if implicit and not found:
        found = [Target(contact=contact, q=_q(contact), preference=Fraction(0)) for contact in contacts]
    return sorted(found, key=lambda target: (-target.q, -target.preference))


def matches(one: FeatureParameters, other: FeatureParameters) -> bool:
    """Whether both can hold at once: no feature that both name has only different values (RFC 2533)."""
    theirs = other.features
    return all(
        any(_compatible(a, b) for a in filters for b in theirs[tag])
        for tag, filters in one.features.items()
        if tag in theirs
    )


def _q(contact: FeatureParameters) -> Fraction:
    text = contact.params.get("q")
    if text is None and not contact.params.has("q"):
        return Fraction(1)
    if not _Q.match(text or ""):
        raise MalformedInput("q is not a number from 0 to 1", clause="RFC 3261 25.1")
    return Fraction((text or "").removesuffix("."))


def _rejected(contact: FeatureParameters, reject: Iterable[FeatureParameters]) -> bool:
    """Only a contact that says something of each feature named can be rejected."""
    return any(
        predicate.features.keys() <= contact.features.keys() and matches(predicate, contact) for predicate in reject
    )


def _preference(contact: FeatureParameters, accept: Sequence[FeatureParameters]) -> Fraction | None:
    """Qa, or None if a predicate with `require` drops the contact."""
    scores: list[Fraction] = []
    for predicate in accept:
        required, explicit = predicate.params.has("require"), predicate.params.has("explicit")
        if not matches(predicate, contact):
            if required:
                return None
            continue
        score = _score(predicate, contact)
        if score < 1 and explicit:
            if required:
                return None
            score = Fraction(0)
        scores.append(score)
    return sum(scores, Fraction(0)) / len(scores) if scores else Fraction(0)


def _score(predicate: FeatureParameters, contact: FeatureParameters) -> Fraction:
    """The share of the predicate's features that the contact names; 1 if it asks for none."""
    wanted = predicate.features.keys()
    return Fraction(len(wanted & contact.features.keys()), len(wanted)) if wanted else Fraction(1)


def _compatible(a: Filter, b: Filter) -> bool:
    """Whether some value passes both."""
    match (a, b):
        case (StringFilter(), StringFilter()):
            return a.value == b.value
        case (TokenFilter(), TokenFilter()) if a.negated == b.negated:
            return a.negated or a.value == b.value
        case (TokenFilter(), TokenFilter()):
            return a.value != b.value
        case (RangeFilter(), RangeFilter()) if a.negated == b.negated:
            return a.negated or (_below(a.low, b.high) and _below(b.low, a.high))
        case (RangeFilter(), RangeFilter()):
            inner, outer = (b, a) if a.negated else (a, b)  # does something of `inner` lie outside of `outer`?
            return not (
                (outer.low is None or (inner.low is not None and inner.low >= outer.low))
                and (outer.high is None or (inner.high is not None and inner.high <= outer.high))
            )
    # Values of two kinds are never the same, so only a negation lets the other through.
    return any(not isinstance(one, StringFilter) and one.negated for one in (a, b))


def _below(low: Decimal | None, high: Decimal | None) -> bool:
    return low is None or high is None or low <= high
