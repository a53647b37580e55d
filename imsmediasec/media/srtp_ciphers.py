"""The two additive ciphers of RFC 3711: AES in counter mode (4.1.1) and in f8-mode (4.1.2).

Both XOR a key stream, so that one function encrypts and decrypts.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class AdditiveCipher(Protocol):
    """A key stream for one session key."""

    def rtp(self, payload: bytes, header: bytes, index: int) -> bytes:
        """`header`: at least the 12 fixed octets of RTP; `index`: 48 bits."""

    def rtcp(self, payload: bytes, header: bytes, index: int) -> bytes:
        """`header`: the first 8 octets of the compound packet; `index`: 31 bits, the E flag is taken as
        set."""


class CounterMode:
    """AES-CM with a 128, 192 or 256 bit session key and a 112 bit session salt (RFC 3711 4.1.1, RFC 6188
    2)."""

    __slots__ = ("_encryptor", "_salt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        self._salt = int.from_bytes(salt, "big") << 16

    def rtp(self, payload: bytes, header: bytes, index: int) -> bytes:
        return self._apply(payload, int.from_bytes(header[8:12], "big"), index)

    def rtcp(self, payload: bytes, header: bytes, index: int) -> bytes:
        return self._apply(payload, int.from_bytes(header[4:8], "big"), index)

    def _apply(self, payload: bytes, ssrc: int, index: int) -> bytes:
        counter = self._salt ^ ssrc << 64 ^ index << 16
        self._encryptor.reset_nonce(counter.to_bytes(16, "big"))
        return self._encryptor.update(payload)


class F8Mode:
    """AES-f8 with a 128 bit session key. The salt is up to 16 octets long, 14 by the key derivation."""

    __slots__ = ("_encrypt", "_mask_encrypt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        masked = _xor(key, salt.ljust(len(key), b"\x55"))
        self._encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
        self._mask_encrypt = Cipher(algorithms.AES(masked), modes.ECB()).encryptor().update

    def rtp(self, payload: bytes, header: bytes, index: int) -> bytes:
        return self._apply(payload, b"\0" + header[1:12] + (index >> 16).to_bytes(4, "big"))

    def rtcp(self, payload: bytes, header: bytes, index: int) -> bytes:
        return self._apply(payload, bytes(4) + (1 << 31 | index).to_bytes(4, "big") + header[:8])

    def _apply(self, payload: bytes, iv: bytes) -> bytes:
        base = int.from_bytes(self._mask_encrypt(iv), "big")
        blocks = []
        last = 0
        for counter in range((len(payload) + 15) // 16):
            block = self._encrypt((base ^ counter ^ last).to_bytes(16, "big"))
            last = int.from_bytes(block, "big")
            blocks.append(block)
        return _xor(payload, b"".join(blocks)[: len(payload)])


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
