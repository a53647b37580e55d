"""Mutations of a corpus: octets, lines, splices, and the fields of a=crypto."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence

_INTERESTING = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"=",
    b":",
    b";",
    b"|",
    b" ",
    b"\t",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
)
_NUMBERS = (
    "0",
    "1",
    "00",
    "01",
    "-1",
    "2^0",
    "2^31",
    "2^48",
    "2^49",
    "2^020",
    "4294967296",
    "9" * 30,
    "1e3",
    "\u0661",
    "",
)
_SUITES = (
    *("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"),
    *("AEAD_AES_256_GCM", "AES_256_CM_HMAC_SHA1_80", "AES_CM_256_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32"),
    *("NULL_HMAC_SHA1_80", "aes_cm_128_hmac_sha1_80", "X" * 300, ""),
)
_PARAMS = (
    *("KDR=0", "KDR=24", "KDR=25", "KDR=", "WSH=64", "WSH=63", "WSH=99999999999", "UNENCRYPTED_SRTP"),
    *("UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "UNAUTHENTICATED_SRTP=1", "FEC_ORDER=FEC_SRTP", "FEC_ORDER=X"),
    *("FEC_KEY=inline:x", "NEW", "-NEW", "NEW=1", "=", "-"),
)
_PROTOS = (b"RTP/AVP", b"RTP/SAVP", b"RTP/AVPF", b"RTP/SAVPF", b"UDP/TLS/RTP/SAVP", b"TCP/MSRP", b"udptl")
_LENGTHS = (0, 1, 16, 28, 29, 30, 31, 38, 44, 46, 64, 300)
_ADDED = (
    b"a=tcap:1 RTP/SAVP RTP/SAVPF", b"a=pcfg:1 t=1 a=1", b"a=pcfg:1 t=1|2 a=1,[2]|2", b"a=pcfg:2 a=-s:1", b"a=pcfg:x",
    b"a=acfg:1 t=1 a=1", b"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40, b"a=acap:2 rtcp-fb:* nack",
    b"a=creq:cap-v0", b"a=creq:new", b"a=sendonly", b"a=inactive", b"a=mid:1", b"c=IN IP4 0.0.0.0", b"b=AS:64", b"",
    b"a=fingerprint:sha-256 AA", b"a=key-mgmt:mikey AAAA", b"a=3ge2ae:applied", b"m=audio 0 RTP/SAVP 0", b"x", b"a=",
)  # fmt: skip


def mutated(corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """A member of the corpus after one to four mutations; most of them know what SDP looks like."""
    data = rng.choice(corpus)
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        mutation = rng.choices(_MUTATIONS, _WEIGHTS)[0]
        data = mutation(data, corpus, rng)
    return data


def _flip(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    if not data:
        return data
    octets = bytearray(data)
    octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
    return bytes(octets)


def _insert(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_INTERESTING) + data[at:]


def _cut(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 20) :]


def _splice(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _double_line(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"\n".join(lines)


def _drop_line(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _add_line(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(_ADDED) + b"\r")
    return b"\n".join(lines)


def _graft_section(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """An m-line of another body behind this one."""
    _, *sections = rng.choice(corpus).split(b"\nm=")
    return data.rstrip(b"\r\n") + b"\r\nm=" + rng.choice(sections) if sections else data


def _media_line(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    places = [at for at, line in enumerate(lines) if line.startswith(b"m=")]
    if places:
        at = rng.choice(places)
        fields = lines[at].split(b" ")
        field = rng.randrange(len(fields))
        fields[field] = rng.choice(_PROTOS) if field == 2 else rng.choice(_NUMBERS).encode()
        if rng.random() < 0.8 and len(fields) > 2:
            fields[2] = rng.choice(_PROTOS)
            fields[1] = rng.choice((b"4000", b"4000", b"0"))
        if field == 0:
            fields[0] = rng.choice((b"m=audio", b"m=video", b"m=message", b"m=AUDIO"))
        lines[at] = b" ".join(fields)
    return b"\n".join(lines)


def _crypto_line(data: bytes, corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """Change a field of an a=crypto line, or put a new line into an m-line."""
    lines = data.split(b"\n")
    places = [at for at, line in enumerate(lines) if line.startswith(b"a=crypto:")]
    media = [at for at, line in enumerate(lines) if line.startswith(b"m=")]
    if places and rng.random() < 0.7:
        at = rng.choice(places)
        fields = lines[at].rstrip(b"\r").split(b" ")
        field = rng.randrange(len(fields) + 1)
        value = _crypto_field(field, rng).encode("utf-8", "surrogateescape")
        fields[field : field + 1] = [b"a=crypto:" + value if field == 0 else value]
        lines[at] = b" ".join(fields) + b"\r"
    elif media:
        fields = [_crypto_field(number, rng).encode() for number in range(rng.choice((3, 3, 3, 4, 5)))]
        lines.insert(rng.choice(media) + 1, b"a=crypto:" + b" ".join(fields) + b"\r")
    return b"\n".join(lines)


def _crypto_field(field: int, rng: random.Random) -> str:
    if field == 0:
        return rng.choice(("1", "2", "3", "9", *_NUMBERS))
    if field == 1:
        return rng.choice(_SUITES)
    if field > 2:
        return rng.choice(_PARAMS)
    keys = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        key = base64.b64encode(rng.randbytes(rng.choice(_LENGTHS))).decode()
        text = f"inline:{key.rstrip('=') if rng.random() < 0.2 else key}"
        if rng.random() < 0.3:
            text += f"|{rng.choice(_NUMBERS)}"
        if rng.random() < 0.4:
            text += f"|{rng.choice(('1', '2', '3', *_NUMBERS))}:{rng.choice(('1', '4', '128', '129', *_NUMBERS))}"
        keys.append(text if rng.random() < 0.95 else text.replace("inline", rng.choice(("INLINE", "uri", ""))))
    return rng.choice((";", ";", ";", ";;")).join(keys)


_TABLE: tuple[tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], int], ...] = (
    (_flip, 3), (_insert, 2), (_cut, 2), (_splice, 3), (_double_line, 3), (_drop_line, 3), (_add_line, 4),
    (_graft_section, 2), (_media_line, 4), (_crypto_line, 12),
)  # fmt: skip
_MUTATIONS = [mutation for mutation, _ in _TABLE]
_WEIGHTS = [weight for _, weight in _TABLE]
