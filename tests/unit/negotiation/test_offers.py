"""What we write into the application's SDP, and what we leave alone."""

import pytest

import imsmediasec as ims
from imsmediasec.errors import LocalError
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Ends, Form, LocalOffer, MediaPlan, Stream
from imsmediasec.negotiation.edge import EdgeRules
from imsmediasec.negotiation.offers import read_own, write_answer, write_offer
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.sdp.document import SessionDescription
from imsmediasec.suites import AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80, DEFAULT_PREFERENCE
from tests.pair import body, counter

PREFERRED = ims.SecurityPolicy(requirement=ims.Requirement.PREFERRED)
CAPNEG = ims.SecurityPolicy(
    requirement=ims.Requirement.PREFERRED, optional_form=ims.OptionalForm.CAPABILITY_NEGOTIATION
)
DISABLED = ims.SecurityPolicy(requirement=ims.Requirement.DISABLED)
TRANSPORT = ("IN IP4 192.0.2.1", 4000)
FP = "fingerprint:sha-256 AA"


def offer(
    text: str,
    policy: ims.SecurityPolicy | None = None,
    *,
    streams: dict[int, Stream] | None = None,
    fresh: bool = False,
    keys_may_travel: bool = True,
    suites: tuple[ims.SrtpSuite, ...] = DEFAULT_PREFERENCE,
) -> tuple[str, LocalOffer]:
    doc = read_own(text)
    made = write_offer(
        doc,
        policy=policy or ims.SecurityPolicy(),
        suites=suites,
        random=counter(),
        streams=streams or {},
        fresh=fresh,
        keys_may_travel=keys_may_travel,
    )
    return str(doc), made


def added(text: str, written: str) -> list[str]:
    """Lines that are new or changed."""
    return [line for line in written.split("\r\n") if line not in text.split("\r\n")]


def active(tag: int = 2, suite: ims.SrtpSuite = AEAD_AES_128_GCM, form: Form = Form.SECURE) -> Stream:
    local = sdes.new_crypto(tag, suite, ims.SecurityPolicy(), counter(500))
    remote = sdes.new_crypto(tag, suite, ims.SecurityPolicy(), counter(600))
    return Stream(
        index=0, mid=None, media_type="audio", form=form, local=local, remote=remote, local_transport=TRANSPORT
    )


def test_unreadable() -> None:
    """The application's own SDP is its own fault."""
    with pytest.raises(LocalError, match="the SDP handed over"):
        read_own("hello")


def test_required() -> None:
    """RTP/SAVP with one line a suite; the rest of the text is untouched."""
    text = body("audio 4000 RTP/AVP 0\na=rtpmap:0 PCMU/8000", "video 5000 RTP/AVPF 31")
    written, made = offer(text)
    assert [line.form for line in made.media] == [Form.SECURE, Form.SECURE]
    lines = added(text, written)
    assert lines[0] == "m=audio 4000 RTP/SAVP 0" and lines[4] == "m=video 5000 RTP/SAVPF 31"
    assert [line.split()[1] for line in lines if line.startswith("a=")] == [s.name for s in DEFAULT_PREFERENCE] * 2
    assert made.media[0].transport == TRANSPORT
    keys = [crypto.keys[0].key_salt.reveal() for line in made.media for crypto in line.crypto]
    assert len(set(keys)) == 6


def test_osrtp_and_capability_negotiation() -> None:
    """PREFERRED in its two forms: RFC 8643 and RFC 5939, never both."""
    written, made = offer(body(), PREFERRED)
    assert made.media[0].form is Form.OSRTP
    assert "m=audio 4000 RTP/AVP 0" in written and "a=crypto:3" in written and "pcfg" not in written
    written, made = offer(body("audio 4000 RTP/AVPF 0"), CAPNEG)
    assert made.media[0].form is Form.CAPNEG
    assert "m=audio 4000 RTP/AVPF 0" in written and "\na=crypto" not in written
    assert "a=tcap:1 RTP/SAVPF" in written and "a=pcfg:1 t=1 a=1,2,3" in written
    assert "a=acap:3 crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" in written


def test_disabled_and_by_media_type() -> None:
    """DISABLED is plain RTP, whatever the application wrote; each media type has its own requirement."""
    written, made = offer(body(f"audio 4000 UDP/TLS/RTP/SAVPF 0\na={FP}\na=setup:actpass"), DISABLED)
    assert added(body("audio 4000 RTP/AVPF 0"), written) == []
    assert made.media[0].form is Form.PLAIN
    by_type = ims.SecurityPolicy(requirement_by_media={"video": ims.Requirement.DISABLED})
    _, made = offer(body("audio 4000 RTP/AVP 0", "video 5000 RTP/AVP 31"), by_type)
    assert [line.form for line in made.media] == [Form.SECURE, Form.PLAIN]


