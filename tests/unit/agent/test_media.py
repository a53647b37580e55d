"""agent/media.py: the SDP and media of one call, two of them back to back, on real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

import imsmediasec as ims
from imsmediasec.agent.media import CallMedia, MediaSettings
from imsmediasec.media import PylibsrtpBackend
from imsmediasec.media.readers import Readers
from imsmediasec.sdp import SessionDescription

BACKEND = PylibsrtpBackend()
NOBODY = ims.PeerAssertions()
_open: list[CallMedia | Readers | socket.socket] = []
"""What a test leaves open."""


def side(side: ims.Side, policy: ims.SecurityPolicy | None = None) -> CallMedia:
    readers = Readers()
    _open.append(readers)
    settings = MediaSettings(
        local_host="127.0.0.1", network_host="127.0.0.1", backend=BACKEND, readers=readers, ports=range(0)
    )
    negotiation = ims.Negotiation(
        policy or ims.SecurityPolicy(on_exposed=ims.OnFailure.WARN),
        side=side,
        capabilities=BACKEND.capabilities,
        local_identity="sip:me@x",
        remote_target="sip:you@x",
        signalling=ims.Hop.PROTECTED,
    )
    media = CallMedia(settings, negotiation, lambda dialog: None)
    _open.append(media)
    return media


def sdp(port: int, *more: str, version: int = 1, proto: str = "RTP/AVP") -> bytes:
    lines = ("v=0", f"o=- 1 {version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0")
    return "".join(f"{line}\r\n" for line in (*lines, f"m=audio {port} {proto} 0", *more)).encode()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        try:
            async with asyncio.timeout(20):
                await test()
        finally:
            while _open:
                _open.pop().close()

    asyncio.run(limited())


def phone() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    _open.append(sock)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


async def hear(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, 2048)


def rtp(number: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number, number, 1) + b"voice" * 32


class Pair:
    """Caller and callee agent, up to the answer."""

    def __init__(self) -> None:
        self.alice, self.bob = side(ims.Side.UAC), side(ims.Side.UAS)
        self.phones = phone(), phone()
        port = self.phones[0].getsockname()[1]
        self.offer = self.alice.offer_from_phone(sdp(port, "a=x:1"), None, 0)
        self.to_bob = self.bob.offer_from_network(self.offer, "d", NOBODY, 0)
        self.bob.events()
        self.answer = self.bob.answer_from_phone(sdp(self.phones[1].getsockname()[1]), "d", 0)
        self.bob.events()
        self.bob.choose("d")
        self.to_alice = self.receive(self.answer)
        self.alice.negotiation.confirm(dialog="d", now=0)
        self.alice.choose("d")
        self.seen = self.alice.events()
        self.bob.negotiation.confirm(dialog="d", now=0)
        self.bob.events()

    def receive(self, answer: bytes) -> bytes:
        return self.alice.answer_from_network(answer, "d", reliable=True, peer=NOBODY, update_allowed=False, now=0)

    def rekey(self) -> None:
        offer = self.alice.rekey_offer("d", 1, fresh=True)
        assert self.bob.is_rekey(offer, "d")
        self.bob.negotiation.receive_offer(offer, dialog="d", peer=NOBODY, now=1)
        self.bob.remember_remote("d", offer)
        self.receive(self.bob.answer_alone("d", 1))
        self.alice.events()
        self.bob.events()


def local_port(text: bytes) -> int:
    return SessionDescription.parse(text).media[0].port


def version(text: bytes) -> int:
    found = re.search(rb"o=\S+ \d+ (\d+)", text)
    assert found
    return int(found[1])


def test_speech_goes_both_ways_and_only_protected_on_the_network() -> None:
    async def test() -> None:
        pair = Pair()
        assert b"RTP/SAVP" in pair.offer and b"a=crypto:" in pair.offer and b"a=x:1" in pair.offer
        for plain in (pair.to_bob, pair.to_alice):
            assert b"RTP/AVP " in plain and b"crypto" not in plain
        pair.rekey()
        for talker, listener, entry in ((0, 1, pair.to_alice), (1, 0, pair.to_bob)):
            pair.phones[talker].sendto(rtp(1), ("127.0.0.1", local_port(entry)))
            assert await hear(pair.phones[listener]) == rtp(1)
        for counters in (pair.alice.counters[0], pair.bob.counters[0]):
            assert counters.sent_protected == counters.received_protected == 1
            assert counters.sent_plain == counters.received_plain == 0

    run(test)


def test_who_looks_on_sees_every_event() -> None:
    async def test() -> None:
        pair = Pair()
        kinds = {type(event) for event in pair.seen}
        assert {ims.KeysReady, ims.MediaGate, ims.RekeyRequired, ims.SecurityChanged} <= kinds
        assert pair.alice.events() == []

    run(test)


def test_keys_of_a_rekey_replace_the_old() -> None:
    async def test() -> None:
        pair = Pair()
        before = pair.alice.negotiation.status
        pair.rekey()
        assert before.fork_state is not ims.ForkState.CONFIRMED
        assert pair.alice.negotiation.status.fork_state is ims.ForkState.CONFIRMED
        assert pair.bob.negotiation.status.fork_state is ims.ForkState.CONFIRMED

    run(test)


def test_versions_count_up_with_each_change_only() -> None:
    """RFC 3264 8."""

    async def test() -> None:
        pair = Pair()
        port = pair.phones[0].getsockname()[1]
        again = pair.alice.offer_from_phone(sdp(port, "a=x:1", version=7), "d", 1)
        assert version(again) == version(pair.offer) == 1
        pair.alice.negotiation.offer_rejected(dialog="d", status=488, now=1)
        changed = pair.alice.offer_from_phone(sdp(port, "a=x:2", version=8), "d", 1)
        assert version(changed) == 2
        pair.alice.negotiation.offer_rejected(dialog="d", status=488, now=1)
        assert version(pair.alice.rekey_offer("d", 1, fresh=False)) == 3

    run(test)


def test_what_is_a_rekey() -> None:
    async def test() -> None:
        pair = Pair()
        offer = pair.offer
        other_keys = re.sub(rb"inline:[^\r|]+", b"inline:" + b"A" * 40, offer)
        assert not pair.bob.is_rekey(offer, "d"), "the same again is a session refresh"
        assert pair.bob.is_rekey(other_keys, "d")
        assert pair.bob.is_rekey(other_keys.replace(b" 1 IN", b" 2 IN"), "d")
        assert not pair.bob.is_rekey(other_keys.replace(b"a=x:1", b"a=sendonly"), "d")
        assert not pair.bob.is_rekey(other_keys, "another")
        assert not pair.bob.is_rekey(b"nonsense", "d")
        assert not side(ims.Side.UAS).is_rekey(other_keys, "d")

    run(test)


def test_what_a_softphone_must_not_send() -> None:
    async def test() -> None:
        media = side(ims.Side.UAC)
        with pytest.raises(ims.LocalError, match="the softphone's SDP"):
            media.offer_from_phone(b"nonsense", None, 0)
        with pytest.raises(ims.LocalError, match="switch it off there"):
            media.offer_from_phone(sdp(4000, proto="RTP/SAVP"), None, 0)
        assert b"m=audio 0 RTP/AVP" in media.offer_from_phone(sdp(0, proto="RTP/SAVP"), None, 0)

    run(test)


def test_what_the_network_must_not_send() -> None:
    async def test() -> None:
        bob = side(ims.Side.UAS)
        assert bob.offer_from_network(b"nonsense", "d", NOBODY, 0) == b""
        assert any(isinstance(event, ims.NegotiationFailed) for event in bob.events())
        pair = Pair()
        pair.alice.rekey_offer("d", 1, fresh=True)
        assert pair.receive(b"nonsense") == b""
        assert any(isinstance(event, ims.NegotiationFailed) for event in pair.alice.events())

    run(test)


def test_a_stream_that_the_answer_adds_has_no_relay_to_aim() -> None:
    async def test() -> None:
        pair = Pair()
        pair.alice.relays[0].close()
        pair.alice.relays.clear()
        pair.receive(pair.answer)
        pair.alice.events()

    run(test)


def test_other_media_pass_the_relay_by() -> None:
    async def test() -> None:
        media = side(ims.Side.UAC, ims.SecurityPolicy(requirement_by_media={"message": ims.Requirement.DISABLED}))
        offer = media.offer_from_phone(sdp(4000, "m=message 4002 TCP/MSRP *"), None, 0)
        assert b"m=message 4002 TCP/MSRP *" in offer
        assert list(media.relays) == [0]
        media.events()

    run(test)


def test_protection_taken_off_by_agreement_stops_srtp() -> None:
    """An unprotected stream after a protected one: the relay follows, and the status told so."""

    async def test() -> None:
        policy = ims.SecurityPolicy(
            requirement=ims.Requirement.PREFERRED,
            on_exposed=ims.OnFailure.WARN,
            on_protection_lost=ims.OnFailure.WARN,
        )
        alice, bob = side(ims.Side.UAC, policy), side(ims.Side.UAS, policy)
        bob.offer_from_network(alice.offer_from_phone(sdp(4000), None, 0), "d", NOBODY, 0)
        answer = bob.answer_from_phone(sdp(4002), "d", 0)
        alice.answer_from_network(answer, "d", reliable=True, peer=NOBODY, update_allowed=False, now=0)
        alice.negotiation.confirm(dialog="d", now=0)
        bob.negotiation.confirm(dialog="d", now=0)
        bob.events(), alice.events()
        assert bob.relays[0].leg("d").protected
        bob.offer_from_network(sdp(5000, version=9), "d", NOBODY, 1)
        bob.answer_from_phone(sdp(4002), "d", 1)
        lost = [event for event in bob.events() if isinstance(event, ims.SecurityChanged) and event.lost_protection]
        assert lost and not lost[-1].status.protected
        assert not bob.relays[0].leg("d").protected

    run(test)


def test_events_of_streams_without_a_relay() -> None:
    """Only the stream that lost its protection loses it in the relay."""

    async def test() -> None:
        pair = Pair()
        (stream,) = pair.alice.negotiation.status.streams
        assert stream.protected
        elsewhere = dataclasses.replace(stream, index=7, send_protected=False)
        status = dataclasses.replace(pair.alice.negotiation.status, streams=(stream, elsewhere))
        events: list[ims.Event] = [
            ims.SecurityChanged(dialog="d", status=status, lost_protection=True),
            ims.MediaGate(dialog="d", index=7, gate=ims.Gate.OPEN),
        ]
        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(pair.alice.negotiation, "next_event", lambda: events.pop() if events else None)
            assert len(pair.alice.events()) == 2
        assert pair.alice.relays[0].leg("d").protected
        assert list(pair.alice.relays) == [0]

    run(test)


def test_a_dialog_that_lost_is_forgotten() -> None:
    async def test() -> None:
        pair = Pair()
        pair.alice.forget("d")
        pair.alice.forget("never seen")
        pair.phones[0].sendto(rtp(1), ("127.0.0.1", local_port(pair.to_alice)))
        while not pair.alice.counters[0].dropped_no_keys:
            await asyncio.sleep(0.002)
        assert pair.alice.counters[0].sent_protected == 0

    run(test)
