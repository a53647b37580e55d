"""a=crypto, the whole of RFC 4568 section 9 and the rules of section 6 on top of it."""

from base64 import b64encode

import pytest

from imsmediasec.errors import MalformedInput
from imsmediasec.keys import DEFAULT_PARAMS
from imsmediasec.policy import Quirk
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.suites import AEAD_AES_128_GCM, AES_256_CM_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_80

K30 = b64encode(bytes(range(30))).decode()
OTHER = b64encode(bytes(range(1, 31))).decode()
K28 = b64encode(bytes(range(28))).decode()
SUITE = "AES_CM_128_HMAC_SHA1_80"


def parse(rest: str) -> CryptoAttribute:
    return CryptoAttribute.parse(f"a=crypto:{rest}")


def test_design_example() -> None:
    """Every field of the example in design.md."""
    crypto = CryptoAttribute.parse(f"a=crypto:1 {SUITE} inline:{K30}|2^20|1:4\r\n")
    assert (crypto.tag, crypto.suite, crypto.suite_name) == (1, AES_CM_128_HMAC_SHA1_80, SUITE)
    assert (crypto.session_params, crypto.params, crypto.quirks) == ((), DEFAULT_PARAMS, ())
    (key,) = crypto.keys
    assert key.key_salt.reveal() == bytes(range(30))
    assert (key.lifetime, key.mki, key.mki_length) == (2**20, 1, 4)


def test_rfc_example_with_two_keys() -> None:
    """RFC 4568 7.1.5: two keys with their MKIs, and FEC."""
    crypto = parse(
        "2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;"
        "inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP"
    )
    assert [(key.lifetime, key.mki, key.mki_length) for key in crypto.keys] == [(2**20, 1, 4), (2**20, 2, 4)]
    assert crypto.fec and crypto.unknown_params == ()


@pytest.mark.parametrize(
    "line",
    [
        f"1 {SUITE} inline:{K30}",
        f"0 {SUITE} inline:{K30}",
        f"999999999 {SUITE} inline:{K30}|2^31|1:1",
        f"3 AEAD_AES_128_GCM inline:{K28}",
        f"1 {SUITE} inline:{K30}|1066:4",
        f"1 {SUITE} inline:{K30}|65537",
        f"1 {SUITE} inline:{K30}|1",
        f"1 {SUITE} inline:{K30}|2^48|{2**64 - 1}:8 KDR=24 WSH=128 -why=not",
        f"1 {SUITE} inline:{K30}|1:128;inline:{OTHER}|2:128 UNENCRYPTED_SRTP UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP",
        f"1 SOME_NEW_SUITE inline:{K28} FEC_KEY=inline:x",
    ],
)
def test_round_trip(line: str) -> None:
    """What is written in the usual form is written the same again."""
    crypto = parse(line)
    assert crypto.value() == line
    again = parse(crypto.value())
    assert [(k.key_salt, k.lifetime, k.mki, k.mki_length) for k in again.keys] == [
        (k.key_salt, k.lifetime, k.mki, k.mki_length) for k in crypto.keys
    ]


def test_nothing_shows_a_key() -> None:
    """str and repr are for people; `value` alone has the key."""
    crypto = parse(f"1 {SUITE} inline:{K30}")
    assert str(crypto) == f"a=crypto:1 {SUITE} inline:<redacted>"
    assert K30 not in repr(crypto)


def test_unknown_suite_and_alias() -> None:
    """An unknown suite parses, any key length; an old name gives the suite and is kept as written."""
    assert parse(f"1 X_1 inline:{K28}").suite is None
    key = b64encode(bytes(46)).decode()
    crypto = parse(f"1 AES_CM_256_HMAC_SHA1_80 inline:{key}")
    assert crypto.suite is AES_256_CM_HMAC_SHA1_80
    assert crypto.suite_name == "AES_CM_256_HMAC_SHA1_80"


