"""Hooks for peers/pjsua.py that tests share."""

import sys
from typing import Any


def lock_codec(config: Any, options: dict[str, Any]) -> None:
    """pjsip as it comes: PCMU and PCMA, and a re-INVITE of its own if an answer holds both."""
    config.mediaConfig.lockCodecEnabled = True
    sys.modules["__main__"].endpoint.codecSetPriority("PCMA/8000/1", 200)
