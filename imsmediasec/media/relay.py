"""`MediaRelay`: plain RTP on the local side, what was negotiated on the network side, for one m-line.

One pair of UDP sockets (RTP, RTCP) faces the softphone, another the network. The network pair serves all
dialogs that one INVITE created: each has its own `Leg` with keys, gate and remote address. Nothing
leaves towards the network unless a leg says how: a protected leg sends SRTP or nothing.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import cast

from imsmediasec.errors import KeyLifetimeExhausted, MediaSecurityError
from imsmediasec.keys import SrtpKeys
from imsmediasec.media.readers import Readers
from imsmediasec.media.srtp_backend import PylibsrtpBackend
from imsmediasec.media.srtp_session import MediaStream
from imsmediasec.terms import Direction, Gate

Address = tuple[str, int]

KEEPALIVE_INTERVAL = 0.5
"""Seconds between keep-alives while the gate is shut: enough for a NAT or SBC to latch at once."""
_KEEPALIVE_PAYLOAD_TYPE = 126
"""A dynamic payload type that no offer of ours maps (RFC 6263 4.6)."""
_ROOM = 2048
"""Octets of a packet at most; no path carries longer ones whole."""
_RTCP_TYPES = range(192, 224)


@dataclass(slots=True)
class Counters:
    """Packets. Every packet that does not pass is counted under its reason."""

    sent_protected: int = 0
    received_protected: int = 0
    sent_plain: int = 0
    received_plain: int = 0
    keepalives: int = 0
    dropped_gate: int = 0
    dropped_no_keys: int = 0
    dropped_clear: int = 0
    """Came unprotected where protection is agreed."""
    dropped_unauthentic: int = 0
    dropped_source: int = 0
    """Came from an address that is not the softphone's."""
    dropped_exhausted: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(slots=True, eq=False)
class Leg:
    """The network side of one dialog."""

    dialog: str
    stream: MediaStream
    protected: bool = False
    gate: Gate = Gate.KEEPALIVE_ONLY
    rtp: Address | None = None
    """Where to send, from the SDP; follows the source of authentic packets (RFC 4961)."""
    rtcp: Address | None = None
    silent: bool = False
    """The SDP says not to send (hold), or gives no address."""
    last_keepalive: float = field(default=float("-inf"))
    receiving: bool = False
    """Something authentic (or, unprotected, anything) has come."""


