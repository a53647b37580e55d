"""What the backend says it can run, and the keys it refuses."""

import pylibsrtp
import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from imsmediasec import suites
from imsmediasec.errors import LocalError
from imsmediasec.keys import MasterKey, SessionParams, SrtpKeys
from imsmediasec.media import PylibsrtpBackend, srtp_transforms
from imsmediasec.media.srtp_backend import starts
from imsmediasec.media.srtp_index import Start
from imsmediasec.ports import SrtpBackend, SrtpStream
from imsmediasec.secret import Secret
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

CM, GCM = suites.AES_CM_128_HMAC_SHA1_80, suites.AEAD_AES_128_GCM


def test_it_is_the_port():
    backend: SrtpBackend = PylibsrtpBackend()
    stream: SrtpStream = backend.open(Direction.SEND, kit.keys(CM))
    assert stream.roc == {}


def test_capabilities():
    capabilities = PylibsrtpBackend().capabilities
    assert capabilities.suites == suites.ALL_SUITES
    assert capabilities.refusal(CM, SessionParams()) is None
    assert "KDR" in capabilities.refusal(CM, SessionParams(kdr=1))
    assert "unauthenticated" in capabilities.refusal(GCM, SessionParams(unauthenticated_srtp=True))
    assert capabilities.refusal(GCM, SessionParams(unencrypted_srtp=True, unencrypted_srtcp=True)) is None
    nothing = SessionParams(unencrypted_srtp=True, unauthenticated_srtp=True)
    assert "no protection" in capabilities.refusal(CM, nothing)
    assert capabilities.refusal(CM, SessionParams(unauthenticated_srtp=True)) is None


def test_libsrtp_is_used_for_what_it_has():
    backend, engine = PylibsrtpBackend(), PylibsrtpBackend(libsrtp_suites=())
    for suite in suites.ALL_SUITES:
        has = suite in (CM, suites.AES_CM_128_HMAC_SHA1_32, GCM, suites.AEAD_AES_256_GCM)
        assert backend.open(Direction.SEND, kit.keys(suite)).on_libsrtp is has
        assert not engine.open(Direction.SEND, kit.keys(suite)).on_libsrtp
    for clear in (SessionParams(unencrypted_srtp=True), SessionParams(unauthenticated_srtp=True)):
        assert not backend.open(Direction.SEND, kit.keys(CM, params=clear)).on_libsrtp
    assert backend.open(Direction.SEND, kit.keys(CM, params=SessionParams(unencrypted_srtcp=True))).on_libsrtp


def test_capabilities_are_what_runs(monkeypatch):
    def refuse(*arguments):
        raise UnsupportedAlgorithm("no GCM here")

    monkeypatch.setattr(srtp_transforms, "AESGCM", refuse)
    monkeypatch.setattr(pylibsrtp, "Session", refuse_session)
    assert PylibsrtpBackend(libsrtp_suites=()).capabilities.suites == tuple(
        suite for suite in suites.ALL_SUITES if suite.cipher is not suites.Cipher.AES_GCM
    )


def refuse_session(policy):
    raise pylibsrtp.Error("unsupported parameter")


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("suite", suites.ALL_SUITES, ids=lambda s: s.name)
def test_exact_lengths(suite, direction):
    backend = PylibsrtpBackend()
    for key, salt in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, -1)):
        wrong = MasterKey(key=Secret(bytes(suite.key_length + key)), salt=Secret(bytes(suite.salt_length + salt)))
        with pytest.raises(LocalError, match="takes a key of"):
            backend.open(direction, SrtpKeys(suite=suite, master_keys=(wrong,)))


def test_refusals_come_with_the_reason():
    backend = PylibsrtpBackend()
    for keys, reason in (
        (kit.keys(CM, params=SessionParams(kdr=3)), "KDR"),
        (kit.keys(CM, params=SessionParams(window_size_hint=40000)), "WSH"),
        (SrtpKeys(suite=CM, master_keys=()), "no master key"),
        (kit.keys(CM, lifetime=0), "at least one packet"),
        (kit.keys(CM, mki=1), "value and a length"),
        (kit.keys(CM, mki_length=1), "value and a length"),
        (kit.keys(CM, mki=1, mki_length=0), "1 to 128"),
        (kit.keys(CM, mki=1, mki_length=129), "1 to 128"),
        (kit.keys(CM, mki=256, mki_length=1), "does not fit"),
        (kit.keys(CM, mki=-1, mki_length=1), "does not fit"),
        (kit.keys(CM, roc={1 << 32: 0}), "32 bits"),
        (kit.keys(CM, roc={1: -1}), "32 bits"),
        (several({}, {}), "an MKI each"),
        (several({"mki": 1, "mki_length": 1}, {}), "an MKI each"),
        (several({"mki": 1, "mki_length": 1}, {"mki": 2, "mki_length": 2}), "same length"),
        (several({"mki": 1, "mki_length": 1}, {"mki": 1, "mki_length": 1}), "same MKI"),
    ):
        with pytest.raises(LocalError, match=reason):
            backend.open(Direction.RECEIVE, keys)


def several(*limits):
    return SrtpKeys(suite=CM, master_keys=tuple(kit.master(CM, n, **limit) for n, limit in enumerate(limits)))


def test_starts():
    assert starts({5: 9}) == {b"\0\0\0\5": Start(9)}
