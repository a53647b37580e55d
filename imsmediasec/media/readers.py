"""`Readers`: tells many media sockets that something has arrived, at the cost of one to the event loop.

An event loop spends more on finding and calling a callback than the relay spends on a packet. So all media sockets
stand in one epoll of their own, and the event loop looks after that one file.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable

_AT_ONCE = 64
"""Packets until the event loop gets to look after its other work."""


class Readers:
    """Belongs to the event loop that runs when it is made."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, sock: socket.socket, callback: Callable[[], None]) -> None:
        """Call `callback` for each packet; it is called again while there is more to read."""
        self._callbacks[sock.fileno()] = callback
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Before the socket is closed. One that was not added is left alone."""
        if self._callbacks.pop(sock.fileno(), None) is not None:
            self._epoll.unregister(sock.fileno())

    def close(self) -> None:
        """No callback any more. The sockets stay open."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._callbacks.clear()

    def _ready(self) -> None:
        left = _AT_ONCE
        while left > 0 and not self._epoll.closed:
            ready = self._epoll.poll(0, left)
            if not ready:
                return
            left -= len(ready)
            for number, _ in ready:
                callback = self._callbacks.get(number)  # one before it may have removed it
                if callback is not None:
                    callback()
