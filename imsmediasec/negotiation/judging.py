"""The other side's offers and answers: what can be agreed, and what is a fault (RFC 4568 5.1, 7.1).

Nothing here changes state. A fault of the whole SDP raises a `RemoteError`; a fault of one offered
m-line refuses that m-line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from imsmediasec.errors import DowngradeDetected, MalformedInput, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Form, LocalOffer, MediaPlan, OfferedMedia, Stream
from imsmediasec.negotiation.offers import transport_of
from imsmediasec.policy import Quirk, SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.sdp import profiles
from imsmediasec.sdp.capneg import potential_configurations
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.sdp.document import MediaDescription, SessionDescription
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
    capabilities: SrtpCapabilities,
    streams: Mapping[int, Stream],
    keys_may_travel: bool,
) -> tuple[MediaPlan, ...]:
    """What to answer, m-line by m-line.

    Raises NoCommonSecurity if every m-line in use has to be refused, DowngradeDetected if the offer
    takes protection away and the policy does not bear it.
    """
    plans = tuple(
        _plan(doc, line, policy, capabilities, streams.get(index), keys_may_travel)
        for index, line in enumerate(doc.media)
    )
    for index, plan in enumerate(plans):
        stream = streams.get(index)
        lost = stream is not None and stream.protected and plan.form is Form.PLAIN
        if lost and policy.on_protection_lost is OnFailure.REFUSE:
            raise DowngradeDetected(f"the new offer takes the protection off m-line {index}", clause="RFC 4568 7.1.4")
    refused = [plan for plan in plans if plan.form is Form.REFUSED]
    if refused and all(plan.form is Form.REFUSED for plan, line in zip(plans, doc.media, strict=True) if line.port):
        raise NoCommonSecurity(refused[0].refusal, clause="RFC 4568 5.1.2")
    return plans


def _plan(
    doc: SessionDescription,
    line: MediaDescription,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    stream: Stream | None,
    keys_may_travel: bool,
) -> MediaPlan:
    requirement = policy.requirement_for(line.media_type)
    base = MediaPlan(
        form=Form.PASS,
        proto=line.proto,
        mid=line.mid,
        media_type=line.media_type,
        remote_transport=transport_of(doc, line),
    )
    if line.port == 0:
        return base
    if not profiles.is_rtp(line.proto):
        if requirement is Requirement.REQUIRED:
            return _refused(base, f"{line.media_type} over {line.proto[:40]} cannot be protected")
        return base
    if profiles.is_dtls(line.proto):
        return _refused(base, "DTLS-SRTP is not available")
    try:
        return _agree(doc, line, base, policy, capabilities, stream, requirement, keys_may_travel)
    except NoCommonSecurity as error:
        return _refused(base, error.reason)


def _agree(
    doc: SessionDescription,
    line: MediaDescription,
    base: MediaPlan,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    stream: Stream | None,
    requirement: Requirement,
    keys_may_travel: bool,
) -> MediaPlan:
    secure = profiles.is_secure(line.proto)
    offers_keys = bool(line.crypto or line.crypto_errors)
    if requirement is Requirement.DISABLED:
        if secure:
            raise NoCommonSecurity("the policy wants no protection, and the offer allows nothing else")
        return replace(base, form=Form.PLAIN)
    if secure or offers_keys:
        if keys_may_travel:
            # Once keys stand beside RTP/AVP, a fault in them fails the media (RFC 8643 3.2).
            remote, quirks = _choose(line.crypto, line.crypto_errors, policy, capabilities, stream)
            return replace(base, form=Form.SECURE if secure else Form.OSRTP, remote=remote, quirks=quirks)
        if secure or requirement is Requirement.REQUIRED:
            raise NoCommonSecurity("our key must not go over a signalling hop that is not declared protected")
        return replace(base, form=Form.PLAIN)
    if keys_may_travel:
        plan = _capability(doc, line, base, policy, capabilities, stream)
        if plan is not None:
            return plan
    if requirement is Requirement.REQUIRED:
        raise NoCommonSecurity(f"the offer has no protection for {line.media_type[:40]}, and the policy requires it")
    return replace(base, form=Form.PLAIN)


def _capability(
    doc: SessionDescription,
    line: MediaDescription,
    base: MediaPlan,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    stream: Stream | None,
) -> MediaPlan | None:
    """The best potential configuration that is SRTP with a key we can accept (RFC 5939 3.6.2)."""
    for config in potential_configurations(doc, line):
        if config.proto is None or not profiles.is_secure(config.proto):
            continue
        good: list[CryptoAttribute] = []
        void: list[MalformedInput] = []
        for value in config.attribute_values:
            name, _, rest = value.partition(":")
            if name == "crypto":
                try:
                    good.append(CryptoAttribute.parse_value(rest))
                except MalformedInput as error:
                    void.append(error)
        try:
            remote, quirks = _choose(good, void, policy, capabilities, stream)
        except NoCommonSecurity:
            continue
        return replace(
            base,
            form=Form.CAPNEG,
            proto=config.proto,
            remote=remote,
            quirks=quirks,
            actual_configuration=config.actual(),
        )
    return None


def _choose(
    offered: tuple[CryptoAttribute, ...] | list[CryptoAttribute],
    void: tuple[MalformedInput, ...] | list[MalformedInput],
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    stream: Stream | None,
) -> tuple[CryptoAttribute, tuple[tuple[Quirk, str], ...]]:
    selection = sdes.choose(offered, void, sdes.usable_suites(policy, capabilities), policy, capabilities)
    if stream is not None and stream.local is not None:
        mine = [key.key_salt for key in stream.local.keys]
        if any(key.key_salt == own for key in selection.crypto.keys for own in mine):
            raise NoCommonSecurity("the offer returns our own key", clause="RFC 4568 7.1.2")
    remote = selection.crypto
    if stream is not None and stream.remote is not None and sdes.same_keys(remote, stream.remote):
        remote = replace(remote, keys=stream.remote.keys)  # the same key keeps its history
    return remote, selection.quirks


def _refused(base: MediaPlan, reason: str) -> MediaPlan:
    return replace(base, form=Form.REFUSED, refusal=reason)


def judge_answer(
    doc: SessionDescription,
    *,
    offer: LocalOffer,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    streams: Mapping[int, Stream],
) -> tuple[MediaPlan, ...]:
    """What the answer agrees to, m-line by m-line. Raises PeerMisbehaved, NoCommonSecurity, DowngradeDetected."""
    if len(doc.media) != len(offer.media):
        raise PeerMisbehaved(
            f"the answer has {len(doc.media)} m-lines, the offer {len(offer.media)}", clause="RFC 3264 6"
        )
    return tuple(
        _judge_line(doc, line, offered, policy, capabilities, streams.get(index), index)
        for index, (line, offered) in enumerate(zip(doc.media, offer.media, strict=True))
    )


def _judge_line(
    doc: SessionDescription,
    line: MediaDescription,
    offered: OfferedMedia,
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
    stream: Stream | None,
    index: int,
) -> MediaPlan:
    base = MediaPlan(
        form=offered.form,
        proto=line.proto,
        mid=line.mid,
        media_type=line.media_type,
        remote_transport=transport_of(doc, line),
        local_transport=offered.transport,
    )
    if line.port == 0:
        return replace(base, form=Form.REFUSED)
    if offered.form is Form.PASS:
        return base
    has_keys = bool(line.crypto or line.crypto_errors)
    secure = profiles.is_secure(line.proto)
    if offered.form is Form.CAPNEG and not secure:
        if line.has("acfg"):
            raise PeerMisbehaved("a=acfg accepts a configuration, but the m-line does not use it", clause="RFC 5939 3.5.2")
        offered = replace(offered, form=Form.PLAIN)
    if offered.form is Form.PLAIN or (offered.form is Form.OSRTP and not has_keys):
        if has_keys or secure or profiles.is_dtls(line.proto):
            raise PeerMisbehaved("the answer brings protection that was not offered", clause="RFC 3264 6.1")
        if offered.was_protected and offered.form is not Form.PLAIN and policy.on_protection_lost is OnFailure.REFUSE:
            raise DowngradeDetected(f"the answer takes the protection off m-line {index}", clause="RFC 8643 3.3")
        return replace(base, form=Form.PLAIN)
    wanted = profiles.secure(offered.proto) if offered.form is Form.CAPNEG else offered.proto
    if line.proto != wanted:
        raise PeerMisbehaved(f"the answer has {line.proto[:40]} for {wanted}", clause="RFC 3264 6.1")
    ours, selection = sdes.match_answer(offered.crypto, line.crypto, line.crypto_errors, policy, capabilities)
    remote = selection.crypto
    if stream is not None and stream.remote is not None and sdes.same_keys(remote, stream.remote):
        remote = replace(remote, keys=stream.remote.keys)
    return replace(base, local=ours, remote=remote, quirks=selection.quirks)
