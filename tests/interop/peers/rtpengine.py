"""rtpengine in userspace, and its NG control protocol (rtpengine 10.5)."""

import itertools
import os
import socket
from pathlib import Path
from typing import Any

from ..ports import PortBlock
from ..process import Process, need

NG, CLI, MEDIA = 0, 1, 20


def bencode(value: object) -> bytes:
    """Bencoding of str, bytes, int, list and dict."""
    match value:
        case str():
            return bencode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case int():
            return b"i%de" % value
        case list() | tuple():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case dict():
            return b"d" + b"".join(bencode(k) + bencode(v) for k, v in value.items()) + b"e"
    raise TypeError(type(value).__name__)


def bdecode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that starts at a position, strings as str, and where it ends."""
    if data[at : at + 1] == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if data[at : at + 1] in (b"l", b"d"):
        items, position = [], at + 1
        while data[position : position + 1] != b"e":
            item, position = bdecode(data, position)
            items.append(item)
        if data[at : at + 1] == b"l":
            return items, position + 1
        return dict(zip(items[::2], items[1::2], strict=True)), position + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end].decode("utf-8", "replace"), end


class Rtpengine:
    """An instance with its own ports. `ng("offer", call_id=…, from_tag=…, sdp=…)`: underscores become hyphens."""

    def __init__(self, folder: Path, *, media_ports: int = 200, extra: tuple[str, ...] = ()) -> None:
        self.folder = folder / "rtpengine"
        self.folder.mkdir(parents=True)
        self.block = PortBlock(MEDIA + media_ports)
        self.ng_port = self.block[NG]
        self.media_ports = self.block.ports[MEDIA:]
        argv = [
            *(need("rtpengine", "rtpengine-daemon"), "--foreground", "--config-file=none", "--table=-1"),
            *("--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self.ng_port}"),
            f"--listen-cli=127.0.0.1:{self.block[CLI]}",
            *(f"--port-min={self.media_ports[0]}", f"--port-max={self.media_ports[-1]}", "--num-threads=2"),
            *("--log-level=6", "--log-stderr", "--log-facility=local0", f"--pidfile={self.folder / 'pid'}"),
            *extra,
        ]
        self.process = Process("rtpengine", argv, self.folder)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0.2)
        self._cookie = itertools.count()
        self._wait_ready()

    def _wait_ready(self) -> None:
        for _ in range(50):
            if not self.process.running:
                break
            try:
                if self.ng("ping", timeout=0.2).get("result") == "pong":
                    return
            except (TimeoutError, ConnectionError):
                continue
        self.stop()
        raise RuntimeError(f"rtpengine did not come up:\n{self.process.text()[-3000:]}")

    def ng(self, command: str, timeout: float = 3, **arguments: object) -> dict[str, Any]:
        """One NG request and its answer."""
        cookie = f"{os.getpid()}-{next(self._cookie)}".encode()
        body = {"command": command, **{name.replace("_", "-"): value for name, value in arguments.items()}}
        self._socket.settimeout(timeout)
        self._socket.sendto(cookie + b" " + bencode(body), ("127.0.0.1", self.ng_port))
        while True:
            answered, _, data = self._socket.recv(65536).partition(b" ")
            if answered == cookie:
                answer = bdecode(data)[0]
                if answer.get("result") == "error":
                    raise RuntimeError(f"rtpengine: {command}: {answer.get('error-reason')}")
                return dict(answer)

    def stop(self) -> None:
        """End rtpengine."""
        self.process.stop()
        self._socket.close()
        self.block.release()
