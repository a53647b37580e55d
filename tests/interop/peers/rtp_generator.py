"""A process that sends RTP and counts what it gets: the second stream of a call, by another tool than the softphone.

    rtp_generator.py LOCAL_PORT TARGET_PORT PAYLOAD_TYPE COUNT [UID]

Sends COUNT packets of a recognizable pattern, 10 ms apart; ends 0.5 s after the last and prints as JSON how many
packets came, and how many of these held the pattern. With UID it becomes that user first (root only).
"""

import json
import os
import socket
import struct
import sys
import time

PATTERN = b"\x00\x00\x01\x65" + b"a picture in clear " * 20


def main() -> None:
    """Run."""
    local, target, payload_type, count, *user = map(int, sys.argv[1:])
    if user:
        os.setuid(user[0])
    media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    media.bind(("127.0.0.1", local))
    media.setblocking(False)
    received: list[bytes] = []
    end = time.monotonic() + 0.01 * count + 0.5
    sent = 0
    while time.monotonic() < end:
        if sent < count:
            header = struct.pack("!BBHII", 0x80, payload_type, (65500 + sent) & 0xFFFF, 900 * sent, local)
            media.sendto(header + PATTERN, ("127.0.0.1", target))
            sent += 1
        try:
            while True:
                received.append(media.recv(65536))
        except BlockingIOError:
            time.sleep(0.01)
    print(json.dumps({"received": len(received), "right": sum(p[12:] == PATTERN for p in received)}), flush=True)


if __name__ == "__main__":
    main()
