"""registration/record.py."""

from __future__ import annotations

from imsmediasec.registration.capabilities import EndToEndPreferences
from imsmediasec.registration.record import RegistrationRecord


def test_a_record_ends_and_says_who_may_hold_keys() -> None:
    record = RegistrationRecord(aor="sip:a@b", contact="sip:a@192.0.2.1", expires_at=10)
    assert record.active(9.9) and not record.active(10)
    assert not record.middle_accepted
    accepts = EndToEndPreferences(middle_accepted=True)
    assert RegistrationRecord(aor="a", contact="c", preferences=accepts, expires_at=1).middle_accepted
