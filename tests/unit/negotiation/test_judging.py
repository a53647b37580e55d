"""The peer's offers and answers: what is taken, what is refused, whose fault it is."""

from dataclasses import replace
from pathlib import Path

import pytest

import imsmediasec as ims
from imsmediasec.errors import DowngradeDetected, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Ends, Form, LocalOffer, MediaPlan, OfferedMedia, Stream
from imsmediasec.negotiation.edge import EdgeRules
from imsmediasec.negotiation.judging import check_required, judge_answer, judge_offer, offered_keys
from imsmediasec.sdp.document import SessionDescription
from imsmediasec.suites import AES_CM_128_HMAC_SHA1_32, AES_CM_128_HMAC_SHA1_80, ALL_SUITES
from tests.pair import CAPABILITIES, body, counter

FIXTURES = Path(__file__).parents[2] / "fixtures/sdp"
REQUIRED = ims.SecurityPolicy()
PREFERRED = ims.SecurityPolicy(requirement=ims.Requirement.PREFERRED)
DISABLED = ims.SecurityPolicy(requirement=ims.Requirement.DISABLED)
K = "A" * 40
CRYPTO = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{K}"
UNKNOWN = f"a=crypto:1 UNKNOWN inline:{K}"
VOID = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ="
SAVP, AVP = "audio 4000 RTP/SAVP 0", "audio 4000 RTP/AVP 0"
NEW = "audio 4000 RTP/AVP 0\na=tcap:1 RTP/SAVP\na=pcfg:1 t=1 a=1\na=acap:1 "
ALTERNATIVE = f"{NEW}{CRYPTO[2:]}"


def fixture(name: str) -> str:
    return (FIXTURES / f"{name}.sdp").read_text()


def judge(
    text: str,
    policy: ims.SecurityPolicy = REQUIRED,
    *,
    streams: dict[int, Stream] | None = None,
    keys_may_travel: bool = True,
    suites: tuple[ims.SrtpSuite, ...] = ALL_SUITES,
) -> tuple[MediaPlan, ...]:
    return judge_offer(
        SessionDescription.parse(text),
        policy=policy,
        suites=suites,
        capabilities=CAPABILITIES,
        streams=streams or {},
        keys_may_travel=keys_may_travel,
    )


def protected() -> Stream:
    local = sdes.new_crypto(1, AES_CM_128_HMAC_SHA1_80, REQUIRED, counter(7))
    remote = sdes.new_crypto(1, AES_CM_128_HMAC_SHA1_80, REQUIRED, counter(8))
    return Stream(index=0, mid=None, media_type="audio", form=Form.SECURE, local=local, remote=remote)


@pytest.mark.parametrize(
    ("media", "policy", "form"),
    [
        (f"{SAVP}\n{CRYPTO}", REQUIRED, Form.SECURE),
        (f"audio 4000 RTP/SAVPF 0\n{CRYPTO}", REQUIRED, Form.SECURE),
        (f"{AVP}\n{CRYPTO}", REQUIRED, Form.OSRTP),
        (f"{AVP}\n{CRYPTO}", PREFERRED, Form.OSRTP),
        (ALTERNATIVE, REQUIRED, Form.CAPNEG),
        (ALTERNATIVE, PREFERRED, Form.CAPNEG),
        (AVP, PREFERRED, Form.PLAIN),
        (AVP, DISABLED, Form.PLAIN),
        (f"{AVP}\n{CRYPTO}", DISABLED, Form.PLAIN),
        (ALTERNATIVE, DISABLED, Form.PLAIN),
        (f"{AVP}\n{UNKNOWN}", PREFERRED, Form.PLAIN),
        (f"{AVP}\n{VOID}", PREFERRED, Form.PLAIN),
        (f"{SAVP}\n{CRYPTO}", PREFERRED, Form.SECURE),
        (f"{SAVP}\n{VOID}\n{CRYPTO.replace('1', '2', 1)}", REQUIRED, Form.SECURE),
        ("audio 0 RTP/AVP 0", REQUIRED, Form.PASS),
        ("audio 0 UDP/TLS/RTP/SAVP 0", REQUIRED, Form.PASS),
        ("message 1 TCP/MSRP *", PREFERRED, Form.PASS),
        ("audio 4000 UDP/TLS/RTP/SAVPF 0", DISABLED, None),
        (f"{SAVP}\n{CRYPTO}", DISABLED, None),
        (SAVP, PREFERRED, None),
        (f"{SAVP}\n{UNKNOWN}", PREFERRED, None),
        (f"{SAVP}\n{VOID}", REQUIRED, None),
        (AVP, REQUIRED, None),
        (f"{AVP}\n{UNKNOWN}", REQUIRED, None),
        ("message 1 TCP/MSRP *", REQUIRED, None),
    ],
)
def test_offers(media: str, policy: ims.SecurityPolicy, form: Form | None) -> None:
    """Every profile under every requirement; None: refused."""
    if form is None:
        with pytest.raises(NoCommonSecurity):
            judge(body(media), policy)
    else:
        (plan,) = judge(body(media), policy)
        assert plan.form is form
        assert (plan.remote is not None) is (form in (Form.SECURE, Form.OSRTP, Form.CAPNEG))


