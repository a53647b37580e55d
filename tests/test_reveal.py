"""The one way out of a `Secret` is `.reveal()`, and the files that take it are few and known."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "imsmediasec"
ALLOWED = {
    "secret.py": "defines it",
    "sdp/crypto.py": "writes a=crypto",
    "keymgmt/sdes.py": "cuts inline octets into key and salt",
    "media/srtp_kdf.py": "derives session keys",
    "media/srtp_libsrtp.py": "hands master keys to libsrtp",
    "media/srtp_ring.py": "compares what libsrtp is to run",
    "media/srtp_transforms.py": "hands session keys to the ciphers",
    "sip/digest.py": "hashes passwords",
}
"""A new entry needs a reason as good as these."""


def revealing(source: str) -> bool:
    """True if the source names `reveal`, as an attribute or a string, or the octets of another object."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in ("reveal", "_octets"):
            return True
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id == "self"
            if node.attr == "reveal" or (node.attr == "_octets" and not own):
                return True
    return False


def test_the_list_is_exact() -> None:
    found = {str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py") if revealing(file.read_text())}
    found.add("secret.py")
    assert found == set(ALLOWED)


def test_every_way_is_seen() -> None:
    assert revealing("key.reveal()")
    assert revealing("out = key.reveal")
    assert revealing("getattr(key, 'reveal')()")
    assert revealing("key._octets")
    assert not revealing("reveal(key)  # .reveal()")
    assert not revealing("self._octets")