def test_the_applications_security_is_replaced() -> None:
    """Its own keys and fingerprints go, in the place where ours come; other lines stay."""
    text = body(
        f"audio 4000 RTP/SAVP 0\na=ptime:20\na=crypto:1 X inline:{'B' * 40}\na=sendrecv\na={FP}", session=f"a={FP}"
    )
    written, _ = offer(text)
    assert FP not in written and "B" * 40 not in written
    lines = written.split("\r\n")
    assert lines.index("a=ptime:20") + 4 == lines.index("a=sendrecv")


@pytest.mark.parametrize("session", [f"a={FP}\na=setup:actpass\na=tls-id:1", ""])
def test_other_protocols_keep_their_session_level(session: str) -> None:
    """A fingerprint of the session level goes down to the m-lines that are not ours."""
    policy = ims.SecurityPolicy(requirement_by_media={"message": ims.Requirement.DISABLED})
    text = body("audio 4000 RTP/AVP 0", "message 7394 TCP/TLS/MSRP *\na=setup:active", session=session)
    written, made = offer(text, policy)
    doc = SessionDescription.parse(written)
    assert made.media[1].form is Form.PASS
    assert not doc.session.has("fingerprint")
    assert doc.media[1].values("setup") == ["active"]
    assert doc.media[1].has("fingerprint") is bool(session)


def test_without_rtp_nothing_changes() -> None:
    """An SDP without RTP is left as it is."""
    text = body("message 7394 TCP/TLS/MSRP *", session=f"a={FP}")
    assert offer(text, DISABLED)[0] == text


def test_not_rtp_and_required() -> None:
    """What cannot be protected here is not offered under a policy that requires it; a dead m-line is nothing."""
    with pytest.raises(LocalError, match="message over TCP/MSRP cannot be protected"):
        offer(body("message 7394 TCP/MSRP *"))
    _, made = offer(body("message 0 TCP/MSRP *", "audio 0 RTP/AVP 0"))
    assert [line.form for line in made.media] == [Form.PASS, Form.PASS]


def test_no_key_over_clear_signalling() -> None:
    """RFC 4568 8.3: PREFERRED becomes plain, REQUIRED an error; the same with no suite at hand."""
    for form in (PREFERRED, CAPNEG):
        written, made = offer(body(), form, keys_may_travel=False)
        assert (written, made.media[0].form) == (body(), Form.PLAIN)
        assert offer(body(), form, suites=())[0] == body()
    with pytest.raises(LocalError, match="not declared protected"):
        offer(body(), keys_may_travel=False)


def test_reoffer_keeps_the_key() -> None:
    """The line in use comes first with its key, then the other suites (peers.md 24)."""
    stream = active(tag=2)
    _, made = offer(body(), streams={0: stream})
    tags = [(crypto.tag, crypto.suite) for crypto in made.media[0].crypto]
    assert tags == [(2, AEAD_AES_128_GCM), (3, DEFAULT_PREFERENCE[0]), (4, AES_CM_128_HMAC_SHA1_80)]
    assert made.media[0].crypto[0] is stream.local
    assert made.media[0].was_protected


@pytest.mark.parametrize("tag", [0, 999_999_999])
def test_reoffer_with_an_odd_tag(tag: int) -> None:
    """A tag of 0, or with nine digits, that the peer chose is not used in an offer of ours (peers.md 22)."""
    stream = active(tag=tag)
    _, made = offer(body(), streams={0: stream})
    assert [crypto.tag for crypto in made.media[0].crypto] == [1, 2, 3]
    assert stream.local is not None and made.media[0].crypto[0].keys is stream.local.keys


@pytest.mark.parametrize(
    ("text", "fresh"), [(body(), True), (body("audio 4002 RTP/AVP 0"), False), (body(host="192.0.2.9"), False)]
)
def test_fresh_key(text: str, fresh: bool) -> None:
    """Asked for, or because address or port moved (7.1.4): the suite in use stays first, the key does not."""
    stream = active()
    _, made = offer(text, streams={0: stream}, fresh=fresh)
    assert stream.local is not None
    assert made.media[0].crypto[0].suite is AEAD_AES_128_GCM
    assert not sdes.share_a_key(stream.local, made.media[0].crypto)


