"""Security-Client, Security-Server and Security-Verify (RFC 3329 2.2) with the mediasec parameter.

Mechanisms for media stand in the same lists as those for signalling, told apart by `mediasec`
(TS 24.229 7.2A.7). They never take part in the choice of RFC 3329, where the highest q wins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.folding import one_line
from imsmediasec.sip.grammar import HOST, TOKEN, Parameters, is_token, spans

CLAUSE = "RFC 3329 2.2"
CLIENT, SERVER, VERIFY = "Security-Client", "Security-Server", "Security-Verify"
BARRED = frozenset({"ACK", "CANCEL", "PRACK"})
"""Methods in which none of the three headers may stand (RFC 3329 2.6, table 1)."""
MAX_MECHANISMS = 64
"""More entries in one list are refused."""
MAX_LENGTH = 16_384
"""Longer lists are refused, counted in characters over all header lines."""

_VALUE = re.compile(rf'(?:{TOKEN}|{HOST}|".*")\Z', re.DOTALL)
_Q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")


class MediaMechanism(Enum):
    """What can protect media between the terminal and the access edge (TS 24.229 table 7.2A.7.2-2)."""

    SDES_SRTP = "sdes-srtp"
    DTLS_SRTP = "dtls-srtp"
    """Met in the field; no release of TS 24.229 that we could read lists it."""
    MSRP_TLS = "msrp-tls"
    BFCP_TLS = "bfcp-tls"
    UDPTL_DTLS = "udptl-dtls"


_BY_NAME = {mechanism.value: mechanism for mechanism in MediaMechanism}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SecurityMechanism:
    """One entry of a list. ``str()`` gives it back as it came, a fold as one space.

    Equal are two entries that mean the same (RFC 3329 2.3.1): names without case, the same parameters
    in any order with the same values, q as a number. `d-ver` is left out: a client adds it to its mirror.
    """

    name: str
    """As written."""
    params: Parameters
    text: str
    """The entry as it came."""

    @classmethod
    def parse(cls, text: str) -> SecurityMechanism:
        """Read one entry. `MalformedInput` if it breaks the grammar, or a parameter stands twice."""
        found = parse_security_mechanisms([text])
        if len(found) != 1:
            raise MalformedInput("not exactly one security mechanism", clause=CLAUSE, offset=0)
        return found[0]

    @property
    def mediasec(self) -> bool:
        """Whether the entry is for media. A value of the parameter changes nothing."""
        return self.params.has("mediasec")

    @property
    def media_mechanism(self) -> MediaMechanism | None:
        """Which one for media, or None: for signalling, or a name that nobody here knows."""
        return _BY_NAME.get(self.name.lower()) if self.mediasec else None

    @property
    def q(self) -> float | None:
        """The preference from 0 to 1, or None if there is none."""
        value = self.params.get("q")
        return None if value is None else float(value)

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, object]]]:
        """What two entries share exactly if they are equal."""
        items = ((name.lower(), value) for name, value in self.params.items)
        return self.name.lower(), frozenset(
            (name, self.q if name == "q" else _folded(value)) for name, value in items if name != "d-ver"
        )

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, SecurityMechanism) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


def parse_security_mechanisms(header_values: Iterable[str]) -> list[SecurityMechanism]:
    """The entries of all lines of one of the three headers, in order.

    Mechanisms and parameters that nobody here knows are kept. `MalformedInput` (status 400): broken
    grammar, control characters, an entry or a parameter that stands twice, a list beyond `MAX_MECHANISMS`
    or `MAX_LENGTH`.
    """
    values = list(header_values)
    if sum(map(len, values)) > MAX_LENGTH:
        raise MalformedInput("a security mechanism list is too long", clause=CLAUSE)
    found: list[SecurityMechanism] = []
    for value in values:
        line = one_line(value, clause=CLAUSE)
        places = spans(line)
        if not places:
            raise MalformedInput("an empty security mechanism list", clause=CLAUSE, offset=0)
        if len(found) + len(places) > MAX_MECHANISMS:
            raise MalformedInput("too many security mechanisms", clause=CLAUSE)
        found += [_parse_entry(line[start:end], start) for start, end in places]
    if len({mechanism.key for mechanism in found}) != len(found):
        raise MalformedInput("a security mechanism stands twice", clause=CLAUSE)
    return found


def _parse_entry(text: str, offset: int) -> SecurityMechanism:
    name, _, rest = text.partition(";")
    if not is_token(name.rstrip()) or (";" in text and not rest.strip()):
        raise MalformedInput("a security mechanism breaks the grammar", clause=CLAUSE, offset=offset)
    params = Parameters.parse(rest)
    if any(value is not None and not _VALUE.match(value) for _, value in params.items):
        raise MalformedInput("a parameter of a security mechanism breaks the grammar", clause=CLAUSE, offset=offset)
    if params.has("q") and not _Q.match(params.get("q") or ""):
        raise MalformedInput("q is not a number from 0 to 1", clause=CLAUSE, offset=offset)
    return SecurityMechanism(name=name.rstrip(), params=params, text=text)


def _folded(value: str | None) -> str | None:
    """Values compare without case, quoted strings with (RFC 3261 7.3.1)."""
    return value if value is None or value.startswith('"') else value.lower()


def write_mechanisms(mechanisms: Iterable[SecurityMechanism]) -> str:
    """The value of one header line with these entries, each as it came."""
    return ", ".join(map(str, mechanisms))


def same_mechanisms(one: Sequence[SecurityMechanism], other: Sequence[SecurityMechanism]) -> bool:
    """Whether a Security-Verify mirrors a Security-Server: equal entries in the same order (RFC 3329 2.3.1).

    An entry with q does not equal one without.
    """
    return list(one) == list(other)


def media_mechanisms(mechanisms: Iterable[SecurityMechanism]) -> list[SecurityMechanism]:
    """The entries for media, known or not, in order."""
    return [mechanism for mechanism in mechanisms if mechanism.mediasec]


def signalling_mechanisms(mechanisms: Iterable[SecurityMechanism]) -> list[SecurityMechanism]:
    """The entries for signalling, in order."""
    return [mechanism for mechanism in mechanisms if not mechanism.mediasec]


def signalling_choice(mechanisms: Iterable[SecurityMechanism], supported: Collection[str]) -> SecurityMechanism | None:
    """The entry for signalling to use: highest q among those whose name is `supported` (RFC 3329 2.3.1).

    An entry without q counts as q=1, and of several such the first is taken: the RFC does not say.
    None if there is no common one. `MalformedInput` (status 494) if two have the same written q, so that
    the choice is not the server's (2.2).
    """
    names = {name.lower() for name in supported}
    known = [mechanism for mechanism in signalling_mechanisms(mechanisms) if mechanism.name.lower() in names]
    written = [mechanism.q for mechanism in known if mechanism.q is not None]
    if len(set(written)) != len(written):
        raise MalformedInput("two security mechanisms have the same q", clause=CLAUSE, sip_status_hint=494)
    return max(known, key=lambda mechanism: 1.0 if mechanism.q is None else mechanism.q, default=None)
