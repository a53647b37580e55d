"""Session keys against RFC 3711 B.3, RFC 6188 7.2 and 7.4, and libsrtp for the AEAD salts."""

import pytest

from imsmediasec import suites
from imsmediasec.keys import MasterKey
from imsmediasec.media import srtp_kdf as kdf
from imsmediasec.secret import Secret
from tests.unit.media import srtp_kit as kit

VECTORS = [kit.vectors("rfc3711.json")["derivation"] | {"suite": "AES_CM_128_HMAC_SHA1_80"}]
VECTORS += kit.vectors("rfc6188.json")["derivation"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["section"])
def test_vectors(vector):
    key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
    for label, name in ((0, "cipher_key"), (1, "auth_key"), (2, "cipher_salt")):
        expected = bytes.fromhex(vector[name])
        assert kdf.aes_cm_prf(key, salt, label, len(expected)) == expected


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["section"])
def test_srtp_keys_of_the_suite(vector):
    suite = suites.suite_by_name(vector["suite"])
    master = MasterKey(key=Secret(bytes.fromhex(vector["key"])), salt=Secret(bytes.fromhex(vector["salt"])))
    session = kdf.derive_srtp(suite, master)
    assert session.cipher.reveal().hex() == vector["cipher_key"]
    assert session.salt.reveal().hex() == vector["cipher_salt"]
    assert session.auth.reveal().hex() == vector["auth_key"][: 2 * suite.auth_key_length]


def test_srtcp_has_labels_of_its_own():
    master = kit.master(suites.AES_CM_128_HMAC_SHA1_80)
    one, other = (derive(suites.AES_CM_128_HMAC_SHA1_80, master) for derive in (kdf.derive_srtp, kdf.derive_srtcp))
    assert one.cipher != other.cipher and one.auth != other.auth and one.salt != other.salt
    assert other.cipher.reveal() == kdf.aes_cm_prf(bytes([1]) * 16, bytes([254]) * 14, 3, 16)
    assert other.auth.reveal() == kdf.aes_cm_prf(bytes([1]) * 16, bytes([254]) * 14, 4, 20)
    assert other.salt.reveal() == kdf.aes_cm_prf(bytes([1]) * 16, bytes([254]) * 14, 5, 14)


def test_a_short_salt_is_padded_on_the_right():
    key, salt = bytes(range(16)), bytes(range(100, 112))
    assert kdf.aes_cm_prf(key, salt, 0, 16) == kdf.aes_cm_prf(key, salt + b"\0\0", 0, 16)
    assert kdf.aes_cm_prf(key, salt, 0, 16) != kdf.aes_cm_prf(key, b"\0\0" + salt, 0, 16)


def test_an_aead_has_no_authentication_key_and_wipe_leaves_nothing():
    session = kdf.derive_srtp(suites.AEAD_AES_256_GCM, kit.master(suites.AEAD_AES_256_GCM))
    assert (len(session.cipher), len(session.auth), len(session.salt)) == (32, 0, 12)
    session.wipe()
    assert (len(session.cipher), len(session.auth), len(session.salt)) == (0, 0, 0)
