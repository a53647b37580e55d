"""The fast path for SRTP: libsrtp through the public API of pylibsrtp.

What that API lacks is done elsewhere: MKI, lifetimes, any counter to start from, other suites, SRTCP indices
that outlive a re-key. A session takes packets up to a limit; `Error` and `ValueError` become errors of ours
by `translate`.
"""

from __future__ import annotations

from typing import Any, NoReturn

import pylibsrtp

from imsmediasec import suites
from imsmediasec.errors import (
    AuthenticationFailed,
    KeyLifetimeExhausted,
    LocalError,
    MalformedInput,
    ReplayDetected,
)
from imsmediasec.keys import MasterKey
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction

FAULTS = (pylibsrtp.Error, ValueError, TypeError, AttributeError, IndexError)
"""All that processing a packet can raise."""

_MAX_WINDOW = 0x7FFF

_PROFILES: dict[SrtpSuite, int] = {
    suites.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    suites.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    suites.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    suites.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}

_REPLAY = {
    "replay check failed (bad index)",
    "replay check failed (index too old)",
    "packet index is too old to consider",
}
_MALFORMED = {"error parsing data", "unsupported parameter", "error encoding data"}
_EXHAUSTED = "can't use key any more"


def runs(suite: SrtpSuite) -> bool:
    """True if the libsrtp at hand has this suite: a build without OpenSSL or NSS has no GCM."""
    profile = _PROFILES.get(suite)
    if profile is None:
        return False
    try:
        policy = pylibsrtp.Policy(
            key=bytes(suite.key_salt_length),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=profile,
        )
        pylibsrtp.Session(policy).protect(b"\x80" + bytes(15))
    except FAULTS:
        return False
    return True


def open_session(suite: SrtpSuite, master: MasterKey, direction: Direction, window_size: int) -> pylibsrtp.Session:
    """A session for every SSRC of one direction. `window_size` in packets, at least 64."""
    sending = direction is Direction.SEND
    any_ssrc = pylibsrtp.Policy.SSRC_ANY_OUTBOUND if sending else pylibsrtp.Policy.SSRC_ANY_INBOUND
    policy = pylibsrtp.Policy(
        key=master.key.reveal() + master.salt.reveal(), ssrc_type=any_ssrc, srtp_profile=_PROFILES[suite]
    )
    policy.window_size = min(window_size, _MAX_WINDOW)
    session = pylibsrtp.Session(policy)
    copy: Any = policy.key  # a writable buffer; the session has its own copy, wiped when it is freed
    copy[:] = bytes(len(copy))
    return session


def is_too_long(fault: Exception) -> bool:
    """True if the session refused a packet for its length alone; nothing has happened to it then."""
    return isinstance(fault, ValueError)


def translate(fault: Exception, direction: Direction) -> NoReturn:
    """Raise the error of our tree for one of `FAULTS`, other than a packet that is too long."""
    text = str(fault)
    if isinstance(fault, (TypeError, AttributeError)):
        raise LocalError("a packet must be bytes") from None
    if isinstance(fault, IndexError) or text in _MALFORMED:
        raise MalformedInput("not an RTP packet, or cut off", clause="RFC 3711 3.1") from None
    if text == _EXHAUSTED:
        raise KeyLifetimeExhausted("the packet index has reached its end", clause="RFC 3711 9.2") from None
    if direction is Direction.SEND:
        if text in _REPLAY:
            reason = "this sequence number was protected before, or is too old"
            raise LocalError(reason, clause="RFC 3711 9.1") from None
        raise LocalError(f"libsrtp: {text}") from None
    if text in _REPLAY:
        raise ReplayDetected("SRTP packet was seen before, or is too old", clause="RFC 3711 3.3.2") from None
    raise AuthenticationFailed("SRTP packet does not verify", clause="RFC 3711 3.3") from None