@pytest.mark.parametrize(
    ("media", "policy", "form"),
    [
        (f"{AVP}\n{CRYPTO}", PREFERRED, Form.PLAIN),
        (ALTERNATIVE, PREFERRED, Form.PLAIN),
        (AVP, DISABLED, Form.PLAIN),
        (f"{SAVP}\n{CRYPTO}", PREFERRED, None),
        (f"{AVP}\n{CRYPTO}", REQUIRED, None),
    ],
)
def test_clear_signalling(media: str, policy: ims.SecurityPolicy, form: Form | None) -> None:
    """No key of ours goes over it: plain where the policy bears that, else refused."""
    if form is None:
        with pytest.raises(NoCommonSecurity, match="must not go over"):
            judge(body(media), policy, keys_may_travel=False)
    else:
        assert judge(body(media), policy, keys_may_travel=False)[0].form is form


def test_each_m_line_on_its_own() -> None:
    """One refused m-line does not fail the call as long as another one is taken (peers.md 54)."""
    first, second = judge(fixture("duplicate_m_lines_offer"))
    assert (first.form, second.form) == (Form.SECURE, Form.REFUSED)
    assert "has no protection" in second.refusal
    assert [plan.form for plan in judge(fixture("duplicate_m_lines_offer"), PREFERRED)] == [Form.SECURE, Form.PLAIN]


def test_nothing_left() -> None:
    """All in use refused: the first reason; a dead m-line does not save the call."""
    with pytest.raises(NoCommonSecurity, match="audio"):
        judge(body(AVP, "video 0 RTP/AVP 31", "text 5000 RTP/AVP 98"))


def test_bundle() -> None:
    """Tag 0 is legal (peers.md 22), each m-line has its key and its mid."""
    audio, video = judge(fixture("audio_video_bundle_offer"))
    assert (audio.mid, video.mid, audio.proto) == ("a", "v", "RTP/SAVPF")
    assert audio.remote is not None and audio.remote.tag == 0


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("pjsip_offer", 1),
        ("baresip_offer", 1),
        ("asterisk_offer", 1),
        ("teams_offer", 1),
        ("rtpengine_unpadded_offer", 1),
        ("ims_ue_3ge2ae_offer", 1),
        ("lf_only", 1),
        ("latin1_octets", 1),
    ],
)
def test_real_offers(name: str, tag: int) -> None:
    """The first line of each is taken with the default policy's tolerance and all suites."""
    octets = (FIXTURES / f"{name}.sdp").read_bytes()
    (plan,) = judge(octets.decode("utf-8", "surrogateescape"))
    assert plan.remote is not None and plan.remote.tag == tag


def test_rfc4568_example() -> None:
    """7.1.5 asks for FEC in both lines: that cannot be had, and is said."""
    with pytest.raises(NoCommonSecurity, match="forward error correction"):
        judge(fixture("rfc4568_7_1_5_offer"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rfc5939_alternatives_offer", [("RTP/SAVPF", "1 t=4 a=1")]),
        ("rfc5939_dtls_or_sdes_offer", [("RTP/SAVP", "2 t=2 a=3")]),
        ("rfc5939_two_streams_offer", [("RTP/SAVP", "1 t=2 a=2"), ("RTP/SAVP", "2 t=2 a=3")]),
        ("rfc5939_delete_session_offer", [("RTP/SAVP", "1 a=-s:1"), ("RTP/SAVP", "1 a=-s:2")]),
    ],
)
def test_rfc5939_examples(name: str, expected: list[tuple[str, str]]) -> None:
    """The best configuration whose mandatory attributes we know, named as 3.5.2 wants."""
    plans = judge(fixture(name))
    assert [(plan.proto, plan.actual_configuration) for plan in plans] == expected


