"""Embed the library in a softphone with a SIP stack of its own: text in, text and keys out, no I/O.

Two parties in one process, so that it runs anywhere: Alice's INVITE is forked to Bob's desk phone and
to his mobile; the mobile takes the call. What SIP would carry is handed over as text; what RTP would
carry is protected with the keys that came out. At the end the desk phone, which rang too, tries to
listen with all that it was sent.

    python examples/embed_sans_io.py
"""

import argparse
import struct
import time

import imsmediasec as ims
from imsmediasec.media import MediaStream, PylibsrtpBackend

SRTP = PylibsrtpBackend()


class Party:
    """What a softphone keeps for one call: the negotiation, and a media stream a dialog."""

    def __init__(self, name: str, side: ims.Side, port: int) -> None:
        self.name, self.port = name, port
        self.sequence = 0
        self.streams: dict[str, MediaStream] = {}
        self.gates: dict[str, ims.Gate] = {}
        self.todo: list[ims.Event] = []
        self.negotiation = ims.Negotiation(
            ims.SecurityPolicy(),
            side=side,
            capabilities=SRTP.capabilities,
            local_identity=f"sip:{name}@ims.example",
            remote_target="sip:bob@ims.example",
            signalling=ims.Hop.PROTECTED,
        )

    def sdp(self) -> str:
        """What the softphone would offer or answer without any security."""
        return (
            f"v=0\r\no={self.name} 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
            f"m=audio {self.port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )

    def drain(self) -> None:
        """Carry out what the negotiation reports. A real softphone does this after every call to it."""
        while (event := self.negotiation.next_event()) is not None:
            match event:
                case ims.KeysReady(dialog=dialog, direction=direction, keys=keys):
                    self.streams.setdefault(dialog, MediaStream(SRTP)).install(direction, keys)
                case ims.KeysRetired(dialog=dialog, direction=direction, keys=keys):
                    self.streams[dialog].retire(direction, keys)
                case ims.MediaGate(dialog=dialog, gate=gate):
                    self.gates[dialog] = gate
                case ims.SecurityChanged(status=status) if status.streams:
                    holders = ", ".join(holder.name for holder in status.key_holders)
                    print(f"  {self.name}: forking {status.fork_state.value}; the keys are with: {holders}")
                case ims.NegotiationFailed(error=error):
                    print(f"  {self.name}: refused, answer {error.sip_status_hint}: {error}")
                case ims.RekeyRequired() | ims.DialogRetired():
                    self.todo.append(event)  # for the SIP stack

    def speak(self, dialog: str) -> bytes:
        """One RTP packet of 20 ms, protected; only if the gate is open."""
        if self.gates[dialog] is not ims.Gate.OPEN:
            raise SystemExit(f"{self.name} must not speak yet")
        self.sequence += 1
        packet = struct.pack("!BBHII", 0x80, 0, self.sequence, 160 * self.sequence, 0x1234) + b"\x2a" * 160
        return self.streams[dialog].protect(packet)


def answer(callee: Party, offer: str, dialog: str) -> str:
    callee.negotiation.receive_offer(offer, dialog=dialog, now=time.time())
    text = callee.negotiation.create_answer(callee.sdp(), dialog=dialog, now=time.time())
    callee.drain()
    return text


argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
alice = Party("alice", ims.Side.UAC, 4000)
desk, mobile = Party("desk", ims.Side.UAS, 5000), Party("mobile", ims.Side.UAS, 6000)

print("INVITE, forked to two terminals")
offer = alice.negotiation.create_offer(alice.sdp(), now=time.time())
print(ims.sdp.redact(offer))

print("183 from both")
for callee in (desk, mobile):
    text = answer(callee, offer, "call")
    alice.negotiation.receive_answer(text, dialog=callee.name, reliable=False, now=time.time())
    alice.drain()

print("200 from the mobile")
alice.negotiation.receive_answer(text, dialog="mobile", now=time.time())
alice.negotiation.confirm(dialog="mobile", now=time.time())
alice.drain()
mobile.negotiation.confirm(dialog="call", now=time.time())
desk.negotiation.dialog_ended(dialog="call", now=time.time())
loser = desk.streams["call"]  # what it could still do, had it not been told to forget

print("re-INVITE with a fresh key, to the mobile alone")
assert any(isinstance(event, ims.RekeyRequired) for event in alice.todo)
fresh = alice.negotiation.create_offer(alice.sdp(), dialog="mobile", now=time.time())
alice.negotiation.receive_answer(answer(mobile, fresh, "call"), dialog="mobile", now=time.time())
alice.drain()

packet = alice.speak("mobile")
assert mobile.streams["call"].unprotect(packet)[12:] == b"\x2a" * 160
print("alice speaks: the mobile hears it")

exposed = ims.sdp.SessionDescription.parse(offer).media[0].crypto[0].keys[0].key_salt.reveal()
suite = ims.suite_by_name("AEAD_AES_256_GCM")
key = ims.MasterKey(key=ims.Secret(exposed[:32]), salt=ims.Secret(exposed[32:]))
spy = SRTP.open(ims.Direction.RECEIVE, ims.SrtpKeys(suite=suite, master_keys=(key,)))
try:
    spy.unprotect(packet)
except ims.AuthenticationFailed as error:
    print(f"the desk phone, with the key from the INVITE: {error}")
else:
    raise SystemExit("the desk phone can listen")
