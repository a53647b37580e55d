"""Is the other end of a loopback socket run by our own user? Other users of the machine are attackers."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

_TABLES = {"UDP": ("udp", "udp6"), "TCP": ("tcp", "tcp6"), "TLS": ("tcp", "tcp6")}


def is_own_user(protocol: str, host: str, port: int) -> bool:
    """True if a socket bound to this loopback address belongs to our user (or root asks, as root may anyway).

    Linux tells owners in /proc/net; elsewhere nothing can be said, and the answer is False.
    """
    if sys.platform != "linux":
        return False
    wanted = {_hex(host, port), _hex("0.0.0.0", port), _hex("::", port), _hex(f"::ffff:{host}", port)}
    owners = set()
    for table in _TABLES[protocol]:
        try:
            rows = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            # Without an inode it is closed already, and the table names root for its owner.
            if columns[1] in wanted and columns[9] != "0":
                owners.add(int(columns[7]))
    return bool(owners) and owners <= {os.getuid(), 0}


def _hex(host: str, port: int) -> str:
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        return ""
    # Each 32-bit word stands in the byte order of the machine.
    words = [packed[n : n + 4] for n in range(0, len(packed), 4)]
    if sys.byteorder == "little":
        words = [word[::-1] for word in words]
    return f"{b''.join(words).hex().upper()}:{port:04X}"
