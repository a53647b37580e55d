"""agent/own_user.py: sockets of our own user, of others, and what cannot be known."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from imsmediasec.agent import own_user
from imsmediasec.agent.own_user import is_own_user


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
@pytest.mark.parametrize(("protocol", "kind"), [("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)])
def test_own_sockets(host: str, family: socket.AddressFamily, protocol: str, kind: socket.SocketKind) -> None:
    with socket.socket(family, kind) as sock:
        sock.bind((host, 0))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        port = sock.getsockname()[1]
        assert is_own_user(protocol, host, port)
    assert not is_own_user(protocol, host, port)


def test_a_socket_on_all_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        assert is_own_user("UDP", "127.0.0.1", sock.getsockname()[1])


def fake(monkeypatch: pytest.MonkeyPatch, folder: Path, *owners: int, inode: int = 1) -> None:
    """The tables of another machine: a UDP socket on 127.0.0.1:5060 for each owner, and no udp6."""
    rows = [
        f" {n}: 0100007F:13C4 00000000:0000 07 0:0 00:0 0 {owner} 0 {inode} 2 0 0" for n, owner in enumerate(owners)
    ]
    (folder / "udp").write_text("\n".join(["  sl  local_address …", *rows]) + "\n")
    monkeypatch.setattr(own_user, "Path", lambda _, table: folder / table)
    monkeypatch.setattr(own_user.sys, "byteorder", "little")


def test_other_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A port that another user shares is another user's; root may do anything anyway."""
    me, other = os.getuid(), os.getuid() + 1000
    for owners, own in (((me,), True), ((me, 0), True), ((other,), False), ((me, other), False), ((), False)):
        fake(monkeypatch, tmp_path, *owners)
        assert is_own_user("UDP", "127.0.0.1", 5060) is own, owners
    assert not is_own_user("UDP", "127.0.0.1", 5061)


def test_a_socket_that_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel names root as the owner of a connection whose process has closed it, whoever that was."""
    fake(monkeypatch, tmp_path, 0, inode=0)
    assert not is_own_user("UDP", "127.0.0.1", 5060)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        port = client.getsockname()[1]
        monkeypatch.undo()
        assert is_own_user("TCP", "127.0.0.1", port)
        accepted, _ = server.accept()
        client.close()
        assert not is_own_user("TCP", "127.0.0.1", port)
        accepted.close()


def test_big_endian_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, tmp_path)
    (tmp_path / "udp").write_text(f"head\n 0: 7F000001:13C4 00000000:0000 07 0:0 00:0 0 {os.getuid()} 0 1\n")
    monkeypatch.setattr(own_user.sys, "byteorder", "big")
    assert is_own_user("UDP", "127.0.0.1", 5060)


def test_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setattr(own_user.sys, "platform", "darwin")
        assert not is_own_user("UDP", "127.0.0.1", sock.getsockname()[1])


def test_a_name_owns_nothing() -> None:
    assert not is_own_user("UDP", "localhost", 1)
