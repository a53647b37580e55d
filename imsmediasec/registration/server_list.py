"""`ServerList`: what a terminal knows of the network's list, and whether it shrinks (RFC 3329 2.3.1, 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imsmediasec.errors import DowngradeDetected
from imsmediasec.sip.security_agreement import SecurityMechanism


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerList:
    """The last list, and the names of all that were ever listed on this flow."""

    entries: tuple[SecurityMechanism, ...] = ()
    seen: frozenset[tuple[str, bool]] = frozenset()
    """Name in lower case, and whether it is for media."""

    def updated(self, listed: Sequence[SecurityMechanism], *, complete: bool) -> ServerList:
        """The list after another response.

        `complete`: the response has all (401, 407, 421, 494). A 2xx may repeat one kind only, for media
        or for signalling: the entries of the other kind stay, before it if they are for signalling.
        Raises DowngradeDetected if a mechanism is gone that was listed before: the list of a network does
        not depend on who asks, or when.
        """
        kinds = {True, False} if complete else {entry.mediasec for entry in listed}
        if not kinds:
            return self
        names = {(entry.name.lower(), entry.mediasec) for entry in listed}
        lost = sorted(name for name, media in self.seen - names if media in kinds)
        if lost:
            raise DowngradeDetected(f"no longer in Security-Server: {', '.join(lost)}", clause="RFC 3329 2.3.1")
        kept = tuple(entry for entry in self.entries if entry.mediasec not in kinds)
        entries = (*listed, *kept) if True not in kinds else (*kept, *listed)
        return ServerList(entries=entries, seen=self.seen | names)

    def forgotten(self) -> ServerList:
        """No list is known any more; what was ever listed is remembered."""
        return ServerList(seen=self.seen)