@pytest.mark.parametrize(
    ("line", "quirks"),
    [
        (f" 1 {SUITE} inline:{K30}", ()),
        (f"1\t {SUITE}  \tinline:{K30} \t", ()),
        (f"01 {SUITE} inline:{K30}", (Quirk.TAG_LEADING_ZERO,)),
        (f"1 {SUITE} inline:{K30}|", (Quirk.EMPTY_KEY_PARAMETER,)),
        (f"1 {SUITE} inline:{K30}|2^20|1:4|", (Quirk.EMPTY_KEY_PARAMETER,)),
        (f"1 AEAD_AES_128_GCM inline:{K28.rstrip('=')}", (Quirk.UNPADDED_BASE64,)),
        (f"1 AEAD_AES_128_GCM inline:{K28.rstrip('=')}=", (Quirk.UNPADDED_BASE64,)),
        (f"1 {SUITE} inline:{K30}|0", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (f"1 {SUITE} inline:{K30}|2^49", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (f"1 {SUITE} inline:{K30}|{2**48 + 1}", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (f"1 {SUITE} inline:{K30}|2^{'9' * 20}", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (f"1 {SUITE} inline:{K30}|0|1:1;inline:{OTHER}|0|2:1", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (f"1 X inline:{K30}|0", (Quirk.LIFETIME_OUT_OF_RANGE,)),
        (
            f"00 AEAD_AES_128_GCM inline:{K28.rstrip('=')}|0|",
            (
                Quirk.TAG_LEADING_ZERO,
                Quirk.EMPTY_KEY_PARAMETER,
                Quirk.UNPADDED_BASE64,
                Quirk.LIFETIME_OUT_OF_RANGE,
            ),
        ),
    ],
)
def test_quirks(line: str, quirks: tuple[Quirk, ...]) -> None:
    """Known deviations can be read, and each is named once."""
    crypto = parse(line)
    assert crypto.quirks == quirks
    if Quirk.LIFETIME_OUT_OF_RANGE in quirks:
        assert crypto.keys[0].lifetime == 2**48
    if crypto.suite is AEAD_AES_128_GCM:
        assert crypto.keys[0].key_salt.reveal() == bytes(range(28))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "needs a tag"),
        ("1", "needs a tag"),
        (f"{SUITE} inline:{K30}", "needs a tag"),
        (f"1234567890 {SUITE} inline:{K30}", "needs a tag"),
        (f"-1 {SUITE} inline:{K30}", "needs a tag"),
        (f"\u0661 {SUITE} inline:{K30}", "needs a tag"),
        (f"1 AES-CM inline:{K30}", "needs a tag"),
        (f"1 {SUITE} inline:{K30}\x7f", "needs a tag"),
        (f"1 {SUITE} inline:{K30} caf\u00e9", "needs a tag"),
        (f"1 {SUITE} uri:https://x/", "method"),
        (f"1 {SUITE} INLINE:{K30}", "method"),
        (f"1 {SUITE} {K30}", "method"),
        (f"1 {SUITE} inline:{K30}|1:1;", "method"),
        (f"1 {SUITE} inline:{K30}|1:1;uri:x", "method"),
        (f"1 {SUITE} inline:", "base64, then"),
        (f"1 {SUITE} inline:{K30}|x", "base64, then"),
        (f"1 {SUITE} inline:{K30}|020", "base64, then"),
        (f"1 {SUITE} inline:{K30}|2^020", "base64, then"),
        (f"1 {SUITE} inline:{K30}|\u0661", "needs a tag"),
        (f"1 {SUITE} inline:{K30}|01:4", "base64, then"),
        (f"1 {SUITE} inline:{K30}|0:4", "base64, then"),
        (f"1 {SUITE} inline:{K30}|1:04", "base64, then"),
        (f"1 {SUITE} inline:{K30}|1:", "base64, then"),
        (f"1 {SUITE} inline:{K30}|1:4|2^20", "base64, then"),
        (f"1 {SUITE} inline:{K30}|{'9' * 21}", "base64, then"),
        (f"1 {SUITE} inline:{K30}|1:1;inline:@|2:1", "base64, then"),
        (f"1 {SUITE} inline:{K30}|1:1;inline:|2:1", "base64, then"),
        (f"1 {SUITE} inline:A", "not base64"),
        (f"1 {SUITE} inline:{K30[:-1]}=", "takes 30 octets of key and salt, not 29"),
        (f"1 {SUITE} inline:{K30[:-1]}@", "base64, then"),
        (f"1 {SUITE} inline:{K30[:-1]}\u00e9", "needs a tag"),
        (f"1 {SUITE} inline:AAAAA", "not base64"),
        (f"1 {SUITE} inline:c2hvcnQ=", "takes 30 octets of key and salt, not 5"),
        (f"1 AEAD_AES_128_GCM inline:{K30}", "takes 28 octets"),
        (f"1 {SUITE} inline:{K30}|1:129", "MKI"),
        (f"1 {SUITE} inline:{K30}|256:1", "MKI"),
        (f"1 {SUITE} inline:{K30};inline:{OTHER}", "several keys"),
        (f"1 {SUITE} inline:{K30}|1:1;inline:{OTHER}", "several keys"),
        (f"1 {SUITE} inline:{K30}|1:1;inline:{OTHER}|1:1", "several keys"),
        (f"1 {SUITE} inline:{K30}|1:1;inline:{OTHER}|2:2", "several keys"),
        (f"1 {SUITE} inline:{K30} KDR=25", "KDR"),
        (f"1 {SUITE} inline:{K30} KDR=", "KDR"),
        (f"1 {SUITE} inline:{K30} KDR=01", "KDR"),
        (f"1 {SUITE} inline:{K30} KDR=1 KDR=1", "twice"),
        (f"1 {SUITE} inline:{K30} UNENCRYPTED_SRTP UNENCRYPTED_SRTP", "twice"),
        (f"1 {SUITE} inline:{K30} WSH=63", "WSH"),
        (f"1 {SUITE} inline:{K30} WSH=x", "WSH"),
        (f"1 {SUITE} inline:{K30} WSH={'9' * 10}", "WSH"),
        (f"1 {SUITE} inline:{K30} FEC_ORDER=BOTH", "FEC_ORDER"),
    ],
)
def test_malformed(line: str, why: str) -> None:
    """Each fault voids the line, with its reason and clause; no key stands in the message."""
    with pytest.raises(MalformedInput, match=why) as caught:
        parse(line)
    assert caught.value.clause.startswith("RFC 4568")
    assert K30 not in str(caught.value)


def test_not_the_attribute() -> None:
    """`parse` takes a=crypto lines only."""
    with pytest.raises(MalformedInput, match="not an a=crypto line"):
        CryptoAttribute.parse("a=cryptography:1")


@pytest.mark.parametrize(
    ("written", "unknown", "fec"),
    [
        ("KDR=1", (), False),
        ("KDR=0", (), False),
        ("FEC_ORDER=SRTP_FEC FEC_KEY=inline:x", (), True),
        ("WSH=0064", (), False),
        ("NEW", ("NEW",), False),
        ("-NEW -OLD=1", (), False),
        ("NEW=1 UNENCRYPTED_SRTP", ("NEW",), False),
        ("UNENCRYPTED_SRTP=1", ("UNENCRYPTED_SRTP",), False),
        ("KDR", ("KDR",), False),
        ("kdr=1", ("kdr",), False),
        ("X X", ("X", "X"), False),
    ],
)
def test_session_parameters(written: str, unknown: tuple[str, ...], fec: bool) -> None:
    """Known ones are typed; unknown ones without a dash are listed, since they forbid the line (6.3.7)."""
    crypto = parse(f"1 {SUITE} inline:{K30} {written}")
    assert crypto.session_params == tuple(written.split())
    assert (crypto.unknown_params, crypto.fec) == (unknown, fec)


def test_typed_session_parameters() -> None:
    """All of them at once, and the defaults when they say nothing new."""
    crypto = parse(f"1 {SUITE} inline:{K30} UNENCRYPTED_SRTCP KDR=24 WSH=128 UNAUTHENTICATED_SRTP")
    params = crypto.params
    assert (params.kdr, params.window_size_hint) == (24, 128)
    assert (params.unencrypted_srtp, params.unencrypted_srtcp, params.unauthenticated_srtp) == (False, True, True)
    assert parse(f"1 {SUITE} inline:{K30} KDR=0 WSH=64 -x").params is DEFAULT_PARAMS
