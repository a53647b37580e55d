"""Media plane security for SIP: read, negotiate, enforce and report.

The names here are the public API. `Negotiation` holds the security of one call without any I/O;
`sdp` has the codecs; SRTP layers are in `imsmediasec.media`.
"""

from imsmediasec import sdp
from imsmediasec.errors import (
    AuthenticationFailed,
    DowngradeDetected,
    KeyLifetimeExhausted,
    KmsError,
    LocalError,
    MalformedInput,
    MediaSecurityError,
    NoCommonSecurity,
    PeerMisbehaved,
    RemoteError,
    ReplayDetected,
)
from imsmediasec.events import (
    AnswerPossible,
    DialogRetired,
    Event,
    KeysReady,
    KeysRetired,
    MediaGate,
    MediaRemoved,
    NegotiationFailed,
    OfferPossible,
    PeerQuirk,
    RekeyRequired,
    RetryWith,
    SecurityChanged,
)
from imsmediasec.keys import MasterKey, SessionParams, SrtpKeys
from imsmediasec.negotiation import Negotiation
from imsmediasec.policy import STRICT, TOLERANT, Quirk, SecurityPolicy
from imsmediasec.ports import SrtpBackend, SrtpCapabilities, SrtpStream
from imsmediasec.secret import Secret
from imsmediasec.status import (
    HolderKind,
    Identity,
    KeyHolder,
    PeerAssertions,
    SecurityStatus,
    SecurityWarning,
    StreamStatus,
)
from imsmediasec.suites import ALL_SUITES, SrtpSuite, suite_by_name
from imsmediasec.terms import (
    DialogExit,
    Direction,
    Forking,
    ForkState,
    Gate,
    Hop,
    IdentitySource,
    KeyManagement,
    OnFailure,
    OptionalForm,
    Requirement,
    Retarget,
    Scope,
    Side,
)

__version__ = "0.1.0"

__all__ = [
    "ALL_SUITES",
    "STRICT",
    "TOLERANT",
    "AnswerPossible",
    "AuthenticationFailed",
    "DialogExit",
    "DialogRetired",
    "Direction",
    "DowngradeDetected",
    "Event",
    "ForkState",
    "Forking",
    "Gate",
    "HolderKind",
    "Hop",
    "Identity",
    "IdentitySource",
    "KeyHolder",
    "KeyLifetimeExhausted",
    "KeyManagement",
    "KeysReady",
    "KeysRetired",
    "KmsError",
    "LocalError",
    "MalformedInput",
    "MasterKey",
    "MediaGate",
    "MediaRemoved",
    "MediaSecurityError",
    "Negotiation",
    "NegotiationFailed",
    "NoCommonSecurity",
    "OfferPossible",
    "OnFailure",
    "OptionalForm",
    "PeerAssertions",
    "PeerMisbehaved",
    "PeerQuirk",
    "Quirk",
    "RekeyRequired",
    "RemoteError",
    "ReplayDetected",
    "Requirement",
    "Retarget",
    "RetryWith",
    "Scope",
    "Secret",
    "SecurityChanged",
    "SecurityPolicy",
    "SecurityStatus",
    "SecurityWarning",
    "SessionParams",
    "Side",
    "SrtpBackend",
    "SrtpCapabilities",
    "SrtpKeys",
    "SrtpStream",
    "SrtpSuite",
    "StreamStatus",
    "sdp",
    "suite_by_name",
]