class MediaRelay:
    """Made by `MediaRelay.open`. All methods belong to the event loop's thread."""

    def __init__(
        self, backend: PylibsrtpBackend, readers: Readers, on_lifetime: Callable[[str], None] | None = None
    ) -> None:
        self._backend = backend
        self._readers = readers
        self._on_lifetime = on_lifetime
        self._legs: dict[str, Leg] = {}
        self._chosen: Leg | None = None
        self._sockets: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()
        self.counters = Counters()
        self._phone_rtp: Address | None = None
        self._phone_rtcp: Address | None = None
        self.local_port = self.network_port = 0

    @classmethod
    def open(
        cls,
        *,
        local_host: str,
        network_host: str,
        backend: PylibsrtpBackend,
        readers: Readers,
        ports: range = range(0),
        on_lifetime: Callable[[str], None] | None = None,
    ) -> MediaRelay:
        """Bind both socket pairs; `ports`: where to look for network ports, empty: anywhere.

        `on_lifetime` gets the dialog whose sending key is about to reach its lifetime. Raises OSError.
        """
        relay = cls(backend, readers, on_lifetime)
        try:
            local = _bind_pair(local_host, range(0))
            relay._sockets += local
            network = _bind_pair(network_host, ports)
            relay._sockets += network
        except OSError:
            relay.close()
            raise
        relay._local_rtp, relay._local_rtcp = local
        relay._network_rtp, relay._network_rtcp = network
        relay.local_port = local[0].getsockname()[1]
        relay.network_port = network[0].getsockname()[1]
        add = readers.add
        add(local[0], relay._from_phone)
        add(local[1], relay._rtcp_from_phone)
        add(network[0], relay._from_network)
        add(network[1], relay._rtcp_from_network)
        return relay

    _local_rtp: socket.socket
    _local_rtcp: socket.socket
    _network_rtp: socket.socket
    _network_rtcp: socket.socket

    def close(self) -> None:
        """Close the sockets, wipe all keys."""
        for sock in self._sockets:
            self._readers.remove(sock)
            sock.close()
        self._sockets.clear()
        for leg in self._legs.values():
            leg.stream.close()
        self._legs.clear()
        self._chosen = None

    def set_phone(self, rtp: Address | None, rtcp: Address | None = None) -> None:
        """Where the softphone wants its media. It must send from there too (RFC 4961): other users of this
        machine may not speak in its place."""
        self._phone_rtp = _as_source(rtp)
        self._phone_rtcp = _as_source(rtcp or (None if rtp is None else (rtp[0], rtp[1] + 1)))

    def leg(self, dialog: str) -> Leg:
        """The leg of this dialog, made at need."""
        leg = self._legs.get(dialog)
        if leg is None:
            leg = self._legs[dialog] = Leg(dialog, MediaStream(self._backend))
        return leg

    def aim(self, dialog: str, rtp: Address | None, rtcp: Address | None) -> None:
        """Where the far end of this dialog wants its media; None: nowhere."""
        leg = self.leg(dialog)
        leg.rtp, leg.rtcp = _as_source(rtp), _as_source(rtcp)

    def choose(self, dialog: str) -> None:
        """The dialog that the softphone hears and speaks to: the newest early one, or the one that took the call."""
        self._chosen = self.leg(dialog)

    def install(self, dialog: str, direction: Direction, keys: SrtpKeys) -> None:
        leg = self.leg(dialog)
        leg.stream.install(direction, keys)
        leg.protected = True

    def retire(self, dialog: str, direction: Direction, keys: SrtpKeys) -> None:
        self.leg(dialog).stream.retire(direction, keys)

    def shut(self, dialog: str) -> None:
        """This stream of the dialog is over: nothing leaves or comes in until it is agreed anew."""
        leg = self.leg(dialog)
        leg.protected, leg.gate, leg.receiving = False, Gate.KEEPALIVE_ONLY, False

    def remove_leg(self, dialog: str) -> None:
        leg = self._legs.pop(dialog, None)
        if leg is not None:
            leg.stream.close()
            if leg is self._chosen:
                self._chosen = None

    # Softphone to network. One packet a call: to ask for another that is not there costs more than to be called again.

    def _from_phone(self) -> None:
        try:
            packet, source = self._local_rtp.recvfrom(_ROOM)
        except OSError:
            return
        leg = self._chosen
        if source != self._phone_rtp:
            self.counters.dropped_source += 1
        elif len(packet) < 12 or leg is None or leg.rtp is None:
            self.counters.dropped_no_keys += 1
        elif packet[1] in _RTCP_TYPES:
            self._send_rtcp(leg, packet)
        elif leg.gate is not Gate.OPEN:
            self._keep_alive(packet)
        elif not leg.protected:
            self.counters.sent_plain += 1
            _send(self._network_rtp, packet, leg.rtp)
        else:
            try:
                protected = leg.stream.protect(packet)
            except MediaSecurityError as error:
                self._cannot_send(error)
                return
            self.counters.sent_protected += 1
            _send(self._network_rtp, protected, leg.rtp)
            if leg.stream.next_event() is not None:
                self._report_lifetime(leg)

    def _rtcp_from_phone(self) -> None:
        try:
            packet, source = self._local_rtcp.recvfrom(_ROOM)
        except OSError:
            return
        if source != self._phone_rtcp:
            self.counters.dropped_source += 1
        elif self._chosen is None or len(packet) < 8:
            self.counters.dropped_no_keys += 1
        else:
            self._send_rtcp(self._chosen, packet)

    def _send_rtcp(self, leg: Leg, packet: bytes) -> None:
        if leg.gate is not Gate.OPEN or leg.rtcp is None:
            self.counters.dropped_gate += 1
        elif not leg.protected:
            self.counters.sent_plain += 1
            _send(self._network_rtcp, packet, leg.rtcp)
        else:
            try:
                protected = leg.stream.protect_rtcp(packet)
            except MediaSecurityError as error:
                self._cannot_send(error)
                return
            self.counters.sent_protected += 1
            _send(self._network_rtcp, protected, leg.rtcp)

    def _keep_alive(self, packet: bytes) -> None:
        """While the gate is shut, the header goes out now and then, without content (RFC 6263 4.6)."""
        now = self._loop.time()
        self.counters.dropped_gate += 1
        for leg in self._legs.values():
            if leg.rtp is None or not leg.protected or now - leg.last_keepalive < KEEPALIVE_INTERVAL:
                continue
            empty = b"\x80" + bytes((_KEEPALIVE_PAYLOAD_TYPE,)) + packet[2:12]
            try:
                protected = leg.stream.protect(empty)
            except MediaSecurityError:
                continue
            leg.last_keepalive = now
            self.counters.keepalives += 1
            _send(self._network_rtp, protected, leg.rtp)

    # Network to softphone

    def _from_network(self) -> None:
        try:
            packet, source = self._network_rtp.recvfrom(_ROOM)
        except OSError:
            return
        if len(packet) < 12:
            return
        if packet[1] in _RTCP_TYPES:
            self._rtcp_in(packet, source)
            return
        leg, plain = self._open(packet, source, rtcp=False)
        if (
            plain is not None
            and leg is self._chosen
            and self._phone_rtp is not None
            and (plain[1] & 0x7F != _KEEPALIVE_PAYLOAD_TYPE or len(plain) > 12)
        ):
            _send(self._local_rtp, plain, self._phone_rtp)

    def _rtcp_from_network(self) -> None:
        try:
            packet, source = self._network_rtcp.recvfrom(_ROOM)
        except OSError:
            return
        self._rtcp_in(packet, source)

    def _rtcp_in(self, packet: bytes, source: Address) -> None:
        if len(packet) < 8:
            return
        leg, plain = self._open(packet, source, rtcp=True)
        if leg is not None and plain is not None and leg is self._chosen and self._phone_rtcp is not None:
            _send(self._local_rtcp, plain, self._phone_rtcp)

    def _open(self, packet: bytes, source: Address, *, rtcp: bool) -> tuple[Leg | None, bytes | None]:
        """Find the leg whose keys open the packet: the one with this source first, then every other."""
        chosen = self._chosen
        if chosen is not None and chosen.protected and source == (chosen.rtcp if rtcp else chosen.rtp):
            plain = self._try(chosen, packet, rtcp)
            if plain is not None:
                return chosen, plain
        else:
            chosen = None
        legs = [leg for leg in self._legs.values() if leg is not chosen]
        legs.sort(key=lambda leg: source != (leg.rtcp if rtcp else leg.rtp))
        tried = chosen is not None
        for leg in legs:
            if not leg.protected:
                if leg.gate is not Gate.OPEN:
                    continue  # not agreed, or refused
                if source == (leg.rtcp if rtcp else leg.rtp) or not leg.receiving:
                    leg.receiving = True
                    self.counters.received_plain += 1
                    return leg, packet
                continue
            tried = True
            plain = self._try(leg, packet, rtcp)
            if plain is None:
                continue
            if rtcp:
                leg.rtcp = source
            else:
                leg.rtp = source
            return leg, plain
        if tried:
            self.counters.dropped_unauthentic += 1
        else:
            self.counters.dropped_no_keys += 1
        return None, None

    def _try(self, leg: Leg, packet: bytes, rtcp: bool) -> bytes | None:
        try:
            plain = leg.stream.unprotect_rtcp(packet) if rtcp else leg.stream.unprotect(packet)
        except MediaSecurityError:
            return None
        leg.receiving = True
        self.counters.received_protected += 1
        return plain

    # Inside

    def _cannot_send(self, error: MediaSecurityError) -> None:
        if isinstance(error, KeyLifetimeExhausted):
            self.counters.dropped_exhausted += 1
        else:
            self.counters.dropped_no_keys += 1

    def _report_lifetime(self, leg: Leg) -> None:
        if self._on_lifetime is not None:
            self._on_lifetime(leg.dialog)


