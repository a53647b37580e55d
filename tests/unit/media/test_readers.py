"""media/readers.py: many sockets, one reader of the event loop."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator

import pytest

from imsmediasec.media.readers import Readers


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for sock in made:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
    yield made
    for sock in made:
        sock.close()


def send(to: socket.socket, *texts: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for text in texts:
            sender.sendto(text, to.getsockname())


async def settle() -> None:
    await asyncio.sleep(0.02)


def test_each_packet_is_a_call(sockets: list[socket.socket]) -> None:
    async def run() -> None:
        readers, heard = Readers(), []
        for sock in sockets:
            readers.add(sock, lambda sock=sock: heard.append(sock.recv(100)))
        send(sockets[0], *(b"%d" % n for n in range(200)))
        send(sockets[2], b"last")
        await settle()
        assert sorted(heard) == sorted([*(b"%d" % n for n in range(200)), b"last"])
        readers.close()

    asyncio.run(run())


def test_other_work_gets_its_turn_in_a_burst(sockets: list[socket.socket]) -> None:
    async def run() -> None:
        readers, heard = Readers(), []
        readers.add(sockets[0], lambda: heard.append(sockets[0].recv(100)))
        send(sockets[0], *[b"x"] * 150)
        turns = [await asyncio.sleep(0, len(heard)) for _ in range(10)]
        assert len(heard) == 150
        assert max(after - before for before, after in itertools.pairwise(turns)) <= 64
        readers.close()

    asyncio.run(run())


def test_removed_by_a_callback_of_the_same_moment(sockets: list[socket.socket]) -> None:
    async def run() -> None:
        readers, heard = Readers(), []

        def first(index: int) -> None:
            heard.append(index)
            for sock in sockets:
                readers.remove(sock)

        for index, sock in enumerate(sockets):
            readers.add(sock, lambda index=index: first(index))
            send(sock, b"x")
        await settle()
        assert len(heard) == 1
        readers.remove(sockets[0])  # a second time: nothing
        readers.close()

    asyncio.run(run())


def test_closed_by_a_callback(sockets: list[socket.socket]) -> None:
    async def run() -> None:
        readers, heard = Readers(), []

        def close() -> None:
            heard.append(1)
            readers.close()

        for sock in sockets:
            readers.add(sock, close)
            send(sock, b"x")
        await settle()
        assert heard == [1]
        readers.close()  # a second time: nothing
        readers.remove(sockets[0])

    asyncio.run(run())
