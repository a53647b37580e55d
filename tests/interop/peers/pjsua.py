"""A pjsua2 softphone in a process of its own, driven by JSON lines (pjsua2-python 2.15.1.post1; see pjsua_child.py)."""

import itertools
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from ..journal import Journal
from ..ports import PortBlock
from ..process import MissingPeer, Process
from ..tones import write_tone

ROOT = Path(__file__).parents[3]
Event = dict[str, Any]


@cache
def python() -> str:
    """An interpreter that has pjsua2: PJSUA2_PYTHON, this one, or the project's .venv (a 3.13 has none)."""
    for candidate in (os.environ.get("PJSUA2_PYTHON"), sys.executable, str(ROOT / ".venv/bin/python")):
        if candidate and Path(candidate).exists():
            check = subprocess.run([candidate, "-c", "import pjsua2"], capture_output=True, check=False, timeout=60)
            if check.returncode == 0:
                return candidate
    raise MissingPeer("no Python with pjsua2 (pip install imsmediasec[pjsua2], on CPython 3.11 or 3.12)")


class Pjsua:
    """One softphone. Calls are numbered 0, 1, … in the order in which they come or are made.

    srtp: 0 off, 1 optional, 2 mandatory. cryptos: suites to offer (default: pjsip's own list).
    name: of the folder and log, where several phones share a user.
    auto: status codes with which an incoming call is answered at once, e.g. (180, 200); () leaves it to `answer`.
    prack: 0 off, 1 mandatory, 2 optional (100rel). registrar: port on 127.0.0.1. outbound: URI of the outbound proxy.
    hook: "module:function", called in the child as function(account_config, options) before the account is made.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        *,
        name: str = "",
        srtp: int = 2,
        cryptos: tuple[str, ...] = (),
        auto: tuple[int, ...] = (180, 200),
        tone: int = 440,
        registrar: int | None = None,
        outbound: str = "",
        transport: str = "udp",
        prack: int = 0,
        hook: str = "",
        options: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.user = user
        self.name = name or user
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.block = PortBlock()
        self.sip_port = self.block[0]
        self.media_ports = self.block.ports[4:]
        host = f"127.0.0.1:{registrar or self.sip_port}"
        suffix = ";transport=tcp" if transport == "tcp" else ""
        self.aor = f"sip:{user}@{host}{suffix}"
        self.contact = f"sip:{user}@127.0.0.1:{self.sip_port}{suffix}"
        self.options: dict[str, Any] = {
            "aor": self.aor,
            "sip_port": self.sip_port,
            "rtp_port": self.media_ports[0],
            "srtp": srtp,
            "cryptos": cryptos,
            "auto": auto,
            "play": str(write_tone(self.folder / "tone.wav", tone)),
            "record": str(self.folder),
            "log": str(self.folder / "pjsip.log"),
            "registrar": f"sip:{host}{suffix}" if registrar else "",
            "outbound": outbound,
            "transport": transport,
            "prack": prack,
            "hook": hook,
            **(options or {}),
        }
        argv = [python(), "-u", str(Path(__file__).with_name("pjsua_child.py")), json.dumps(self.options)]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = Process(
            f"{self.name}-pjsua", argv, self.folder, stdin=True, env={"PYTHONPATH": paths, **(env or {})}
        )
        self._ids = itertools.count(1)
        self.wait_event("ready", timeout=20)
        if registrar:
            self.wait_event("registration", code=200)

    @property
    def events(self) -> list[Event]:
        """All events so far."""
        return [json.loads(line) for line in self.process.lines.entries if line.startswith("{")]

    @property
    def lines(self) -> Journal[str]:
        """The raw journal; its length is the `since` of a wait for something that is still to come."""
        return self.process.lines

    @property
    def now(self) -> int:
        """How many lines there were so far."""
        return len(self.process.lines.entries)

    def wait_event(self, event: str, timeout: float = 10, since: int = 0, **fields: Any) -> Event:
        """The first event with these fields: ready, registration, incoming, state, media, sdp, transfer, rx."""
        found: list[Event] = []

        def wanted(line: str) -> bool:
            if not line.startswith("{"):
                return False
            entry = json.loads(line)
            if entry.get("event") == event and all(entry.get(name) == value for name, value in fields.items()):
                found.append(entry)
                return True
            return False

        self.process.lines.wait(wanted, timeout, since, f"event {event} {fields}")
        return found[0]

    def command(self, command: str, timeout: float = 10, **arguments: Any) -> Any:
        """Run a command in the child and return its result; RuntimeError with pjsip's reason if it fails."""
        number = next(self._ids)
        since = self.now
        self.process.write(json.dumps({"id": number, "do": command, **arguments}))
        answer = self.wait_event("done", timeout, since, id=number)
        if "error" in answer:
            raise RuntimeError(f"{self.user}: {command}: {answer['error']}")
        return answer.get("result")

    def call(self, uri: str, headers: dict[str, str] | None = None) -> int:
        """Call somebody; the number of the call."""
        return int(self.command("call", uri=uri, headers=headers or {}))

    def answer(self, code: int = 200, call: int = 0) -> None:
        """Answer with 180, 183 (with SDP), 200, or refuse."""
        self.command("answer", call=call, code=code)

    def hangup(self, call: int = 0, code: int = 0) -> None:
        """End the call."""
        self.command("hangup", call=call, code=code)

    def hold(self, call: int = 0) -> None:
        """Hold by re-INVITE."""
        self.command("hold", call=call)

    def reinvite(self, call: int = 0) -> None:
        """A re-INVITE; takes the call off hold."""
        self.command("reinvite", call=call)

    def update(self, call: int = 0) -> None:
        """An UPDATE with SDP."""
        self.command("update", call=call)

    def transfer(self, uri: str, call: int = 0) -> None:
        """Send the other side to somebody else (REFER)."""
        self.command("transfer", call=call, uri=uri)

    def info(self, call: int = 0) -> dict[str, Any]:
        """State, remote URI, SRTP suite, packets sent and received."""
        return dict(self.command("info", call=call))

    def wait_state(self, state: str, call: int = 0, timeout: float = 10, since: int = 0) -> Event:
        """Wait for CALLING, INCOMING, EARLY, CONNECTING, CONFIRMED or DISCONNECTED."""
        return self.wait_event("state", timeout, since, call=call, state=state)

    def trace(self) -> str:
        """pjsip's log with all SIP messages."""
        return Path(self.options["log"]).read_text(errors="replace")

    def recording(self, call: int = 0) -> Path:
        """What was heard in a call. Complete once the softphone has stopped."""
        return self.folder / f"heard-{call}.wav"

    def stop(self) -> None:
        """Hang up, close recordings, end the process."""
        if self.process.running:
            try:
                self.process.write(json.dumps({"id": 0, "do": "quit"}))
                self.process.wait(8)
            except (OSError, subprocess.TimeoutExpired):
                pass
        self.process.stop()
        self.block.release()
