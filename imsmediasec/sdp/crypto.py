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
from imsmediasec.records import filler, quick_init
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite, suite_by_name

# 9.2: key-salt ["|" lifetime] ["|" mki]. No leading zeroes (6.1); a lifetime of 0 is judged apart, as is a last "|".
_KEY = r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(2\^)?(0|[1-9]\d{0,19}))?(?:\|([1-9]\d{0,399}):([1-9]\d{0,2}))?(\|)?"
_KEY_PARAM = re.compile(_KEY + r"\Z", re.ASCII)
# 9.1: tag 1*WSP crypto-suite 1*WSP key-params *(1*WSP session-param). A blank behind the colon and
# at the end come from real peers and change nothing.
_HEAD = r"[ \t]*(\d{1,9})[ \t]+([A-Za-z0-9_]+)[ \t]+"
_TAIL = r"((?:[ \t]+[!-~]+)*)[ \t]*\Z"
_ATTRIBUTE = re.compile(_HEAD + _KEY + r"((?:;[!-:<-~]*)*)" + _TAIL, re.ASCII)
_OUTLINE = re.compile(_HEAD + r"([!-~]+)" + _TAIL, re.ASCII)
_KDR = re.compile(r"(?:\d|1\d|2[0-4])\Z", re.ASCII)
_WSH = re.compile(r"\d{2,9}\Z", re.ASCII)
_FLAGS = ("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP")
_VALUED = ("KDR=", "WSH=", "FEC_ORDER=", "FEC_KEY=")


@quick_init
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


@quick_init
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
        return read_plain(value) or cls.by_grammar(value)

    @classmethod
    def by_grammar(cls, value: str) -> CryptoAttribute:
        """The same without the short way for simple values."""
        match = _ATTRIBUTE.match(value)
        if match is None:
            raise _fault(value)
        tag, suite_name, key_salt, power, lifetime, mki, mki_length, dangling, more, written = match.groups()
        suite = suite_by_name(suite_name)
        quirks: list[Quirk] = []
        if tag[0] == "0" and len(tag) > 1:
            quirks.append(Quirk.TAG_LEADING_ZERO)
        keys: tuple[InlineKey, ...] = (_read_key(suite, quirks, key_salt, power, lifetime, mki, mki_length, dangling),)
        if more:
            keys = _further_keys(keys[0], more, suite, quirks)
        session_params = tuple(written.split()) if written else ()
        return cls(
            tag=int(tag),
            suite=suite,
            suite_name=suite_name,
            keys=keys,
            session_params=session_params,
            params=_read_session_params(session_params) if session_params else DEFAULT_PARAMS,
            quirks=tuple(dict.fromkeys(quirks)) if quirks else (),
        )

    @property
    def fec(self) -> bool:
        """FEC_ORDER or FEC_KEY is present (6.3.4, 6.3.5)."""
        return any(param.startswith(("FEC_ORDER=", "FEC_KEY=")) for param in self.session_params)

    @property
    def unknown_params(self) -> tuple[str, ...]:
        """Extensions without "-" that we do not know: the line must not be chosen (6.3.7)."""
        return tuple(
            param.partition("=")[0]
            for param in self.session_params
            if not param.startswith(("-", *_VALUED)) and param not in _FLAGS
        )

    def value(self) -> str:
        """What to write behind "a=crypto:". Secret: it holds the keys."""
        keys = ";".join(_format_key(key) for key in self.keys)
        return " ".join((str(self.tag), self.suite_name, keys, *self.session_params))

    def __str__(self) -> str:
        return f"a=crypto:{self.tag} {self.suite_name} inline:<redacted>"


_COMMON_TAGS = {str(number): number for number in range(100)}
_new_key = filler(InlineKey)
_new_attribute = filler(CryptoAttribute)


def read_plain(value: str) -> CryptoAttribute | None:
    """The attribute, if it has the form of nearly all: tag, suite and one key of the right length with nothing behind
    it. What this does not see is for the grammar to judge."""
    parts = value.split(" ")
    if len(parts) != 3:
        return None
    tag, suite_name, key = parts
    number, suite = _COMMON_TAGS.get(tag), suite_by_name(suite_name)
    if number is None or suite is None or len(key) != suite.inline_length or not key.startswith("inline:"):
        return None
    try:
        key_salt = a2b_base64(key[7:], strict_mode=True)
    except ValueError:  # not base64, or not even ASCII
        return None
    if len(key_salt) != suite.key_salt_length:
        return None
    keys = (_new_key(Secret(key_salt), None, None, None),)
    return _new_attribute(number, suite, suite_name, keys, (), DEFAULT_PARAMS, ())


def _fault(value: str) -> MalformedInput:
    """Why a value does not match: outline, method or key."""
    outline = _OUTLINE.match(value)
    if outline is None:
        return MalformedInput("a=crypto needs a tag, a suite and key parameters", clause="RFC 4568 9.1")
    return _key_fault(*outline[3].split(";"))


