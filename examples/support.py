"""What the examples need besides the library: tones, ears, a wire tap, free ports."""

import array
import contextlib
import json
import math
import shutil
import socket
import struct
import subprocess
import sys
import time
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RATE = 8000


def show(status) -> None:
    """Each new status of a call, as it comes."""
    holders = ", ".join(holder.name for holder in status.key_holders) or "everybody on the path"
    lock = "protected" if status.protected else "not protected"
    print(f"  [{lock}] {status.terminating_entity.uri}, forking {status.fork_state.value}; keys: {holders}", flush=True)


def describe(protection) -> str:
    """Status and packet counters of a `Protection`, as a line of JSON without secrets."""
    status = protection.status
    stream = status.streams[0] if status and status.streams else None
    facts = {
        "protected": bool(stream and stream.protected),
        "suite": stream.suite.name if stream and stream.suite else None,
        "scope": stream.scope.value if stream and stream.scope else None,
        "key_management": stream.key_management.value if stream and stream.key_management else None,
        "key_holders": [f"{h.name}: {h.reason}" for h in stream.key_holders] if stream else [],
        "fork_state": status.fork_state.value if status else None,
        "terminating_entity": status.terminating_entity.uri if status else None,
        "identity": status.terminating_entity.source.value if status else None,
        "warnings": [warning.text for warning in status.warnings] if status else [],
        "counters": asdict(protection.counters),
    }
    return json.dumps(facts)


def write_tone(path: Path, frequency: int, seconds: int = 60) -> Path:
    """A mono 16 bit wav with a half-scale sine."""
    second = array.array("h", (round(16384 * math.sin(2 * math.pi * frequency * n / RATE)) for n in range(RATE)))
    if sys.byteorder == "big":
        second.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        for _ in range(seconds):
            file.writeframes(second.tobytes())
    return path


def tone_share(samples: Sequence[int], frequency: int) -> float:
    """Share (0 to 1) of the samples' power at this frequency (Goertzel)."""
    total = sum(s * s for s in samples)
    if not total:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * frequency / RATE)
    one = two = 0.0
    for sample in samples:
        one, two = sample + factor * one - two, one
    return min(1.0, 2 * (one * one + two * two - factor * one * two) / (total * len(samples)))


def seconds_heard(path: Path, frequency: int) -> float:
    """For how long a recording holds this tone."""
    with wave.open(str(path), "rb") as file:
        samples = array.array("h", file.readframes(file.getnframes()))
    frames = [samples[n : n + 160] for n in range(0, len(samples) - 159, 160)]
    return sum(0.02 for frame in frames if max(map(abs, frame)) > 300 and tone_share(frame, frequency) > 0.8)


@dataclass
class Tapped:
    """What a listener on the wire got: RTP-like packets, and how much of them sounds like a tone when
    played as G.711, as anybody could who captured them."""

    packets: int
    audible: int


class WireTap:
    """tcpdump on loopback, for the UDP ports of the network side."""

    def __init__(self, folder: Path, ports: Sequence[tuple[int, int]]) -> None:
        program = shutil.which("tcpdump") or "/usr/sbin/tcpdump"
        self._file = folder / "wire.pcap"
        wanted = " or ".join(f"portrange {first}-{last}" for first, last in ports)
        self._process = subprocess.Popen(
            [program, "-i", "lo", "-U", "--immediate-mode", "-w", str(self._file), f"udp and ({wanted})"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "listening on" in line:
                return
        raise SystemExit("tcpdump cannot listen on loopback: run as root, or give it cap_net_raw")

    def stop(self) -> list[bytes]:
        """End the capture; the UDP payloads. May be called again."""
        if self._process.poll() is None:
            time.sleep(0.2)  # nothing tells when the kernel has handed over the last packets
            self._process.terminate()
            self._process.wait(timeout=5)
        return list(_payloads(self._file.read_bytes()))


def judge(payloads: Sequence[bytes]) -> Tapped:
    """Play every packet as G.711 and look for either tone."""
    packets = [p for p in payloads if len(p) >= 12 and p[0] >> 6 == 2]
    audible = 0
    for packet in packets:
        samples = [_ulaw(octet) for octet in packet[12:172]]
        if len(samples) == 160 and max(tone_share(samples, 440), tone_share(samples, 880)) > 0.5:
            audible += 1
    return Tapped(packets=len(packets), audible=audible)


def _ulaw(octet: int) -> int:
    octet = ~octet & 0xFF
    value = (((octet & 0x0F) << 3) + 0x84) << ((octet & 0x70) >> 4)
    return 0x84 - value if octet & 0x80 else value - 0x84


def _payloads(pcap: bytes) -> Iterator[bytes]:
    order = "<" if pcap[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    place = 24
    while place + 16 <= len(pcap):
        _, _, length, _ = struct.unpack_from(order + "IIII", pcap, place)
        frame = pcap[place + 16 : place + 16 + length]
        place += 16 + length
        header = 14 + (frame[14] & 0x0F) * 4 if len(frame) > 34 else 0
        if header and frame[23] == 17:
            yield frame[header + 8 :]


def free_ports(count: int) -> int:
    """The first of `count` UDP ports in a row that are free now."""
    for first in range(20000, 60000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise SystemExit("no free UDP ports")
