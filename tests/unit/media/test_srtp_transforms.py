"""Whole packets of known index: RFC 7714 16 and 17, tags, flags and what must not open."""

import hmac

import pytest

from imsmediasec import suites
from imsmediasec.errors import AuthenticationFailed, MalformedInput, RemoteError
from imsmediasec.keys import SessionParams
from imsmediasec.media.srtp_kdf import SessionKeys, derive_srtp
from imsmediasec.media.srtp_transforms import AeadTransform, build_transform
from imsmediasec.secret import Secret
from tests.unit.media import srtp_kit as kit

DEFAULT = SessionParams()
CLEAR = SessionParams(unencrypted_srtp=True, unencrypted_srtcp=True)


def transform(suite, params=DEFAULT, tag=None):
    return build_transform(
        suite, params, derive_srtp(suite, kit.master(suite)), suite.srtp_tag_length if tag is None else tag
    )


@pytest.mark.parametrize("vector", kit.vectors("rfc7714.json"), ids=lambda v: v["section"])
def test_rfc7714(vector):
    keys = SessionKeys(Secret(bytes.fromhex(vector["key"])), Secret(b""), Secret(bytes.fromhex(vector["salt"])))
    aead = build_transform(suites.AEAD_AES_128_GCM, DEFAULT if vector["encrypted"] else CLEAR, keys, 16)
    plain, sealed, index = bytes.fromhex(vector["plain"]), bytes.fromhex(vector["sealed"]), vector["index"]
    if vector["protocol"] == "rtp":
        assert aead.seal_rtp(plain, index) == sealed
        assert aead.open_rtp(sealed, index) == plain
    else:
        assert aead.seal_rtcp(plain, index) == sealed
        assert aead.rtcp_index(sealed) == index
        assert aead.open_rtcp(sealed) == plain


@pytest.mark.parametrize("params", [DEFAULT, CLEAR], ids=["encrypted", "clear"])
@pytest.mark.parametrize("suite", suites.ALL_SUITES, ids=lambda s: s.name)
def test_round_trip_and_every_octet_counts(suite, params):
    one = transform(suite, params)
    text, report = kit.rtp(1, first=0x91, extra=bytes(4) + b"\xbe\xde\0\1abcd"), kit.rtcp()
    sealed, sealed_rtcp = one.seal_rtp(text, 0x1_0001), one.seal_rtcp(report, 3)
    assert len(sealed) == len(text) + suite.srtp_tag_length
    assert len(sealed_rtcp) == len(report) + 4 + suite.srtp_tag_length
    assert sealed[:24] == text[:24] and (sealed[24:30] == text[24:]) is (params is CLEAR)
    assert sealed_rtcp[:8] == report[:8] and (sealed_rtcp[8:16] == report[8:]) is (params is CLEAR)
    assert one.open_rtp(sealed, 0x1_0001) == text and one.open_rtcp(sealed_rtcp) == report
    with pytest.raises(AuthenticationFailed):
        one.open_rtp(sealed, 0x2_0001)
    for packet, opener in ((sealed, lambda p: one.open_rtp(p, 0x1_0001)), (sealed_rtcp, one.open_rtcp)):
        for place in range(len(packet)):
            forged = packet[:place] + bytes([packet[place] ^ 0x40]) + packet[place + 1 :]
            with pytest.raises(RemoteError):
                opener(forged)
        for length in range(len(packet)):
            with pytest.raises(RemoteError):
                opener(packet[:length])


def test_the_tag_is_the_left_part_of_hmac_over_packet_and_counter():
    suite = suites.AES_CM_128_HMAC_SHA1_32
    auth = derive_srtp(suite, kit.master(suite)).auth.reveal()
    sealed = transform(suite).seal_rtp(kit.rtp(1), 0x7_0001)
    assert sealed[-4:] == hmac.digest(auth, sealed[:-4] + b"\0\0\0\7", "sha1")[:4]


def test_unauthenticated_srtp_has_no_tag_but_srtcp_keeps_its_own():
    one = transform(suites.AES_CM_128_HMAC_SHA1_80, SessionParams(unauthenticated_srtp=True))
    assert len(one.seal_rtp(kit.rtp(1), 1)) == len(kit.rtp(1))
    assert one.open_rtp(one.seal_rtp(kit.rtp(1), 1), 1) == kit.rtp(1)
    assert len(one.seal_rtcp(kit.rtcp(), 1)) == len(kit.rtcp()) + 14


@pytest.mark.parametrize("suite", [suites.AES_CM_128_HMAC_SHA1_80, suites.AEAD_AES_128_GCM], ids=lambda s: s.name)
def test_an_authentic_packet_with_the_wrong_e_flag_is_refused(suite):
    sealed = transform(suite, CLEAR).seal_rtcp(kit.rtcp(), 1)
    with pytest.raises(AuthenticationFailed):
        transform(suite).open_rtcp(sealed)
    with pytest.raises(AuthenticationFailed):
        transform(suite, CLEAR).open_rtcp(transform(suite).seal_rtcp(kit.rtcp(), 1))


def test_an_aead_packet_laid_out_as_encrypted_but_flagged_clear_is_refused():
    suite = suites.AEAD_AES_128_GCM
    aead = transform(suite)
    assert isinstance(aead, AeadTransform)
    nonce, word = aead._nonce(kit.rtcp()[4:8], 1), b"\0\0\0\1"
    forged = kit.rtcp()[:8] + aead._aead.encrypt(nonce, b"report--", kit.rtcp()[:8] + word) + word
    with pytest.raises(AuthenticationFailed, match="E flag"):
        aead.open_rtcp(forged)


def test_malformed():
    for suite in (suites.AES_CM_128_HMAC_SHA1_80, suites.AEAD_AES_128_GCM):
        one = transform(suite)
        for call in (
            lambda p, t=one: t.seal_rtp(p, 1),
            lambda p, t=one: t.open_rtp(p, 1),
            lambda p, t=one: t.seal_rtcp(p, 1),
        ):
            with pytest.raises(MalformedInput):
                call(b"\x80" + bytes(5))
        with pytest.raises(MalformedInput):
            one.open_rtcp(bytes(12))
