"""One direction of one media stream under one `SrtpKeys`: `ports.SrtpStream`, with MKIs on the wire.

RFC 3711 3.1 and 3.4 put the MKI before the authentication tag, RFC 7714 8.2 and 9.2 at the very end. It is
not authenticated, so it is spliced in behind the contexts, which know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from imsmediasec.errors import AuthenticationFailed, LocalError, MalformedInput
from imsmediasec.keys import MasterKey, SrtpKeys
from imsmediasec.media.srtp_context import ContextSetup
from imsmediasec.media.srtp_packet import MAX_PACKET
from imsmediasec.media.srtp_ring import KeyRing
from imsmediasec.suites import Cipher


class PacketCall(Protocol):
    """A packet in, a packet out."""

    def __call__(self, packet: bytes) -> bytes: ...


class _Stream:
    """What both directions share. `protect` and so on are attributes, not methods, to spare a call a
    packet."""

    __slots__ = (
        "_contexts",
        "_held",
        "_ring",
        "keys",
        "protect",
        "protect_rtcp",
        "unprotect",
        "unprotect_rtcp",
    )

    protect: PacketCall
    unprotect: PacketCall
    protect_rtcp: PacketCall
    unprotect_rtcp: PacketCall

    def __init__(self, keys: SrtpKeys, masters: tuple[MasterKey, ...], setup: ContextSetup, ring: KeyRing) -> None:
        """`masters`: those of `keys` that are used here. Raises LocalError if a key may not be used
        (again)."""
        self.keys = keys
        self._ring = ring
        self._held = [ring.identify(master) for master in masters]
        if len(set(self._held)) < len(self._held):
            raise LocalError("the same master key is listed twice", clause="RFC 4568 6.1")
        for identity in self._held:
            ring.check(identity, setup)
        self._contexts = [
            ring.acquire(identity, master, setup) for identity, master in zip(self._held, masters, strict=True)
        ]

    @property
    def roc(self) -> Mapping[int, int]:
        """The roll-over counter now, by SSRC: give it to the next key on the same transport."""
        return {int.from_bytes(ssrc, "big"): index >> 16 for ssrc, index in self.highest.items()}

    @property
    def highest(self) -> dict[bytes, int]:
        """The highest packet index, by SSRC (4 octets), over all master keys."""
        merged: dict[bytes, int] = {}
        for context in self._contexts:
            for ssrc, index in context.highest.items():
                merged[ssrc] = max(index, merged.get(ssrc, 0))
        return merged

    @property
    def rtcp_next(self) -> dict[bytes, int]:
        """Sending: the next SRTCP index, by SSRC."""
        return self._contexts[0].rtcp_next

    @property
    def on_libsrtp(self) -> bool:
        """True while all SRTP of this stream runs on libsrtp."""
        return all(context.on_libsrtp for context in self._contexts)

    def retire(self) -> None:
        """Forget and wipe the keys; every later call raises LocalError. A second time it does nothing."""
        self.release()
        self.keys.wipe()

    def release(self) -> None:
        """Like `retire`, but leave `keys` as they are, for another stream that holds them."""
        for identity in self._held:
            self._ring.release(identity)
        self._held = []
        self.protect = self.unprotect = self.protect_rtcp = self.unprotect_rtcp = _retired


class SendStream(_Stream):
    """Protects with the first master key."""

    __slots__ = ()

    def __init__(self, keys: SrtpKeys, setup: ContextSetup, ring: KeyRing) -> None:
        """The keys must fit the suite. Raises LocalError if the ring refuses the key."""
        first = keys.master_keys[0]
        super().__init__(keys, (first,), setup, ring)
        context = self._contexts[0]
        context.resume(setup.start, setup.rtcp_start)
        self.protect, self.protect_rtcp = context.process, context.process_rtcp
        if first.mki is not None:
            mki = mki_octets(first)
            srtp_tail, srtcp_tail = _octets_behind_mki(keys)
            self.protect = _insert_mki(context.process, mki, srtp_tail)
            self.protect_rtcp = _insert_mki(context.process_rtcp, mki, srtcp_tail)
        self.unprotect = self.unprotect_rtcp = _only_sends


class ReceiveStream(_Stream):
    """Opens with the master key that the MKI names, or the only one."""

    __slots__ = ()

    def __init__(self, keys: SrtpKeys, setup: ContextSetup, ring: KeyRing) -> None:
        """The keys must fit the suite. Raises LocalError if the ring refuses a key."""
        masters = keys.master_keys
        super().__init__(keys, masters, setup, ring)
        self.unprotect, self.unprotect_rtcp = self._contexts[0].process, self._contexts[0].process_rtcp
        length = masters[0].mki_length
        if length is not None:
            srtp: dict[bytes, PacketCall] = {}
            srtcp: dict[bytes, PacketCall] = {}
            for master, context in zip(masters, self._contexts, strict=True):
                srtp[mki_octets(master)] = context.process
                srtcp[mki_octets(master)] = context.process_rtcp
            srtp_tail, srtcp_tail = _octets_behind_mki(keys)
            self.unprotect = _select_by_mki(srtp, length, srtp_tail)
            self.unprotect_rtcp = _select_by_mki(srtcp, length, srtcp_tail)
        self.protect = self.protect_rtcp = _only_receives


def mki_octets(master: MasterKey) -> bytes:
    """The MKI field as it stands in a packet (RFC 3711 3.1). `mki` and `mki_length` must be there and fit."""
    assert master.mki is not None and master.mki_length is not None
    return master.mki.to_bytes(master.mki_length, "big")


def _octets_behind_mki(keys: SrtpKeys) -> tuple[int, int]:
    """How many octets follow the MKI, in SRTP and in SRTCP."""
    suite = keys.suite
    if suite.cipher is Cipher.AES_GCM:
        return 0, 0
    return 0 if keys.params.unauthenticated_srtp else suite.srtp_tag_length, suite.srtcp_tag_length


def _insert_mki(process: PacketCall, mki: bytes, tail: int) -> PacketCall:
    def protect(packet: bytes) -> bytes:
        sealed = process(packet)
        cut = len(sealed) - tail
        return sealed[:cut] + mki + sealed[cut:]

    return protect


def _select_by_mki(contexts: Mapping[bytes, PacketCall], length: int, tail: int) -> PacketCall:
    select: Callable[[bytes], PacketCall | None] = contexts.get

    def unprotect(packet: bytes) -> bytes:
        if not isinstance(packet, bytes):
            raise LocalError("a packet must be bytes")
        end = len(packet) - tail
        cut = end - length
        if cut < 0 or end > MAX_PACKET:
            raise MalformedInput("no room for the MKI", clause="RFC 3711 3.1", offset=len(packet))
        process = select(packet[cut:end])
        if process is None:
            raise AuthenticationFailed("the MKI names no key that is in use", clause="RFC 3711 3.1")
        return process(packet[:cut] + packet[end:])

    return unprotect


def _retired(packet: bytes) -> bytes:
    raise LocalError("the keys of this stream were retired")


def _only_sends(packet: bytes) -> bytes:
    raise LocalError("this stream only sends")


def _only_receives(packet: bytes) -> bytes:
    raise LocalError("this stream only receives")
