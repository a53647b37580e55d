"""How one packet of known index is sealed and opened: cipher with HMAC-SHA1 (RFC 3711 4), AEAD (RFC 7714 8,
9).

A transform keeps no state but its keys; which index a packet has, and whether it was seen, is decided above
it. Packets here carry no MKI. SRTCP packets end with the E flag and index, before (HMAC) or behind (AEAD) the
tag.
"""

from __future__ import annotations

import hmac
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imsmediasec.errors import AuthenticationFailed, MalformedInput
from imsmediasec.keys import SessionParams
from imsmediasec.media.srtp_ciphers import AdditiveCipher, CounterMode, F8Mode
from imsmediasec.media.srtp_kdf import SessionKeys
from imsmediasec.media.srtp_packet import check_rtcp, rtp_header_length
from imsmediasec.suites import Cipher, SrtpSuite

_ENCRYPTED = 1 << 31
_INDEX = 4


class Transform(Protocol):
    """Seals and opens packets of one session key. `index`: 48 bits for SRTP, 31 bits for SRTCP."""

    def seal_rtp(self, packet: bytes, index: int) -> bytes:
        """Raises MalformedInput, LocalError."""

    def open_rtp(self, packet: bytes, index: int) -> bytes:
        """Raises MalformedInput, AuthenticationFailed, LocalError."""

    def seal_rtcp(self, packet: bytes, index: int) -> bytes: ...

    def open_rtcp(self, packet: bytes) -> bytes: ...

    def rtcp_index(self, packet: bytes) -> int:
        """The index that an SRTCP packet names; nothing is verified yet. Raises MalformedInput,
        LocalError."""


def build_transform(suite: SrtpSuite, params: SessionParams, keys: SessionKeys, tag_length: int) -> Transform:
    """The transform of a suite, for SRTP or SRTCP as `keys` and `tag_length` (octets) say."""
    key, salt = keys.cipher.reveal(), keys.salt.reveal()
    if suite.cipher is Cipher.AES_GCM:
        return AeadTransform(key, salt, params)
    cipher = (F8Mode if suite.cipher is Cipher.AES_F8 else CounterMode)(key, salt)
    return HmacTransform(cipher, keys.auth.reveal(), tag_length, params)


class HmacTransform:
    """An additive cipher, then HMAC-SHA1 cut to the tag length (RFC 3711 4.2.1)."""

    __slots__ = ("_auth_key", "_cipher", "_encrypt_rtcp", "_encrypt_rtp", "_rtp_tag", "_tag")

    def __init__(self, cipher: AdditiveCipher, auth_key: bytes, tag_length: int, params: SessionParams) -> None:
        self._cipher = cipher
        self._auth_key = auth_key
        self._tag = tag_length
        self._rtp_tag = 0 if params.unauthenticated_srtp else tag_length
        self._encrypt_rtp = not params.unencrypted_srtp
        self._encrypt_rtcp = not params.unencrypted_srtcp

    def seal_rtp(self, packet: bytes, index: int) -> bytes:
        sealed = self._cipher_rtp(packet, index)
        return sealed + self._mac(sealed + (index >> 16).to_bytes(4, "big"), self._rtp_tag)

    def open_rtp(self, packet: bytes, index: int) -> bytes:
        end = len(packet) - self._rtp_tag
        sealed = packet[: max(end, 0)]
        rtp_header_length(sealed)
        _verify(packet[end:], self._mac(sealed + (index >> 16).to_bytes(4, "big"), self._rtp_tag))
        return self._cipher_rtp(sealed, index)

    def seal_rtcp(self, packet: bytes, index: int) -> bytes:
        check_rtcp(packet)
        if self._encrypt_rtcp:
            packet = packet[:8] + self._cipher.rtcp(packet[8:], packet[:8], index)
            index |= _ENCRYPTED
        sealed = packet + index.to_bytes(_INDEX, "big")
        return sealed + self._mac(sealed, self._tag)

    def open_rtcp(self, packet: bytes) -> bytes:
        index = self.rtcp_index(packet)
        end = len(packet) - self._tag
        _verify(packet[end:], self._mac(packet[:end], self._tag))
        header, body, word = packet[:8], packet[8 : end - _INDEX], packet[end - _INDEX]
        _check_flag(word, self._encrypt_rtcp)
        return header + (self._cipher.rtcp(body, header, index) if self._encrypt_rtcp else body)

    def rtcp_index(self, packet: bytes) -> int:
        check_rtcp(packet, _INDEX + self._tag)
        end = len(packet) - self._tag
        return int.from_bytes(packet[end - _INDEX : end], "big") & ~_ENCRYPTED

    def _cipher_rtp(self, packet: bytes, index: int) -> bytes:
        length = rtp_header_length(packet)
        if not self._encrypt_rtp:
            return packet
        return packet[:length] + self._cipher.rtp(packet[length:], packet[:12], index)

    def _mac(self, data: bytes, length: int) -> bytes:
        return hmac.digest(self._auth_key, data, "sha1")[:length]


