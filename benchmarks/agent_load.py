"""Many calls at once through an agent: SIPp signals, this process speaks, the agent runs in a third.

A third of the calls is made by the softphone, a third too but forked by the network (two early dialogs, the second of
which takes the call), a third comes from a network that has changed its key behind the ACK, as secure forking wants it.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from benchmarks.agent_process import AgentProcess
from benchmarks.media_load import LOOPBACK, Sealed, Stream, media_socket
from imsmediasec import suites
from imsmediasec.agent import SecureForking

SUITE = suites.AEAD_AES_256_GCM
RATE = 20
"""Calls a second and kind while they are set up."""

_HEAD = """<?xml version="1.0" encoding="ISO-8859-1" ?><scenario name="load">"""
_OPTIONAL = "".join(f'<recv response="{code}" optional="true"/>' for code in (100, 180, 183, 180, 183))
_PLAIN = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio [field0] RTP/AVP 0
a=rtpmap:0 PCMU/8000
"""


def _protected(key: str, version: int = 1) -> str:
    text = _PLAIN.replace("RTP/AVP", "RTP/SAVP").replace("o=- 1 1", f"o=- 1 {version}")
    return f"{text}a=crypto:1 {SUITE.name} inline:{key}\n"


def _send(start: str, *headers: str, body: str = "", options: str = "") -> str:
    lines = [start, *headers]
    lines += ["Content-Type: application/sdp"] if body else []
    text = "\n".join([*lines, "Content-Length: [len]" if body else "Content-Length: 0", "", body])
    return f"<send {options}><![CDATA[\n{text}\n]]></send>"


def _request(method: str, uri: str, number: int, *, body: str = "", again: bool = True) -> str:
    return _send(
        f"{method} {uri} SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
        "Max-Forwards: 70",
        "From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]-[call_number]",
        f"To: <{uri}>" + ("" if method == "INVITE" and number == 1 else "[peer_tag_param]"),
        "Call-ID: [call_id]",
        f"CSeq: {number} {method}",
        "Contact: <sip:caller@[local_ip]:[local_port]>",
        body=body,
        options='retrans="500"' if again else "",
    )


def _response(code: str, tag: str = "", *, body: str = "", again: bool = False) -> str:
    return _send(
        f"SIP/2.0 {code}",
        "[last_Via:]",
        "[last_From:]",
        f"[last_To:]{tag}",
        "[last_Call-ID:]",
        "[last_CSeq:]",
        "Contact: <sip:called@[local_ip]:[local_port]>",
        body=body,
        options='retrans="500"' if again else "",
    )


def _caller(uri: str, body: str, then: str = "", bye: int = 2) -> str:
    return (
        f"{_HEAD}{_request('INVITE', uri, 1, body=body)}{_OPTIONAL}"
        f'<recv response="200"/>{_request("ACK", uri, 1, again=False)}{then}<pause/>'
        f'{_request("BYE", uri, bye)}<recv response="200"/></scenario>'
    )


def _called(*steps: str) -> str:
    return f'{_HEAD}<recv request="INVITE"/>{"".join(steps)}<recv request="BYE"/>{_response("200 OK")}</scenario>'


_ACK = '<recv request="ACK"/>'
_ANSWER = _response("200 OK", ";tag=[pid]-[call_number]-a", body=_PLAIN, again=True)
_FIRST, _SECOND = ";tag=[pid]-[call_number]-a", ";tag=[pid]-[call_number]-b"


def _network_called(key: str, secure_forking: SecureForking, *, forked: bool) -> str:
    """The far end. Without an offer in the INVITE it makes one in its 2xx; else it answers, and answers a re-INVITE."""
    if secure_forking is SecureForking.OFFERLESS:
        early = [_response("180 Ringing", tag) for tag in ((_FIRST, _SECOND) if forked else (_SECOND,))]
        return _called(*early, _response("200 OK", _SECOND, body=_protected(key), again=True), _ACK)
    other = base64.b64encode(secrets.token_bytes(SUITE.key_salt_length)).decode()
    early = [_response("183 Session Progress", _FIRST, body=_protected(other))] if forked else []
    early.append(_response("183 Session Progress", _SECOND, body=_protected(key)))
    answer = _response("200 OK", _SECOND, body=_protected(key), again=True)
    rekey = '<recv request="INVITE"/>' + _response("200 OK", body=_protected(key, 2), again=True)
    return _called(*early, answer, _ACK, rekey, _ACK)


