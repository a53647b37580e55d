"""SDP for logs and people: the same text without what must not be read (keys, passwords)."""

from __future__ import annotations

import re

# RFC 4568 inline:, RFC 4567 key-mgmt, the old k= line, ICE passwords, RFC 5939 acap copies of all of them.
_SECRETS = (
    (re.compile(r"inline:[^;\s]+", re.IGNORECASE), "inline:<redacted>"),
    (re.compile(r"(FEC_KEY=)\S+", re.IGNORECASE), r"\1<redacted>"),
    (re.compile(r"(key-mgmt:\s*[^\s:]+\s+)[^\r\n]+", re.IGNORECASE), r"\1<redacted>"),
    (re.compile(r"^(k=)[^\r\n]*", re.IGNORECASE | re.MULTILINE), r"\1<redacted>"),
    (re.compile(r"(ice-pwd:)[^\r\n]+", re.IGNORECASE), r"\1<redacted>"),
    (re.compile(r"^(a=(?:acap:\s*\d+\s+)?crypto:\s*\d*\s*\w*)(?![^\r\n]*inline:<redacted>)[^\r\n]*",
                re.IGNORECASE | re.MULTILINE), r"\1 <redacted>"),
)  # fmt: skip


def redact(text: str) -> str:
    """The text with every key and password replaced. Works on SDP, SIP messages and fragments alike."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
