"""The master keys that one direction of one stream has ever used, so that none starts twice.

Two contexts of one master key would accept a packet twice, or protect two texts with one key stream; and a
key that was retired must not come back (RFC 3711 9.2). So a key that is alive is shared, one that was retired
refused.
"""

from __future__ import annotations

import hmac
import secrets

from imsmediasec.errors import LocalError
from imsmediasec.keys import MasterKey
from imsmediasec.media.srtp_context import ContextSetup, MasterContext


class _Entry:
    __slots__ = ("context", "setup", "users")

    def __init__(self, context: MasterContext, setup: ContextSetup) -> None:
        self.context = context
        self.setup = setup
        self.users = 0


class KeyRing:
    """Contexts by master key; of retired keys only a keyed hash stays."""

    __slots__ = ("_alive", "_hash_key", "_retired")

    def __init__(self) -> None:
        self._hash_key = secrets.token_bytes(32)
        self._alive: dict[bytes, _Entry] = {}
        self._retired: set[bytes] = set()

    def identify(self, master: MasterKey) -> bytes:
        """The same 32 octets for the same key and salt, of no use outside this ring."""
        return hmac.digest(self._hash_key, master.key.reveal() + master.salt.reveal(), "sha256")

    def check(self, identity: bytes, setup: ContextSetup) -> None:
        """Raises LocalError if `acquire` would."""
        if identity in self._retired:
            raise LocalError("this master key was used and retired before", clause="RFC 3711 9.2")
        entry = self._alive.get(identity)
        if entry is not None and not _same_packets(entry.setup, setup):
            raise LocalError("this master key is in use with another suite or other parameters", clause="RFC 3711 9.1")

    def acquire(self, identity: bytes, master: MasterKey, setup: ContextSetup) -> MasterContext:
        """The context of a key: the living one, or a new one. Raises LocalError if `check` would."""
        self.check(identity, setup)
        entry = self._alive.get(identity)
        if entry is None:
            entry = self._alive[identity] = _Entry(MasterContext(master, setup), setup)
        entry.users += 1
        return entry.context

    def release(self, identity: bytes) -> None:
        """The user of `acquire` needs it no more; the last one closes it and retires the key."""
        entry = self._alive[identity]
        entry.users -= 1
        if not entry.users:
            entry.context.close()
            del self._alive[identity]
            self._retired.add(identity)


def _same_packets(one: ContextSetup, other: ContextSetup) -> bool:
    a, b = one.params, other.params
    return (
        one.suite is other.suite
        and a.unencrypted_srtp == b.unencrypted_srtp
        and a.unencrypted_srtcp == b.unencrypted_srtcp
        and a.unauthenticated_srtp == b.unauthenticated_srtp
    )
