"""`CallMedia`: the SDP and the media of one call, between softphone and network.

SDP of the softphone goes in on one side and comes out protected and led through the relays on the
other, and the reverse. What `Negotiation` reports is carried out on the relays here; what concerns the
signalling is handed on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import imsmediasec as ims
from imsmediasec.agent.addresses import (
    essence,
    is_relayed,
    lead_through,
    make_plain,
    media_addresses,
    set_version,
)
from imsmediasec.media import PylibsrtpBackend
from imsmediasec.media.readers import Readers
from imsmediasec.media.relay import Counters, MediaRelay
from imsmediasec.sdp import SessionDescription, profiles

_REQUIRED = ims.Requirement.REQUIRED
MAX_STREAMS = 16
"""Media streams a call: each has four sockets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaSettings:
    """What the media of every call of an agent have in common."""

    local_host: str
    network_host: str
    backend: PylibsrtpBackend
    readers: Readers
    ports: range
    """Network ports to use; empty: any."""


@dataclass(slots=True, kw_only=True, repr=False)
class _DialogText:
    """The last SDP in each direction, in this dialog."""

    local: str = ""
    """Ours to the network, without security."""
    remote: str = ""
    """Theirs, as accepted."""
    arrived: tuple[str, bool] | None = None
    """Theirs, not accepted yet; and whether it is an answer."""
    version: int = 0


