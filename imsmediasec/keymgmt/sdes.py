"""SDES: keys in a=crypto lines (RFC 4568).

The key in an SDP is the sender's own: what the offer carries protects media from the offerer,
what the answer carries protects media from the answerer. Functions only; who holds which
key in which dialog is the business of `imsmediasec.negotiation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from imsmediasec.errors import LocalError, MalformedInput, NoCommonSecurity, PeerMisbehaved
from imsmediasec.keys import DEFAULT_PARAMS, MasterKey, SessionParams, SrtpKeys
from imsmediasec.policy import Quirk, SecurityPolicy
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.records import quick_init
from imsmediasec.sdp.crypto import CryptoAttribute, InlineKey
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite

Random = Callable[[int], bytes]
"""A source of that many random octets."""


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selection:
    """The crypto line that holds in one direction, and what had to be tolerated."""

    crypto: CryptoAttribute
    quirks: tuple[tuple[Quirk, str], ...] = ()


def usable_suites(policy: SecurityPolicy, capabilities: SrtpCapabilities) -> tuple[SrtpSuite, ...]:
    """Suites that the policy wants and the SRTP layer runs, best first."""
    available = capabilities.suites
    return tuple([suite for suite in policy.suites if suite in available])


def new_crypto(tag: int, suite: SrtpSuite, policy: SecurityPolicy, random: Random) -> CryptoAttribute:
    """A line with a fresh key of ours (6.1: never one that was used before)."""
    mki = None if policy.mki_length is None else 1
    key = InlineKey(
        key_salt=Secret(random(suite.key_salt_length)),
        lifetime=policy.key_lifetime,
        mki=mki,
        mki_length=policy.mki_length,
    )
    return CryptoAttribute(tag=tag, suite=suite, suite_name=suite.name, keys=(key,))


def new_offer(
    suites: Iterable[SrtpSuite], policy: SecurityPolicy, random: Random, first_tag: int = 1
) -> tuple[CryptoAttribute, ...]:
    """One line a suite, each with its own key, best first (5.1.1)."""
    return tuple(new_crypto(first_tag + n, suite, policy, random) for n, suite in enumerate(suites))


def choose(
    offered: Sequence[CryptoAttribute],
    void: Sequence[MalformedInput],
    suites: Sequence[SrtpSuite],
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
) -> Selection:
    """The first offered line that can be accepted (5.1.2). Raises NoCommonSecurity with every reason."""
    reasons = []
    for crypto in offered:
        reason = _unacceptable(crypto, suites, policy, capabilities)
        if reason is None:
            return Selection(crypto=crypto, quirks=_described(crypto))
        reasons.append(f"tag {crypto.tag}: {reason}")
    reasons += [error.reason for error in void]
    raise NoCommonSecurity("no a=crypto line can be accepted: " + "; ".join(reasons or ["none is there"]),
                           clause="RFC 4568 5.1.2")  # fmt: skip


def answer_to(
    accepted: CryptoAttribute, policy: SecurityPolicy, random: Random, reuse: CryptoAttribute | None = None
) -> CryptoAttribute:
    """Our line of the answer: tag and suite of the accepted line, a key of ours (5.1.2).

    `reuse`: our line so far, whose key stays if the suite and the session parameters do.
    """
    assert accepted.suite is not None
    params = _negotiated(accepted.params)
    written = tuple(name for name in accepted.session_params if name in _NEGOTIATED)
    if reuse is not None and reuse.suite is accepted.suite and _same(_negotiated(reuse.params), params):
        return replace(reuse, tag=accepted.tag, suite_name=accepted.suite_name)
    fresh = new_crypto(accepted.tag, accepted.suite, policy, random)
    if share_a_key(fresh, (accepted,)):  # 7.1.2: never the offerer's key
        raise LocalError("the random source gave the offerer's key", clause="RFC 4568 7.1.2")
    if written or accepted.suite_name != fresh.suite_name:
        # Whoever offers an old spelling of the suite looks for it in the answer.
        return replace(fresh, suite_name=accepted.suite_name, session_params=written, params=params)
    return fresh


def match_answer(
    offered: Sequence[CryptoAttribute],
    answered: Sequence[CryptoAttribute],
    void: Sequence[MalformedInput],
    policy: SecurityPolicy,
    capabilities: SrtpCapabilities,
) -> tuple[CryptoAttribute, Selection]:
    """Our line that the answer accepts, and the peer's (5.1.3, 7.1.3).

    Raises PeerMisbehaved: no line, several, a tag or suite not offered, changed session parameters; and
    for a line that is void or that the policy or SRTP layer refuses.
    """
    if not answered and void:
        raise PeerMisbehaved(f"the a=crypto line of the answer is void: {void[0].reason}", clause="RFC 4568 7.1.3")
    if not answered:
        raise PeerMisbehaved("the answer accepts the secure stream without a key", clause="RFC 4568 7.4")
    if len(answered) + len(void) != 1:
        raise PeerMisbehaved("the answer has more than one a=crypto line", clause="RFC 4568 5.1.2")
    theirs = answered[0]
    ours, quirks = _offered_line(offered, theirs, policy)
    assert ours.suite is not None
    reason = _unacceptable(theirs, (ours.suite,), policy, capabilities)
    if reason is not None:
        raise PeerMisbehaved(f"the answer's a=crypto line: {reason}", clause="RFC 4568 7.1.3")
    if not _same(_negotiated(ours.params), _negotiated(theirs.params)):
        raise PeerMisbehaved("the answer changes the negotiated session parameters", clause="RFC 4568 6.3")
    return ours, Selection(crypto=theirs, quirks=_described(theirs) + quirks)


def to_keys(crypto: CryptoAttribute, *, same_transport: bool) -> SrtpKeys:
    """What the SRTP layer needs of a line that has been selected."""
    suite = crypto.suite
    assert suite is not None
    masters = []
    for inline in crypto.keys:
        octets = inline.key_salt.reveal()
        masters.append(
            MasterKey(
                key=Secret(octets[: suite.key_length]),
                salt=Secret(octets[suite.key_length :]),
                lifetime=inline.lifetime,
                mki=inline.mki,
                mki_length=inline.mki_length,
            )
        )
    return SrtpKeys(suite=suite, master_keys=tuple(masters), params=crypto.params, same_transport=same_transport)


def share_a_key(one: CryptoAttribute, others: Iterable[CryptoAttribute]) -> bool:
    """True if a key of `one` stands in one of the others too."""
    return any(key.key_salt == other.key_salt for line in others for other in line.keys for key in one.keys)


def same_keys(one: CryptoAttribute, other: CryptoAttribute) -> bool:
    """True if nothing that the SRTP layer sees differs; tags do not count."""
    return (
        one.suite is other.suite
        and _same(one.params, other.params)
        and len(one.keys) == len(other.keys)
        and all(
            a.key_salt == b.key_salt and a.mki == b.mki and a.mki_length == b.mki_length
            for a, b in zip(one.keys, other.keys, strict=True)
        )
    )


_NEGOTIATED = ("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP")


def _negotiated(params: SessionParams) -> SessionParams:
    """6.3.2 and 6.3.3 are negotiated; KDR, FEC_* and WSH are each side's own declaration."""
    if params is DEFAULT_PARAMS:
        return params
    return replace(params, kdr=0, window_size_hint=64)


