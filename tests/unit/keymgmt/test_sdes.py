"""SDES: what to offer, what to accept, what to answer (RFC 4568 5.1, 6, 7.1)."""

from base64 import b64encode
from dataclasses import replace

import pytest

import imsmediasec as ims
from imsmediasec.errors import LocalError, MalformedInput, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.policy import Quirk
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.suites import (
    AEAD_AES_128_GCM,
    AES_256_CM_HMAC_SHA1_80,
    AES_CM_128_HMAC_SHA1_32,
    AES_CM_128_HMAC_SHA1_80,
    ALL_SUITES,
    DEFAULT_PREFERENCE,
)
from tests.pair import counter

CAPABILITIES = ims.SrtpCapabilities(suites=ALL_SUITES, key_derivation_rate=True)
BARE = ims.SrtpCapabilities(suites=ALL_SUITES, mki=False, multiple_keys=False, max_window=64)
POLICY = ims.SecurityPolicy(suites=ALL_SUITES)
SUITE = "AES_CM_128_HMAC_SHA1_80"


def key(number: int, length: int = 30) -> str:
    return b64encode(number.to_bytes(length, "big")).decode()


def line(rest: str) -> CryptoAttribute:
    return CryptoAttribute.parse_value(rest)


def test_usable_suites() -> None:
    """In the order of the policy, without what the SRTP layer lacks."""
    some = ims.SrtpCapabilities(suites=(AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM))
    assert sdes.usable_suites(ims.SecurityPolicy(), some) == (AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80)
    assert sdes.usable_suites(ims.SecurityPolicy(), ims.SrtpCapabilities(suites=())) == ()


def test_offer() -> None:
    """One line a suite, best first, each with its own key, from tag 1."""
    offer = sdes.new_offer(DEFAULT_PREFERENCE, POLICY, counter())
    assert [(crypto.tag, crypto.suite) for crypto in offer] == list(enumerate(DEFAULT_PREFERENCE, 1))
    assert len({crypto.keys[0].key_salt.reveal() for crypto in offer}) == len(offer)
    assert [crypto.tag for crypto in sdes.new_offer(DEFAULT_PREFERENCE, POLICY, counter(), first_tag=5)] == [5, 6, 7]


def test_lifetime_and_mki_of_ours() -> None:
    """As the policy says, in the text too."""
    policy = replace(POLICY, key_lifetime=2**31, mki_length=4)
    crypto = sdes.new_crypto(1, AES_CM_128_HMAC_SHA1_80, policy, counter())
    assert crypto.value() == f"1 {SUITE} inline:{key(0)}|2^31|1:4"


@pytest.mark.parametrize(
    ("offered", "tag"),
    [
        ([f"1 {SUITE} inline:{key(1)}", f"2 {SUITE} inline:{key(2)}"], 1),
        ([f"1 UNKNOWN inline:{key(1)}", f"2 {SUITE} inline:{key(2)}"], 2),
        ([f"1 {SUITE} inline:{key(1)} NEW", f"2 {SUITE} inline:{key(2)} -NEW"], 2),
        ([f"1 {SUITE} inline:{key(1)} FEC_ORDER=FEC_SRTP", f"2 {SUITE} inline:{key(2)} KDR=3 WSH=100"], 2),
        ([f"1 {SUITE} inline:{key(1)} UNENCRYPTED_SRTP", f"9 {SUITE} inline:{key(2)}|1:4"], 9),
        ([f"1 {SUITE} inline:{key(1)}|2^49", f"0 {SUITE} inline:{key(1)}|1:1;inline:{key(2)}|2:1"], 0),
    ],
)
def test_the_first_acceptable_line(offered: list[str], tag: int) -> None:
    """The offerer's order decides among what can be accepted (5.1.2)."""
    assert sdes.choose([line(o) for o in offered], (), ALL_SUITES, POLICY, CAPABILITIES).crypto.tag == tag


@pytest.mark.parametrize(
    ("offered", "capabilities", "why"),
    [
        (f"1 UNKNOWN inline:{key(1)}", CAPABILITIES, "suite UNKNOWN is not known"),
        (f"1 AES_CM_128_HMAC_SHA1_32 inline:{key(1)}", CAPABILITIES, "not allowed by the policy"),
        (f"1 {SUITE} inline:{key(1)} NEW=1", CAPABILITIES, "session parameter NEW is not known"),
        (f"1 {SUITE} inline:{key(1)} FEC_KEY=inline:x", CAPABILITIES, "forward error correction"),
        (f"1 {SUITE} inline:{key(1)} UNENCRYPTED_SRTP", CAPABILITIES, "does not accept UNENCRYPTED_SRTP"),
        (f"1 {SUITE} inline:{key(1)} UNENCRYPTED_SRTCP", CAPABILITIES, "does not accept UNENCRYPTED_SRTCP"),
        (f"1 {SUITE} inline:{key(1)} UNAUTHENTICATED_SRTP", CAPABILITIES, "does not accept UNAUTHENTICATED_SRTP"),
        (f"01 {SUITE} inline:{key(1)}", CAPABILITIES, "tag-leading-zero is not tolerated"),
        (f"1 {SUITE} inline:{key(1)}|1:4", BARE, "cannot run an MKI of 4 octets"),
        (f"1 {SUITE} inline:{key(1)}|1:4", replace(CAPABILITIES, max_mki_length=2), "cannot run an MKI"),
        (f"1 {SUITE} inline:{key(1)}|1:1;inline:{key(2)}|2:1", BARE, "one key only"),
        (f"1 {SUITE} inline:{key(1)} KDR=1", BARE, "KDR"),
        (f"1 {SUITE} inline:{key(1)} WSH=65", BARE, "WSH 65"),
    ],
)
def test_why_a_line_is_refused(offered: str, capabilities: ims.SrtpCapabilities, why: str) -> None:
    """Nothing is accepted and then ignored: the reason is told (peers.md 34, 46)."""
    with pytest.raises(NoCommonSecurity, match=why):
        sdes.choose([line(offered)], (), (AES_CM_128_HMAC_SHA1_80,), POLICY, capabilities)