class CallMedia:
    """The media of one call. Belongs to the event loop's thread."""

    def __init__(
        self,
        settings: MediaSettings,
        negotiation: ims.Negotiation,
        on_lifetime: Callable[[str], None],
    ) -> None:
        self.negotiation = negotiation
        self.relays: dict[int, MediaRelay] = {}
        self._settings = settings
        self._on_lifetime = on_lifetime
        self._texts: dict[str | None, _DialogText] = {}
        self._session_id = int.from_bytes(os.urandom(4), "big") >> 1

    # From the softphone

    def check_phone(self, sdp: bytes) -> None:
        """Raises LocalError if this SDP of the softphone's will not do, whatever the far end says."""
        self._read_phone(sdp)

    def offer_from_phone(self, sdp: bytes, dialog: str | None, now: float) -> bytes:
        """Raises LocalError if it cannot be protected as the policy wants."""
        plain = self._to_network(sdp, dialog)
        return self.negotiation.create_offer(plain, dialog=dialog, now=now).encode("utf-8", "surrogateescape")

    def answer_from_phone(self, sdp: bytes, dialog: str, now: float) -> bytes:
        """Raises LocalError if it does not fit the offer."""
        plain = self._to_network(sdp, dialog)
        answer = self.negotiation.create_answer(plain, dialog=dialog, now=now)
        self._aim(dialog)
        return answer.encode("utf-8", "surrogateescape")

    # From the network

    def offer_from_network(self, sdp: bytes, dialog: str, peer: ims.PeerAssertions, now: float) -> bytes:
        """What to show the softphone. It counts once `events` has reported no `NegotiationFailed` for it."""
        self.negotiation.receive_offer(sdp, dialog=dialog, peer=peer, now=now)
        return self._arrived(sdp, dialog, is_answer=False)

    def answer_from_network(
        self,
        sdp: bytes,
        dialog: str,
        *,
        reliable: bool,
        peer: ims.PeerAssertions,
        update_allowed: bool,
        to_invite: bool = False,
        now: float,
    ) -> bytes:
        """As `offer_from_network`."""
        self.negotiation.receive_answer(
            sdp,
            dialog=dialog,
            reliable=reliable,
            peer=peer,
            update_allowed=update_allowed,
            to_invite=to_invite,
            now=now,
        )
        return self._arrived(sdp, dialog, is_answer=True)

    def _arrived(self, sdp: bytes, dialog: str, *, is_answer: bool) -> bytes:
        written = sdp.decode("utf-8", "surrogateescape")
        self._text(dialog).arrived = (written, is_answer)
        return self._to_phone(written)

    # The agent's own exchanges, which the softphone does not see

    def rekey_offer(self, dialog: str, now: float, *, fresh: bool) -> bytes:
        """An offer of our own: the last SDP again, with keys as fresh as the rules ask for.

        `fresh`: with new ones in any case. Otherwise a key stays that only this dialog has seen: a peer
        that takes no new key within a call goes deaf to one.
        """
        text = self._text(dialog)
        doc = SessionDescription.parse(text.local)
        text.version += 1
        set_version(doc, self._session_id, text.version)
        text.local = str(doc)
        return self.negotiation.create_offer(text.local, dialog=dialog, rekey=fresh, now=now).encode(
            "utf-8", "surrogateescape"
        )

    def is_rekey(self, sdp: bytes, dialog: str) -> bool:
        """True if this offer differs from the peer's last SDP in keys only, so that we can answer it alone."""
        text = self._texts.get(dialog)
        if text is None or not text.remote or not text.local:
            return False
        try:
            new = sdp.decode("utf-8", "surrogateescape")
            changed = [media.values("crypto") for media in SessionDescription.parse(new).media] != [
                media.values("crypto") for media in SessionDescription.parse(text.remote).media
            ]
            return changed and essence(new) == essence(text.remote)
        except ims.MediaSecurityError:
            return False

    def remember_remote(self, dialog: str, sdp: bytes) -> None:
        """The peer's SDP that `answer_alone` answers."""
        self._text(dialog).remote = sdp.decode("utf-8", "surrogateescape")

    def answer_alone(self, dialog: str, now: float) -> bytes:
        """Answer the peer's open offer with our last SDP."""
        text = self._text(dialog)
        doc = SessionDescription.parse(text.local)
        text.version += 1
        set_version(doc, self._session_id, text.version)
        text.local = str(doc)
        answer = self.negotiation.create_answer(text.local, dialog=dialog, now=now)
        self._aim(dialog)
        return answer.encode("utf-8", "surrogateescape")

    # What follows

    def events(self) -> list[ims.Event]:
        """Carry out on the relays what the negotiation reported. All of it, for those who look on."""
        done: list[ims.Event] = []
        failed: set[str | None] = set()
        while (event := self.negotiation.next_event()) is not None:
            dialog = event.dialog or ""
            match event:
                case ims.KeysReady():
                    self.relays[event.index].install(dialog, event.direction, event.keys)
                case ims.KeysRetired():
                    self.relays[event.index].retire(dialog, event.direction, event.keys)
                case ims.MediaRemoved():
                    if event.index in self.relays:
                        self.relays[event.index].shut(dialog)
                case ims.MediaGate():
                    if event.index in self.relays:
                        self.relays[event.index].leg(dialog).gate = event.gate
                case ims.SecurityChanged(status=status, lost_protection=True):
                    for stream in status.streams:
                        if not stream.protected and stream.index in self.relays:
                            self.relays[stream.index].leg(dialog).protected = False
                case ims.NegotiationFailed():
                    failed.add(event.dialog)
                case _:
                    pass
            done.append(event)
        self._settle(failed)
        return done

    def _settle(self, failed: set[str | None]) -> None:
        """What has arrived and was not refused counts from now on; an answer says where to send."""
        for dialog, text in self._texts.items():
            if text.arrived is not None and dialog is not None:
                (written, is_answer), text.arrived = text.arrived, None
                if dialog not in failed:
                    text.remote = written
                    if is_answer:
                        self._aim(dialog)

    def choose(self, dialog: str) -> None:
        """The softphone hears and speaks to this dialog."""
        for relay in self.relays.values():
            relay.choose(dialog)

    def forget(self, dialog: str) -> None:
        """The dialog is gone."""
        for relay in self.relays.values():
            relay.remove_leg(dialog)
        self._texts.pop(dialog, None)

    def close(self) -> None:
        """The call is over."""
        for relay in self.relays.values():
            relay.close()

    @property
    def counters(self) -> dict[int, Counters]:
        """Packets by m-line."""
        return {index: relay.counters for index, relay in self.relays.items()}

    # Inside

    def _to_network(self, sdp: bytes, dialog: str | None) -> str:
        doc = self._read_phone(sdp)
        ports: dict[int, int] = {}
        for index, media in enumerate(doc.media):
            if is_relayed(media):
                relay = self._relay(index)
                relay.set_phone(*media_addresses(doc, media))
                ports[index] = relay.network_port
        lead_through(doc, self._settings.network_host, ports)
        text = self._text(dialog)
        if text.local and _same_but_version(str(doc), text.local):
            return text.local
        text.version += 1
        set_version(doc, self._session_id, text.version)
        text.local = str(doc)
        return text.local

    def _read_phone(self, sdp: bytes) -> SessionDescription:
        try:
            doc = SessionDescription.parse(sdp)
        except ims.MalformedInput as error:
            reason = f"the softphone's SDP: {error.reason}"
            raise ims.LocalError(reason, clause=error.clause, sip_status_hint=400) from None
        for media in doc.media:
            if media.port and profiles.plain(media.proto) != media.proto:
                raise ims.LocalError(
                    "the softphone wants to do SRTP itself; switch it off there (mediaenc, srtpUse): the agent does it",
                    sip_status_hint=488,
                )
        make_plain(doc)
        return doc

    def _to_phone(self, sdp: str) -> bytes:
        try:
            doc = SessionDescription.parse(sdp)
        except ims.MalformedInput:
            return b""  # reported by the negotiation; nothing of it is passed on
        policy = self.negotiation.policy
        for media in doc.media:
            # What is refused for want of protection must not be set up past us.
            if media.port and not is_relayed(media) and policy.requirement_for(media.media_type) is _REQUIRED:
                media.set_media(port=0)
        ports = {index: self._relay(index).local_port for index, media in enumerate(doc.media) if is_relayed(media)}
        lead_through(doc, self._settings.local_host, ports)
        make_plain(doc)
        return bytes(doc)

    def _aim(self, dialog: str) -> None:
        """Send where the peer's last SDP says."""
        try:
            doc = SessionDescription.parse(self._text(dialog).remote)
        except ims.MalformedInput:
            return
        for index, media in enumerate(doc.media):
            if index in self.relays:
                self.relays[index].aim(dialog, *media_addresses(doc, media))

    def _relay(self, index: int) -> MediaRelay:
        relay = self.relays.get(index)
        if relay is None:
            settings = self._settings
            if len(self.relays) >= MAX_STREAMS:
                raise ims.LocalError(f"more than {MAX_STREAMS} media streams in a call", sip_status_hint=488)
            try:
                relay = self.relays[index] = MediaRelay.open(
                    local_host=settings.local_host,
                    network_host=settings.network_host,
                    backend=settings.backend,
                    readers=settings.readers,
                    ports=settings.ports,
                    on_lifetime=self._on_lifetime,
                )
            except OSError as error:
                raise ims.LocalError("no UDP ports are left for media", sip_status_hint=503) from error
        return relay

    def _text(self, dialog: str | None) -> _DialogText:
        text = self._texts.get(dialog)
        if text is None:
            base = self._texts.get(None, _DialogText())
            text = self._texts[dialog] = _DialogText(local=base.local, version=base.version)
        return text


def _same_but_version(one: str, other: str) -> bool:
    a, b = SessionDescription.parse(one), SessionDescription.parse(other)
    a.session.remove_lines("o")
    b.session.remove_lines("o")
    return str(a) == str(b)
