"""The judge: what a captured media packet is, and whose keys open it.

SRTP and SRTCP written from RFC 3711, 6188 and 7714 on AES and HMAC alone, so that it shares no line, and no mistake,
with the library.
"""

import base64
import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from hashlib import sha1

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .tones import looks_like_sound


@dataclass(frozen=True)
class Suite:
    """The sizes of one suite, in bytes."""

    key: int
    salt: int
    tag: int
    rtcp_tag: int
    aead: bool


SUITES = {
    **{
        f"AES_{prefix}HMAC_SHA1_{tag}": Suite(key, 14, tag // 8, 10, False)
        for prefix, key in (("CM_128_", 16), ("192_CM_", 24), ("256_CM_", 32))
        for tag in (80, 32)
    },
    "AEAD_AES_128_GCM": Suite(16, 12, 16, 16, True),
    "AEAD_AES_256_GCM": Suite(32, 12, 16, 16, True),
}


def _counter_stream(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(data)


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class Key:
    """A master key and salt, as SDES carries them, and the session keys derived from it (RFC 3711 4.3, KDR 0)."""

    suite_name: str
    key_salt: bytes = field(repr=False)
    mki_length: int = 0

    @classmethod
    def from_crypto(cls, line: str) -> "Key":
        """From an `a=crypto` line, or its value; the first inline key counts."""
        _, suite, inline, *_ = line.strip().removeprefix("a=").removeprefix("crypto:").split()
        first, *rest = inline.split(";")[0].removeprefix("inline:").split("|")
        mki_length = next((int(part.split(":")[1]) for part in rest if ":" in part), 0)
        return cls(suite, base64.b64decode(first + "=" * (-len(first) % 4)), mki_length)

    @property
    def suite(self) -> Suite:
        """The sizes."""
        return SUITES[self.suite_name]

    def _derive(self, label: int, length: int) -> bytes:
        master, salt = self.key_salt[: self.suite.key], self.key_salt[self.suite.key :]
        if len(salt) != self.suite.salt:
            raise ValueError(f"{self.suite_name} needs {self.suite.key + self.suite.salt} bytes of key and salt")
        start = bytearray(salt.ljust(14, b"\0") + b"\0\0")
        start[7] ^= label
        return _counter_stream(master, bytes(start), bytes(length))

    @cached_property
    def session(self) -> tuple[bytes, bytes, bytes]:
        """Cipher key, authentication key, salt of SRTP."""
        return self._derive(0, self.suite.key), self._derive(1, 20), self._derive(2, self.suite.salt)

    @cached_property
    def rtcp_session(self) -> tuple[bytes, bytes, bytes]:
        """Cipher key, authentication key, salt of SRTCP."""
        return self._derive(3, self.suite.key), self._derive(4, 20), self._derive(5, self.suite.salt)

    def open_rtp(self, packet: bytes, rocs: Iterable[int] = (0,)) -> bytes | None:
        """The RTP packet in clear if its tag is right under one of the roll-over counters, else None."""
        header = rtp_header_length(packet)
        if header is None or len(packet) < header + self.suite.tag + self.mki_length:
            return None
        key, auth, salt = self.session
        ssrc, sequence = packet[8:12], packet[2:4]
        if self.suite.aead:
            body = packet[header : len(packet) - self.mki_length]
            for roc in rocs:
                iv = _xor(b"\0\0" + ssrc + roc.to_bytes(4, "big") + sequence, salt)
                try:
                    return packet[:header] + AESGCM(key).decrypt(iv, body, packet[:header])
                except InvalidTag:
                    continue
            return None
        tag_at = len(packet) - self.suite.tag
        body_end = tag_at - self.mki_length
        for roc in rocs:
            tag = hmac.new(auth, packet[:body_end] + roc.to_bytes(4, "big"), sha1).digest()[: self.suite.tag]
            if hmac.compare_digest(tag, packet[tag_at:]):
                index = (roc << 16) | int.from_bytes(sequence, "big")
                return packet[:header] + _counter_stream(key, _cm_iv(salt, ssrc, index), packet[header:body_end])
        return None

    def seal_rtp(self, packet: bytes, roc: int = 0) -> bytes:
        """Protect an RTP packet (AES-CM suites only): for tests that need a roll-over counter of their choice."""
        header = rtp_header_length(packet)
        if self.suite.aead or self.mki_length or header is None:
            raise ValueError("AES-CM without MKI, and RTP, only")
        key, auth, salt = self.session
        index = (roc << 16) | int.from_bytes(packet[2:4], "big")
        sealed = packet[:header] + _counter_stream(key, _cm_iv(salt, packet[8:12], index), packet[header:])
        return sealed + hmac.new(auth, sealed + roc.to_bytes(4, "big"), sha1).digest()[: self.suite.tag]

    @classmethod
    def fresh(cls, suite_name: str = "AES_CM_128_HMAC_SHA1_80") -> "Key":
        """A random key."""
        return cls(suite_name, os.urandom(SUITES[suite_name].key + SUITES[suite_name].salt))

    def crypto(self, tag: int = 1) -> str:
        """The `a=crypto` line of this key."""
        return f"a=crypto:{tag} {self.suite_name} inline:{base64.b64encode(self.key_salt).decode()}"

    def open_rtcp(self, packet: bytes) -> bytes | None:
        """The RTCP packet in clear if its tag is right, else None."""
        if not is_rtcp(packet) or len(packet) < 12 + self.suite.rtcp_tag + self.mki_length:
            return None
        key, auth, salt = self.rtcp_session
        ssrc = packet[4:8]
        if self.suite.aead:
            trailer_at = len(packet) - self.mki_length - 4
            trailer, body = packet[trailer_at : trailer_at + 4], packet[8:trailer_at]
            encrypted, index = bool(trailer[0] & 0x80), int.from_bytes(trailer, "big") & 0x7FFFFFFF
            iv = _xor(b"\0\0" + ssrc + b"\0\0" + index.to_bytes(4, "big"), salt)
            try:
                if encrypted:
                    return packet[:8] + AESGCM(key).decrypt(iv, body, packet[:8] + trailer)
                AESGCM(key).decrypt(iv, body[-16:], packet[:8] + body[:-16] + trailer)
                return packet[: trailer_at - 16]
            except InvalidTag:
                return None
        tag_at = len(packet) - self.suite.rtcp_tag
        trailer_at = tag_at - self.mki_length - 4
        trailer = packet[trailer_at : trailer_at + 4]
        tag = hmac.new(auth, packet[: trailer_at + 4], sha1).digest()[: self.suite.rtcp_tag]
        if not hmac.compare_digest(tag, packet[tag_at:]):
            return None
        if not trailer[0] & 0x80:
            return packet[:trailer_at]
        index = int.from_bytes(trailer, "big") & 0x7FFFFFFF
        return packet[:8] + _counter_stream(key, _cm_iv(salt, ssrc, index), packet[8:trailer_at])


def _cm_iv(salt: bytes, ssrc: bytes, index: int) -> bytes:
    """RFC 3711 4.1.1: (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16)."""
    return _xor(salt + b"\0\0", bytes(4) + ssrc + index.to_bytes(6, "big") + b"\0\0")


def rtp_header_length(packet: bytes) -> int | None:
    """Length of the RTP header with CSRCs and extension; None if it is no RTP."""
    if len(packet) < 12 or packet[0] >> 6 != 2 or is_rtcp(packet):
        return None
    length = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if len(packet) < length + 4:
            return None
        length += 4 + 4 * int.from_bytes(packet[length + 2 : length + 4], "big")
    return length if length <= len(packet) else None


def is_rtcp(packet: bytes) -> bool:
    """Whether it is RTCP or SRTCP rather than RTP (RFC 5761 section 4)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and 192 <= packet[1] <= 223


def is_clear_rtcp(packet: bytes) -> bool:
    """Whether the whole datagram is a chain of well-formed RTCP packets: an encrypted one is not."""
    position = 0
    while position < len(packet):
        if not is_rtcp(packet[position:]):
            return False
        position += 4 + 4 * int.from_bytes(packet[position + 2 : position + 4], "big")
    return position == len(packet) and position > 0


class Kind(Enum):
    """What a datagram on a media port is."""

    CLEAR_RTP = "clear RTP with sound"
    CLEAR_RTCP = "clear RTCP"
    OPENED_RTP = "SRTP that a known key opens"
    OPENED_RTCP = "SRTCP that a known key opens"
    OPAQUE_RTP = "RTP header, content that no known key opens and that is no sound"
    OPAQUE_RTCP = "RTCP header, content that no known key opens"
    OTHER = "neither RTP nor RTCP (keep-alive, STUN, DTLS, …)"


@dataclass(frozen=True)
class Verdict:
    """What a datagram is, the names of all keys that open it, and its clear form if there is one."""

    kind: Kind
    opened_by: tuple[str, ...] = ()
    clear: bytes | None = field(default=None, repr=False)


def judge(packet: bytes, keys: Mapping[str, Key], rocs: Iterable[int] = (0, 1, 2)) -> Verdict:
    """Say what a datagram is; every key is tried, under each roll-over counter given."""
    rocs = tuple(rocs)
    if is_rtcp(packet):
        if is_clear_rtcp(packet):
            return Verdict(Kind.CLEAR_RTCP, clear=packet)
        opened = {name: clear for name, key in keys.items() if (clear := key.open_rtcp(packet)) is not None}
        kinds = (Kind.OPENED_RTCP, Kind.OPAQUE_RTCP)
    else:
        header = rtp_header_length(packet)
        if header is None:
            return Verdict(Kind.OTHER)
        opened = {name: clear for name, key in keys.items() if (clear := key.open_rtp(packet, rocs)) is not None}
        if not opened and looks_like_sound(packet[header:]):
            return Verdict(Kind.CLEAR_RTP, clear=packet)
        kinds = (Kind.OPENED_RTP, Kind.OPAQUE_RTP)
    return Verdict(kinds[0], tuple(opened), next(iter(opened.values()))) if opened else Verdict(kinds[1])


def crypto_lines(sdp: str) -> list[str]:
    """The `a=crypto` lines of an SDP or of a whole SIP message or trace."""
    return [line.strip() for line in sdp.splitlines() if line.strip().startswith("a=crypto:")]
