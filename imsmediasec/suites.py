"""The one table of SRTP crypto suites (RFC 4568 6.2, RFC 6188, RFC 7714; IANA names).

All that the library knows of a suite is its row here: lengths, tags, limits. Nothing else
branches on a suite's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Cipher(Enum):
    AES_CM = "aes-cm"
    AES_GCM = "aes-gcm"
    AES_F8 = "aes-f8"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SrtpSuite:
    """One crypto suite. Lengths are octets; lifetimes are packets of one master key."""

    name: str
    """The IANA name, as it is written on output."""
    cipher: Cipher
    key_length: int
    salt_length: int
    srtp_tag_length: int
    srtcp_tag_length: int
    auth_key_length: int
    """HMAC-SHA1 session key; 0 with an AEAD, which needs none."""
    strength: int
    """Bits of the cipher key, for comparison only."""
    max_srtp_lifetime: int = 2**48
    max_srtcp_lifetime: int = 2**31
    key_salt_length: int = field(init=False)
    """Octets of key||salt in a=crypto (RFC 4568 6.1)."""

    inline_length: int = field(init=False)
    """Characters of ``inline:`` and the key in base64, padded."""

    def __post_init__(self) -> None:
        octets = self.key_length + self.salt_length
        object.__setattr__(self, "key_salt_length", octets)
        object.__setattr__(self, "inline_length", len("inline:") + (octets + 2) // 3 * 4)

    def __repr__(self) -> str:
        return f"<SrtpSuite {self.name}>"

    def __copy__(self) -> SrtpSuite:
        return self

    def __deepcopy__(self, memo: object) -> SrtpSuite:
        return self


def _cm(name: str, key: int, tag: int, cipher: Cipher = Cipher.AES_CM) -> SrtpSuite:
    # The SRTCP tag stays 80 bits with the _32 suites (RFC 4568 6.2, table; RFC 6188 4).
    return SrtpSuite(
        name=name,
        cipher=cipher,
        key_length=key,
        salt_length=14,
        srtp_tag_length=tag,
        srtcp_tag_length=10,
        auth_key_length=20,
        strength=key * 8,
    )


def _gcm(name: str, key: int) -> SrtpSuite:
    return SrtpSuite(
        name=name,
        cipher=Cipher.AES_GCM,
        key_length=key,
        salt_length=12,
        srtp_tag_length=16,
        srtcp_tag_length=16,
        auth_key_length=0,
        strength=key * 8,
    )


AES_CM_128_HMAC_SHA1_80 = _cm("AES_CM_128_HMAC_SHA1_80", 16, 10)
AES_CM_128_HMAC_SHA1_32 = _cm("AES_CM_128_HMAC_SHA1_32", 16, 4)
F8_128_HMAC_SHA1_80 = _cm("F8_128_HMAC_SHA1_80", 16, 10, Cipher.AES_F8)
AES_192_CM_HMAC_SHA1_80 = _cm("AES_192_CM_HMAC_SHA1_80", 24, 10)
AES_192_CM_HMAC_SHA1_32 = _cm("AES_192_CM_HMAC_SHA1_32", 24, 4)
AES_256_CM_HMAC_SHA1_80 = _cm("AES_256_CM_HMAC_SHA1_80", 32, 10)
AES_256_CM_HMAC_SHA1_32 = _cm("AES_256_CM_HMAC_SHA1_32", 32, 4)
AEAD_AES_128_GCM = _gcm("AEAD_AES_128_GCM", 16)
AEAD_AES_256_GCM = _gcm("AEAD_AES_256_GCM", 32)

ALL_SUITES: tuple[SrtpSuite, ...] = (
    AEAD_AES_256_GCM,
    AEAD_AES_128_GCM,
    AES_256_CM_HMAC_SHA1_80,
    AES_192_CM_HMAC_SHA1_80,
    AES_CM_128_HMAC_SHA1_80,
    AES_256_CM_HMAC_SHA1_32,
    AES_192_CM_HMAC_SHA1_32,
    AES_CM_128_HMAC_SHA1_32,
    F8_128_HMAC_SHA1_80,
)
"""Every suite with a row, strongest first, 80-bit tags before 32-bit ones."""

DEFAULT_PREFERENCE: tuple[SrtpSuite, ...] = (AEAD_AES_256_GCM, AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80)
"""What an offer lists unless the policy says otherwise. 32-bit tags only where configured."""

# Spellings of older drafts that peers still send; input only (RFC 6188 and IANA have the others).
_ALIASES = {
    "AES_CM_192_HMAC_SHA1_80": AES_192_CM_HMAC_SHA1_80,
    "AES_CM_192_HMAC_SHA1_32": AES_192_CM_HMAC_SHA1_32,
    "AES_CM_256_HMAC_SHA1_80": AES_256_CM_HMAC_SHA1_80,
    "AES_CM_256_HMAC_SHA1_32": AES_256_CM_HMAC_SHA1_32,
    "AEAD_AES_128_GCM_16": AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM_16": AEAD_AES_256_GCM,
}
_BY_NAME = {suite.name: suite for suite in ALL_SUITES} | _ALIASES


def suite_by_name(name: str) -> SrtpSuite | None:
    """The suite of that IANA name or old alias, or None. Names are case-sensitive (RFC 4568 9.1)."""
    return _BY_NAME.get(name)
