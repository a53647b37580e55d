"""registration/events.py: what is reported can be matched, and does not change behind one's back."""

import dataclasses

import pytest

from imsmediasec.errors import PeerMisbehaved
from imsmediasec.registration.events import RegistrationChanged, RegistrationFailed, RegistrationStatus, RetryRequest

STATUS = RegistrationStatus(registered=False, expires_at=None, mechanisms=(), server_mechanisms=(), verified=False)


def test_events_are_matched_by_their_fields() -> None:
    events = [
        RegistrationChanged(status=STATUS),
        RetryRequest(method="REGISTER", status=494, headers=(("Require", "mediasec"),)),
        RegistrationFailed(error=PeerMisbehaved("no list"), method="REGISTER", status=494),
    ]
    seen = []
    for event in events:
        match event:
            case RegistrationChanged(status=status):
                seen.append(status.registered)
            case RetryRequest(status=status, headers=headers):
                seen.append((status, headers))
            case RegistrationFailed(error=error):
                seen.append(error.reason)
    assert seen == [False, (494, (("Require", "mediasec"),)), "no list"]


def test_a_status_is_a_snapshot() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        STATUS.registered = True  # type: ignore[misc]