@pytest.mark.parametrize(
    ("added", "configuration"),
    [
        ("", "1 t=1 a=1"),
        ("a=pcfg:1 t=1 a=1,[2,3]\n", "1 t=1 a=1,[3]"),
        ("a=pcfg:1 t=1 a=[1,2]\n", "1 t=1 a=[1]"),
        ("a=pcfg:1 t=1 a=1,2\na=pcfg:2 t=1 a=3\n", "2 t=1 a=3"),
        ("a=pcfg:1 t=1 a=-m:1\na=pcfg:2 t=1 a=3\n", "2 t=1 a=3"),
        ("a=pcfg:1 t=1 a=4\na=pcfg:2 t=1 a=5\na=pcfg:3 t=1 a=3\n", "3 t=1 a=3"),
        ("a=pcfg:1 t=1 a=1,2\n", None),
        ("a=pcfg:1 a=1\n", None),
        ("a=pcfg:1 t=1 a=1\na=creq:new\n", None),
    ],
)
def test_configurations(added: str, configuration: str | None) -> None:
    """Optional attributes that we do not know are left out; mandatory ones rule a configuration out."""
    capabilities = (
        "a=tcap:1 RTP/SAVP",
        f"a=acap:1 crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{K}",
        "a=acap:2 rtcp-fb:* nack",
        f"a=acap:3 crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{'B' * 40}",
        "a=acap:4 crypto:3 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=",
        f"a=acap:5 crypto:3 UNKNOWN inline:{K}",
    )
    text = body("\n".join((AVP, *capabilities, (added or "a=pcfg:1 t=1 a=1\n").strip())))
    (plan,) = judge(text, PREFERRED)
    assert plan.actual_configuration == configuration
    assert plan.form is (Form.PLAIN if configuration is None else Form.CAPNEG)


def test_own_key_in_the_offer() -> None:
    """7.1.2 in the other direction: a re-offer with our key is refused."""
    stream = protected()
    assert stream.local is not None
    with pytest.raises(NoCommonSecurity, match="our own key"):
        judge(body(f"{SAVP}\na=crypto:{stream.local.value()}"), streams={0: stream})


@pytest.mark.parametrize("on_lost", [ims.OnFailure.REFUSE, ims.OnFailure.WARN])
def test_protection_taken_off(on_lost: ims.OnFailure) -> None:
    """A re-offer without keys is a downgrade (peers.md 50, 51), unless the policy goes on with a warning."""
    policy = replace(PREFERRED, on_protection_lost=on_lost)
    streams = {0: protected()}
    if on_lost is ims.OnFailure.REFUSE:
        with pytest.raises(DowngradeDetected, match="m-line 0"):
            judge(body(AVP), policy, streams=streams)
    else:
        assert judge(body(AVP), policy, streams=streams)[0].form is Form.PLAIN
    plain = Stream(index=0, mid=None, media_type="audio", form=Form.PLAIN)
    assert judge(body(AVP), PREFERRED, streams={0: plain})[0].form is Form.PLAIN


@pytest.mark.parametrize("line", ["audio 4000 rtp/avp 0", "audio 4000 TCP/RTP/AVP 0", "image 4000 udptl t38"])
def test_protection_taken_off_with_the_profile(line: str) -> None:
    """What is no RTP, or is written oddly, is in clear as well; a stream that ends is not."""
    streams = {0: protected()}
    with pytest.raises(DowngradeDetected, match="m-line 0"):
        judge(body(line), PREFERRED, streams=streams)
    assert judge(body(line), replace(PREFERRED, on_protection_lost=ims.OnFailure.WARN), streams=streams)[0].in_clear
    assert not judge(body(line.replace("4000", "0")), PREFERRED, streams=streams)[0].in_clear


def test_other_media_that_need_no_protection() -> None:
    """The user's word for a fax holds when one takes the place of speech."""
    policy = replace(PREFERRED, requirement_by_media={"image": ims.Requirement.DISABLED})
    assert judge(body("image 4000 udptl t38"), policy, streams={0: protected()})[0].form is Form.PASS


def test_offered_keys() -> None:
    """All keys of an offer: a=crypto of each m-line, and those in capabilities; what cannot be read is no key."""
    text = body(
        f"{AVP}\n{CRYPTO}\n{VOID}\na=acap:1 crypto:1 X inline:{K}\na=acap:2 rtcp-fb:1\na=acap:3 crypto:x",
        session=f"a=acap:9 crypto:2 Y inline:{K}",
    )
    names = [crypto.suite_name for crypto in offered_keys(SessionDescription.parse(text))]
    assert names == ["Y", "X", "AES_CM_128_HMAC_SHA1_80"]


