"""A growing list that threads wait on: log lines, events of a peer. The base of every wait in this harness."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Journal(Generic[T]):
    """Entries in the order in which they came; nothing is ever removed, so a wait cannot miss what came before it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[T] = []
        self._changed = threading.Condition()
        self._closed = False

    def add(self, entry: T) -> None:
        """Append an entry and wake whoever waits."""
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    def close(self) -> None:
        """No more entries will come; waits that are not satisfied fail at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, wanted: Callable[[T], object], timeout: float = 10, since: int = 0, what: str = "") -> T:
        """The first entry from number `since` on that is wanted; TimeoutError with the last entries if none comes."""
        deadline = time.monotonic() + timeout
        position = since
        with self._changed:
            while True:
                while position < len(self.entries):
                    if wanted(self.entries[position]):
                        return self.entries[position]
                    position += 1
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    tail = "\n  ".join(str(entry)[:300] for entry in self.entries[-25:])
                    why = "ended" if self._closed else f"not seen in {timeout:g} s"
                    raise TimeoutError(f"{self.name}: {what or 'the entry waited for'}: {why}; last entries:\n  {tail}")
                self._changed.wait(left)


def until(
    condition: Callable[[], object], timeout: float = 10, what: str = "condition", interval: float = 0.01
) -> None:
    """Poll a condition that nothing announces (a file's size, say); TimeoutError when it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {timeout:g} s")
        time.sleep(interval)
