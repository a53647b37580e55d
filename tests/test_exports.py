"""`__all__` of the public packages says what is there, and the public API is typed for who installs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    *("imsmediasec", "imsmediasec.sdp", "imsmediasec.sip", "imsmediasec.media", "imsmediasec.negotiation"),
    "imsmediasec.agent",
)


def module_of(name: str) -> types.ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_names_exist_once_and_in_order(name: str) -> None:
    module = module_of(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [one for one in module.__all__ if not hasattr(module, one)] == []
    assert all(not one.startswith("_") for one in module.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_all_imported_names_are_listed(name: str) -> None:
    """What a package imports into its namespace, it offers; a submodule is no offer unless it is listed."""
    module = module_of(name)
    there = {
        one
        for one, value in vars(module).items()
        if not one.startswith("_") and not isinstance(value, types.ModuleType) and one != "annotations"
    }
    listed = {one for one in module.__all__ if not isinstance(getattr(module, one), types.ModuleType)}
    assert there == listed


@pytest.mark.parametrize("name", PACKAGES)
def test_everything_public_is_documented(name: str) -> None:
    module = module_of(name)
    assert module.__doc__
    missing = [
        one
        for one in module.__all__
        if isinstance(value := getattr(module, one), type | types.FunctionType) and not value.__doc__
    ]
    assert missing == []


def test_the_contract_of_the_design() -> None:
    """Names that programs are promised."""
    import imsmediasec as ims

    promised = (
        *("Negotiation", "SecurityPolicy", "Scope", "KeyManagement", "Requirement", "Forking", "Side", "Hop"),
        *("KeysReady", "KeysRetired", "MediaGate", "MediaRemoved", "RekeyRequired", "DialogRetired", "RetryWith"),
        *("SecurityChanged", "NegotiationFailed", "SecurityStatus", "Retarget", "Secret", "SrtpBackend"),
        *("MediaSecurityError", "LocalError", "RemoteError", "MalformedInput", "PeerMisbehaved", "NoCommonSecurity"),
        *("AuthenticationFailed", "KmsError", "DowngradeDetected"),
    )
    assert [name for name in promised if name not in ims.__all__] == []
    negotiation = (
        *("prepare_offer", "create_offer", "receive_answer", "receive_offer", "create_answer", "offer_rejected"),
        *("confirm", "dialog_ended", "retargeted", "next_timeout", "handle_timeout", "next_event", "prepare_answer"),
    )
    assert [name for name in negotiation if not hasattr(ims.Negotiation, name)] == []
    assert ims.sdp.SessionDescription.parse and ims.sdp.CryptoAttribute.parse


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "imsmediasec" / "py.typed").is_file()
    assert "py.typed" in (ROOT / "setup.cfg").read_text()


def test_a_typed_program_checks() -> None:
    """mypy --strict on a program that uses the public API, and on one that uses it wrongly."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=.mypy_cache/api", "tests/typing/api.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
