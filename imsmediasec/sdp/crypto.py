"""The a=crypto attribute: SDP security descriptions (RFC 4568 section 9)."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from dataclasses import dataclass

from imsmediasec.errors import MalformedInput
from imsmediasec.keys import DEFAULT_PARAMS, SessionParams
from imsmediasec.policy import Quirk
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite, suite_by_name

# 9.1: tag 1*WSP crypto-suite 1*WSP key-params *(1*WSP session-param). A blank behind the colon and
# at the end come from real peers and change nothing.
_ATTRIBUTE = re.compile(r"[ \t]*(\d{1,9})[ \t]+([A-Za-z0-9_]+)[ \t]+([!-~]+)((?:[ \t]+[!-~]+)*)[ \t]*\Z")
# 9.2: key-salt ["|" lifetime] ["|" mki]
_KEY_INFO = re.compile(r"([A-Za-z0-9+/]+={0,2})(?:\|(2\^)?(\d{1,20}))?(?:\|(\d{1,400}):(\d{1,3}))?(\|)?\Z")
_FEC_ORDERS = ("FEC_SRTP", "SRTP_FEC")
_MAX_WINDOW_DIGITS = 9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InlineKey:
    """One ``inline:`` key parameter (6.1)."""

    key_salt: Secret
    """Master key and master salt, concatenated."""
    lifetime: int | None = None
    """Packets, or None if not written."""
    mki: int | None = None
    mki_length: int | None = None
    """Octets of the MKI field, 1 to 128."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CryptoAttribute:
    """One a=crypto line."""

    tag: int
    suite: SrtpSuite | None
    """None: a suite we do not know. It parses, but cannot be chosen."""
    suite_name: str
    keys: tuple[InlineKey, ...]
    session_params: tuple[str, ...] = ()
    """As written, in order."""
    params: SessionParams = DEFAULT_PARAMS
    """The typed form of those that SRTP defines (6.3.1 to 6.3.3, 6.3.6)."""
    fec: bool = False
    """FEC_ORDER or FEC_KEY is present (6.3.4, 6.3.5)."""
    unknown_params: tuple[str, ...] = ()
    """Extensions without "-" that we do not know: the line must not be chosen (6.3.7)."""
    quirks: tuple[Quirk, ...] = ()
    """Deviations that made this line readable only with goodwill."""

    @classmethod
    def parse(cls, line: str) -> CryptoAttribute:
        """Read a whole line, "a=crypto:1 …". Raises MalformedInput."""
        line = line.rstrip("\r\n")
        if not line.startswith("a=crypto:"):
            raise MalformedInput("not an a=crypto line", clause="RFC 4568 9.1", offset=0)
        return cls.parse_value(line[9:])

    @classmethod
    def parse_value(cls, value: str) -> CryptoAttribute:
        """Read what stands behind "a=crypto:". Raises MalformedInput."""
        match = _ATTRIBUTE.match(value)
        if match is None:
            raise MalformedInput("a=crypto needs a tag, a suite and key parameters", clause="RFC 4568 9.1")
        tag, suite_name, key_params, rest = match.groups()
        suite = suite_by_name(suite_name)
        quirks: list[Quirk] = []
        if tag[0] == "0" and len(tag) > 1:
            quirks.append(Quirk.TAG_LEADING_ZERO)
        keys = _parse_keys(key_params, suite, quirks)
        if not rest:
            return cls(
                tag=int(tag), suite=suite, suite_name=suite_name, keys=keys, quirks=tuple(quirks) if quirks else ()
            )
        written = tuple(rest.split())
        params, fec, unknown = _parse_session_params(written)
        return cls(
            tag=int(tag),
            suite=suite,
            suite_name=suite_name,
            keys=keys,
            session_params=written,
            params=params,
            fec=fec,
            unknown_params=unknown,
            quirks=tuple(quirks),
        )

    def value(self) -> str:
        """What to write behind "a=crypto:". Secret: it holds the keys."""
        keys = ";".join(_format_key(key) for key in self.keys)
        return " ".join((str(self.tag), self.suite_name, keys, *self.session_params))

    def __str__(self) -> str:
        return f"a=crypto:{self.tag} {self.suite_name} inline:<redacted>"


def _parse_keys(key_params: str, suite: SrtpSuite | None, quirks: list[Quirk]) -> tuple[InlineKey, ...]:
    if ";" not in key_params:
        return (_parse_key(key_params, suite, quirks),)
    keys = tuple(_parse_key(param, suite, quirks) for param in key_params.split(";"))
    # 6.1: with several keys each has an MKI, all of one length, no value twice.
    mkis = {key.mki for key in keys}
    if None in mkis or len(mkis) != len(keys) or len({key.mki_length for key in keys}) != 1:
        raise MalformedInput("several keys need distinct MKIs of one length", clause="RFC 4568 6.1")
    return keys


