"""Who was sent which key, over what: the facts that `SecurityStatus` is derived from.

A fact is recorded when an SDP with the key in it is made or read, and never taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.sdp.crypto import CryptoAttribute, InlineKey
from imsmediasec.terms import Hop


@dataclass(frozen=True, kw_only=True, slots=True)
class Disclosure:
    """The key stood in an SDP of this dialog, or of the INVITE itself (`dialog` None: forkable)."""

    dialog: str | None
    hop: Hop


class KeyLedger:
    """Disclosures by key. A key is the `keys` tuple of an a=crypto line: the line's tag may change, its keys not."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[tuple[InlineKey, ...], list[Disclosure]]] = {}

    def record(self, crypto: CryptoAttribute, disclosure: Disclosure) -> None:
        """Note that this line's keys stood in that SDP."""
        entry = self._entries.setdefault(id(crypto.keys), (crypto.keys, []))
        if disclosure not in entry[1]:
            entry[1].append(disclosure)

    def disclosures(self, crypto: CryptoAttribute) -> tuple[Disclosure, ...]:
        """All that is known of this line's keys."""
        entry = self._entries.get(id(crypto.keys))
        return tuple(entry[1]) if entry is not None else ()
