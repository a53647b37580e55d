"""Two real pjsua2 softphones place a protected call; the proof is printed.

Each softphone is `softphone_protected.py`: a plain pjsua2 program with an embedded agent. Alice plays
440 Hz, Bob 880 Hz; both record what they hear. A wire tap between the agents captures every packet.
Exit status 0 only if all of it held.

    python examples/protected_call.py
    python examples/protected_call.py --seconds 10 --keep
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import support
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TONES = {"alice": 440, "bob": 880}


def start(user: str, folder: Path, sip: int, network: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "softphone_protected.py"), "--user", user, "--sip-port", str(sip)]
    command += ["--network-port", str(network), "--play", str(folder / f"{user}.wav")]
    command += ["--record", str(folder / f"{user}-heard.wav"), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def finish(softphone: subprocess.Popen[str], seconds: float) -> str:
    """All that it says, until it ends or this time is over."""
    try:
        return softphone.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        softphone.kill()
        return softphone.communicate()[0]


def facts(output: str, user: str) -> dict:
    lines = [line for line in output.splitlines() if line.startswith(f"{user}: {{")]
    if not lines:
        raise SystemExit(f"there was no call for {user}; it said:\n{output}")
    return json.loads(lines[-1].partition(": ")[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="how long they talk")
    parser.add_argument("--keep", action="store_true", help="keep recordings and capture, and say where")
    options = parser.parse_args()
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="protected-call-"))
    try:
        return call(console, folder, options.seconds)
    finally:
        if options.keep:
            console.print(f"recordings and capture: {folder}")
        else:
            shutil.rmtree(folder)


def call(console: Console, folder: Path, seconds: float) -> int:
    begin = time.monotonic()
    for user, tone in TONES.items():
        support.write_tone(folder / f"{user}.wav", tone)
    ports = support.free_ports(60)
    sip = {"alice": ports, "bob": ports + 1}
    network = {"alice": ports + 4, "bob": ports + 30}
    console.print("Two pjsua2 softphones, each with an agent; a wire tap between them …")
    tap = support.WireTap(folder, [(first + 2, first + 21) for first in network.values()])
    bob = start("bob", folder, sip["bob"], network["bob"])
    assert bob.stdout is not None
    bob.stdout.readline()  # "ready"
    target = f"sip:bob@127.0.0.1:{network['bob']}"
    console.print(f"alice calls {target} and talks for {seconds:g} s …")
    alice = start("alice", folder, sip["alice"], network["alice"], "--call", target, "--seconds", str(seconds))
    try:
        said = {"alice": finish(alice, 50), "bob": finish(bob, 10)}
    finally:
        alice.kill()
        bob.kill()
        payloads = tap.stop()
    tapped = support.judge(payloads)
    for line in "".join(said.values()).splitlines():
        if "call ended" in line:
            console.print(line, style="dim")
    sides = {user: facts(output, user) for user, output in said.items()}
    heard = {user: support.seconds_heard(folder / f"{user}-heard.wav", TONES[other]) for user, other in
             (("alice", "bob"), ("bob", "alice"))}  # fmt: skip
    show(console, sides, heard, tapped)
    sent = sum(side["counters"]["sent_protected"] + side["counters"]["keepalives"] for side in sides.values())
    clear = sum(side["counters"]["sent_plain"] + side["counters"]["received_plain"] for side in sides.values())
    checks = {
        "both heard the other for at least half of the call": min(heard.values()) >= seconds / 2,
        "both sides are protected end to end": all(s["protected"] and s["scope"] == "e2e" for s in sides.values()),
        "only the terminal that took the call has the keys (B7)": sides["alice"]["fork_state"] == "confirmed",
        f"all {tapped.packets} packets on the wire were sent protected": 0 < tapped.packets <= sent,
        "none was clear, by the agents' count": clear == 0,
        "none sounds like a tone to who taps the wire": tapped.audible == 0,
    }
    for check, held in checks.items():
        console.print(f"[{'green' if held else 'red'}]{'✓' if held else '✗'}[/] {check}")
    console.print(f"{time.monotonic() - begin:.1f} s")
    return 0 if all(checks.values()) else 1


def show(console: Console, sides: dict, heard: dict, tapped: support.Tapped) -> None:
    table = Table(title="What protected the call")
    table.add_column("")
    for user in sides:
        table.add_column(user)
    rows = {
        "heard": lambda user, side: f"{TONES['bob' if user == 'alice' else 'alice']} Hz for {heard[user]:.1f} s",
        "talks to": lambda user, side: f"{side['terminating_entity']} ({side['identity']})",
        "suite": lambda user, side: side["suite"],
        "scope": lambda user, side: side["scope"],
        "keys by": lambda user, side: side["key_management"],
        "forking": lambda user, side: side["fork_state"],
        "key holders": lambda user, side: "\n".join(side["key_holders"]),
        "warnings": lambda user, side: "\n".join(side["warnings"]),
        "packets sent, protected": lambda user, side: str(side["counters"]["sent_protected"]),
        "packets received, protected": lambda user, side: str(side["counters"]["received_protected"]),
        "packets in clear": lambda user, side: str(side["counters"]["sent_plain"] + side["counters"]["received_plain"]),
    }
    for title, text in rows.items():
        table.add_row(title, *(str(text(user, side)) for user, side in sides.items()))
    console.print(table)
    console.print(f"Wire tap: {tapped.packets} media packets, {tapped.audible} of them audible as G.711.")


if __name__ == "__main__":
    sys.exit(main())
