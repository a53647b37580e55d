"""The little of RTP and RTCP that SRTP must read: RFC 3550 5.1, 5.3.1, 6.4; RFC 3711 3.1, 3.4."""

from __future__ import annotations

from imsmediasec.errors import LocalError, MalformedInput

RTP_FIXED_HEADER = 12
RTCP_FIXED_HEADER = 8
MAX_PACKET = 65535
"""Octets: no UDP datagram holds more, and one AES-CM key stream (2^20 octets) covers it."""


def rtp_header_length(packet: bytes) -> int:
    """Octets of the RTP header with its CSRC list and header extension.

    Raises MalformedInput if the packet ends before the header does, LocalError if it is not `bytes`.
    The version is left to the RTP stack: it is authenticated, and nothing here depends on it.
    """
    size = _size(packet, RTP_FIXED_HEADER, "RTP", "RFC 3550 5.1")
    length = RTP_FIXED_HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if size < length + 4:
            raise MalformedInput("RTP header extension is cut off", clause="RFC 3550 5.3.1", offset=size)
        length += 4 + 4 * int.from_bytes(packet[length + 2 : length + 4], "big")
    if size < length:
        raise MalformedInput("RTP header is longer than the packet", clause="RFC 3550 5.1", offset=size)
    return length


def check_rtcp(packet: bytes, trailer: int = 0) -> None:
    """Raises MalformedInput if there is no room for the first RTCP header and `trailer` octets behind it."""
    _size(packet, RTCP_FIXED_HEADER + trailer, "RTCP", "RFC 3711 3.4")


def _size(packet: bytes, least: int, what: str, clause: str) -> int:
    if not isinstance(packet, bytes):
        raise LocalError(f"a packet must be bytes, not {type(packet).__name__}")
    size = len(packet)
    if size < least:
        raise MalformedInput(f"{what} packet of {size} octets is too short", clause=clause, offset=size)
    if size > MAX_PACKET:
        raise MalformedInput(f"{what} packet of {size} octets is too long", clause=clause, offset=MAX_PACKET)
    return size
