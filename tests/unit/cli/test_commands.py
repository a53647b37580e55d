"""cli/commands.py and cli/__init__.py: options, what is said when something is wrong, start and stop of the agent."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

import imsmediasec as ims
import imsmediasec.cli
from imsmediasec.agent import AgentConfig
from imsmediasec.agent.config import SecureForking
from imsmediasec.agent.endpoint import TransportProtocol
from imsmediasec.agent.journal import CallJournal
from imsmediasec.cli import commands
from imsmediasec.errors import LocalError

COMMAND = [sys.executable, "-m", "imsmediasec.cli", "agent", "--plain-output"]


def run(*options: str) -> Any:
    """`imsmediasec` in this process; not for what waits."""
    return CliRunner().invoke(commands.cli, list(options), prog_name="imsmediasec")


def refused(*options: str) -> str:
    """What is said of options with which no agent starts."""
    result = run("agent", *options)
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return str(result.output)


def test_help_shows_examples() -> None:
    for option in ("-h", "--help"):
        result = run("agent", option)
        assert result.exit_code == 0
        examples = re.findall(r"^  +imsmediasec agent .*$", result.output, re.MULTILINE)
        assert len(examples) == 3
        for example in examples:
            words = example.split()
            assert all(word in result.output.partition("Examples:")[0] for word in words if word.startswith("--"))
    assert "agent" in run("--help").output
    assert ims.__version__ in run("--version").output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--listen", "5060"), "'5060' is no address and port, such as 127.0.0.1:5060"),
        (("--network", "localhost:5060"), "'localhost:5060' is no address and port"),
        (("--media-ports", "1-2"), "no range of ports from 1024 to 65535, such as 40000-40099"),
        (("--outbound", "pcscf"), "an option cannot be read"),
        (("--softphone", "tel:+49"), "an option cannot be read"),
        (("--listen", "192.0.2.1:5060"), "softphones are served on loopback only"),
        (("--network", "203.0.113.77:0"), "this machine has no such address; `ip addr` shows those it has"),
        (("--signalling", "maybe"), "'maybe' is not one of 'protected', 'unprotected'"),
        (("--config", "/no/such/agent.toml"), "/no/such/agent.toml: cannot be read: No such file or directory"),
        (("--report-dir", "/dev/null/reports"), "--report-dir /dev/null/reports cannot be made: Not a directory"),
        (("--reports",), "No such option"),
    ],
)
def test_wrong_options_say_what_to_do(options: tuple[str, ...], said: str) -> None:
    assert said in refused(*options)


def test_port_in_use() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        said = refused("--listen", f"127.0.0.1:{port}")
    assert f"cannot listen on 127.0.0.1:{port}: another program listens there" in said
    assert "choose another port with --listen or --network" in said


def test_bad_toml(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[agent]\nlisten = "127.0.0.1:0"\n[policy]\nmode = "sometimes"\n')
    assert f"{file}:4: mode: 'sometimes' does not fit; one of always" in refused("--config", str(file))
    file.write_text("[agent\n")
    assert f"{file}:1: this is no TOML" in refused("--config", str(file))


def test_ca_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[agent]\noutbound = "sips:x"\nca-file = "{tmp_path / "none.pem"}"\n')
    assert "the CA file cannot be read: No such file or directory" in refused("--config", str(file))


def test_report_folder_without_permission(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands.os, "access", lambda path, mode: False)
    assert "cannot be written to; choose another folder" in refused("--report-dir", str(tmp_path / "new"))


def test_advice_without_words_of_the_system() -> None:
    error = LocalError("x")
    assert commands._advice(error) == ""
    error.__cause__ = OSError("only this")
    assert commands._advice(error) == ": only this"


def test_options_override_the_file() -> None:
    options = ("[::1]:5060", "192.0.2.1:5070", "40000-40009", "sips:pcscf.example", "sip:a@127.0.0.1")
    config = commands._override(AgentConfig(), *options, "protected", "rekey")
    assert (config.local_host, config.local_port) == ("::1", 5060)
    assert (config.network_host, config.network_port) == ("192.0.2.1", 5070)
    assert config.media_ports == range(40000, 40010)
    assert config.outbound is not None and config.outbound.host == "pcscf.example"
    assert config.network_protocol is TransportProtocol.TLS
    assert config.softphone == "sip:a@127.0.0.1"
    assert config.signalling is ims.Hop.PROTECTED
    assert config.secure_forking is SecureForking.REKEY
    before = AgentConfig(local_port=7)
    assert commands._override(before, None, None, None, None, None, None, None) == before


@pytest.fixture
def soon() -> Iterator[None]:
    """SIGTERM to this process in a moment."""
    timer = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    yield
    timer.cancel()


def test_in_one_process(soon: None, tmp_path: Path) -> None:
    result = run("agent", "--signalling", "protected", "--report-dir", str(tmp_path / "reports"), "-v")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert re.fullmatch(r"softphone: outbound proxy sip:127\.0\.0\.1:\d+;lr, SRTP off", lines[0])
    assert re.fullmatch(r"network:   127\.0\.0\.1:\d+ UDP", lines[1])
    assert lines[-1] == "stopped: no media passes any more, all keys are wiped"
    assert "warning" not in result.output
    assert (tmp_path / "reports").is_dir()


def test_unprotected_signalling_is_warned_of(soon: None) -> None:
    said = run("agent").output
    assert "warning: nothing protects the signalling" in said
    assert "use TLS, or --signalling protected if you know better" in said


def read_until(stream: Any, text: str, seconds: float = 20) -> str:
    """What a process says until this text has come."""
    seen = ""
    end = time.monotonic() + seconds
    while text not in seen and time.monotonic() < end:
        seen += stream.readline()
    assert text in seen, seen
    return seen


INVITE = (
    "INVITE sip:bob@127.0.0.1:{far} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{near};branch=z9hG4bKone\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: reported\r\n"
    "CSeq: 1 INVITE\r\nContact: <sip:alice@127.0.0.1:{near}>\r\nContent-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_a_second_in_the_midst_of_a_call(tmp_path: Path, number: signal.Signals) -> None:
    """Graceful: exit status 0, and the report of the running call is written."""
    process = subprocess.Popen(
        [*COMMAND, "--signalling", "protected", "--report-dir", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        try:
            assert process.stdout is not None
            said = read_until(process.stdout, "network:")
            found = re.search(r"proxy sip:127\.0\.0\.1:(\d+)", said)
            assert found
            phone.bind(("127.0.0.1", 0))
            near = phone.getsockname()[1]
            phone.sendto(INVITE.format(near=near, far=near).encode(), ("127.0.0.1", int(found[1])))
            said = read_until(process.stdout, "no media yet")
            assert f"to sip:bob@127.0.0.1:{near} | no media yet" in said
            begin = time.monotonic()
            process.send_signal(number)
            rest = process.stdout.read()
            assert process.wait(10) == 0
            assert time.monotonic() - begin < 1
        finally:
            process.kill()
    assert re.search(r"\(ended after \d+\.\d s\)", rest)
    (report,) = tmp_path.glob("*.html")
    assert f"report: {report}" in rest
    assert "reported" in report.name and "No media was agreed." in report.read_text()


def test_nobody_reads_what_it_says(tmp_path: Path) -> None:
    """`imsmediasec agent | head -1`: the calls go on."""
    process = subprocess.Popen(
        [*COMMAND, "--report-dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        said = read_until(process.stdout, "proxy")
        process.stdout.close()
        found = re.search(r"proxy sip:127\.0\.0\.1:(\d+)", said)
        assert found
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind(("127.0.0.1", 0))
            phone.settimeout(10)
            near = phone.getsockname()[1]
            phone.sendto(INVITE.format(near=near, far=near).encode(), ("127.0.0.1", int(found[1])))
            answer = phone.recv(4096)
        assert b"SIP/2.0" in answer
        process.terminate()
        assert process.wait(10) in (0, 120), process.stderr.read()  # 120: Python could not flush its last words
        assert len(list(tmp_path.glob("*.html"))) == 1
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize("plain", [False, True])
def test_live_and_plain_output(plain: bool) -> None:
    """In a terminal a table that is drawn in place; with --plain-output lines, even there."""
    controller, terminal = pty.openpty()
    command = [*COMMAND[:4], "--signalling", "protected", *(["--plain-output"] if plain else [])]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    seen = b""
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.bind(("127.0.0.1", 0))
    near = phone.getsockname()[1]
    try:
        sent = False
        while True:
            try:
                seen += os.read(controller, 65536)
            except OSError:  # the other end is closed
                break
            found = re.search(rb"proxy sip:127\.0\.0\.1:(\d+)", seen)
            if found and not sent:
                sent = True
                phone.sendto(INVITE.format(near=near, far=near).encode(), ("127.0.0.1", int(found[1])))
                threading.Timer(1, process.terminate).start()
        assert process.wait(5) == 0
    finally:
        process.kill()
        phone.close()
        os.close(controller)
    assert b"no media yet" in seen
    assert (b"padlock" in seen and b"\xe2\x94\x8f" in seen) is not plain
    assert (b"\x1b[?25l" in seen) is not plain, "the cursor is hidden while a table is drawn"


def test_a_report_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, soon: None, tmp_path: Path) -> None:
    """The agent says so and goes on."""
    caught: list[Any] = []

    class Observer:
        def __init__(self, changed: Any, ended: Any) -> None:
            caught.append(ended)

    def no_space(journal: CallJournal, folder: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commands, "JournalObserver", Observer)
    monkeypatch.setattr(commands, "write_report", no_space)
    loop_runs = threading.Timer(
        0.2, lambda: caught[0](CallJournal(call_id="c", local="", remote="sip:b", started=0, outgoing=True))
    )
    loop_runs.start()
    said = run("agent", "--report-dir", str(tmp_path)).output
    assert "the report cannot be written: No space left on device" in said
    caught[0](CallJournal(call_id="c", local="", remote="", started=0, outgoing=True))


def test_without_a_report_folder_nothing_is_written(monkeypatch: pytest.MonkeyPatch, soon: None) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(commands, "JournalObserver", lambda changed, ended: caught.append(ended))
    monkeypatch.setattr(commands, "write_report", None)
    run("agent")
    caught[0](CallJournal(call_id="c", local="", remote="", started=0, outgoing=True))


class Terminal:
    """Stands for a terminal at standard input."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.read, self.write = os.pipe()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.read

    def readline(self) -> str:
        return self.lines.pop(0) if self.lines else ""