def _as_source(address: Address | None) -> Address | None:
    """As `recvfrom` names it: with IPv6 it has four parts."""
    if address is None or ":" not in address[0]:
        return address
    return cast(Address, (address[0], address[1], 0, 0))


def _send(sock: socket.socket, packet: bytes, to: Address) -> None:
    try:  # noqa: SIM105 (suppress takes as long as all else here but the system call)
        sock.sendto(packet, to)
    except OSError:
        pass  # as if lost on the way: UDP promises no more


def _bind_pair(host: str, ports: range) -> list[socket.socket]:
    """An even port and the next one (RFC 3550 11), for RTP and RTCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    even = [port for port in ports if port % 2 == 0]
    turn = random.randrange(len(even)) if even else 0  # from the start, each call would try the ports of all others
    for candidate in even[turn:] + even[:turn] or [0] * 100:
        pair: list[socket.socket] = []
        try:
            for offset in (0, 1):
                sock = socket.socket(family, socket.SOCK_DGRAM)
                pair.append(sock)
                sock.setblocking(False)
                port = candidate if not pair[1:] else pair[0].getsockname()[1] + 1
                sock.bind((host, port))
                if not offset and sock.getsockname()[1] % 2:
                    raise OSError("an odd port")
            return pair
        except (OSError, OverflowError):
            for sock in pair:
                sock.close()
    raise OSError(f"no free pair of UDP ports on {host}")