def test_suite_no_longer_wanted() -> None:
    """A policy that dropped the suite in use gets an offer without it."""
    _, made = offer(body(), streams={0: active()}, suites=(AES_CM_128_HMAC_SHA1_80,))
    assert [crypto.suite for crypto in made.media[0].crypto] == [AES_CM_128_HMAC_SHA1_80]


@pytest.mark.parametrize(
    ("was", "form"), [(Form.OSRTP, Form.OSRTP), (Form.SECURE, Form.SECURE), (Form.PLAIN, Form.OSRTP)]
)
def test_form_of_a_reoffer(was: Form, form: Form) -> None:
    """PREFERRED goes on in the form that was agreed; what came by RFC 5939 is RTP/SAVP now."""
    stream = active(form=was)
    if was is Form.PLAIN:
        stream.local = stream.remote = None
    assert offer(body(), PREFERRED, streams={0: stream})[1].media[0].form is form


THEIRS = CryptoAttribute.parse_value(f"4 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}")


def answer(
    text: str, *plans: MediaPlan, streams: dict[int, Stream] | None = None, fresh: bool = False
) -> tuple[str, tuple[MediaPlan, ...]]:
    doc = read_own(text)
    done = write_answer(
        doc, plans=plans, policy=ims.SecurityPolicy(), random=counter(700), streams=streams or {}, fresh=fresh
    )
    return str(doc), done


def plan(form: Form = Form.SECURE, proto: str = "RTP/SAVP", remote: CryptoAttribute | None = THEIRS) -> MediaPlan:
    return MediaPlan(form=form, proto=proto, media_type="audio", remote=remote)


def test_answer() -> None:
    """The offer's profile, tag and suite, one line, a key of our own."""
    written, (done,) = answer(body(f"audio 4000 UDP/TLS/RTP/SAVPF 0\na={FP}", session=f"a={FP}"), plan())
    assert done.local is not None
    assert added(body(), written) == ["m=audio 4000 RTP/SAVP 0", f"a=crypto:{done.local.value()}"]
    assert done.local.value().startswith("4 AES_CM_128_HMAC_SHA1_80 inline:")
    assert done.local_transport == TRANSPORT


def test_answer_with_capability_negotiation() -> None:
    """RFC 5939 3.5.2: the configuration that was used."""
    chosen = plan(Form.CAPNEG)
    chosen.actual_configuration = "1 t=1 a=1"
    written, _ = answer(body(), chosen)
    assert "a=acfg:1 t=1 a=1" in written


def test_answer_plain_refused_and_passed() -> None:
    """Plain RTP has no key, a refused m-line port 0, and what is not ours stays."""
    text = body("audio 4000 RTP/SAVP 0", "audio 4002 RTP/AVP 0", "audio 0 RTP/AVP 0", "image 4004 udptl t38")
    written, done = answer(
        text,
        plan(Form.PLAIN, "RTP/AVP", None),
        plan(Form.REFUSED, "RTP/SAVP", None),
        plan(),
        plan(Form.PASS, "udptl", None),
    )
    assert [line for line in written.split("\r\n") if line.startswith("m=")] == [
        "m=audio 4000 RTP/AVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=image 4004 udptl t38",
    ]
    assert [one.form for one in done] == [Form.PLAIN, Form.REFUSED, Form.REFUSED, Form.PASS]
    assert done[2].remote is None


def test_answer_keeps_or_changes_the_key() -> None:
    """The key so far stays, unless a fresh one is due or the transport moved (7.1.4)."""
    stream = active(tag=1, suite=AES_CM_128_HMAC_SHA1_80)
    assert stream.local is not None
    for text, fresh, kept in ((body(), False, True), (body(), True, False), (body(host="192.0.2.9"), False, False)):
        _, (done,) = answer(text, plan(), streams={0: stream}, fresh=fresh)
        assert done.local is not None
        assert sdes.same_keys(done.local, stream.local) is kept


def test_answer_with_other_m_lines() -> None:
    """RFC 3264 6: as many m-lines as the offer."""
    with pytest.raises(LocalError, match="the answer has 1 m-lines, the offer 2"):
        answer(body(), plan(), plan())


def test_to_the_edge() -> None:
    """What the edge is to end says so."""
    doc = read_own(body())
    made = write_offer(
        doc,
        policy=ims.SecurityPolicy(),
        suites=DEFAULT_PREFERENCE,
        random=counter(),
        streams={},
        fresh=False,
        keys_may_travel=True,
        edge=EdgeRules(allowed=True, available=True, offers=Ends.EDGE, unmarked=Ends.EDGE_PRESUMED),
    )
    assert made.media[0].ends is Ends.EDGE
    assert "a=3ge2ae:requested" in str(doc)