TWO = (AES_CM_128_HMAC_SHA1_80, AES_CM_128_HMAC_SHA1_32)
OURS = sdes.new_offer(TWO, REQUIRED, counter(50))
GOOD = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{K}"


def offered(form: Form, proto: str, *, keys: bool = True, was_protected: bool = False) -> OfferedMedia:
    crypto = OURS if keys else ()
    return OfferedMedia(
        form=form, proto=proto, crypto=crypto, transport=("IN IP4 192.0.2.7", 7), was_protected=was_protected
    )


SECURE = offered(Form.SECURE, "RTP/SAVP")
OSRTP = offered(Form.OSRTP, "RTP/AVP")
CAPNEG = offered(Form.CAPNEG, "RTP/AVP")
PLAIN = offered(Form.PLAIN, "RTP/AVP", keys=False)
PASS = offered(Form.PASS, "TCP/MSRP", keys=False)


def judge_one(media: str, ours: OfferedMedia, policy: ims.SecurityPolicy = REQUIRED) -> MediaPlan:
    (plan,) = judge_answer(
        SessionDescription.parse(body(media)),
        offer=LocalOffer(media=(ours,), fresh=True),
        policy=policy,
        capabilities=CAPABILITIES,
    )
    return plan


@pytest.mark.parametrize(
    ("media", "ours", "form"),
    [
        (f"{SAVP}\n{GOOD}", SECURE, Form.SECURE),
        (f"{AVP}\n{GOOD}", OSRTP, Form.OSRTP),
        (AVP, OSRTP, Form.PLAIN),
        (f"{SAVP}\n{GOOD}\na=acfg:1 t=1 a=1,2", CAPNEG, Form.CAPNEG),
        (f"{SAVP}\n{GOOD}", CAPNEG, Form.CAPNEG),
        (AVP, CAPNEG, Form.PLAIN),
        (AVP, PLAIN, Form.PLAIN),
        ("audio 4000 RTP/AVPF 0", PLAIN, Form.PLAIN),
        ("message 1 TCP/MSRP *", PASS, Form.PASS),
        ("audio 0 RTP/SAVP 0", SECURE, Form.REFUSED),
        (f"audio 0 RTP/SAVP 0\n{GOOD}", PLAIN, Form.REFUSED),
    ],
)
def test_answers(media: str, ours: OfferedMedia, form: Form) -> None:
    """Every form with its good answers."""
    plan = judge_one(media, ours)
    assert plan.form is form
    assert (plan.local is not None) is (plan.remote is not None) is (form in (Form.SECURE, Form.OSRTP, Form.CAPNEG))
    assert plan.local_transport == ours.transport


@pytest.mark.parametrize(
    ("media", "ours", "why"),
    [
        (SAVP, SECURE, "without a key"),
        (AVP, SECURE, "has RTP/AVP for RTP/SAVP"),
        (f"audio 4000 RTP/SAVPF 0\n{GOOD}", SECURE, "has RTP/SAVPF"),
        ("audio 4000 UDP/TLS/RTP/SAVP 0", SECURE, "has UDP/TLS/RTP/SAVP"),
        (f"{SAVP}\n{VOID}", SECURE, "is void"),
        (f"{SAVP}\n{GOOD}\n{GOOD.replace('1', '2', 1)}", SECURE, "more than one"),
        (f"{SAVP}\n{GOOD}", OSRTP, "has RTP/SAVP for RTP/AVP"),
        (f"{AVP}\n{VOID}", OSRTP, "is void"),
        (SAVP, OSRTP, "not offered"),
        (f"{AVP}\n{GOOD}", CAPNEG, "not offered"),
        (f"{AVP}\na=acfg:1 t=1 a=1", CAPNEG, "a=acfg"),
        (f"{SAVP}\n{GOOD}\na=acfg:2 t=1 a=1", CAPNEG, "a=acfg"),
        (f"audio 4000 RTP/SAVPF 0\n{GOOD}", CAPNEG, "has RTP/SAVPF for RTP/SAVP"),
        (f"{AVP}\n{GOOD}", PLAIN, "not offered"),
        (f"{SAVP}\n{GOOD}", PLAIN, "not offered"),
        ("audio 4000 UDP/TLS/RTP/SAVP 0", PLAIN, "not offered"),
        ("audio 4000 TCP/RTP/AVP 0", PLAIN, "has TCP/RTP/AVP for RTP/AVP"),
        ("audio 4000 udptl 0", OSRTP, "has udptl for RTP/AVP"),
    ],
)
def test_bad_answers(media: str, ours: OfferedMedia, why: str) -> None:
    """peers.md 43, 44, 47: an answer is judged against what was offered."""
    with pytest.raises(PeerMisbehaved, match=why):
        judge_one(media, ours)


