"""SIPp: scripted SIP, for peers that behave as no softphone does, and for load (SIPp 3.6.1: no TLS, no SRTP)."""

import csv
from collections.abc import Mapping
from pathlib import Path

from ..ports import PortBlock
from ..process import Process, need


class Sipp:
    """One run of a scenario (XML text, or the path of a file), started at once.

    target: host:port it sends to (a client needs it). keys: values of [$…]-less [keywords] in the scenario (-key).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        scenario: str | Path,
        *,
        target: str = "",
        service: str = "service",
        calls: int = 1,
        rate: int = 10,
        timeout: int = 30,
        keys: Mapping[str, str] | None = None,
        extra: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.block = PortBlock()
        self.port = self.block[0]
        self.media_port = self.block[4]
        file = scenario if isinstance(scenario, Path) else self.folder / "scenario.xml"
        if isinstance(scenario, str):
            file.write_text(scenario)
        argv = [
            *(need("sipp", "sip-tester"), *([target] if target else []), "-sf", str(file), "-s", service),
            *("-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", str(self.port), "-mp", str(self.media_port)),
            *("-m", str(calls), "-r", str(rate), "-nostdin", "-timeout", str(timeout), "-timeout_error"),
            *("-trace_err", "-trace_msg", "-trace_stat", "-fd", "1"),
            *("-message_file", str(self.folder / "messages.log"), "-error_file", str(self.folder / "errors.log")),
            *("-stf", str(self.folder / "stat.csv")),
            *(part for key, value in (keys or {}).items() for part in ("-key", key, value)),
            *extra,
        ]
        self.process = Process(f"{name}-sipp", argv, self.folder, env={"TERM": "dumb"})
        self.timeout = timeout

    def wait(self, timeout: float | None = None) -> int:
        """Exit status: 0 when every call went as the scenario says."""
        return self.process.wait(timeout or self.timeout + 10)

    def messages(self) -> str:
        """All messages sent and received."""
        file = self.folder / "messages.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def errors(self) -> str:
        """What went wrong."""
        file = self.folder / "errors.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def stats(self) -> dict[str, str]:
        """The last row of the statistics; SuccessfulCall(C) and FailedCall(C) are the ones to look at."""
        with (self.folder / "stat.csv").open(newline="") as file:
            return list(csv.DictReader(file, delimiter=";"))[-1]

    def stop(self) -> None:
        """End SIPp."""
        self.process.stop()
        self.block.release()
