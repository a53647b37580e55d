"""Two unmodified baresips that know nothing of SRTP call each other, each behind `imsmediasec agent`.

Needs baresip (Debian: baresip-core) and tcpdump. Both record what they hear; a wire tap between the
agents captures every packet. Exit status 0 only if both were heard and nothing was clear on the wire.

    python examples/baresip_with_agent.py
    python examples/baresip_with_agent.py --keep
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import support

TONES = {"alice": 440, "bob": 880}
CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
net_interface 127.0.0.1
audio_source aufile,{tone}
audio_player none,nil
audio_alert none,nil
rtp_ports {rtp}-{rtp_last}
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path {folder}
"""


def agent(user: str, sip: int, listen: int, network: int, media: int, reports: Path) -> subprocess.Popen[str]:
    """`imsmediasec agent` for one baresip; returns when it listens."""
    command = [sys.executable, "-m", "imsmediasec.cli", "agent", "--plain-output", "--signalling", "protected"]
    command += ["--listen", f"127.0.0.1:{listen}", "--network", f"127.0.0.1:{network}"]
    command += ["--softphone", f"sip:{user}@127.0.0.1:{sip}", "--report-dir", str(reports)]
    command += ["--media-ports", f"{media}-{media + 13}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def baresip(user: str, folder: Path, sip: int, listen: int, rtp: int, *more: str) -> subprocess.Popen[bytes]:
    """A baresip with `user`'s tone whose outbound proxy is the agent."""
    folder.mkdir()
    tone = support.write_tone(folder / "tone.wav", TONES[user])
    values = {"sip": sip, "tone": tone, "rtp": rtp, "rtp_last": rtp + 7, "folder": folder}
    (folder / "config").write_text(CONFIG.format(**values))
    account = f"<sip:{user}@127.0.0.1>;regint=0;answermode=auto;audio_codecs=pcmu"
    (folder / "accounts").write_text(f'{account};outbound="sip:127.0.0.1:{listen}"\n')
    (folder / "contacts").write_text("")
    with open(folder / "log", "wb") as log:
        return subprocess.Popen(["baresip", "-4", "-f", str(folder), *more], stdout=log, stderr=log)


def seconds_heard(folder: Path, tone: int) -> float:
    """For how long this baresip heard the tone."""
    return sum(support.seconds_heard(file, tone) for file in folder.glob("*-dec.wav"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep recordings, reports and logs, and say where")
    options = parser.parse_args()
    if shutil.which("baresip") is None:
        raise SystemExit("baresip is missing (Debian: apt install baresip-core)")
    folder = Path(tempfile.mkdtemp(prefix="baresip-with-agent-"))
    first = support.free_ports(100)
    network = {"alice": first + 20, "bob": first + 21}
    media = {"alice": first + 70, "bob": first + 84}
    running: list[subprocess.Popen] = []
    tap = None
    try:
        agents = {
            user: agent(user, first + 2 * n, first + 8 + n, network[user], media[user], folder / f"{user}-reports")
            for n, user in enumerate(TONES)
        }
        running += agents.values()
        tap = support.WireTap(folder, [(port, port + 13) for port in media.values()])
        running.append(baresip("bob", folder / "bob", first + 2, first + 9, first + 40))
        time.sleep(1)  # baresip says nothing when it is ready
        dial = f"/dial sip:bob@127.0.0.1:{network['bob']}"
        running.append(baresip("alice", folder / "alice", first, first + 8, first + 60, "-e", dial))
        print("alice and bob talk for 5 s …", flush=True)
        time.sleep(6)
        for process in reversed(running):
            process.terminate()
            process.wait(timeout=10)
        tapped = support.judge(tap.stop())
        heard = {user: seconds_heard(folder / user, tone) for user, tone in
                 (("alice", 880), ("bob", 440))}  # fmt: skip
        for user, process in agents.items():
            assert process.stdout is not None
            print(f"\nagent of {user}:\n{process.stdout.read()}")
        print(f"alice heard 880 Hz for {heard['alice']:.1f} s, bob heard 440 Hz for {heard['bob']:.1f} s")
        print(f"wire tap: {tapped.packets} media packets between the agents, {tapped.audible} of them audible")
        return 0 if min(heard.values()) > 2 and tapped.packets > 200 and not tapped.audible else 1
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
        if tap is not None:
            tap.stop()
        if options.keep:
            print(f"recordings, reports and logs: {folder}")
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
