"""Where the protection of an m-line ends: at the far end, or at the access edge (`a=3ge2ae`, TS 24.229 7.5.2).

The edge ends the protection only if terminal and edge have announced that at registration
(TS 33.328, as restated). No key passes it, so nothing is re-keyed for B7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imsmediasec.errors import NoCommonSecurity
from imsmediasec.negotiation.dialog import Ends, Stream
from imsmediasec.policy import SecurityPolicy
from imsmediasec.sdp.document import MediaDescription
from imsmediasec.terms import Requirement, Scope

ATTRIBUTE = "3ge2ae"
REQUESTED = f"{ATTRIBUTE}:requested"


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeRules:
    """What the policy makes of the access edge in one call."""

    allowed: bool
    """The edge may end the protection: the policy lists e2ae, and the registration has agreed on it."""
    available: bool
    """Some scope of the policy can be had at all."""
    offers: Ends
    """For m-lines of ours in a new call."""
    unmarked: Ends
    """For the peer's offers without the attribute."""

    @classmethod
    def of(cls, policy: SecurityPolicy, *, agreed: bool) -> EdgeRules:
        edge = Scope.END_TO_ACCESS_EDGE
        if edge not in policy.scope:
            return NO_EDGE
        scopes = [scope for scope in policy.scope if scope is not edge or agreed]
        return cls(
            allowed=edge in scopes,
            available=bool(scopes),
            offers=Ends.EDGE if scopes[:1] == [edge] else Ends.FAR_END,
            # Whoever wants no more than the edge is not told more than that, either.
            unmarked=Ends.EDGE_PRESUMED if {*scopes} == {edge} else Ends.FAR_END,
        )

    def for_offer(self, index: int, streams: Mapping[int, Stream]) -> Ends:
        """Where our next offer lets this m-line end: as agreed so far in the dialog, else as the policy says."""
        stream = streams.get(index)
        known = [stream] if stream is not None and stream.protected else [s for s in streams.values() if s.protected]
        if not known:
            return self.offers
        at_edge = self.allowed and any(one.ends is not Ends.FAR_END for one in known)
        return Ends.EDGE if at_edge else Ends.FAR_END

    def ends_of(self, line: MediaDescription, requirement: Requirement, unmarked: Ends) -> Ends:
        """Where the protection of the peer's m-line ends. Raises NoCommonSecurity if it must not end there."""
        if not _applied(line):
            return unmarked
        if not self.allowed and requirement is Requirement.REQUIRED:
            raise NoCommonSecurity("the protection would end at the access edge, which is not agreed or not allowed")
        return Ends.EDGE


NO_EDGE = EdgeRules(allowed=False, available=True, offers=Ends.FAR_END, unmarked=Ends.FAR_END)
"""End to end only."""


def _applied(line: MediaDescription) -> bool:
    """Whether the edge says that it ends the protection. Unknown words are ignored; a blank may stand before the word
    (TS 34.229-1)."""
    return "applied" in [value.strip(" \t").lower() for value in line.values(ATTRIBUTE)]