class AeadTransform:
    """AES-GCM with a 16 octet tag. What is not to be encrypted is associated data (RFC 7714 8.2, 9.3)."""

    __slots__ = ("_aead", "_encrypt_rtcp", "_encrypt_rtp", "_salt")

    _TAG = 16

    def __init__(self, key: bytes, salt: bytes, params: SessionParams) -> None:
        self._aead = AESGCM(key)
        self._salt = int.from_bytes(salt, "big")
        self._encrypt_rtp = not params.unencrypted_srtp
        self._encrypt_rtcp = not params.unencrypted_srtcp

    def seal_rtp(self, packet: bytes, index: int) -> bytes:
        length = rtp_header_length(packet)
        clear = packet[:length] if self._encrypt_rtp else packet
        return clear + self._aead.encrypt(self._nonce(packet[8:12], index), packet[len(clear) :], clear)

    def open_rtp(self, packet: bytes, index: int) -> bytes:
        length = rtp_header_length(packet)
        if len(packet) < length + self._TAG:
            raise MalformedInput("SRTP packet ends within its tag", clause="RFC 7714 8.2", offset=len(packet))
        clear = packet[: length if self._encrypt_rtp else -self._TAG]
        return clear + self._decrypt(self._nonce(packet[8:12], index), packet[len(clear) :], clear)

    def seal_rtcp(self, packet: bytes, index: int) -> bytes:
        check_rtcp(packet)
        nonce = self._nonce(packet[4:8], index)
        if self._encrypt_rtcp:
            word = (index | _ENCRYPTED).to_bytes(_INDEX, "big")
            return packet[:8] + self._aead.encrypt(nonce, packet[8:], packet[:8] + word) + word
        word = index.to_bytes(_INDEX, "big")
        return packet + self._aead.encrypt(nonce, b"", packet + word) + word

    def open_rtcp(self, packet: bytes) -> bytes:
        index = self.rtcp_index(packet)
        end = len(packet) - _INDEX
        word = packet[end:]
        clear = 8 if self._encrypt_rtcp else end - self._TAG
        header = packet[:clear]
        opened = self._decrypt(self._nonce(packet[4:8], index), packet[clear:end], header + word)
        _check_flag(word[0], self._encrypt_rtcp)
        return header + opened

    def rtcp_index(self, packet: bytes) -> int:
        check_rtcp(packet, _INDEX + self._TAG)
        return int.from_bytes(packet[-_INDEX:], "big") & ~_ENCRYPTED

    def _nonce(self, ssrc: bytes, index: int) -> bytes:
        return (self._salt ^ int.from_bytes(ssrc, "big") << 48 ^ index).to_bytes(12, "big")

    def _decrypt(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        try:
            return self._aead.decrypt(nonce, sealed, associated)
        except InvalidTag:
            raise AuthenticationFailed("authentication tag does not verify", clause="RFC 7714 7.2") from None


def _verify(received: bytes, computed: bytes) -> None:
    if not hmac.compare_digest(received, computed):
        raise AuthenticationFailed("authentication tag does not verify", clause="RFC 3711 4.2")


def _check_flag(octet: int, encrypted: bool) -> None:
    if bool(octet & 0x80) is not encrypted:
        raise AuthenticationFailed("E flag of SRTCP differs from what was agreed", clause="RFC 4568 6.3.2")
