"""The other side's offers and answers: what can be agreed, and what is a fault (RFC 4568 5.1, 7.1).

Nothing here changes state. A fault of the whole SDP raises a `RemoteError`; a fault of one offered
m-line refuses that m-line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from imsmediasec.errors import DowngradeDetected, MalformedInput, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Ends, Form, LocalOffer, MediaPlan, OfferedMedia, Stream
from imsmediasec.negotiation.edge import NO_EDGE, EdgeRules
from imsmediasec.negotiation.offers import transport_of
from imsmediasec.policy import SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.sdp import profiles
from imsmediasec.sdp.capneg import potential_configurations
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.sdp.document import MediaDescription, SessionDescription
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import OnFailure, Requirement


def offered_keys(doc: SessionDescription) -> Iterator[CryptoAttribute]:
    """Every readable a=crypto line, those of capability negotiation (a=acap, RFC 5939) included."""
    for section in (doc.session, *doc.media):
        for value in section.values("acap"):
            name, _, rest = value.partition(" ")[2].partition(":")
            if name == "crypto":
                with suppress(MalformedInput):
                    yield CryptoAttribute.parse_value(rest)
    for line in doc.media:
        yield from line.crypto


def judge_offer(
    doc: SessionDescription,
    *,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    capabilities: SrtpCapabilities,
    streams: Mapping[int, Stream],
    keys_may_travel: bool,
    edge: EdgeRules = NO_EDGE,
) -> tuple[MediaPlan, ...]:
    """What to answer, m-line by m-line. `suites`: what both the policy and the SRTP layer take.

    Raises NoCommonSecurity if every m-line in use has to be refused, DowngradeDetected if the offer
    takes protection away and the policy does not bear it.
    """
    plans = tuple(
        [
            _plan(doc, line, policy, suites, capabilities, streams.get(index), keys_may_travel, edge)
            for index, line in enumerate(doc.media)
        ]
    )
    refusal = ""
    agreed = False
    for index, (plan, line) in enumerate(zip(plans, doc.media, strict=True)):
        if plan.form is Form.REFUSED:
            refusal = refusal or plan.refusal
        elif line.port:
            agreed = True
        if policy.on_protection_lost is OnFailure.REFUSE:
            _check_not_less(index, plan, streams.get(index), policy)
    if refusal and not agreed:
        raise NoCommonSecurity(refusal, clause="RFC 4568 5.1.2")
    return plans


def _check_not_less(index: int, plan: MediaPlan, stream: Stream | None, policy: SecurityPolicy) -> None:
    """Raises DowngradeDetected if `plan` protects less than what is in force, or not as far."""
    if stream is None or not stream.protected:
        return
    if plan.media_type != stream.media_type and policy.requirement_for(plan.media_type) is Requirement.DISABLED:
        return  # the place is for other media now, which nobody wants protected (a fax)
    if plan.in_clear:
        raise DowngradeDetected(f"the new offer takes the protection off m-line {index}", clause="RFC 4568 7.1.4")
    if plan.remote is not None and plan.ends is Ends.EDGE and stream.ends is Ends.FAR_END:
        raise DowngradeDetected(f"the new offer ends the protection of m-line {index} at the access edge")


def _plan(
    doc: SessionDescription,
    line: MediaDescription,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    capabilities: SrtpCapabilities,
    stream: Stream | None,
    keys_may_travel: bool,
    edge: EdgeRules,
) -> MediaPlan:
    media_type = line.media_type
    plan = MediaPlan(
        form=Form.PASS,
        proto=line.proto,
        mid=line.mid,
        media_type=media_type,
        remote_transport=transport_of(doc, line),
    )
    requirement = policy.requirement_for(media_type)
    try:
        if line.port == 0:
            pass
        elif profiles.is_dtls(line.proto):
            raise NoCommonSecurity("DTLS-SRTP is not available")
        elif profiles.is_rtp(line.proto):
            plan.ends = edge.ends_of(line, requirement, edge.unmarked)
            _agree(doc, line, plan, policy, suites, capabilities, stream, requirement, keys_may_travel)
        elif requirement is Requirement.REQUIRED:
            raise NoCommonSecurity(f"{media_type[:40]} over {line.proto[:40]} cannot be protected")
    except NoCommonSecurity as error:
        plan.form = Form.REFUSED
        plan.refusal = error.reason
    return plan


def _agree(
    doc: SessionDescription,
    line: MediaDescription,
    plan: MediaPlan,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    capabilities: SrtpCapabilities,
    stream: Stream | None,
    requirement: Requirement,
    keys_may_travel: bool,
) -> None:
    """Fill in the plan for RTP. Raises NoCommonSecurity if the m-line has to be refused."""
    secure = profiles.is_secure(line.proto)
    plan.form = Form.PLAIN
    if requirement is Requirement.DISABLED:
        if secure:
            raise NoCommonSecurity("the policy wants no protection, and the offer allows nothing else")
        return
    may_be_plain = not secure and requirement is Requirement.PREFERRED
    offered, void = line.crypto, line.crypto_errors
    if not keys_may_travel:
        if may_be_plain:
            return
        raise NoCommonSecurity("our key must not go over a signalling hop that is not declared protected")
    # RFC 5939 3.6.2: what is potential comes before what is actual, unless the actual one has keys already.
    if not (offered or void) and _capability(doc, line, plan, policy, suites, capabilities, stream):
        return
    if not (secure or offered or void):
        if may_be_plain:
            return
        raise NoCommonSecurity(f"the offer has no protection for {line.media_type[:40]}, and the policy requires it")
    try:
        _choose(plan, offered, void, policy, suites, capabilities, stream)
    except NoCommonSecurity:
        # RFC 8643 3.2: an answer without keys declines; a failure after the answer fails the media.
        if not may_be_plain:
            raise
    else:
        plan.form = Form.SECURE if secure else Form.OSRTP


def _capability(
    doc: SessionDescription,
    line: MediaDescription,
    plan: MediaPlan,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    capabilities: SrtpCapabilities,
    stream: Stream | None,
) -> bool:
    """Take the best potential configuration that is SRTP with a key we can accept, and asks for nothing else
    that we would have to know (RFC 5939 3.6.2)."""
    for config in potential_configurations(doc, line):
        proto = config.proto or line.proto
        if not profiles.is_secure(proto) or "m" in config.deletes:
            continue
        if not all(value.startswith("crypto:") for value in config.mandatory.values()):
            continue
        extra = {number: value for number, value in config.optional.items() if value.startswith("crypto:")}
        good: list[CryptoAttribute] = []
        void: list[MalformedInput] = []
        for value in (*config.mandatory.values(), *extra.values()):
            try:
                good.append(CryptoAttribute.parse_value(value.removeprefix("crypto:")))
            except MalformedInput as error:
                void.append(error)
        with suppress(NoCommonSecurity):
            _choose(plan, good, void, policy, suites, capabilities, stream)
            plan.form = Form.SECURE if line.proto == proto else Form.CAPNEG
            plan.proto = proto
            plan.actual_configuration = config.actual(extra)
            return True
    return False


def _choose(
    plan: MediaPlan,
    offered: Sequence[CryptoAttribute],
    void: Sequence[MalformedInput],
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    capabilities: SrtpCapabilities,
    stream: Stream | None,
) -> None:
    selection = sdes.choose(offered, void, suites, policy, capabilities)
    if stream is not None and stream.local is not None and sdes.share_a_key(selection.crypto, (stream.local,)):
        raise NoCommonSecurity("the offer returns our own key", clause="RFC 4568 7.1.2")
    plan.remote = selection.crypto
    plan.quirks = selection.quirks


def judge_answer(
    doc: SessionDescription,
    *,
    offer: LocalOffer,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    edge: EdgeRules = NO_EDGE,
) -> tuple[MediaPlan, ...]:
    """What the answer agrees to, m-line by m-line. Raises PeerMisbehaved, DowngradeDetected, NoCommonSecurity."""
    if len(doc.media) != len(offer.media):
        raise PeerMisbehaved(
            f"the answer has {len(doc.media)} m-lines, the offer {len(offer.media)}", clause="RFC 3264 6"
        )
    ours = [crypto for media in offer.media for crypto in media.crypto]
    return tuple(
        [
            _judge_line(doc, line, offered, ours, policy, capabilities, edge, index)
            for index, (line, offered) in enumerate(zip(doc.media, offer.media, strict=True))
        ]
    )


def check_required(plans: Sequence[MediaPlan], policy: SecurityPolicy) -> None:
    """The policy may have become stricter since the offer, as the call was passed on to somebody else.

    Raises NoCommonSecurity if an m-line would be in clear that must not be.
    """
    for plan in plans:
        if plan.form is Form.PLAIN and policy.requirement_for(plan.media_type) is Requirement.REQUIRED:
            raise NoCommonSecurity(f"{plan.media_type[:40]} would be in clear, and the policy requires protection")


def _judge_line(
    doc: SessionDescription,
    line: MediaDescription,
    offered: OfferedMedia,
    ours: Sequence[CryptoAttribute],
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    edge: EdgeRules,
    index: int,
) -> MediaPlan:
    plan = MediaPlan(
        form=offered.form,
        proto=line.proto,
        mid=line.mid,
        media_type=line.media_type,
        remote_transport=transport_of(doc, line),
        local_transport=offered.transport,
    )
    if line.port == 0:
        plan.form = Form.REFUSED
        return plan
    if offered.form is Form.PASS:
        return plan
    has_keys = bool(line.crypto or line.crypto_errors)
    secure = profiles.is_secure(line.proto)
    wanted = offered.proto
    if offered.form is Form.CAPNEG:
        accepted = line.value("acfg")
        if accepted is not None and (not secure or accepted.split(" ")[0] != "1"):
            raise PeerMisbehaved("a=acfg does not name the configuration that the m-line uses", clause="RFC 5939 3.5.2")
        if secure:
            wanted = profiles.secure(offered.proto)
    without_keys = offered.form is Form.OSRTP and not has_keys
    if offered.form is Form.PLAIN or without_keys or (offered.form is Form.CAPNEG and not secure):
        if has_keys or secure or profiles.is_dtls(line.proto):
            raise PeerMisbehaved("the answer brings protection that was not offered", clause="RFC 3264 6.1")
        if not profiles.is_rtp(line.proto):
            raise PeerMisbehaved(f"the answer has {line.proto[:40]} for {wanted}", clause="RFC 3264 6.1")
        lost = offered.was_protected and offered.form is not Form.PLAIN
        if lost and policy.on_protection_lost is OnFailure.REFUSE:
            raise DowngradeDetected(f"the answer takes the protection off m-line {index}", clause="RFC 8643 3.3")
        plan.form = Form.PLAIN
        return plan
    if line.proto != wanted:
        raise PeerMisbehaved(f"the answer has {line.proto[:40]} for {wanted}", clause="RFC 3264 6.1")
    plan.local, selection = sdes.match_answer(offered.crypto, line.crypto, line.crypto_errors, policy, capabilities)
    if sdes.share_a_key(selection.crypto, ours):
        raise PeerMisbehaved("the answer returns the offerer's own key", clause="RFC 4568 7.1.2")
    plan.remote = selection.crypto
    plan.quirks = selection.quirks
    plan.ends = edge.ends_of(line, policy.requirement_for(line.media_type), offered.ends)
    shorter = plan.ends is Ends.EDGE and offered.ends is Ends.FAR_END and offered.was_protected
    if shorter and policy.on_protection_lost is OnFailure.REFUSE:
        raise DowngradeDetected(f"the answer ends the protection of m-line {index} at the access edge")
    return plan