def _parse_key(param: str, suite: SrtpSuite | None, quirks: list[Quirk]) -> InlineKey:
    method, colon, info = param.partition(":")
    if not colon or method != "inline":
        raise MalformedInput("the key method of SRTP is inline", clause="RFC 4568 6.1")
    match = _KEY_INFO.match(info)
    if match is None:
        raise MalformedInput("an inline key is base64, then lifetime and MKI", clause="RFC 4568 9.2")
    text, power, lifetime_text, mki_text, mki_length_text, dangling = match.groups()
    if dangling:
        quirks.append(Quirk.EMPTY_KEY_PARAMETER)
    missing = -len(text) % 4
    if missing:
        quirks.append(Quirk.UNPADDED_BASE64)
        text = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        key_salt = a2b_base64(text, strict_mode=True)
    except Base64Error:
        raise MalformedInput("the key is not base64", clause="RFC 4568 6.1") from None
    if suite is not None and len(key_salt) != suite.key_salt_length:
        raise MalformedInput(
            f"{suite.name} takes {suite.key_salt_length} octets of key and salt, not {len(key_salt)}",
            clause="RFC 4568 6.1",
        )
    if lifetime_text is None and mki_text is None:
        return InlineKey(key_salt=Secret(key_salt))
    lifetime = None
    if lifetime_text is not None:
        lifetime = _lifetime(power is not None, int(lifetime_text), quirks, suite)
    mki = mki_length = None
    if mki_text is not None:
        mki, mki_length = int(mki_text), int(mki_length_text)
        if not 1 <= mki_length <= 128 or mki >= 1 << (8 * mki_length):
            raise MalformedInput("an MKI has 1 to 128 octets, and its value fits", clause="RFC 4568 6.1")
    return InlineKey(key_salt=Secret(key_salt), lifetime=lifetime, mki=mki, mki_length=mki_length)


def _lifetime(power: bool, number: int, quirks: list[Quirk], suite: SrtpSuite | None) -> int:
    # 6.1 and RFC 3711 9.2: at most 2^48 SRTP packets (2^31 SRTCP, which the SRTP layer caps by itself).
    maximum = 2**48 if suite is None else suite.max_srtp_lifetime
    value = 0 if power and number > 48 else 1 << number if power else number
    if 1 <= value <= maximum:
        return value
    quirks.append(Quirk.LIFETIME_OUT_OF_RANGE)
    return maximum


def _parse_session_params(written: tuple[str, ...]) -> tuple[SessionParams, bool, tuple[str, ...]]:
    kdr, window, fec = 0, 64, False
    flags = {"UNENCRYPTED_SRTP": False, "UNENCRYPTED_SRTCP": False, "UNAUTHENTICATED_SRTP": False}
    unknown: list[str] = []
    seen: set[str] = set()
    for param in written:
        name, equals, value = param.partition("=")
        if name in seen and name in ("KDR", "WSH", "FEC_ORDER", "FEC_KEY", *flags):
            raise MalformedInput(f"session parameter {name} stands twice", clause="RFC 4568 6.3")
        seen.add(name)
        if param in flags:
            flags[param] = True
        elif name == "KDR" and equals:
            if not (value.isascii() and value.isdigit() and len(value) <= 2 and int(value) <= 24):
                raise MalformedInput("KDR is 0 to 24", clause="RFC 4568 6.3.1")
            kdr = int(value)
        elif name == "WSH" and equals:
            if not (value.isascii() and value.isdigit() and len(value) <= _MAX_WINDOW_DIGITS and int(value) >= 64):
                raise MalformedInput("WSH is at least 64", clause="RFC 4568 6.3.6")
            window = int(value)
        elif name == "FEC_ORDER" and equals:
            if value not in _FEC_ORDERS:
                raise MalformedInput("FEC_ORDER is FEC_SRTP or SRTP_FEC", clause="RFC 4568 6.3.4")
            fec = True
        elif name == "FEC_KEY" and equals:
            fec = True
        elif not param.startswith("-"):
            unknown.append(name)
    if not (kdr or window != 64 or any(flags.values())):
        return DEFAULT_PARAMS, fec, tuple(unknown)
    params = SessionParams(
        kdr=kdr,
        window_size_hint=window,
        unencrypted_srtp=flags["UNENCRYPTED_SRTP"],
        unencrypted_srtcp=flags["UNENCRYPTED_SRTCP"],
        unauthenticated_srtp=flags["UNAUTHENTICATED_SRTP"],
    )
    return params, fec, tuple(unknown)


def _format_key(key: InlineKey) -> str:
    text = "inline:" + b64encode(key.key_salt.reveal()).decode()
    if key.lifetime is not None:
        exponent = key.lifetime.bit_length() - 1
        text += f"|2^{exponent}" if key.lifetime == 1 << exponent and exponent else f"|{key.lifetime}"
    if key.mki is not None:
        text += f"|{key.mki}:{key.mki_length}"
    return text