def test_no_line_and_void_lines() -> None:
    """Void lines give their reasons; no line at all has one too."""
    with pytest.raises(NoCommonSecurity, match="none is there"):
        sdes.choose((), (), ALL_SUITES, POLICY, CAPABILITIES)
    with pytest.raises(NoCommonSecurity, match="broken key"):
        sdes.choose((), [MalformedInput("broken key")], ALL_SUITES, POLICY, CAPABILITIES)


@pytest.mark.parametrize(
    ("text", "quirk"),
    [
        (f"01 {SUITE} inline:{key(1)}", Quirk.TAG_LEADING_ZERO),
        (f"1 {SUITE} inline:{key(1)}|", Quirk.EMPTY_KEY_PARAMETER),
        (f"1 {SUITE} inline:{key(1)}|0", Quirk.LIFETIME_OUT_OF_RANGE),
        (f"1 AEAD_AES_128_GCM inline:{key(1, 28).rstrip('=')}", Quirk.UNPADDED_BASE64),
    ],
)
def test_quirks_by_policy(text: str, quirk: Quirk) -> None:
    """Each deviation is refused unless the policy tolerates it, and then named."""
    tolerant = replace(POLICY, tolerate=frozenset({quirk}))
    (found,) = sdes.choose([line(text)], (), ALL_SUITES, tolerant, CAPABILITIES).quirks
    assert found[0] is quirk
    with pytest.raises(NoCommonSecurity, match=quirk.value):
        sdes.choose([line(text)], (), ALL_SUITES, replace(POLICY, tolerate=ims.STRICT), CAPABILITIES)


def test_answer() -> None:
    """Tag and suite of the accepted line, in its spelling, negotiated parameters only, a key of our own."""
    offered = line(f"7 AES_CM_256_HMAC_SHA1_80 inline:{key(1, 46)} KDR=3 UNENCRYPTED_SRTCP WSH=128")
    answer = sdes.answer_to(offered, POLICY, counter(100))
    assert answer.value() == f"7 AES_CM_256_HMAC_SHA1_80 inline:{key(100, 46)} UNENCRYPTED_SRTCP"
    assert answer.params.unencrypted_srtcp and not answer.params.kdr
    assert sdes.answer_to(line(f"7 {SUITE} inline:{key(1)}"), POLICY, counter(100)).value() == (
        f"7 {SUITE} inline:{key(100)}"
    )


def test_answer_keeps_the_key() -> None:
    """The key so far stays if suite and negotiated parameters do; the tag follows the offer."""
    ours = sdes.answer_to(line(f"1 {SUITE} inline:{key(1)}"), POLICY, counter(100))
    again = sdes.answer_to(line(f"2 {SUITE} inline:{key(2)} KDR=1"), POLICY, counter(200), ours)
    assert (again.tag, again.keys) == (2, ours.keys)
    other = sdes.answer_to(line(f"2 {SUITE} inline:{key(2)} UNENCRYPTED_SRTP"), POLICY, counter(200), ours)
    assert other.keys[0].key_salt != ours.keys[0].key_salt
    other = sdes.answer_to(line(f"2 AES_CM_128_HMAC_SHA1_32 inline:{key(2)}"), POLICY, counter(200), ours)
    assert other.suite is AES_CM_128_HMAC_SHA1_32
    assert other.keys[0].key_salt != ours.keys[0].key_salt


def test_answer_never_has_the_offerers_key() -> None:
    """7.1.2: a random source that gives it is an error, not a loop."""
    with pytest.raises(LocalError, match="random source"):
        sdes.answer_to(line(f"1 {SUITE} inline:{key(1)}"), POLICY, counter(1))


OFFER = (line(f"1 AEAD_AES_128_GCM inline:{key(1, 28)}"), line(f"2 {SUITE} inline:{key(2)}"))


def match(*answered: str, policy: ims.SecurityPolicy = POLICY, void: int = 0) -> tuple[CryptoAttribute, sdes.Selection]:
    voids = [MalformedInput("broken")] * void
    return sdes.match_answer(OFFER, [line(a) for a in answered], voids, policy, CAPABILITIES)