def _key_fault(*params: str) -> MalformedInput:
    if not all(param.startswith("inline:") for param in params):
        return MalformedInput("the key method of SRTP is inline", clause="RFC 4568 6.1")
    return MalformedInput("an inline key is base64, then lifetime and MKI", clause="RFC 4568 9.2")


def _further_keys(first: InlineKey, more: str, suite: SrtpSuite | None, quirks: list[Quirk]) -> tuple[InlineKey, ...]:
    """All keys of a line that has several: the first, and those in ";inline:…;inline:…"."""
    keys = [first]
    for param in more[1:].split(";"):
        match = _KEY_PARAM.match(param)
        if match is None:
            raise _key_fault(param)
        keys.append(_read_key(suite, quirks, *match.groups()))
    # 6.1: with several keys each has an MKI, all of one length, no value twice.
    mkis = {key.mki for key in keys}
    if None in mkis or len(mkis) != len(keys) or len({key.mki_length for key in keys}) != 1:
        raise MalformedInput("several keys need distinct MKIs of one length", clause="RFC 4568 6.1")
    return tuple(keys)


def _read_key(
    suite: SrtpSuite | None,
    quirks: list[Quirk],
    text: str,
    power: str | None,
    lifetime_text: str | None,
    mki_text: str | None,
    mki_length_text: str,
    dangling: str | None,
) -> InlineKey:
    """One key from the fields of `_KEY`; what took goodwill is added to `quirks`."""
    if dangling:
        quirks.append(Quirk.EMPTY_KEY_PARAMETER)
    if len(text) % 4:
        quirks.append(Quirk.UNPADDED_BASE64)
        text = text.rstrip("=")
        text += "=" * (-len(text) % 4)
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
    lifetime = mki = mki_length = None
    if lifetime_text is not None:
        lifetime = _lifetime(power is not None, int(lifetime_text), suite, quirks)
    if mki_text is not None:
        mki, mki_length = int(mki_text), int(mki_length_text)
        if mki_length > 128 or mki >= 1 << (8 * mki_length):
            raise MalformedInput("an MKI has 1 to 128 octets, and its value fits", clause="RFC 4568 6.1")
    return InlineKey(key_salt=Secret(key_salt), lifetime=lifetime, mki=mki, mki_length=mki_length)


def _lifetime(power: bool, number: int, suite: SrtpSuite | None, quirks: list[Quirk]) -> int:
    # 6.1 and RFC 3711 9.2: at most 2^48 SRTP packets (2^31 SRTCP, which the SRTP layer caps by itself).
    maximum = 2**48 if suite is None else suite.max_srtp_lifetime
    value = 0 if power and number > 48 else 1 << number if power else number
    if 1 <= value <= maximum:
        return value
    quirks.append(Quirk.LIFETIME_OUT_OF_RANGE)
    return maximum


def _read_session_params(written: tuple[str, ...]) -> SessionParams:
    """6.3: the typed form. Raises MalformedInput for a known parameter with a wrong value, or twice."""
    kdr, window = 0, 64
    seen: set[str] = set()
    for param in written:
        name, equals, value = param.partition("=")
        if param not in _FLAGS and name + equals not in _VALUED:
            continue
        if name in seen:
            raise MalformedInput(f"session parameter {name} stands twice", clause="RFC 4568 6.3")
        seen.add(name)
        if name == "KDR":
            if not _KDR.match(value):
                raise MalformedInput("KDR is 0 to 24", clause="RFC 4568 6.3.1")
            kdr = int(value)
        elif name == "WSH":
            if not _WSH.match(value) or int(value) < 64:
                raise MalformedInput("WSH is at least 64", clause="RFC 4568 6.3.6")
            window = int(value)
        elif name == "FEC_ORDER" and value not in ("FEC_SRTP", "SRTP_FEC"):
            raise MalformedInput("FEC_ORDER is FEC_SRTP or SRTP_FEC", clause="RFC 4568 6.3.4")
    if not kdr and window == 64 and seen.isdisjoint(_FLAGS):
        return DEFAULT_PARAMS
    return SessionParams(
        kdr=kdr,
        window_size_hint=window,
        unencrypted_srtp="UNENCRYPTED_SRTP" in seen,
        unencrypted_srtcp="UNENCRYPTED_SRTCP" in seen,
        unauthenticated_srtp="UNAUTHENTICATED_SRTP" in seen,
    )


def _format_key(key: InlineKey) -> str:
    text = "inline:" + b64encode(key.key_salt.reveal()).decode()
    if key.lifetime is not None:
        exponent = key.lifetime.bit_length() - 1
        text += f"|2^{exponent}" if key.lifetime == 1 << exponent and exponent else f"|{key.lifetime}"
    if key.mki is not None:
        text += f"|{key.mki}:{key.mki_length}"
    return text
