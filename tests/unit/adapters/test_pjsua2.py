"""adapters/pjsua2.py: what it sets in an account, and what it reports. (Real softphones: tests/test_examples.py.)"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import imsmediasec as ims
from imsmediasec.adapters import pjsua2 as module
from imsmediasec.adapters.pjsua2 import Protection
from imsmediasec.media.relay import Counters


def account(uri: str = '"Alice" <sip:alice@ims.example>') -> Any:
    """What pjsua2's AccountConfig has, as far as the adapter touches it."""
    return SimpleNamespace(
        idUri=uri,
        sipConfig=SimpleNamespace(proxies=[]),
        mediaConfig=SimpleNamespace(
            srtpUse=2, transportConfig=SimpleNamespace(boundAddress="", publicAddress=""), lockCodecEnabled=True
        ),
        natConfig=SimpleNamespace(contactRewriteUse=2, viaRewriteUse=True, sdpNatRewriteUse=1),
    )


@pytest.fixture
def statuses() -> list[ims.SecurityStatus]:
    return []


@pytest.fixture
def protection(statuses: list[ims.SecurityStatus]) -> Iterator[Protection]:
    made = Protection(signalling=ims.Hop.PROTECTED, on_status=statuses.append)
    yield made
    made.stop()
    made.stop()


def test_an_account_is_led_through_the_agent(protection: Protection) -> None:
    settings = account()
    protection.configure(settings, sip_port=5070)
    (proxy,) = settings.sipConfig.proxies
    assert proxy.startswith("sip:127.0.0.1:") and proxy.endswith(";lr")
    assert settings.mediaConfig.srtpUse == 0
    assert settings.mediaConfig.transportConfig.boundAddress == "127.0.0.1"
    assert settings.mediaConfig.transportConfig.publicAddress == "127.0.0.1"
    assert vars(settings.natConfig) == {"contactRewriteUse": 0, "viaRewriteUse": False, "sdpNatRewriteUse": 0}
    assert settings.mediaConfig.lockCodecEnabled, "what is not ours is left alone"


def test_network_port(protection: Protection) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError):
        sock.bind(("127.0.0.1", protection.network_port))


def test_no_socket_to_be_had() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ims.LocalError, match="cannot listen"):
            Protection(network_port=sock.getsockname()[1])


def status(*streams: Any) -> ims.SecurityStatus:
    return ims.SecurityStatus(
        dialog=None,
        streams=streams,
        terminating_entity=ims.Identity(uri=None, source=ims.IdentitySource.NONE),
        fork_state=ims.ForkState.UNKNOWN,
        warnings=(),
    )


def call(sent: int) -> Any:
    return SimpleNamespace(
        media=SimpleNamespace(counters={0: Counters(sent_protected=sent), 1: Counters(keepalives=1)})
    )


def test_status_and_counters(protection: Protection, statuses: list[ims.SecurityStatus]) -> None:
    """The newest status with media stays after the call; packets of all calls add up."""
    observer = protection._observer
    assert protection.status is None
    assert protection.counters == Counters()
    one, two = call(3), call(4)
    observer.call_started(one)
    observer.call_started(two)
    with_media, without = status("a stream"), status()
    for shown in (with_media, without):
        observer.event(one, ims.SecurityChanged(dialog=None, status=shown))
    observer.event(one, ims.RekeyRequired(dialog="d"))
    assert protection.status is with_media
    assert statuses == [with_media, without]
    observer.call_ended(one)
    assert protection.counters == Counters(sent_protected=7, keepalives=2)
    observer.call_ended(two)
    assert protection.counters == Counters(sent_protected=7, keepalives=2)


def test_nobody_listens() -> None:
    observer = module._Listener(None)
    observer.event(call(0), ims.SecurityChanged(dialog=None, status=status("a stream")))
    assert observer.status is not None


def test_the_users_word(protection: Protection) -> None:
    decided: list[bool] = []
    one = call(0)
    one.decide = lambda *, go_on: decided.append(go_on)
    protection._observer.call_started(one)
    protection.decide(go_on=True)
    protection.decide(go_on=False)
    assert decided == [True, False]
