"""The length of RTP headers, and what is too short or too long."""

import pytest

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.media.srtp_packet import MAX_PACKET, check_rtcp, rtp_header_length
from tests.unit.media import srtp_kit as kit


def test_header_length():
    assert rtp_header_length(kit.rtp(1, b"")) == 12
    assert rtp_header_length(kit.rtp(1, first=0x82, extra=bytes(8))) == 20
    assert rtp_header_length(kit.rtp(1, first=0x92, extra=bytes(8) + b"\xbe\xde\0\2" + bytes(8))) == 32


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(11),
        kit.rtp(1, b"", first=0x81, extra=bytes(3)),
        kit.rtp(1, b"", first=0x90, extra=b"\xbe\xde\0"),
        kit.rtp(1, b"", first=0x90, extra=b"\xbe\xde\0\1abc"),
        kit.rtp(1, bytes(MAX_PACKET)),
    ],
)
def test_malformed(packet):
    with pytest.raises(MalformedInput):
        rtp_header_length(packet)


def test_rtcp():
    check_rtcp(bytes(8))
    check_rtcp(bytes(22), 14)
    with pytest.raises(MalformedInput):
        check_rtcp(bytes(7))
    with pytest.raises(MalformedInput):
        check_rtcp(bytes(21), 14)


def test_only_bytes():
    with pytest.raises(LocalError, match="bytearray"):
        rtp_header_length(bytearray(kit.rtp(1)))
