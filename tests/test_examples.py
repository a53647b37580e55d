"""The examples as a user runs them: exit status, what they say, how little it takes, and that they can fail."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SCRIPTS = ("protected_call", "embed_sans_io", "baresip_with_agent", "softphone", "softphone_protected")
NEEDS = {
    "protected_call": ("pjsua2", "tcpdump"),
    "baresip_with_agent": ("baresip", "tcpdump"),
    "softphone": ("pjsua2",),
    "softphone_protected": ("pjsua2",),
}
pytestmark = pytest.mark.interop


def needs(name: str) -> None:
    """Skip on a user's machine without what the example needs; fail where CI=true."""
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    for program in NEEDS.get(name, ()):
        check = [sys.executable, "-c", "import pjsua2"] if program == "pjsua2" else None
        there = shutil.which(program, path=path) if check is None else not subprocess.run(check, check=False).returncode
        if not there:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is missing")


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script, output wide enough that nothing wraps."""
    return subprocess.run(
        [sys.executable, str(script), *options],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
        cwd=script.parent,
    )


def row(output: str, title: str) -> list[str]:
    """The cells of a table row, those of both sides; further lines of a cell are put together."""
    cells: list[list[str]] = []
    for line in output.splitlines():
        parts = [part.strip() for part in line.split("│")[1:-1]]
        if len(parts) != 3:
            continue
        if parts[0]:
            cells.append(parts)
        elif cells:
            cells[-1] = [cells[-1][0], *(f"{a} {b}".strip() for a, b in zip(cells[-1][1:], parts[1:], strict=True))]
    (found,) = [parts[1:] for parts in cells if parts[0] == title]
    return found


def test_protected_call() -> None:
    """Two pjsua2 softphones; for each side: who was heard, suite, scope, key holders, packets, none clear."""
    needs("protected_call")
    begin = time.monotonic()
    done = run(EXAMPLES / "protected_call.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - begin < 60
    out = done.stdout
    for cell, tone in zip(row(out, "heard"), (880, 440), strict=True):
        match = re.fullmatch(r"(\d+) Hz for (\d+\.\d) s", cell)
        assert match and int(match[1]) == tone and float(match[2]) >= 2.5, cell
    assert row(out, "suite") == ["AEAD_AES_256_GCM"] * 2
    assert row(out, "scope") == ["e2e"] * 2
    assert row(out, "keys by") == ["sdes"] * 2
    assert row(out, "forking") == ["confirmed"] * 2
    for cell, other in zip(row(out, "key holders"), ("bob", "alice"), strict=True):
        assert re.match(rf"sip:{other}@127\.0\.0\.1(:\d+)?: it ends the protection ", cell), cell
        assert "every SIP node on the path: SDES" in cell
    for title in ("packets sent, protected", "packets received, protected"):
        assert all(int(cell) > 100 for cell in row(out, title))
    assert row(out, "packets in clear") == ["0", "0"]
    tap = re.search(r"Wire tap: (\d+) media packets, (\d+) of them audible", out)
    assert tap and int(tap[1]) > 200 and int(tap[2]) == 0
    assert out.count("✓") == 6 and "✗" not in out


@pytest.mark.parametrize(
    ("find", "replace", "unmet"),
    [
        # The policy of both switched off: a plain call, which the tap hears.
        (
            "signalling=ims.Hop.PROTECTED,",
            "signalling=ims.Hop.PROTECTED, policy=ims.SecurityPolicy(requirement=ims.Requirement.DISABLED),",
            {
                "both sides are protected end to end",
                "only the terminal that took the call has the keys (B7)",
                "none was clear, by the agents' count",
                "none sounds like a tone to who taps the wire",
            },
        ),
        # No secure forking: protected, but the INVITE carries the key that is used.
        (
            "signalling=ims.Hop.PROTECTED,",
            "signalling=ims.Hop.PROTECTED, policy=ims.SecurityPolicy(forking=ims.Forking.EXPOSED),",
            {"only the terminal that took the call has the keys (B7)"},
        ),
        # Nobody says a word.
        ("sources[0].startTransmit(audio)", "pass", {"both heard the other for at least half of the call"}),
        # Nothing protects the signalling, so no key is sent and there is no call.
        ("signalling=ims.Hop.PROTECTED,", "", set()),
    ],
    ids=["policy-disabled", "forking-exposed", "silence", "signalling-unprotected"],
)
def test_protected_call_tells_when_it_does_not_hold(tmp_path: Path, find: str, replace: str, unmet: set[str]) -> None:
    """The same example over softphones that do not keep the promise: exit status not 0, and the unmet checks named."""
    needs("protected_call")
    for name in ("protected_call", "softphone_protected", "support"):
        shutil.copy(EXAMPLES / f"{name}.py", tmp_path)
    softphone = tmp_path / "softphone_protected.py"
    text = softphone.read_text()
    assert find in text
    softphone.write_text(text.replace(find, replace))
    done = run(tmp_path / "protected_call.py", "--seconds", "2")
    assert done.returncode != 0, done.stdout
    failed = set(re.findall(r"✗ (.*?)\s*$", done.stdout, re.MULTILINE))
    assert unmet <= failed, done.stdout + done.stderr
    assert unmet or "there was no call for bob" in done.stderr, done.stdout + done.stderr


def test_embed_sans_io() -> None:
    """The library alone: the terminal that took the call hears, the one that only rang cannot."""
    done = run(EXAMPLES / "embed_sans_io.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "alice speaks: the mobile hears it" in lines
    assert re.search(r"the desk phone, with the key from the INVITE: .*does not verify", done.stdout)
    assert "inline:<redacted>" in done.stdout
    confirmed = [line for line in lines if "forking confirmed" in line]
    assert {line.split(":")[0].strip() for line in confirmed} == {"alice", "mobile"}
    assert not any("every terminal that the INVITE reached" in line for line in confirmed)


def test_baresip_with_agent() -> None:
    """Two unmodified baresips behind `imsmediasec agent`."""
    needs("baresip_with_agent")
    done = run(EXAMPLES / "baresip_with_agent.py")
    assert done.returncode == 0, done.stdout + done.stderr
    heard = re.search(r"alice heard 880 Hz for (\S+) s, bob heard 440 Hz for (\S+) s", done.stdout)
    assert heard and min(float(heard[1]), float(heard[2])) > 2
    tap = re.search(r"wire tap: (\d+) media packets between the agents, 0 of them audible", done.stdout)
    assert tap and int(tap[1]) > 200
    for user in ("alice", "bob"):
        said = done.stdout.partition(f"agent of {user}:")[2].partition("agent of")[0]
        assert "| locked | AEAD_AES_256_GCM |" in said
        assert "| confirmed |" in said
        assert re.search(r"report: \S+\.html", said)
        assert "stopped: no media passes any more" in said


def test_a_softphone_is_protected_by_at_most_ten_lines() -> None:
    """softphone_protected.py is softphone.py with at most ten lines more, and none of its code taken away."""
    plain = (EXAMPLES / "softphone.py").read_text().splitlines()
    protected = (EXAMPLES / "softphone_protected.py").read_text().splitlines()
    changes = [line for line in difflib.ndiff(plain, protected) if line[:2] in ("+ ", "- ")]
    added = [line[2:] for line in changes if line.startswith("+ ")]
    removed = [line[2:] for line in changes if line.startswith("- ")]
    assert len(added) <= 10
    assert removed == [line for line in plain if line.startswith("`softphone_protected.py` is")], "its docstring only"
    code = [line for line in added if line.strip() and not line.startswith("`softphone.py`")]
    assert all("# +" in line for line in code), "each is marked for the reader"


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_examples(name: str) -> None:
    needs(name)
    done = run(EXAMPLES / f"{name}.py", "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert re.search(rf"^ +(python examples/)?{name}\.py", done.stdout, re.MULTILINE), done.stdout
    assert not re.search(r"%\(prog\)", done.stdout)


def test_no_example_is_left_out() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {*SCRIPTS, "support"}
