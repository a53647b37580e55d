"""Our offers and answers: plain text of the application in, text with the security lines out.

Only the lines that carry the security of RTP are ours: the proto field, a=crypto, a=key-mgmt, the
DTLS attributes of an RTP m-line, and the capability negotiation of all these. The rest leaves as
it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imsmediasec.errors import LocalError, MalformedInput
from imsmediasec.keymgmt import sdes
from imsmediasec.negotiation.dialog import Ends, Form, LocalOffer, MediaPlan, OfferedMedia, Stream
from imsmediasec.negotiation.edge import ATTRIBUTE, NO_EDGE, REQUESTED, EdgeRules
from imsmediasec.policy import SecurityPolicy
from imsmediasec.sdp import profiles
from imsmediasec.sdp.crypto import CryptoAttribute
from imsmediasec.sdp.document import MediaDescription, SessionDescription
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import OptionalForm, Requirement

OWNED_ATTRIBUTES = ("crypto", "key-mgmt", "fingerprint", "setup", "tls-id", "tcap", "acap", "pcfg", "acfg", ATTRIBUTE)
"""Attributes of an RTP m-line that the application's text may hold and that we replace."""

_SESSION_ATTRIBUTES = ("key-mgmt", "fingerprint", "setup", "tls-id")


def read_own(plain: str | bytes) -> SessionDescription:
    """The application's SDP. Raises LocalError if it cannot be read."""
    try:
        return SessionDescription.parse(plain)
    except MalformedInput as error:
        raise LocalError(f"the SDP handed over: {error.reason}", clause=error.clause) from None


def transport_of(doc: SessionDescription, media: MediaDescription) -> tuple[str | None, int]:
    """Where media is to be sent: c= value and port."""
    return doc.connection(media), media.port


def write_offer(
    doc: SessionDescription,
    *,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    random: sdes.Random,
    streams: dict[int, Stream],
    fresh: bool,
    keys_may_travel: bool,
    edge: EdgeRules = NO_EDGE,
) -> LocalOffer:
    """Put the security of an offer into `doc`.

    `suites`: what the policy and the SRTP layer take. `streams`: what is agreed so far in the dialog, or
    {}. `fresh`: no key of ours stays. `keys_may_travel`: False if a=crypto must not go over the next hop
    (RFC 4568 8.3).
    Raises LocalError if the policy requires what cannot be offered.
    """
    media = tuple(
        [
            _offer_media(
                doc,
                line,
                policy,
                suites,
                random,
                streams.get(index),
                fresh,
                keys_may_travel,
                edge.for_offer(index, streams),
            )
            for index, line in enumerate(doc.media)
        ]
    )
    _clear_session_level(doc)
    return LocalOffer(media=media, fresh=fresh)


def _offer_media(
    doc: SessionDescription,
    line: MediaDescription,
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    random: sdes.Random,
    stream: Stream | None,
    fresh: bool,
    keys_may_travel: bool,
    ends: Ends,
) -> OfferedMedia:
    transport = transport_of(doc, line)
    requirement = policy.requirement_for(line.media_type)
    if line.port == 0:
        return OfferedMedia(form=Form.PASS, proto=line.proto, transport=transport)
    if not profiles.is_rtp(line.proto):
        if requirement is Requirement.REQUIRED:
            raise LocalError(
                f"{line.media_type} over {line.proto} cannot be protected here; "
                f"allow it with requirement_by_media={{'{line.media_type}': Requirement.DISABLED}}",
                sip_status_hint=488,
            )
        return OfferedMedia(form=Form.PASS, proto=line.proto, transport=transport)
    place = line.remove_attributes(*OWNED_ATTRIBUTES)
    plain = profiles.plain(line.proto)
    protected = stream is not None and stream.protected
    can_protect = keys_may_travel and suites
    if requirement is Requirement.DISABLED or (not can_protect and requirement is Requirement.PREFERRED):
        line.set_media(proto=plain)
        return OfferedMedia(form=Form.PLAIN, proto=plain, transport=transport, was_protected=protected)
    if not keys_may_travel:
        raise LocalError(
            "a=crypto must not go over a signalling hop that is not declared protected; give "
            "signalling=Hop.PROTECTED, or allow it with sdes_over_unprotected_signalling",
            clause="RFC 4568 8.3",
            sip_status_hint=488,
        )
    crypto = _offer_lines(policy, suites, random, stream, fresh or _moved(stream, transport))
    form = _offer_form(policy, requirement, stream)
    if form is Form.CAPNEG:
        place = _set_proto(line, plain, place)
        acap = ",".join(str(n) for n in range(1, len(crypto) + 1))
        added = [f"tcap:1 {profiles.secure(plain)}"]
        added += [f"acap:{n} crypto:{one.value()}" for n, one in enumerate(crypto, 1)]
        added.append(f"pcfg:1 t=1 a={acap}")
    else:
        place = _set_proto(line, profiles.secure(plain) if form is Form.SECURE else plain, place)
        added = [f"crypto:{one.value()}" for one in crypto]
    if ends is Ends.EDGE:
        added.append(REQUESTED)
    line.add_attributes(added, place)
    return OfferedMedia(
        form=form, proto=line.proto, crypto=crypto, transport=transport, was_protected=protected, ends=ends
    )