def test_the_users_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """y and n decide; other words, the end of input and what is typed for another program do not."""
    decided: list[bool] = []
    call = SimpleNamespace(decide=lambda *, go_on: decided.append(go_on))
    running: Any = SimpleNamespace(core=SimpleNamespace(calls={"c": call}))
    terminal = Terminal("Yes\n", "n\n", "maybe\n")
    group = os.getpgrp()
    monkeypatch.setattr(commands.sys, "stdin", terminal)
    monkeypatch.setattr(commands.os, "tcgetpgrp", lambda descriptor: group)

    async def test() -> None:
        nonlocal group
        loop = asyncio.get_running_loop()
        loop.add_reader(terminal, lambda: None)
        for _ in range(3):
            commands._decide(running)
        assert decided == [True, False]
        group = -1
        terminal.lines.append("y\n")
        commands._decide(running)
        assert terminal.lines == ["y\n"] and decided == [True, False]
        group = os.getpgrp()
        terminal.lines.clear()
        commands._decide(running)
        assert not loop.remove_reader(terminal), "it was removed at the end of input"

    asyncio.run(test())
    os.close(terminal.read)
    os.close(terminal.write)


def test_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal("y\n")
    asked = threading.Event()
    monkeypatch.setattr(commands, "_decide", lambda running: (os.read(terminal.read, 9), asked.set()))
    monkeypatch.setattr(commands, "sys", SimpleNamespace(stdin=terminal))
    os.write(terminal.write, b"y\n")

    async def test() -> None:
        task = asyncio.create_task(commands._run_agent(AgentConfig(), None, True))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await task

    asyncio.run(asyncio.wait_for(test(), 10))
    os.close(terminal.read)
    os.close(terminal.write)


def test_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["imsmediasec", "--version"])
    with pytest.raises(SystemExit) as ended:
        imsmediasec.cli.main()
    assert ended.value.code == 0 and ims.__version__ in capsys.readouterr().out


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "imsmediasec.cli.commands")
    monkeypatch.delattr(imsmediasec.cli, "commands")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit, match=r"click is missing; install it with: pip install 'imsmediasec\[agent\]'"):
        imsmediasec.cli.main()