def test_own_key_in_the_answer() -> None:
    """7.1.2, peers.md 18: of any line or m-line of ours, in any place of theirs."""
    echo = OURS[1].value().split()[2]
    for line in (f"1 AES_CM_128_HMAC_SHA1_80 {echo}", f"1 AES_CM_128_HMAC_SHA1_80 inline:{K}|1:1;{echo}|2:1"):
        with pytest.raises(PeerMisbehaved, match="own key"):
            judge_one(f"{SAVP}\na=crypto:{line}", SECURE)
    other = replace(SECURE, crypto=sdes.new_offer(TWO, REQUIRED, counter(90)))
    text = body(f"{SAVP}\n{GOOD}", f"video 5000 RTP/SAVP 31\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {echo}")
    with pytest.raises(PeerMisbehaved, match="own key"):
        judge_answer(
            SessionDescription.parse(text),
            offer=LocalOffer(media=(SECURE, other), fresh=True),
            policy=REQUIRED,
            capabilities=CAPABILITIES,
        )


def test_wrong_number_of_m_lines() -> None:
    """RFC 3264 6."""
    with pytest.raises(PeerMisbehaved, match="the answer has 0 m-lines, the offer 1"):
        judge_answer(
            SessionDescription.parse("v=0\r\n"),
            offer=LocalOffer(media=(SECURE,), fresh=True),
            policy=REQUIRED,
            capabilities=CAPABILITIES,
        )


@pytest.mark.parametrize("form", [Form.OSRTP, Form.CAPNEG, Form.PLAIN])
@pytest.mark.parametrize("on_lost", [ims.OnFailure.REFUSE, ims.OnFailure.WARN])
def test_protection_declined_within_the_call(form: Form, on_lost: ims.OnFailure) -> None:
    """An answer that takes protection off is a downgrade, unless we did not offer it or the policy bears it."""
    ours = offered(form, "RTP/AVP", keys=form is not Form.PLAIN, was_protected=True)
    policy = replace(PREFERRED, on_protection_lost=on_lost)
    if form is not Form.PLAIN and on_lost is ims.OnFailure.REFUSE:
        with pytest.raises(DowngradeDetected, match="m-line 0"):
            judge_one(AVP, ours, policy)
    else:
        assert judge_one(AVP, ours, policy).form is Form.PLAIN


def test_policy_that_became_stricter() -> None:
    """What would be in clear after all is refused when the answer is due."""
    plain = MediaPlan(form=Form.PLAIN, media_type="audio")
    check_required([plain, MediaPlan(form=Form.SECURE, media_type="audio")], PREFERRED)
    with pytest.raises(NoCommonSecurity, match="would be in clear"):
        check_required([plain], REQUIRED)


EDGE = EdgeRules(allowed=True, available=True, offers=Ends.FAR_END, unmarked=Ends.FAR_END)
APPLIED = "a=3ge2ae:applied"


def test_offer_that_ends_sooner() -> None:
    """A re-offer whose protection ends at the access edge, where it was end to end, is a downgrade."""
    text = SessionDescription.parse(body(f"{SAVP}\n{CRYPTO}\n{APPLIED}"))
    arguments = {
        "policy": REQUIRED,
        "suites": ALL_SUITES,
        "capabilities": CAPABILITIES,
        "keys_may_travel": True,
        "edge": EDGE,
    }
    assert judge_offer(text, streams={}, **arguments)[0].ends is Ends.EDGE  # type: ignore[arg-type]
    with pytest.raises(DowngradeDetected, match="access edge"):
        judge_offer(text, streams={0: protected()}, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("on_lost", [ims.OnFailure.REFUSE, ims.OnFailure.WARN])
def test_answer_that_ends_sooner(on_lost: ims.OnFailure) -> None:
    """The same of an answer within the call."""
    ours = replace(SECURE, was_protected=True)
    policy = replace(REQUIRED, on_protection_lost=on_lost)
    text = SessionDescription.parse(body(f"{SAVP}\n{GOOD}\n{APPLIED}"))

    def judged() -> MediaPlan:
        offer = LocalOffer(media=(ours,), fresh=True)
        return judge_answer(text, offer=offer, policy=policy, capabilities=CAPABILITIES, edge=EDGE)[0]

    if on_lost is ims.OnFailure.REFUSE:
        with pytest.raises(DowngradeDetected, match="access edge"):
            judged()
    else:
        assert judged().ends is Ends.EDGE
