"""The commands, each with its options. What they do is elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click

import imsmediasec as ims
from imsmediasec.agent import Agent, AgentConfig
from imsmediasec.agent.config import SecureForking
from imsmediasec.agent.config_file import address, port_range, read_config
from imsmediasec.agent.journal import CallJournal, JournalObserver
from imsmediasec.agent.passing import endpoint_of
from imsmediasec.agent.report import write_report
from imsmediasec.cli.live import AgentConsole, LiveCalls
from imsmediasec.errors import LocalError, MediaSecurityError

_REFRESH = 0.25
"""Seconds between two drawings of the live display."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ims.__version__, prog_name="imsmediasec")
def cli() -> None:
    """Media plane security for SIP: see who can hear a call, and keep the others out."""


@cli.command(
    epilog="""\b
Examples:
  imsmediasec agent --config agent.toml --verbose
  imsmediasec agent --softphone sip:alice@127.0.0.1:5070 --signalling protected
  imsmediasec agent --outbound "sip:pcscf.example;transport=tls" --report-dir reports

\b
In the softphone: outbound proxy = what the agent prints, SRTP = off.
"""
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file; options override it.")
@click.option("--listen", metavar="HOST:PORT", help="Where the softphone sends its SIP [default: 127.0.0.1, any port].")
@click.option("--network", metavar="HOST:PORT", help="Our address towards the network [default: 127.0.0.1, any port].")
@click.option("--media-ports", metavar="FIRST-LAST", help="Ports for media towards the network [default: any].")
@click.option("--outbound", metavar="SIP-URI", help="Next hop for new requests: P-CSCF, registrar, proxy.")
@click.option("--softphone", metavar="SIP-URI", help="Softphone that takes calls nobody registered for.")
@click.option(
    "--signalling",
    type=click.Choice([hop.value for hop in ims.Hop]),
    help="What you know of the hop to the network. TLS counts as protected.",
)
@click.option("--secure-forking", type=click.Choice([way.value for way in SecureForking]), help="How B7 is enforced.")
@click.option("--report-dir", type=click.Path(path_type=Path, file_okay=False), help="Write an HTML page a call.")
@click.option("--plain-output", is_flag=True, help="One line a change instead of a live display.")
@click.option("-v", "--verbose", is_flag=True, help="Log what the agent does (never keys).")
def agent(
    config: Path | None,
    listen: str | None,
    network: str | None,
    media_ports: str | None,
    outbound: str | None,
    softphone: str | None,
    signalling: str | None,
    secure_forking: str | None,
    report_dir: Path | None,
    plain_output: bool,
    verbose: bool,
) -> None:
    """Protect the calls of a softphone that cannot do it itself.

    The agent is a SIP outbound proxy and media relay on this machine's loopback. The softphone speaks
    plain RTP to it; towards the network everything is SRTP, and the status of each call is shown here.
    """
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING)
    try:
        settings = read_config(config) if config is not None else AgentConfig()
        settings = _override(settings, listen, network, media_ports, outbound, softphone, signalling, secure_forking)
        if report_dir is not None:
            _check_folder(report_dir)
        _raise_file_limit()
        asyncio.run(_run_agent(settings, report_dir, plain_output))
    except LocalError as error:
        raise click.ClickException(error.reason + _advice(error)) from None


def _raise_file_limit() -> None:
    """A call takes four sockets a stream: use all that the system allows, not the shell's soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _advice(error: LocalError) -> str:
    """What the system said, and what to do next."""
    cause = error.__cause__
    if not isinstance(cause, OSError):
        return ""
    if cause.errno == errno.EADDRINUSE:
        return ": another program listens there (another agent?); choose another port with --listen or --network"
    if cause.errno == errno.EADDRNOTAVAIL:
        return ": this machine has no such address; `ip addr` shows those it has"
    return f": {cause.strerror or cause}"


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"--report-dir {folder} cannot be made") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalError(f"--report-dir {folder} cannot be written to; choose another folder")


def _override(
    settings: AgentConfig,
    listen: str | None,
    network: str | None,
    media_ports: str | None,
    outbound: str | None,
    softphone: str | None,
    signalling: str | None,
    secure_forking: str | None,
) -> AgentConfig:
    try:
        if listen is not None:
            host, port = address(listen)
            settings = replace(settings, local_host=host, local_port=port)
        if network is not None:
            host, port = address(network)
            settings = replace(settings, network_host=host, network_port=port)
        if media_ports is not None:
            settings = replace(settings, media_ports=port_range(media_ports))
        if outbound is not None:
            hop = endpoint_of(outbound)
            settings = replace(settings, outbound=hop, network_protocol=hop.protocol)
        if softphone is not None:
            endpoint_of(softphone)
            settings = replace(settings, softphone=softphone)
    except MediaSecurityError as error:
        raise LocalError(f"an option cannot be read: {error.reason}") from None
    if signalling is not None:
        settings = replace(settings, signalling=ims.Hop(signalling))
    if secure_forking is not None:
        settings = replace(settings, secure_forking=SecureForking(secure_forking))
    return settings


async def _run_agent(settings: AgentConfig, report_dir: Path | None, plain_output: bool) -> None:
    console = AgentConsole()
    display = LiveCalls(console, live=console.is_terminal and not plain_output)

    def ended(journal: CallJournal) -> None:
        display.ended(journal)
        if report_dir is not None:
            try:
                display.say(f"report: {write_report(journal, report_dir)}")
            except OSError as error:
                display.say(f"the report cannot be written: {error.strerror}")

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Agent(settings, JournalObserver(display.changed, ended)) as running:
        display.say(f"softphone: outbound proxy {running.proxy_uri}, SRTP off")
        display.say(f"network:   {settings.network_host}:{running.network_port} {settings.network_protocol.value}")
        if settings.hop is ims.Hop.UNPROTECTED:
            display.say(
                "warning: nothing protects the signalling, so keys will not be sent and calls that need them fail; "
                "use TLS, or --signalling protected if you know better"
            )
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin, _decide, running)
        with display:
            while not stop.is_set():
                display.refresh()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _REFRESH)
    display.say("stopped: no media passes any more, all keys are wiped")


def _decide(running: Agent) -> None:
    """A line on the terminal: the user's word where a call asks "go on or end it?"."""
    if os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return  # in the background: what is typed is for somebody else
    line = sys.stdin.readline()
    if not line:
        asyncio.get_running_loop().remove_reader(sys.stdin)
    word = line.strip().lower()
    if word in ("y", "yes", "n", "no"):
        for call in list(running.core.calls.values()):
            call.decide(go_on=word.startswith("y"))
