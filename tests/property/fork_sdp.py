"""SDP of the forking world, written and read without the library: what the attacker does with it."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64

_CRYPTO = re.compile(r"a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)[^\r\n]*\r\n")


def plain(host: str, port: int, lines: int, direction: str = "", dead: int | None = None) -> str:
    """What an application hands over: RTP/AVP. `dead`: that m-line has port 0."""
    kinds = ("audio", "video")
    text = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    for index in range(lines):
        text += f"m={kinds[index]} {0 if index == dead else port + 2 * index} RTP/AVP {index * 96}\r\n"
        if direction:
            text += f"a={direction}\r\n"
    return text


def keys(sdp: str) -> list[bytes]:
    """Every key that stands in it."""
    return [a2b_base64(match[3]) for match in _CRYPTO.finditer(sdp)]


def crypto_by_line(sdp: str) -> list[list[tuple[str, str, bytes]]]:
    """Tag, suite and key of each a=crypto, by m-line."""
    return [[(m[1], m[2], a2b_base64(m[3])) for m in _CRYPTO.finditer(part)] for part in sdp.split("\r\nm=")[1:]]


def secured(text: str, lines: list[list[tuple[str, str, bytes]]]) -> str:
    """`plain` text with these a=crypto lines: the SDP of a peer that is not the library."""
    head, *parts = text.split("\r\nm=")
    done = []
    for part, cryptos in zip(parts, lines, strict=True):
        body = part.rstrip("\r\n")
        if cryptos:
            body = body.replace("RTP/AVP", "RTP/SAVP")
        body += "".join(f"\r\na=crypto:{t} {s} inline:{b64encode(k).decode()}" for t, s, k in cryptos)
        done.append(body)
    return "\r\nm=".join([head, *done]) + "\r\n"


def without_keys(sdp: str) -> str:
    """An answer that says secure and brings no key."""
    return _CRYPTO.sub("", sdp)
