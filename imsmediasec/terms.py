"""Words that everybody shares: the enumerations of the public API.

Names follow RFC 3261, 3264 and 4568, and the usage models of the requirement text (4.x).
"""

from __future__ import annotations

from enum import Enum


class Word(Enum):
    """An enumeration whose members hash by identity, in C: the tables look them up all the time."""

    __hash__ = object.__hash__


class Scope(Word):
    """Between whom the media is protected. The three are never mixed up."""

    END_TO_END = "e2e"
    """Terminal to terminal, under the user's control (4.x.3)."""
    END_TO_MIDDLE_TO_END = "e2m2e"
    """A named, authorized middle node holds keys too (B2, B4)."""
    END_TO_ACCESS_EDGE = "e2ae"
    """Terminal to the edge of the IM CN, under the operator's control (4.x.2)."""


class KeyManagement(Word):
    """How the two ends come to the same keys."""

    MIKEY_TICKET = "mikey-ticket"
    """RFC 6043."""
    DTLS_SRTP = "dtls-srtp"
    """RFC 5763, RFC 5764."""
    SDES = "sdes"
    """RFC 4568: the key stands in the SDP."""


class Requirement(Word):
    """What the user asks for, per media type."""

    REQUIRED = "required"
    """Protected or not at all: RTP/SAVP(F) is offered, RTP/AVP(F) refused."""
    PREFERRED = "preferred"
    """Protected if the other side can; in the form that `OptionalForm` names."""
    DISABLED = "disabled"
    """Unprotected."""


class OptionalForm(Word):
    """How an offer says that protection is optional; never both in one offer."""

    OSRTP = "osrtp"
    """RFC 8643: RTP/AVP(F) with a=crypto beside it."""
    CAPABILITY_NEGOTIATION = "capneg"
    """RFC 5939: RTP/AVP(F) with a=tcap, a=acap and a=pcfg."""


class Forking(Word):
    """Requirement B7."""

    SECURE = "secure"
    """Only the terminal that takes the call has the key of its media."""
    EXPOSED = "exposed"
    """No re-key: every terminal that the INVITE reached holds a key. By the user's word only."""


class Side(Word):
    """Who sent the INVITE. Who offers is a matter of each exchange."""

    UAC = "uac"
    UAS = "uas"


class Hop(Word):
    """What the caller of the library declares about the next signalling hop."""

    PROTECTED = "protected"
    """TLS, IPsec, or the same host."""
    UNPROTECTED = "unprotected"


class Direction(Word):
    """Of media, seen from here."""

    SEND = "send"
    RECEIVE = "receive"


class Gate(Word):
    """What may leave towards the other side on one stream."""

    OPEN = "open"
    KEEPALIVE_ONLY = "keepalive-only"
    """Keep-alives without content (RFC 6263): no packet that carries speech, no RTCP."""


class ForkState(Word):
    """How far B7 is met, for one dialog or a call."""

    UNKNOWN = "unknown"
    """It cannot be told from here who else holds a key (a callee before the caller's re-key)."""
    EXPOSED = "exposed"
    """Terminals that did not take the call may hold a key."""
    REKEYING = "rekeying"
    CONFIRMED = "confirmed"
    """Only the terminal that took the call has the keys."""


class DialogExit(Word):
    """What to do in SIP with a dialog that the call does not use any more."""

    FORGET = "forget"
    """Nothing: it is no longer there, or ends by itself 64*T1 after the first 2xx (RFC 3261 13.2.2.4)."""
    BYE = "bye"
    ACK_BYE = "ack-bye"
    """A further 2xx: acknowledge it, then end it."""


class Retarget(Word):
    """Why the call now goes to somebody else."""

    REDIRECT = "redirect"
    """A 3xx answer."""
    FORWARDED = "forwarded"
    """181 or History-Info (RFC 7044)."""
    TRANSFER = "transfer"
    """REFER (RFC 3515)."""


class IdentitySource(Word):
    """How the identity of the other end is known, weakest first."""

    NONE = "none"
    CLAIMED = "claimed"
    """It says so itself (From, To, Contact); nobody vouches."""
    NETWORK_ASSERTED = "network-asserted"
    """P-Asserted-Identity that came over a trusted hop (RFC 3325)."""
    TICKET = "ticket"
    CERTIFICATE = "certificate"
    PASSPORT = "passport"


class OnFailure(Word):
    """What to do when the policy cannot be met."""

    REFUSE = "refuse"
    """End the call, or refuse the offer."""
    ASK = "ask"
    """Hold the media back and let the user decide."""
    WARN = "warn"
    """Go on, with a lowered status and a warning."""
