"""A master key never starts twice."""

import pytest

from imsmediasec import suites
from imsmediasec.errors import LocalError
from imsmediasec.keys import SessionParams
from imsmediasec.media.srtp_context import ContextSetup
from imsmediasec.media.srtp_ring import KeyRing
from imsmediasec.terms import Direction
from tests.unit.media import srtp_kit as kit

CM, CM32 = suites.AES_CM_128_HMAC_SHA1_80, suites.AES_CM_128_HMAC_SHA1_32


def setup(suite=CM, **params):
    return ContextSetup(direction=Direction.SEND, suite=suite, params=SessionParams(**params), fast=False)


def test_a_living_key_is_shared_and_a_retired_one_refused():
    ring = KeyRing()
    identity = ring.identify(kit.master(CM))
    context = ring.acquire(identity, kit.master(CM), setup())
    assert ring.acquire(ring.identify(kit.master(CM)), kit.master(CM), setup(window_size_hint=99)) is context
    ring.release(identity)
    context.process(kit.rtp(1))
    ring.release(identity)
    with pytest.raises(LocalError):
        context.process(kit.rtp(2))
    with pytest.raises(LocalError, match="retired before"):
        ring.acquire(identity, kit.master(CM), setup())
    with pytest.raises(LocalError, match="retired before"):
        ring.check(identity, setup(CM32))


@pytest.mark.parametrize(
    "other",
    [
        setup(CM32),
        setup(unencrypted_srtp=True),
        setup(unencrypted_srtcp=True),
        setup(unauthenticated_srtp=True),
    ],
)
def test_one_key_with_other_packets_is_refused(other):
    ring = KeyRing()
    identity = ring.identify(kit.master(CM))
    ring.acquire(identity, kit.master(CM), setup())
    with pytest.raises(LocalError, match="another suite"):
        ring.acquire(identity, kit.master(CM), other)


def test_identities():
    ring = KeyRing()
    assert ring.identify(kit.master(CM)) == ring.identify(kit.master(CM, mki=1, mki_length=1))
    assert ring.identify(kit.master(CM)) != ring.identify(kit.master(CM, 2))
    assert ring.identify(kit.master(CM)) != KeyRing().identify(kit.master(CM))
