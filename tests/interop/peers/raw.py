"""A SIP user agent without any intelligence: the test says what is sent and when. One dialog, UDP, with SRTP to send.

For what no softphone does: re-keying at odd moments, answers that lie, PRACK or ACK left out. It retransmits nothing.
"""

import os
import re
import socket
import struct
import time

from ..ports import PortBlock
from ..wire import Key

PAYLOAD = bytes([0x10] * 9 + [0x90] * 9) * 9  # a rough 444 Hz tone in PCMU


def header(message: str, name: str) -> str:
    """The first header field of this name, "" if there is none."""
    found = re.search(rf"(?im)^{name}[ \t]*:[ \t]*(.*?)\r?$", message)
    return found[1] if found else ""


def status(message: str) -> int:
    """The status code of a response; 0 for a request."""
    return int(message.split()[1]) if message.startswith("SIP/2.0") else 0


def audio_port(message: str) -> int:
    """The port of the first audio line; 0 if there is none."""
    found = re.search(r"m=audio (\d+)", message)
    return int(found[1]) if found else 0


class RawUa:
    """Caller (give `target`, the URI to call) or called side (`uri` is what to dial)."""

    def __init__(self, target: str = "") -> None:
        self.block = PortBlock()
        self.sip_port, self.media_port = self.block[0], self.block[2]
        self.uri = f"sip:raw@127.0.0.1:{self.sip_port}"
        self.local, self.remote = f"<{self.uri}>;tag={os.urandom(4).hex()}", f"<{target}>"
        self.remote_target = target
        self.call_id = os.urandom(8).hex()
        self.cseq = 0
        self.version = 0
        self.messages: list[str] = []
        """All messages received."""
        self._sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sip.bind(("127.0.0.1", self.sip_port))
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind(("127.0.0.1", self.media_port))

    def sdp(self, key: Key | None, direction: str = "sendrecv", extra: str = "") -> str:
        """An offer or answer with one PCMU stream; RTP/AVP without a key."""
        self.version += 1
        lines = ["v=0", f"o=- 1 {self.version} IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
        lines += [f"m=audio {self.media_port} RTP/{'SAVP' if key else 'AVP'} 0", "a=rtpmap:0 PCMU/8000"]
        lines += [key.crypto()] if key else []
        return "".join(line + "\r\n" for line in [*lines, f"a={direction}", *extra.split()])

    def send(self, text: str) -> None:
        """Send a message to where the dialog's remote target is."""
        place = re.search(r"[@:]([\d.]+):(\d+)", self.remote_target)
        assert place, self.remote_target
        self._sip.sendto(text.encode(), (place[1], int(place[2])))

    def request(self, method: str, body: str = "", *, cseq: int = 0, headers: str = "") -> int:
        """Send a request in (or to begin) the dialog; returns its CSeq number, which ACK and CANCEL need."""
        if not cseq:
            self.cseq += 1
            cseq = self.cseq
        self.send(
            f"{method} {self.remote_target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.sip_port};branch=z9hG4bK{os.urandom(6).hex()}\r\nMax-Forwards: 70\r\n"
            f"From: {self.local}\r\nTo: {self.remote}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"{headers}{self._rest(body)}"
        )
        return cseq

    def respond(self, request: str, code: int, body: str = "", *, tag: str = "", headers: str = "") -> None:
        """Answer a request; `tag` plays another branch of a fork than the dialog's own."""
        copied = [
            line for line in request.split("\r\n") if re.match(r"(?i)(via|from|call-id|cseq|record-route)[ \t]*:", line)
        ]
        to = header(request, "To")
        to += "" if "tag=" in to else f";tag={tag or self.local.partition('tag=')[2]}"
        self.send("\r\n".join([f"SIP/2.0 {code} Raw", *copied, f"To: {to}", headers + self._rest(body)]))

    def _rest(self, body: str) -> str:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"Contact: <{self.uri}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, OPTIONS\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def receive(self, wanted: str, timeout: float = 5) -> str:
        """The next message that begins so ("INVITE", "SIP/2.0 2"); others before it are only kept in `messages`."""
        deadline = time.monotonic() + timeout
        while True:
            self._sip.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                message = self._sip.recv(65536).decode("utf-8", "replace")
            except TimeoutError:
                seen = [m.split("\r\n")[0] for m in self.messages[-8:]]
                raise TimeoutError(f"raw: no {wanted!r} in {timeout:g} s; last messages: {seen}") from None
            self.messages.append(message)
            if message.startswith(wanted):
                self._learn(message)
                return message

    def final(self, method: str, timeout: float = 5) -> str:
        """The final response to a request of ours."""
        while True:
            message = self.receive("SIP/2.0", timeout)
            if status(message) >= 200 and header(message, "CSeq").endswith(method):
                return message

    def _learn(self, message: str) -> None:
        contact = re.search(r"<([^>]+)>", header(message, "Contact"))
        if message.startswith("INVITE") and not self.remote_target:
            self.remote, self.call_id = header(message, "From"), header(message, "Call-ID")
        elif status(message) > 100 and "tag=" in header(message, "To") and "tag=" not in self.remote:
            self.remote = header(message, "To")
        if contact:
            self.remote_target = contact[1]

    def call(self, key: Key, headers: str = "") -> str:
        """INVITE with this key, wait for the answer, ACK; the answer."""
        return self.offer("INVITE", key, headers)

    def offer(self, method: str, key: Key | None, headers: str = "") -> str:
        """INVITE, re-INVITE or UPDATE with this key, and the ACK that an INVITE needs; the final response."""
        number = self.request(method, self.sdp(key), headers=headers)
        answer = self.final(method)
        if method == "INVITE":
            self.request("ACK", cseq=number)
        return answer

    def play(self, key: Key | None, port: int, first: int, count: int = 20, *, roc: int = 0, ssrc: int = 0x99) -> None:
        """Send SRTP packets 20 ms apart; a sequence number past 65535 wraps and raises the roll-over counter. RTP in
        clear without a key."""
        for n in range(count):
            index = (roc << 16) + first + n
            clear = struct.pack("!BBHII", 0x80, 0, index & 0xFFFF, 160 * index & 0xFFFFFFFF, ssrc) + PAYLOAD[:160]
            packet = clear if key is None else key.seal_rtp(clear, index >> 16)
            self._media.sendto(packet, ("127.0.0.1", port))
            time.sleep(0.02)

    def send_media(self, packet: bytes, port: int) -> None:
        """Send any datagram from the media port."""
        self._media.sendto(packet, ("127.0.0.1", port))

    def heard(self) -> list[bytes]:
        """The datagrams that came to the media port since the last call."""
        packets = []
        self._media.setblocking(False)
        try:
            while True:
                packets.append(self._media.recv(65536))
        except BlockingIOError:
            return packets

    def stop(self) -> None:
        """Close the sockets; ends no call."""
        self._sip.close()
        self._media.close()
        self.block.release()