def _set_proto(line: MediaDescription, proto: str, place: int | None) -> int | None:
    """Write the proto field; where `place`, a place further down, is then."""
    moved = len(proto) - len(line.proto)
    line.set_media(proto=proto)
    return None if place is None else place + moved


def _offer_lines(
    policy: SecurityPolicy,
    suites: Sequence[SrtpSuite],
    random: sdes.Random,
    stream: Stream | None,
    fresh: bool,
) -> tuple[CryptoAttribute, ...]:
    """The line in use first, so that an answerer that takes the first keeps it, then the other suites."""
    active = stream.local if stream is not None else None
    if active is None or active.suite is None or active.suite not in suites:
        return sdes.new_offer(suites, policy, random)
    others = [suite for suite in suites if suite is not active.suite]
    if fresh:
        return sdes.new_offer([active.suite, *others], policy, random)
    if not 1 <= active.tag < 900_000_000:  # 0 and 9 digits are legal, but not what peers expect
        active = replace(active, tag=1)
    tag = active.tag + 1
    return (active, *sdes.new_offer(others, policy, random, first_tag=tag))


def _moved(stream: Stream | None, transport: tuple[str | None, int]) -> bool:
    """A new address or port of ours needs a new key (RFC 4568 7.1.4)."""
    return stream is not None and stream.local is not None and stream.local_transport != transport


def _offer_form(policy: SecurityPolicy, requirement: Requirement, stream: Stream | None) -> Form:
    if requirement is Requirement.REQUIRED:
        return Form.SECURE
    if stream is not None and stream.protected:
        return Form.OSRTP if stream.form is Form.OSRTP else Form.SECURE
    return Form.OSRTP if policy.optional_form is OptionalForm.OSRTP else Form.CAPNEG


def write_answer(
    doc: SessionDescription,
    *,
    plans: Sequence[MediaPlan],
    policy: SecurityPolicy,
    random: sdes.Random,
    streams: dict[int, Stream],
    fresh: bool,
) -> tuple[MediaPlan, ...]:
    """Put the security of an answer into `doc`; the plans, completed with our lines.

    Raises LocalError if the application's answer does not fit the offer (RFC 3264 6).
    """
    if len(doc.media) != len(plans):
        raise LocalError(f"the answer has {len(doc.media)} m-lines, the offer {len(plans)}", clause="RFC 3264 6")
    done = []
    for index, (line, plan) in enumerate(zip(doc.media, plans, strict=True)):
        if plan.form is Form.PASS:
            done.append(plan)
            continue
        place = line.remove_attributes(*OWNED_ATTRIBUTES)
        if plan.form is Form.REFUSED or line.port == 0:
            line.set_media(proto=plan.proto, port=0)
            done.append(plan.answered(form=Form.REFUSED, local=None, transport=transport_of(doc, line)))
            continue
        place = _set_proto(line, plan.proto, place)
        transport = transport_of(doc, line)
        if plan.remote is None:
            done.append(plan.answered(form=plan.form, local=None, transport=transport))
            continue
        stream = streams.get(index)
        keep = stream.local if stream is not None and not fresh and not _moved(stream, transport) else None
        local = sdes.answer_to(plan.remote, policy, random, keep)
        added = [f"crypto:{local.value()}"]
        if plan.actual_configuration is not None:
            added.append(f"acfg:{plan.actual_configuration}")
        line.add_attributes(added, place)
        done.append(plan.answered(form=plan.form, local=local, transport=transport))
    _clear_session_level(doc)
    return tuple(done)


def _clear_session_level(doc: SessionDescription) -> None:
    """Take what would key RTP off the session level; m-lines that are not ours keep what they had from there."""
    others = [line for line in doc.media if not profiles.is_rtp(line.proto)]
    if len(others) == len(doc.media):
        return
    for line in others:
        for name in _SESSION_ATTRIBUTES:
            if not line.has(name):
                line.add_attributes([f"{name}:{value}" for value in doc.session.values(name)])
    doc.session.remove_attributes(*_SESSION_ATTRIBUTES)
