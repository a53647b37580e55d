"""The SDP bodies that are measured: offers of real softphones and of an IMS terminal, 330 to 1200 octets."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests/fixtures/sdp"
NAMES = ("asterisk", "audio_video", "baresip", "teams", "ims_ue_3ge2ae", "pjsip", "audio_video_bundle")


def texts() -> dict[str, str]:
    """By name."""
    return {name: (FOLDER / f"{name}_offer.sdp").read_bytes().decode() for name in NAMES}
