"""Feature parameters: what a terminal or a node says it can do (RFC 3840 9, RFC 6809 6).

They stand in Contact, Accept-Contact, Reject-Contact (behind ``*``) and Feature-Caps. A value is kept as
it was written; only what is replaced is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.sip.folding import one_line
from imsmediasec.sip.grammar import LWS, Parameters, spans, split, unquote

BASE_TAGS = frozenset(
    (
        *("audio", "automata", "class", "duplex", "data", "control", "mobility", "description", "events", "priority"),
        *("methods", "schemes", "application", "video", "language", "type", "isfocus", "actor", "text", "extensions"),
    )
)
"""Feature parameters that are written without "+" (RFC 3840 9)."""
MAX_LENGTH = 16_384
"""Longer values are refused."""
MAX_VALUES = 256
"""More values in one header, or more entries in one list of tokens, are refused."""

_CLAUSE = "RFC 3840 9"
_TREELESS = frozenset({"language", "type"})
"""Base tags whose feature tag has no ``sip.`` in front (RFC 3841 8)."""
_FTAG = re.compile(r"\+[A-Za-z][A-Za-z0-9!'.%-]*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9.%*_+`'~-]+\Z")
_NUMBER = r"[+-]?[0-9]{1,64}(?:\.[0-9]{0,64})?"
_NUMERIC = re.compile(rf"#(?:(>=|<=|=)({_NUMBER})|({_NUMBER}):({_NUMBER}))\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFilter:
    """A token or boolean; compares without case."""

    value: str
    """In lower case: "true" for a parameter without value."""
    negated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StringFilter:
    """What stood within <>; compares with case. It is never negated."""

    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeFilter:
    """Numbers from `low` to `high`, both included; None: no limit."""

    low: Decimal | None
    high: Decimal | None
    negated: bool = False


Filter = TokenFilter | StringFilter | RangeFilter


def is_feature(name: str) -> bool:
    """Whether a parameter of this name is a feature parameter: a base tag, or "+" in front."""
    return name.startswith("+") or name.lower() in BASE_TAGS


def feature_tag(name: str) -> str:
    """The feature tag that a parameter name encodes, in lower case (RFC 3841 8): "audio" is sip.audio."""
    lower = name.lower()
    tag = lower.removeprefix("+").replace("!", ":").replace("'", "/")
    return f"sip.{tag}" if lower in BASE_TAGS - _TREELESS else tag


def parse_filters(value: str | None) -> tuple[Filter, ...]:
    """What a feature parameter with this value, quotes and all, allows: any of these.

    An unquoted token is read too, though the grammar has none. `MalformedInput` otherwise.
    """
    if value is None:
        return (TokenFilter(value="true"),)
    text = unquote(value)
    if text.startswith("<"):
        if value[0] != '"' or not text.endswith(">") or "<" in text[1:-1] or ">" in text[1:-1]:
            raise MalformedInput("a string feature breaks the grammar", clause=_CLAUSE)
        return (StringFilter(value=text[1:-1]),)
    entries = text.split(",")
    if len(entries) > MAX_VALUES:
        raise MalformedInput("too many values of one feature", clause=_CLAUSE)
    return tuple(map(_parse_filter, entries))


def _parse_filter(text: str) -> Filter:
    negated = text.startswith("!")
    body = text[1:] if negated else text
    numeric = _NUMERIC.match(body)
    if numeric is not None:
        relation, bound, low, high = numeric.groups()
        if relation is None:
            lowest, highest = Decimal(low), Decimal(high)
            if lowest > highest:
                raise MalformedInput("a feature range ends before it begins", clause=_CLAUSE)
            return RangeFilter(low=lowest, high=highest, negated=negated)
        limit = Decimal(bound)
        return RangeFilter(
            low=None if relation == "<=" else limit, high=None if relation == ">=" else limit, negated=negated
        )
    if not _TOKEN.match(body):
        raise MalformedInput("a feature value breaks the grammar", clause=_CLAUSE)
    return TokenFilter(value=body.lower(), negated=negated)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureParameters:
    """One value: an address or ``*``, and its parameters. ``str()`` gives back what was not changed.

    Besides features it holds the other parameters, such as q, expires, require, explicit.
    """

    head: str
    """The address as written, or "*"."""
    params: Parameters
    """All parameters, in order."""
    pieces: tuple[str, ...]
    """How each parameter was written, with the ";" and the white space before it."""

    @classmethod
    def parse(cls, value: str) -> FeatureParameters:
        """Read one value (lists: `parse_feature_values`).

        `MalformedInput`: broken grammar, a parameter that stands twice, too long.
        """
        if len(value) > MAX_LENGTH:
            raise MalformedInput("a value with feature parameters is too long", clause=_CLAUSE)
        text = one_line(value, clause=_CLAUSE).strip(LWS)
        places = spans(text, ";")
        if not places:
            raise MalformedInput("neither an address nor *", clause=_CLAUSE, offset=0)
        params = Parameters.parse(text[places[1][0] :] if len(places) > 1 else "")
        for name, written in params.items:
            if is_feature(name):
                if name.startswith("+") and not _FTAG.match(name):
                    raise MalformedInput("the name of a feature breaks the grammar", clause=_CLAUSE)
                parse_filters(written)
        ends = [end for _, end in places]
        return cls(
            head=text[: ends[0]],
            params=params,
            pieces=tuple(text[start:end] for start, end in pairwise(ends)),
        )

    @property
    def features(self) -> Mapping[str, tuple[Filter, ...]]:
        """The allowed values by feature tag.

        The "+" form of a base tag gives way to the form without (RFC 3841 7.2.3).
        """
        names = [name for name, _ in self.params.items if is_feature(name)]
        plain = {name.lower() for name in names if not name.startswith("+")}
        return {
            feature_tag(name): parse_filters(self.params.get(name))
            for name in names
            if name.lower().removeprefix("+").removeprefix("sip.") not in plain or not name.startswith("+")
        }

    def tokens(self, name: str) -> tuple[str, ...]:
        """The token list of this parameter, as written; () if it is absent, a string, or all are negated."""
        if not self.params.has(name) or not is_feature(name):
            return ()
        text = self.params.text(name)
        if text is None or text.startswith("<"):
            return ("TRUE",) if text is None else ()
        return tuple(token for token in text.split(",") if token[0] not in "!#")

    def string(self, name: str) -> str | None:
        """What stands within <> in this parameter, or None."""
        text = self.params.text(name) or ""
        return text[1:-1] if len(text) >= 2 and text[0] == "<" and text[-1] == ">" else None

    def flag(self, name: str) -> bool | None:
        """True or False of a boolean, None if it is absent or something else."""
        found = [token.lower() for token in self.tokens(name)]
        return found == ["true"] if found in (["true"], ["false"]) else None

    def replaced(self, name: str, value: str | None) -> FeatureParameters:
        """The same with this parameter, in its place or at the end. The value comes with its quotes.

        Raises LocalError if that cannot be written.
        """
        piece = f";{name}" if value is None else f";{name}={value}"
        places = [place for place, (key, _) in enumerate(self.params.items) if key.lower() == name.lower()]
        at = places[0] if places else len(self.pieces)
        pieces = (*self.pieces[:at], piece, *self.pieces[at + 1 :])
        try:
            return FeatureParameters.parse(self.head + "".join(pieces))
        except MalformedInput as error:
            raise LocalError(f"not a parameter: {error.reason}", clause=error.clause) from None

    def without(self, name: str) -> FeatureParameters:
        """The same without this parameter."""
        kept = [place for place, (key, _) in enumerate(self.params.items) if key.lower() != name.lower()]
        return FeatureParameters(
            head=self.head,
            params=self.params.without(name),
            pieces=tuple(self.pieces[place] for place in kept),
        )

    def __str__(self) -> str:
        return self.head + "".join(self.pieces)


def parse_feature_values(header_values: Iterable[str]) -> list[FeatureParameters]:
    """All values of all lines of Contact, Accept-Contact or Reject-Contact, in order.

    `MalformedInput` as in `FeatureParameters.parse`, and for more than `MAX_VALUES`.
    """
    values = [value for line in header_values for value in split(line)]
    if len(values) > MAX_VALUES:
        raise MalformedInput("too many values in one header", clause=_CLAUSE)
    return [FeatureParameters.parse(value) for value in values]


def parse_feature_caps(header_values: Iterable[str]) -> list[FeatureParameters]:
    """All values of Feature-Caps, the nearest node's first (RFC 6809 4.2.1, 6).

    `MalformedInput` also for what is not ``*`` with parameters that begin with "+".
    """
    found = parse_feature_values(header_values)
    for value in found:
        if value.head != "*" or not all(name.startswith("+") for name, _ in value.params.items):
            raise MalformedInput("Feature-Caps breaks the grammar", clause="RFC 6809 6")
    return found
