"""What terminal and network agree on at registration: access protection, capabilities, preferences. No I/O."""

from imsmediasec.registration.capabilities import (
    DEFAULT_NAMES,
    EndToEndCapabilities,
    EndToEndPreferences,
    FeatureNames,
    accept_contact,
    read_features,
)
from imsmediasec.registration.events import (
    RegistrationChanged,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationStatus,
    RetryRequest,
)
from imsmediasec.registration.profile import CARRIER, THREE_GPP, AgreementProfile
from imsmediasec.registration.record import RegistrationRecord
from imsmediasec.registration.registration import Registration
from imsmediasec.registration.server import FlowState, Outcome, RegistrationServer, ServerPolicy, Verdict

__all__ = [
    "CARRIER",
    "DEFAULT_NAMES",
    "THREE_GPP",
    "AgreementProfile",
    "EndToEndCapabilities",
    "EndToEndPreferences",
    "FeatureNames",
    "FlowState",
    "Outcome",
    "Registration",
    "RegistrationChanged",
    "RegistrationEvent",
    "RegistrationFailed",
    "RegistrationRecord",
    "RegistrationServer",
    "RegistrationStatus",
    "RetryRequest",
    "ServerPolicy",
    "Verdict",
    "accept_contact",
    "read_features",
]
