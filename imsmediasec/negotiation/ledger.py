"""Who was sent which key, over what: the facts that `SecurityStatus` is derived from.

A fact is recorded when an SDP with the key in it is made or read, and never taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

from imsmediasec.records import quick_init
from imsmediasec.sdp.crypto import CryptoAttribute, InlineKey
from imsmediasec.terms import Hop


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Disclosure:
    """The key stood in an SDP of this dialog, or of the INVITE itself (`dialog` None: forkable)."""

    dialog: str | None
    hop: Hop


class KeyLedger:
    """Disclosures by key. A key is its octets: tag, MKI, lifetime and the line it stands in may change,
    and one that comes back after a re-key has its history still."""

    def __init__(self) -> None:
        self._facts: list[tuple[InlineKey, list[Disclosure]]] = []
        self._by_id: dict[int, tuple[InlineKey, list[Disclosure]]] = {}
        """The same lists, by object: most look-ups are for one seen before."""

    def record(self, crypto: CryptoAttribute, disclosure: Disclosure) -> None:
        """Note that this line's keys stood in that SDP."""
        for key in crypto.keys:
            known = self._find(key)
            if known is None:
                known = []
                self._facts.append((key, known))
            self._by_id[id(key)] = (key, known)
            if disclosure not in known:
                known.append(disclosure)

    def disclosures(self, crypto: CryptoAttribute) -> list[Disclosure]:
        """All that is known of this line's keys."""
        facts: list[Disclosure] = []
        for key in crypto.keys:
            facts += self._find(key) or ()
        return facts

    def stood_in_invite(self, crypto: CryptoAttribute) -> bool:
        """True if one of this line's keys stood in the INVITE, where every fork can read it."""
        return None in [disclosure.dialog for disclosure in self.disclosures(crypto)]

    def _find(self, key: InlineKey) -> list[Disclosure] | None:
        seen = self._by_id.get(id(key))
        if seen is not None:
            return seen[1]
        for one, known in self._facts:
            if one.key_salt == key.key_salt:
                return known
        return None
