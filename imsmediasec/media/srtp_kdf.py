"""Session keys from a master key: RFC 3711 4.3, with the wider PRFs of RFC 6188 and the AEAD salts of RFC
7714.

The key derivation rate is 0 here: each session key is derived once. RFC 3711 4.3.2 writes the SRTCP index as
32 bits where SRTP has 48, which moves the label, and stacks differ about what that means for a rate above 0.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from imsmediasec.keys import MasterKey
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite

SRTP_ENCRYPTION, SRTP_AUTHENTICATION, SRTP_SALT = 0, 1, 2
SRTCP_ENCRYPTION, SRTCP_AUTHENTICATION, SRTCP_SALT = 3, 4, 5

_PRF_SALT_LENGTH = 14


class SessionKeys:
    """Cipher key, authentication key (empty with an AEAD) and salt of SRTP or of SRTCP, as `Secret`."""

    __slots__ = ("auth", "cipher", "salt")

    def __init__(self, cipher: Secret, auth: Secret, salt: Secret) -> None:
        self.cipher = cipher
        self.auth = auth
        self.salt = salt

    def wipe(self) -> None:
        """Overwrite the three."""
        for secret in (self.cipher, self.auth, self.salt):
            secret.wipe()


def derive_srtp(suite: SrtpSuite, master: MasterKey) -> SessionKeys:
    """The session keys of SRTP (RFC 3711 4.3.1). The lengths of `master` must fit the suite."""
    return _derive(suite, master, SRTP_ENCRYPTION, SRTP_AUTHENTICATION, SRTP_SALT)


def derive_srtcp(suite: SrtpSuite, master: MasterKey) -> SessionKeys:
    """The session keys of SRTCP (RFC 3711 4.3.2). The lengths of `master` must fit the suite."""
    return _derive(suite, master, SRTCP_ENCRYPTION, SRTCP_AUTHENTICATION, SRTCP_SALT)


def aes_cm_prf(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """`length` octets of AES-CM key stream for one label (RFC 3711 4.3.3, RFC 6188 3).

    `key`: 16, 24 or 32 octets. `salt`: up to 14 octets; a shorter one is padded with zeros on the right,
    which is what RFC 7714 (erratum 4938) asks for its 12 octets.
    """
    x = bytearray(salt.ljust(_PRF_SALT_LENGTH, b"\0"))
    x[7] ^= label
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(x) + b"\0\0")).encryptor()
    return encryptor.update(bytes(length))


def _derive(suite: SrtpSuite, master: MasterKey, encryption: int, authentication: int, salting: int) -> SessionKeys:
    key, salt = master.key.reveal(), master.salt.reveal()
    return SessionKeys(
        cipher=Secret(aes_cm_prf(key, salt, encryption, suite.key_length)),
        auth=Secret(aes_cm_prf(key, salt, authentication, suite.auth_key_length)),
        salt=Secret(aes_cm_prf(key, salt, salting, suite.salt_length)),
    )