def _same(one: SessionParams, other: SessionParams) -> bool:
    return one is other or all(getattr(one, name) == getattr(other, name) for name in SessionParams.__slots__)


def _unacceptable(
    crypto: CryptoAttribute, suites: Sequence[SrtpSuite], policy: SecurityPolicy, capabilities: SrtpCapabilities
) -> str | None:
    """Why a valid line cannot be used here, or None."""
    if crypto.suite is None:
        return f"suite {crypto.suite_name[:40]} is not known"
    if crypto.suite not in suites:
        return f"suite {crypto.suite.name} is not allowed by the policy or not offered"
    if crypto.session_params:
        unknown = crypto.unknown_params
        if unknown:
            return f"session parameter {unknown[0][:40]} is not known and not optional"
        if crypto.fec:
            return "forward error correction (FEC_ORDER, FEC_KEY) is not available"
        for name in _NEGOTIATED:
            if name in crypto.session_params and not policy.accept_unencrypted:
                return f"the policy does not accept {name}"
    for quirk in crypto.quirks:
        if quirk not in policy.tolerate:
            return f"{quirk.value} is not tolerated by the policy"
    if len(crypto.keys) > 1 and not capabilities.multiple_keys:
        return "the SRTP layer takes one key only"
    for key in crypto.keys:
        if key.mki_length is not None and (not capabilities.mki or key.mki_length > capabilities.max_mki_length):
            return f"the SRTP layer cannot run an MKI of {key.mki_length} octets"
    return capabilities.refusal(crypto.suite, crypto.params)


def _offered_line(
    offered: Sequence[CryptoAttribute], theirs: CryptoAttribute, policy: SecurityPolicy
) -> tuple[CryptoAttribute, tuple[tuple[Quirk, str], ...]]:
    for line in offered:
        if line.tag == theirs.tag:
            if line.suite is theirs.suite:
                return line, ()
            raise PeerMisbehaved(
                f"the answer puts {theirs.suite_name[:40]} behind tag {theirs.tag}, offered as {line.suite_name}",
                clause="RFC 4568 5.1.3",
            )
    same_suite = [line for line in offered if line.suite is theirs.suite]
    if len(same_suite) == 1 and Quirk.TAG_RENUMBERED in policy.tolerate:
        detail = f"tag {theirs.tag} instead of {same_suite[0].tag}"
        return same_suite[0], ((Quirk.TAG_RENUMBERED, detail),)
    raise PeerMisbehaved(f"the answer accepts tag {theirs.tag}, which was not offered", clause="RFC 4568 5.1.3")


def _described(crypto: CryptoAttribute) -> tuple[tuple[Quirk, str], ...]:
    """The quirks of a line, each with what to tell the user."""
    return tuple((quirk, f"a=crypto:{crypto.tag} {crypto.suite_name}") for quirk in crypto.quirks)
