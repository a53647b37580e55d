"""A headless baresip: calls, plays a tone, records what it sends and hears, tells its keys (baresip-core 1.0.0)."""

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

from ..journal import Journal, until
from ..ports import PortBlock
from ..process import Process, need
from ..tones import write_tone
from ..wire import Key

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
net_interface 127.0.0.1
call_local_timeout 120
call_max_calls 8
audio_source aufile,{tone}
audio_player none,nil
audio_alert none,nil
audio_buffer 20-160
rtp_ports {first}-{last}
rtp_stats yes
jitter_buffer_delay 5-10
module_path {modules}
module g711.so
module aufile.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module_tmp uuid.so
module_tmp account.so
module_app debug_cmd.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{ctrl}
snd_path {folder}/snd
{extra}
"""
SIP, CTRL, RTP = 0, 2, 4  # places in the port block; SIP + 1 is baresip's TLS

Event = dict[str, Any]


def modules() -> str:
    """The folder of baresip's modules."""
    for folder in (*Path("/usr/lib").glob("*/baresip/modules"), Path("/usr/lib/baresip/modules")):
        if folder.is_dir():
            return str(folder)
    return "/usr/lib/baresip/modules"


class Baresip:
    """One instance with one account. `aor` is what to dial; `events` is all that ctrl_tcp said.

    mediaenc: "" (plain), "srtp", "srtp-mand", "srtp-mandf", "dtls_srtp". answer: "manual", "early" or "auto".
    name: of the folder and log, where several phones share a user.
    registrar: port of a registrar on 127.0.0.1 to register with. outbound: SIP URI of an outbound proxy.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        *,
        name: str = "",
        mediaenc: str = "srtp-mand",
        answer: str = "auto",
        tone: int = 880,
        registrar: int | None = None,
        outbound: str = "",
        account: str = "",
        extra: str = "",
    ) -> None:
        self.user = user
        self.name = name or user
        self.folder = folder / self.name
        (self.folder / "snd").mkdir(parents=True)
        self.block = PortBlock()
        self.sip_port = self.block[SIP]
        self.media_ports = self.block.ports[RTP:]
        host = f"127.0.0.1:{registrar or self.sip_port}"
        self.aor = f"sip:{user}@{host}"
        self.contact = f"sip:{user}@127.0.0.1:{self.sip_port}"
        parameters = [f"regint={60 if registrar else 0}", "audio_codecs=pcmu,pcma", f"answermode={answer}"]
        parameters += [f"mediaenc={mediaenc}"] if mediaenc else []
        parameters += [f'outbound="{outbound}"'] if outbound else []
        parameters += [account] if account else []
        config = CONFIG.format(
            sip=self.sip_port,
            ctrl=self.block[CTRL],
            first=self.media_ports[0],
            last=self.media_ports[-1],
            tone=write_tone(self.folder / "tone.wav", tone),
            modules=modules(),
            folder=self.folder,
            extra=extra,
        )
        (self.folder / "config").write_text(config)
        (self.folder / "accounts").write_text(f"<{self.aor}>;{';'.join(parameters)}\n")
        (self.folder / "contacts").touch()
        self.events: Journal[Event] = Journal(f"{self.name} (baresip) events")
        argv = ["stdbuf", "-oL", need("baresip", "baresip-core"), "-4", "-s", "-v", "-f", str(self.folder)]
        self.process = Process(f"{self.name}-baresip", argv, self.folder)
        self._socket = self._connect()
        self._token = 0
        threading.Thread(target=self._read, name=f"{self.name} ctrl_tcp", daemon=True).start()
        if registrar:
            self.process.wait_line(r"\[\d+ bindings?\]")  # the event may come before ctrl_tcp is connected

    def _connect(self) -> socket.socket:
        connected: list[socket.socket] = []

        def attempt() -> bool:
            if not self.process.running:
                raise RuntimeError(f"baresip ended:\n{self.process.text()[-2000:]}")
            try:
                connected.append(socket.create_connection(("127.0.0.1", self.block[CTRL]), timeout=1))
            except OSError:
                return False
            return True

        until(attempt, what=f"{self.user}: ctrl_tcp")
        connected[0].settimeout(None)
        return connected[0]

    def _read(self) -> None:
        buffer = b""
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.events.close()
                return
            buffer += data
            while match := re.match(rb"(\d+):", buffer):
                end = match.end() + int(match[1])
                if len(buffer) <= end:
                    break
                self.events.add(json.loads(buffer[match.end() : end].decode("utf-8", "replace")))
                buffer = buffer[end + 1 :]

    def command(self, command: str, params: str = "", timeout: float = 5) -> str:
        """Run one of baresip's commands and return its output; RuntimeError if it says no."""
        self._token += 1
        token = str(self._token)
        body = json.dumps({"command": command, "params": params, "token": token}).encode()
        since = len(self.events.entries)
        self._socket.sendall(b"%d:%s," % (len(body), body))
        answer = self.events.wait(
            lambda e: e.get("response") and e.get("token") == token, timeout, since, f"response to {command}"
        )
        if not answer["ok"]:
            raise RuntimeError(f"{self.user}: {command} {params}: {answer.get('data')}")
        return str(answer.get("data", ""))

    def wait_event(self, kind: str, timeout: float = 10, since: int = 0, param: str = "") -> Event:
        """The first event of a kind (CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, …), from number `since` on."""
        return self.events.wait(
            lambda e: e.get("type") == kind and param in str(e.get("param", "")),
            timeout,
            since,
            f"event {kind} {param}",
        )

    @property
    def now(self) -> int:
        """How many events there were so far: the `since` of a wait for something that is still to come."""
        return len(self.events.entries)

    def dial(self, uri: str) -> None:
        """Call somebody."""
        self.command("dial", uri)

    def accept(self) -> None:
        """Answer the call that rings."""
        self.command("accept")

    def hangup(self) -> None:
        """End or refuse the current call."""
        self.command("hangup")

    def hold(self) -> None:
        """Put the call on hold by re-INVITE."""
        self.command("hold")

    def resume(self) -> None:
        """Take the call off hold by re-INVITE."""
        self.command("resume")

    def callstat(self) -> str:
        """State of the call with both SDPs' attributes, keys included."""
        return self.command("callstat")

    def keys(self) -> tuple[Key, Key]:
        """The SDES keys of the current call: what it sends with, and what the other side sends with."""
        local, remote = re.findall(r"crypto='(.+)'", self.callstat())
        return Key.from_crypto(local), Key.from_crypto(remote)

    def trace(self) -> str:
        """All SIP messages so far, with SDP, among other output."""
        return self.process.text()

    def recording(self, side: str = "dec") -> Path:
        """The latest recording: "dec" is what it heard, "enc" what it sent. Complete once the call has ended."""
        found = sorted((self.folder / "snd").glob(f"*-{side}.wav"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise FileNotFoundError(f"{self.user}: no {side} recording")
        return found[-1]

    def stop(self) -> None:
        """End baresip; calls are ended with BYE (it would wait long for the answer of a peer that has gone)."""
        self.process.stop(grace=1.5)
        self._socket.close()
        self.block.release()
