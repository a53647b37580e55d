"""What an SRTP layer says that it can run."""

import pytest

from imsmediasec.keys import DEFAULT_PARAMS, SessionParams
from imsmediasec.ports import SrtpCapabilities
from imsmediasec.suites import AEAD_AES_128_GCM, AES_CM_128_HMAC_SHA1_80

LEAST = SrtpCapabilities(suites=(AEAD_AES_128_GCM,), unencrypted=False, unauthenticated=False, max_window=64)
MOST = SrtpCapabilities(suites=(AEAD_AES_128_GCM,), key_derivation_rate=True)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        (SessionParams(kdr=3), "KDR"),
        (SessionParams(unencrypted_srtp=True), "UNENCRYPTED"),
        (SessionParams(unencrypted_srtcp=True), "UNENCRYPTED"),
        (SessionParams(unauthenticated_srtp=True), "UNAUTHENTICATED"),
        (SessionParams(window_size_hint=65), "WSH 65"),
    ],
)
def test_refusal_names_what_is_missing(params: SessionParams, why: str) -> None:
    """A parameter that the layer lacks is refused with its name, and taken where it is there."""
    assert why in (LEAST.refusal(AEAD_AES_128_GCM, params) or "")
    assert MOST.refusal(AEAD_AES_128_GCM, params) is None


def test_suite() -> None:
    """A suite that the layer does not list is refused by name."""
    assert LEAST.refusal(AEAD_AES_128_GCM, DEFAULT_PARAMS) is None
    assert "AES_CM_128_HMAC_SHA1_80" in (LEAST.refusal(AES_CM_128_HMAC_SHA1_80, DEFAULT_PARAMS) or "")
