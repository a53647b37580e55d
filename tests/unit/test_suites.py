"""The suite table against RFC 4568 6.2, RFC 6188 2 and RFC 7714 12."""

import copy

import pytest

from imsmediasec import suites

# name, key and salt octets (RFC 4568 6.1), SRTP tag, SRTCP tag, HMAC key
TABLE = [
    ("AES_CM_128_HMAC_SHA1_80", 30, 10, 10, 20),
    ("AES_CM_128_HMAC_SHA1_32", 30, 4, 10, 20),
    ("F8_128_HMAC_SHA1_80", 30, 10, 10, 20),
    ("AES_192_CM_HMAC_SHA1_80", 38, 10, 10, 20),
    ("AES_192_CM_HMAC_SHA1_32", 38, 4, 10, 20),
    ("AES_256_CM_HMAC_SHA1_80", 46, 10, 10, 20),
    ("AES_256_CM_HMAC_SHA1_32", 46, 4, 10, 20),
    ("AEAD_AES_128_GCM", 28, 16, 16, 0),
    ("AEAD_AES_256_GCM", 44, 16, 16, 0),
]


@pytest.mark.parametrize(("name", "length", "tag", "rtcp_tag", "auth"), TABLE)
def test_row(name: str, length: int, tag: int, rtcp_tag: int, auth: int) -> None:
    """Lengths are those of the RFCs."""
    suite = suites.suite_by_name(name)
    assert suite is not None
    assert suite.name == name
    assert suite.key_salt_length == length
    assert (suite.srtp_tag_length, suite.srtcp_tag_length, suite.auth_key_length) == (tag, rtcp_tag, auth)
    assert (suite.max_srtp_lifetime, suite.max_srtcp_lifetime) == (2**48, 2**31)
    assert suite.strength == suite.key_length * 8
    assert repr(suite) == f"<SrtpSuite {name}>"


def test_all_suites_are_in_the_table() -> None:
    """No row is untested, and the default preference is a part of it."""
    assert {suite.name for suite in suites.ALL_SUITES} == {row[0] for row in TABLE}
    assert set(suites.DEFAULT_PREFERENCE) <= set(suites.ALL_SUITES)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("AES_CM_256_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"),
        ("AES_CM_192_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_32"),
        ("AEAD_AES_128_GCM_16", "AEAD_AES_128_GCM"),
    ],
)
def test_alias(alias: str, name: str) -> None:
    """Old spellings are understood."""
    suite = suites.suite_by_name(alias)
    assert suite is not None and suite.name == name


def test_unknown_and_copies() -> None:
    """Other names and other case give None; a suite is itself wherever it is copied to."""
    assert suites.suite_by_name("aead_aes_128_gcm") is None
    assert copy.copy(suites.AEAD_AES_128_GCM) is suites.AEAD_AES_128_GCM
    assert copy.deepcopy([suites.AEAD_AES_128_GCM])[0] is suites.AEAD_AES_128_GCM
