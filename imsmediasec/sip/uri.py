"""SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966), enough to route and to look people up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_to_bytes

from imsmediasec.errors import MalformedInput
from imsmediasec.sip.grammar import HOST, Parameters, number

MAX_LENGTH = 8192
"""Longer URIs are refused."""

_SCHEME = re.compile(r"([A-Za-z][-+.0-9A-Za-z]*):")
_BAD = re.compile(r"[\x00-\x20\x7f<>\"]")
_USER = re.compile(r"(?:[-_.!~*'()&=+$,;?/#0-9A-Za-z\x80-\xff]|%[0-9A-Fa-f]{2})+\Z")
_PASSWORD = re.compile(r"(?:[-_.!~*'()&=+$,0-9A-Za-z]|%[0-9A-Fa-f]{2})*\Z")
_HOST_PORT = re.compile(rf"({HOST})(?::(\d{{1,5}}))?\Z", re.ASCII)
_NUMBER = re.compile(r"\+?[-.()0-9A-Fa-f*#]+\Z")
_GLOBAL_NUMBER = re.compile(r"\+[-.()0-9]+\Z")
_SEPARATORS = re.compile(r"[-.()]")
# Never ignored when only one URI has them (RFC 3261 19.1.4).
_COMPARED = ("user", "ttl", "method", "maddr", "transport")


@dataclass(frozen=True, kw_only=True, slots=True)
class SipUri:
    """``sip:`` or ``sips:`` (RFC 3261 19.1.1). Parts stand as written, escapes included."""

    scheme: str = "sip"
    """In lower case."""
    user: str | None = None
    password: str | None = None
    host: str
    """Name, IPv4 address, or IPv6 address in brackets."""
    port: int | None = None
    parameters: Parameters = field(default_factory=Parameters)
    headers: str = ""
    """What stands behind "?"."""

    @property
    def secure(self) -> bool:
        return self.scheme == "sips"

    @property
    def host_port(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def header_items(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each header in the URI, unescaped (RFC 3261 19.1.1)."""
        pairs = (item.partition("=") for item in self.headers.split("&") if item)
        return tuple((_unescape(name), _unescape(value)) for name, _, value in pairs)

    def without_parameters(self) -> SipUri:
        """The address alone: no password, parameters or headers."""
        return replace(self, password=None, parameters=Parameters(), headers="")

    def __str__(self) -> str:
        secret = "" if self.password is None else f":{self.password}"
        user = "" if self.user is None else f"{self.user}{secret}@"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host_port}{self.parameters}{headers}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TelUri:
    """``tel:`` (RFC 3966 3)."""

    number: str
    """As written, visual separators included."""
    parameters: Parameters = field(default_factory=Parameters)

    def __str__(self) -> str:
        return f"tel:{self.number}{self.parameters}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherUri:
    """Any other scheme, such as ``urn:service:sos``, kept whole."""

    scheme: str
    """In lower case."""
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Read one URI, without <> round it. `MalformedInput` if it breaks RFC 3261 25.1 or RFC 3966."""
    match = _SCHEME.match(text)
    if match is None or len(text) > MAX_LENGTH or _BAD.search(text):
        raise MalformedInput("this is not a URI", clause="RFC 3261 25.1", offset=0)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme == "tel":
        digits, _, tail = rest.partition(";")
        if not _NUMBER.match(digits):
            raise MalformedInput("this is not a telephone number", clause="RFC 3966 3", offset=4)
        return TelUri(number=digits, parameters=Parameters.parse(tail))
    if scheme not in ("sip", "sips"):
        return OtherUri(scheme=scheme, rest=rest)
    return _parse_sip(scheme, rest)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    userinfo, at, tail = rest.partition("@")
    if not at:
        userinfo, tail = "", rest
    user, colon, password = userinfo.partition(":")
    if at and not (_USER.match(user) and _PASSWORD.match(password)):
        raise MalformedInput("the user part breaks the grammar", clause="RFC 3261 25.1", offset=len(scheme) + 1)
    tail, _, headers = tail.partition("?")
    hostport, _, parameters = tail.partition(";")
    match = _HOST_PORT.match(hostport)
    if match is None:
        place = len(scheme) + 1 + len(userinfo) + len(at)
        raise MalformedInput("host or port breaks the grammar", clause="RFC 3261 25.1", offset=place)
    return SipUri(
        scheme=scheme,
        user=user if at else None,
        password=password if colon else None,
        host=match[1],
        port=None if match[2] is None else number(match[2], 65535, "the port", "RFC 3261 25.1"),
        parameters=Parameters.parse(parameters),
        headers=headers,
    )


def equivalent(one: Uri, other: Uri) -> bool:
    """Whether both name the same resource, by the rules of RFC 3261 19.1.4 (RFC 3966 4 for tel)."""
    if isinstance(one, SipUri) and isinstance(other, SipUri):
        return (
            (one.scheme, one.host.lower(), one.port) == (other.scheme, other.host.lower(), other.port)
            and _same(one.user, other.user)
            and _same(one.password, other.password)
            and _parameters_agree(one.parameters, other.parameters)
            and sorted((n.lower(), v) for n, v in one.header_items)
            == sorted((n.lower(), v) for n, v in other.header_items)
        )
    if isinstance(one, TelUri) and isinstance(other, TelUri):
        return _digits(one.number) == _digits(other.number) and _folded(one.parameters) == _folded(other.parameters)
    return one == other


def address_of_record(uri: Uri) -> str:
    """A key for address books: two spellings of one address give one text.

    A SIPS address and its SIP form are the same person. A global telephone number is ``tel:+…``
    in whichever form it comes (RFC 3261 19.1.6): pass through `telephone_number` for that.
    """
    if isinstance(uri, SipUri):
        user = "" if uri.user is None else _unescape(uri.user) + "@"
        port = "" if uri.port is None else f":{uri.port}"
        return f"sip:{user}{uri.host.lower()}{port}"
    if isinstance(uri, TelUri):
        return f"tel:{_digits(uri.number)}"
    return str(uri)


def telephone_number(uri: Uri) -> str | None:
    """The number without separators if `uri` is a global telephone number (``+…``), else None."""
    text = uri.number if isinstance(uri, TelUri) else ""
    if isinstance(uri, SipUri) and uri.user is not None:
        text = _unescape(uri.user).partition(";")[0]
    return _digits(text) if _GLOBAL_NUMBER.match(text) else None


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1")


def _same(one: str | None, other: str | None) -> bool:
    return one == other or (one is not None and other is not None and _unescape(one) == _unescape(other))


def _digits(text: str) -> str:
    return _SEPARATORS.sub("", text).lower()


def _folded(parameters: Parameters) -> dict[str, str | None]:
    return {name.lower(): None if value is None else _unescape(value).lower() for name, value in parameters.items}


def _parameters_agree(one: Parameters, other: Parameters) -> bool:
    left, right = _folded(one), _folded(other)
    if any((name in left) != (name in right) for name in _COMPARED):
        return False
    return all(left[name] == right[name] for name in left.keys() & right.keys())
