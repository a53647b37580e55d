"""Digest authentication (RFC 3261 22.4, RFC 7616, RFC 8760): MD5 and SHA-256.

The hash of the credentials stays inside; the `cnonce` comes from the caller, so that nothing here
draws random numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.secret import Secret
from imsmediasec.sip.grammar import LWS, TOKEN, quote, split, unquote

_PAIR = re.compile(rf'({TOKEN})[{LWS}]*=[{LWS}]*("(?:[^"\\]|\\.)*"|[^{LWS}",]*)\Z', re.DOTALL)
_QUOTED = ("realm", "nonce", "opaque", "domain", "username", "uri", "response", "cnonce")


class Algorithm(Enum):
    """Hash, and whether it is bound to the session; in the order of strength, best first."""

    SHA_256_SESS = "SHA-256-sess"
    SHA_256 = "SHA-256"
    MD5_SESS = "MD5-sess"
    MD5 = "MD5"

    @property
    def session(self) -> bool:
        return self.value.endswith("-sess")

    def digest(self, text: str) -> str:
        """The hash in lower case hexadecimal."""
        name = "sha256" if self.value.startswith("SHA-256") else "md5"
        return hashlib.new(name, text.encode("latin-1"), usedforsecurity=False).hexdigest()


_ALGORITHMS = {algorithm.value.lower(): algorithm for algorithm in Algorithm}


def _parse_pairs(value: str) -> dict[str, str]:
    scheme, _, rest = value.strip(LWS).replace("\t", " ").partition(" ")
    if scheme.lower() != "digest":
        raise MalformedInput("the scheme is not Digest", clause="RFC 3261 22.1", offset=0)
    pairs: dict[str, str] = {}
    for item in split(rest):
        match = _PAIR.match(item)
        if match is None or match[1].lower() in pairs:
            raise MalformedInput("a Digest parameter breaks the grammar", clause="RFC 7616 3.3")
        pairs[match[1].lower()] = unquote(match[2])
    return pairs


def _write_pairs(pairs: Iterable[tuple[str, str | None]]) -> str:
    return "Digest " + ", ".join(
        f"{name}={quote(value) if name in _QUOTED else value}" for name, value in pairs if value is not None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """A value of WWW-Authenticate or Proxy-Authenticate (RFC 7616 3.3)."""

    realm: str
    nonce: str
    algorithm: Algorithm | None = Algorithm.MD5
    """None for one this module cannot run, such as AKAv1-MD5."""
    opaque: str | None = None
    qop: tuple[str, ...] = ()
    """Options in lower case; () from servers older than RFC 2617."""
    stale: bool = False
    """The credentials were right, only the nonce is used up."""

    @classmethod
    def parse(cls, value: str) -> Challenge:
        """Read one challenge. `MalformedInput` for another scheme, or without realm or nonce."""
        pairs = _parse_pairs(value)
        if "realm" not in pairs or "nonce" not in pairs:
            raise MalformedInput("a challenge needs realm and nonce", clause="RFC 7616 3.3")
        return cls(
            realm=pairs["realm"],
            nonce=pairs["nonce"],
            algorithm=_ALGORITHMS.get(pairs.get("algorithm", "MD5").lower()),
            opaque=pairs.get("opaque"),
            qop=tuple(option.strip(LWS).lower() for option in pairs.get("qop", "").split(",") if option.strip(LWS)),
            stale=pairs.get("stale", "").lower() == "true",
        )

    @property
    def usable(self) -> bool:
        """Whether `authorization` can answer it."""
        return self.algorithm is not None and (not self.qop or bool({"auth", "auth-int"} & set(self.qop)))

    def __str__(self) -> str:
        qop = quote(",".join(self.qop)) if self.qop else None
        algorithm = self.algorithm.value if self.algorithm else None
        stale = "true" if self.stale else None
        return _write_pairs(
            (
                ("realm", self.realm),
                ("nonce", self.nonce),
                ("opaque", self.opaque),
                ("algorithm", algorithm),
                ("qop", qop),
                ("stale", stale),
            )
        )


def best_challenge(values: Iterable[str]) -> Challenge | None:
    """The strongest challenge that can be answered, or None; one that cannot be read is passed over.

    RFC 8760 2.4 leaves the order to the server's; a weaker hash first would be a bid-down for free.
    """
    found: list[Challenge] = []
    for value in values:
        try:
            challenge = Challenge.parse(value)
        except MalformedInput:
            continue
        if challenge.usable:
            found.append(challenge)
    order = list(Algorithm)
    return min(found, key=lambda c: order.index(c.algorithm or Algorithm.MD5), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A value of Authorization or Proxy-Authorization (RFC 7616 3.4)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: Algorithm | None = Algorithm.MD5
    opaque: str | None = None
    qop: str | None = None
    cnonce: str | None = None
    nonce_count: int | None = None

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """Read one value. `MalformedInput` for another scheme or if a parameter is missing or broken."""
        pairs = _parse_pairs(value)
        count = pairs.get("nc")
        missing = [name for name in ("username", "realm", "nonce", "uri", "response") if name not in pairs]
        if missing or (count is not None and not re.fullmatch(r"[0-9a-fA-F]{8}", count)):
            raise MalformedInput("Digest credentials are incomplete", clause="RFC 7616 3.4")
        return cls(
            username=pairs["username"],
            realm=pairs["realm"],
            nonce=pairs["nonce"],
            uri=pairs["uri"],
            response=pairs["response"],
            algorithm=_ALGORITHMS.get(pairs.get("algorithm", "MD5").lower()),
            opaque=pairs.get("opaque"),
            qop=pairs.get("qop", "").lower() or None,
            cnonce=pairs.get("cnonce"),
            nonce_count=None if count is None else int(count, 16),
        )

    def verifies(self, password: Secret, *, method: str, body: bytes = b"") -> bool:
        """Whether who wrote this knew `password`. The caller checks realm, nonce, count and URI."""
        if self.algorithm is None or self.qop not in (None, "auth", "auth-int"):
            return False
        if (self.qop or self.algorithm.session) and (self.cnonce is None or self.nonce_count is None):
            return False
        expected = self._expected(self.algorithm, password, method, body)
        return hmac.compare_digest(expected.encode("ascii"), self.response.lower().encode("latin-1"))

    def _expected(self, algorithm: Algorithm, password: Secret, method: str, body: bytes) -> str:
        secret = password.reveal().decode("latin-1")
        a1 = algorithm.digest(f"{self.username}:{self.realm}:{secret}")
        if algorithm.session:
            a1 = algorithm.digest(f"{a1}:{self.nonce}:{self.cnonce}")
        a2 = f"{method}:{self.uri}"
        if self.qop == "auth-int":
            a2 += f":{algorithm.digest(body.decode('latin-1'))}"
        middle = f"{self.nonce_count:08x}:{self.cnonce}:{self.qop}:" if self.qop else ""
        return algorithm.digest(f"{a1}:{self.nonce}:{middle}{algorithm.digest(a2)}")

    def __str__(self) -> str:
        return _write_pairs(
            (
                ("username", self.username),
                ("realm", self.realm),
                ("nonce", self.nonce),
                ("uri", self.uri),
                ("response", self.response),
                ("algorithm", self.algorithm.value if self.algorithm else None),
                ("opaque", self.opaque),
                ("qop", self.qop),
                ("cnonce", self.cnonce),
                ("nc", None if self.nonce_count is None else f"{self.nonce_count:08x}"),
            )
        )


def authorization(
    challenge: Challenge,
    *,
    username: str,
    password: Secret,
    method: str,
    uri: str,
    cnonce: str,
    nonce_count: int = 1,
    body: bytes = b"",
) -> Credentials:
    """The credentials that answer `challenge`; ``str()`` of them is the header value.

    `uri` is the Request-URI. `nonce_count` goes up by one each time the nonce is used. ``auth`` is
    preferred to ``auth-int``: proxies and this library change bodies on the way. `LocalError` if the
    challenge is not `usable`.
    """
    algorithm = challenge.algorithm
    if algorithm is None or not challenge.usable:
        raise LocalError("this challenge cannot be answered", clause="RFC 7616 3.3")
    qop = None if not challenge.qop else "auth" if "auth" in challenge.qop else "auth-int"
    sends_cnonce = bool(qop) or algorithm.session
    blank = Credentials(
        username=username.encode("utf-8").decode("latin-1"),
        realm=challenge.realm,
        nonce=challenge.nonce,
        uri=uri,
        response="",
        algorithm=algorithm,
        opaque=challenge.opaque,
        qop=qop,
        cnonce=cnonce if sends_cnonce else None,
        nonce_count=nonce_count if sends_cnonce else None,
    )
    response = blank._expected(algorithm, password, method, body)
    return replace(blank, response=response)