def test_match() -> None:
    """The accepted line of ours, and theirs with its key."""
    ours, theirs = match(f"2 {SUITE} inline:{key(9)}|2^20|1:4 KDR=1")
    assert (ours, theirs.crypto.tag, theirs.quirks) == (OFFER[1], 2, ())


@pytest.mark.parametrize(
    ("answered", "void", "why"),
    [
        ([], 0, "without a key"),
        ([], 1, "void: broken"),
        ([f"1 AEAD_AES_128_GCM inline:{key(9, 28)}", f"2 {SUITE} inline:{key(8)}"], 0, "more than one"),
        ([f"2 {SUITE} inline:{key(8)}"], 1, "more than one"),
        ([f"3 {SUITE} inline:{key(9)}"], 0, "tag 3, which was not offered"),
        ([f"1 {SUITE} inline:{key(9)}"], 0, f"puts {SUITE} behind tag 1"),
        ([f"2 UNKNOWN inline:{key(9)}"], 0, "puts UNKNOWN behind tag 2"),
        ([f"5 UNKNOWN inline:{key(9)}"], 0, "tag 5, which was not offered"),
        ([f"2 {SUITE} inline:{key(9)} UNAUTHENTICATED_SRTP"], 0, "does not accept UNAUTHENTICATED_SRTP"),
        ([f"2 {SUITE} inline:{key(9)} NEW"], 0, "NEW is not known"),
        ([f"2 {SUITE} inline:{key(9)}|0"], 0, "lifetime-out-of-range"),
    ],
)
def test_bad_answers(answered: list[str], void: int, why: str) -> None:
    """5.1.3, 7.1.3: each way to answer badly is the peer's fault, with its reason."""
    with pytest.raises(PeerMisbehaved, match=why):
        match(*answered, void=void)


def test_changed_parameters() -> None:
    """6.3: what is negotiated may not appear in the answer only, even if the policy would take it."""
    with pytest.raises(PeerMisbehaved, match="changes the negotiated"):
        match(f"2 {SUITE} inline:{key(9)} UNENCRYPTED_SRTP", policy=replace(POLICY, accept_unencrypted=True))


def test_renumbered_tag() -> None:
    """peers.md 20, 21: only with the policy's leave, only if one offered line has the suite, and with a warning."""
    tolerant = replace(POLICY, tolerate=frozenset({Quirk.TAG_RENUMBERED}))
    ours, theirs = match(f"9 {SUITE} inline:{key(9)}", policy=tolerant)
    assert ours is OFFER[1]
    assert theirs.quirks == ((Quirk.TAG_RENUMBERED, "tag 9 instead of 2"),)
    with pytest.raises(PeerMisbehaved):
        match(f"9 AES_CM_128_HMAC_SHA1_32 inline:{key(9)}", policy=tolerant)
    twice = (*OFFER, line(f"3 {SUITE} inline:{key(3)}"))
    with pytest.raises(PeerMisbehaved):
        sdes.match_answer(twice, [line(f"9 {SUITE} inline:{key(9)}")], (), tolerant, CAPABILITIES)


def test_share_a_key() -> None:
    """An echo is found in any place: the second key of an answer, any line of the offer."""
    echo = line(f"1 {SUITE} inline:{key(9)}|1:1;inline:{key(2)}|2:1")
    assert sdes.share_a_key(echo, OFFER)
    assert not sdes.share_a_key(line(f"1 {SUITE} inline:{key(9)}"), OFFER)


def test_same_keys() -> None:
    """Octets, MKI, suite and parameters count; tag and lifetime do not."""
    one = line(f"1 {SUITE} inline:{key(1)}|2^20|1:4")
    assert sdes.same_keys(one, line(f"2 {SUITE} inline:{key(1)}|2^30|1:4"))
    for other in (
        f"1 {SUITE} inline:{key(2)}|1:4",
        f"1 {SUITE} inline:{key(1)}|2:4",
        f"1 {SUITE} inline:{key(1)}|1:2",
        f"1 {SUITE} inline:{key(1)}|1:4;inline:{key(2)}|2:4",
        f"1 {SUITE} inline:{key(1)}|1:4 KDR=1",
        f"1 AES_CM_128_HMAC_SHA1_32 inline:{key(1)}|1:4",
    ):
        assert not sdes.same_keys(one, line(other))


def test_to_keys() -> None:
    """Key and salt are cut apart by the suite's lengths; limits, MKIs and parameters come along."""
    crypto = line(f"1 AES_256_CM_HMAC_SHA1_80 inline:{b64encode(bytes(range(46))).decode()}|2^20|1:4 KDR=3")
    keys = sdes.to_keys(crypto, same_transport=False)
    assert (keys.suite, keys.params.kdr, keys.same_transport) == (AES_256_CM_HMAC_SHA1_80, 3, False)
    (master,) = keys.master_keys
    assert (master.key.reveal(), master.salt.reveal()) == (bytes(range(32)), bytes(range(32, 46)))
    assert (master.lifetime, master.mki, master.mki_length) == (2**20, 1, 4)
