"""AES-CM and AES-f8 against RFC 3711 B.1, B.2 and RFC 6188 7.1, 7.3."""

import pytest

from imsmediasec.media.srtp_ciphers import CounterMode, F8Mode
from tests.unit.media import srtp_kit as kit

F8 = kit.vectors("rfc3711.json")["f8"]
KEYSTREAMS = [kit.vectors("rfc3711.json")["keystream"], *kit.vectors("rfc6188.json")["keystream"]]


@pytest.mark.parametrize("vector", KEYSTREAMS, ids=lambda v: v["section"])
def test_counter_mode_keystream(vector):
    cipher = CounterMode(bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"]))
    length = 16 * (1 + max(row["block"] for row in vector["blocks"]))
    stream = cipher.rtp(bytes(length), bytes(12), 0)
    assert len(vector["blocks"]) == 6
    for row in vector["blocks"]:
        assert stream[16 * row["block"] :][:16].hex() == row["keystream"]


def test_counter_mode_separates_ssrc_index_and_protocol_fields():
    cipher = CounterMode(bytes(16), bytes(14))
    header = bytes(8) + b"\1\2\3\4"
    assert cipher.rtp(bytes(16), header, 5) != cipher.rtp(bytes(16), header, 6)
    assert cipher.rtp(bytes(16), header, 5) != cipher.rtp(bytes(16), bytes(12), 5)
    assert cipher.rtcp(bytes(16), b"\0\0\0\0\1\2\3\4", 5) == cipher.rtp(bytes(16), header, 5)
    assert cipher.rtp(cipher.rtp(b"there and back", header, 9), header, 9) == b"there and back"


def test_f8():
    cipher = F8Mode(bytes.fromhex(F8["key"]), bytes.fromhex(F8["salt"]))
    index = int(F8["roc"], 16) << 16 | 0x5CBA
    header = bytes.fromhex(F8["header"])
    assert cipher.rtp(bytes.fromhex(F8["payload"]), header, index).hex() == F8["ciphertext"]
    assert cipher.rtp(bytes.fromhex(F8["ciphertext"]), header, index).hex() == F8["payload"]
    assert cipher.rtp(b"", header, index) == b""


def test_f8_rtcp_uses_header_and_index():
    cipher = F8Mode(bytes(range(16)), bytes(14))
    header = kit.rtcp()[:8]
    assert cipher.rtcp(bytes(20), header, 1) != cipher.rtcp(bytes(20), header, 2)
    assert cipher.rtcp(bytes(20), header, 1) != cipher.rtcp(bytes(20), b"\x81" + header[1:], 1)
    assert cipher.rtcp(cipher.rtcp(b"report", header, 3), header, 3) == b"report"
    # 4.1.2.3: the IV is 0 || E and index || header; the SRTP formula gives the same block with that ROC
    iv = bytes(4) + b"\x80\0\0\1" + header
    assert cipher.rtcp(bytes(20), header, 1) == cipher.rtp(bytes(20), iv[:12], int.from_bytes(iv[12:], "big") << 16)
