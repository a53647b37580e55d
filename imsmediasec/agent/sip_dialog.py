"""The two halves of a dialog that runs through the agent (RFC 3261 12).

The agent is the user agent on both sides, with the same Call-ID and tags on both: what names a dialog
in a Replaces or a Refer-To stays true. Each half has its own CSeq, route set and remote target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from imsmediasec.agent.endpoint import Endpoint
from imsmediasec.sip import CSeq, NameAddr, SipMessage

if TYPE_CHECKING:
    from imsmediasec.agent.call import Call


class Face(Enum):
    """A side of the agent."""

    PHONE = "phone"
    NETWORK = "network"

    @property
    def other(self) -> Face:
        return Face.NETWORK if self is Face.PHONE else Face.PHONE


@dataclass(kw_only=True, eq=False)
class Half:
    """Our user agent on one face."""

    face: Face
    local: str
    """From of requests we send here, tag included."""
    remote: str
    remote_target: str
    route_set: tuple[str, ...] = ()
    flow: Endpoint | None = None
    """The connection to use, if it came over one."""
    sequence: int = 0
    """CSeq number of the last request sent here."""
    numbers: dict[int, int] = field(default_factory=dict)
    """CSeq numbers of INVITEs: from the other half's to ours, for ACK and PRACK."""

    def next_number(self, wanted: int = 0) -> int:
        """A number above all before it; `wanted` itself as long as that is possible."""
        self.sequence = max(self.sequence + 1, wanted)
        return self.sequence


@dataclass(kw_only=True, eq=False)
class SipDialog:
    """One dialog: what the softphone and the far end share."""

    call_id: str
    phone_tag: str
    far_tag: str
    phone: Half
    network: Half
    call: Call | None = None
    peer_allows: frozenset[str] = frozenset()
    """Methods in the far end's Allow."""

    def half(self, face: Face) -> Half:
        return self.phone if face is Face.PHONE else self.network

    @property
    def key(self) -> tuple[str, str, str]:
        return self.call_id, self.phone_tag, self.far_tag


def tag_of(message: SipMessage, header: str) -> str:
    """Tag of From or To, or ""."""
    return NameAddr.parse(message.get(header) or "").tag or ""


def sequence_of(message: SipMessage) -> int:
    return CSeq.parse(message.get("CSeq") or "").number


def contact_target(message: SipMessage) -> str | None:
    """URI of the first Contact, or None."""
    values = message.get_list("Contact")
    if not values or values[0].strip() == "*":
        return None
    return str(NameAddr.parse(values[0]).uri)


def dialog_key(message: SipMessage, face: Face, *, request: bool) -> tuple[str, str, str]:
    """(Call-ID, softphone's tag, far tag) of a message that came from `face`."""
    from_tag, to_tag = tag_of(message, "From"), tag_of(message, "To")
    phone_sent_request = (face is Face.PHONE) == request
    phone, far = (from_tag, to_tag) if phone_sent_request else (to_tag, from_tag)
    return message.get("Call-ID") or "", phone, far
