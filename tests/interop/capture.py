"""tcpdump on loopback, bounded to the ports of the test, and a reader for what it wrote."""

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from .journal import until
from .ports import PortBlock
from .process import Process, need

Address = tuple[str, int]


class Datagram(NamedTuple):
    """One captured UDP datagram."""

    time: float
    src: Address
    dst: Address
    payload: bytes


def read_pcap(path: Path) -> Iterator[Datagram]:
    """The UDP over IPv4 datagrams of a pcap file; a packet cut off at its end is left out."""
    data = path.read_bytes()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(data[:4])
    if order is None:
        raise ValueError(f"{path.name}: not a microsecond pcap file")
    link = struct.unpack_from(order + "I", data, 20)[0]
    skip = {1: 14, 113: 16, 276: 20, 101: 0}[link]
    position = 24
    while position + 16 <= len(data):
        seconds, micro, kept, _ = struct.unpack_from(order + "IIII", data, position)
        packet = data[position + 16 : position + 16 + kept]
        position += 16 + kept
        ip = packet[skip:]
        if len(packet) < kept or len(ip) < 28 or ip[0] >> 4 != 4 or ip[9] != 17:
            continue
        udp = ip[(ip[0] & 15) * 4 :]
        sport, dport, length = struct.unpack_from("!HHH", udp)
        src, dst = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
        yield Datagram(seconds + micro / 1e6, (src, sport), (dst, dport), udp[8:length])


class Capture:
    """A capture of UDP to or from the given ports, running from construction to `stop`."""

    def __init__(self, folder: Path, ports: Iterable[int], *, name: str = "capture", interface: str = "lo") -> None:
        self.path = folder / f"{name}.pcap"
        self._marker = PortBlock(1)
        terms = [f"portrange {first}-{last}" for first, last in _ranges({*ports, self._marker[0]})]
        self.process = Process(
            name,
            [
                *(need("tcpdump", "tcpdump"), "-i", interface, "-n", "-s", "0", "-B", "32768"),
                *("--immediate-mode", "-U", "-w", str(self.path)),
                *(["-Z", "root"] if os.geteuid() == 0 else []),
                *("udp", "and", "(", " or ".join(terms), ")"),
            ],
            folder,
        )
        self.process.wait_line("listening on")

    def flush(self, timeout: float = 10) -> None:
        """Return when everything sent before this call is in the file: a marker of our own has arrived there."""
        marker = b"marker " + os.urandom(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(marker, ("127.0.0.1", self._marker[0]))
        until(lambda: marker in self.path.read_bytes()[-65536:], timeout, "the capture's marker")

    def datagrams(self, ports: Iterable[int] | None = None) -> list[Datagram]:
        """What was captured until now, to or from these ports (default: all)."""
        if self.process.running:
            self.flush()
        wanted = None if ports is None else set(ports)
        return [
            d
            for d in read_pcap(self.path)
            if self._marker[0] != d.dst[1] and (wanted is None or d.src[1] in wanted or d.dst[1] in wanted)
        ]

    def wait_packets(self, count: int, *sources: Iterable[int], timeout: float = 15) -> None:
        """Wait until each group of source ports has sent so many datagrams more than it had before this call."""
        groups = [set(group) for group in sources]
        self.flush()
        before = len(list(read_pcap(self.path)))

        def enough() -> bool:
            new = [d.src[1] for d in list(read_pcap(self.path))[before:]]
            return all(sum(port in group for port in new) >= count for group in groups)

        until(enough, timeout, f"{count} datagrams from each of {groups}", interval=0.1)

    def stop(self) -> None:
        """Write out everything and end tcpdump."""
        if self.process.running:
            self.flush()
        self.process.stop()
        self._marker.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _ranges(ports: set[int]) -> Iterator[tuple[int, int]]:
    """Runs of consecutive ports."""
    first = last = -1
    for port in sorted(ports):
        if port != last + 1:
            if first >= 0:
                yield first, last
            first = port
        last = port
    if first >= 0:
        yield first, last
