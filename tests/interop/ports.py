"""Blocks of free ports on loopback. A block stays ours, against other test runs too, until it is released."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

# Below Linux's ephemeral range (32768…), above what daemons usually take.
FIRST, LAST, STEP = 20000, 32000, 20


def _free(port: int, address: str) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


class PortBlock:
    """`size` consecutive ports starting at an even number; `block[0]`, `block[1]`, … are the ports."""

    def __init__(self, size: int = STEP, address: str = "127.0.0.1") -> None:
        self.size = size
        self._locks: list[int] = []
        folder = Path(tempfile.gettempdir()) / f"imsmediasec-ports-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        units = -(-size // STEP)
        slots = (LAST - FIRST) // STEP
        start = os.getpid() * 7 % slots
        for turn in range(slots):
            slot = (start + turn) % slots
            if slot + units <= slots and self._lock(folder, slot, units):
                self.first = FIRST + slot * STEP
                if all(_free(self.first + n, address) for n in range(size)):
                    return
                self.release()
        raise RuntimeError(f"no {size} free ports in a row between {FIRST} and {LAST}")

    def _lock(self, folder: Path, slot: int, units: int) -> bool:
        for n in range(slot, slot + units):
            handle = os.open(folder / str(n), os.O_CREAT | os.O_RDWR, 0o600)
            self._locks.append(handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.release()
                return False
        return True

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self.first + index

    def __len__(self) -> int:
        return self.size

    @property
    def ports(self) -> list[int]:
        """All ports of the block."""
        return list(range(self.first, self.first + self.size))

    def release(self) -> None:
        """Give the block back."""
        for handle in self._locks:
            os.close(handle)
        self._locks.clear()