class _Sipp:
    """One SIPp with its scenario; `lines`: the media port of each of its calls."""

    def __init__(
        self, folder: Path, name: str, scenario: str, lines: Sequence[str], target: str, *, port: int, hold: float
    ) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir(parents=True)
        (self.folder / "scenario.xml").write_text(scenario)
        (self.folder / "calls.csv").write_text("\n".join(["SEQUENTIAL", *lines, ""]))
        self.port = port
        program = shutil.which("sipp")
        if program is None:
            raise RuntimeError("SIPp is not installed (Debian: sip-tester)")
        argv = [
            *(program, *([target] if target else []), "-sf", "scenario.xml", "-inf", "calls.csv"),
            *("-i", LOOPBACK, "-p", str(self.port), "-m", str(len(lines)), "-l", str(len(lines)), "-r", str(RATE)),
            *("-d", str(int(hold * 1000)), "-nostdin", "-trace_err", "-error_file", "errors.log"),
        ]
        with (self.folder / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                argv, cwd=self.folder, stdout=output, stderr=output, env={**os.environ, "TERM": "dumb"}
            )

    def wait(self, seconds: float) -> None:
        """RuntimeError if not every call went as the scenario says."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            errors = self.folder / "errors.log"
            text = errors.read_text(errors="replace") if errors.exists() else ""
            raise RuntimeError(f"SIPp {self.name}: exit {code}: {_without_keys(text[:2000])}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if self.running:
            self._process.kill()
            self._process.wait()


def _without_keys(text: str) -> str:
    return re.sub(r"inline:\S+", "inline:…", text)


class AgentLoad:
    """An agent, and calls through it in rounds. A context manager; SIPp's files go to `folder`."""

    def __init__(self, folder: Path, secure_forking: SecureForking, *, trace: bool = False) -> None:
        self._folder, self._forking = folder, secure_forking
        self._rounds = 0
        material = secrets.token_bytes(SUITE.key_salt_length)
        self.sealed = Sealed(material, SUITE)
        self._key = base64.b64encode(material).decode()
        self._softphone = _free_port()
        softphone = f"sip:phone@{LOOPBACK}:{self._softphone}"
        self.agent = AgentProcess(softphone=softphone, secure_forking=secure_forking, trace=trace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.agent.close()

    @contextmanager
    def calls(self, number: int, seconds: float) -> Iterator[list[Stream]]:
        """So many calls, all of them alive for that long; afterwards all have ended.

        RuntimeError if one was not set up, protected and ended as it should be.
        """
        self._rounds += 1
        set_up = number / 3 / RATE + number * 0.02 + 2
        ends = {sock.getsockname()[1]: sock for sock in (media_socket() for _ in range(2 * number))}
        sipps: list[_Sipp] = []
        try:
            deadline = time.monotonic() + set_up
            self._start(sipps, [*ends], set_up + seconds)
            yield self._streams(number, ends, sipps, deadline)
            for sipp in sipps:
                sipp.wait(set_up + seconds + 30)
        finally:
            for sipp in sipps:
                sipp.stop()
            for sock in ends.values():
                sock.close()

    def _start(self, sipps: list[_Sipp], ports: list[int], hold: float) -> None:
        folder = self._folder / f"round-{self._rounds}"
        shares = [[f"{port};" for port in ports[n::6]] for n in range(6)]
        other = base64.b64encode(secrets.token_bytes(SUITE.key_salt_length)).decode()

        def start(name: str, scenario: str, lines: Sequence[str], target: int = 0, port: int = 0) -> _Sipp:
            if lines:
                where = f"{LOOPBACK}:{target}" if target else ""
                sipps.append(_Sipp(folder, name, scenario, lines, where, port=port or _free_port(), hold=hold))
            return sipps[-1]

        start("phone-called", _called(_response("180 Ringing", _FIRST), _ANSWER, _ACK), shares[0], port=self._softphone)
        for forked in (False, True):
            mine = shares[2 + 2 * forked]
            far = start(f"network-called-{forked}", _network_called(self._key, self._forking, forked=forked), mine)
            uri = f"sip:bob@{LOOPBACK}:{far.port}"
            start(f"phone-calls-{forked}", _caller(uri, _PLAIN), shares[3 + 2 * forked], self.agent.local_port)
        uri = f"sip:phone@{LOOPBACK}:{self.agent.network_port}"
        rekey = _request("INVITE", uri, 2, body=_protected(self._key, 2)) + '<recv response="100" optional="true"/>'
        rekey += '<recv response="200"/>' + _request("ACK", uri, 2, again=False)
        caller = _caller(uri, _protected(other), rekey, bye=3)
        start("network-calls", caller, shares[1], self.agent.network_port)

    def _streams(
        self, number: int, ends: dict[int, socket.socket], sipps: list[_Sipp], deadline: float
    ) -> list[Stream]:
        time.sleep(number / 3 / RATE)  # what is asked before that costs the agent for nothing
        while True:
            ready = [call for call in self.agent.calls() if call.ready]
            if len(ready) >= number:
                return [Stream(ends[call.phone], ends[call.far], call.near, call.network) for call in ready]
            if time.monotonic() > deadline + 10 or not all(sipp.running for sipp in sipps):
                for sipp in sipps:
                    sipp.wait(0.0 if sipp.running else 1)
                raise RuntimeError(f"{len(ready)} of {number} calls are up; {self.agent.failures()[:3]}")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
