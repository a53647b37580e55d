"""Keys on their way to the SRTP layer."""

import pytest

from imsmediasec.keys import DEFAULT_PARAMS, MasterKey, SessionParams, SrtpKeys
from imsmediasec.secret import Secret
from imsmediasec.suites import AEAD_AES_128_GCM


@pytest.mark.parametrize(
    ("params", "default"),
    [
        (DEFAULT_PARAMS, True),
        (SessionParams(window_size_hint=128), True),
        (SessionParams(kdr=1), False),
        (SessionParams(unencrypted_srtp=True), False),
        (SessionParams(unencrypted_srtcp=True), False),
        (SessionParams(unauthenticated_srtp=True), False),
    ],
)
def test_what_changes_packets(params: SessionParams, default: bool) -> None:
    """A window hint changes no packet; all the rest does (RFC 4568 6.3)."""
    assert params.is_default is default


def test_wipe() -> None:
    """Wiping empties every key and salt; repr shows none of them before."""
    master = MasterKey(key=Secret(b"k" * 16), salt=Secret(b"s" * 12))
    keys = SrtpKeys(suite=AEAD_AES_128_GCM, master_keys=(master,))
    assert "kkkk" not in repr(keys) and "ssss" not in repr(keys)
    assert (keys.roc, keys.same_transport, keys.params) == ({}, True, DEFAULT_PARAMS)
    keys.wipe()
    assert (len(master.key), len(master.salt)) == (0, 0)
