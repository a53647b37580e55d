"""SDP: parse; parse, every typed field and crypto line, one edit, write; against sdp-transform and aiosipua.

Both do less with a=crypto (sdp-transform cuts it into strings, aiosipua leaves it a string), and neither keeps
the text. The peers parse and write.

    python -m benchmarks.bench_sdp -o sdp.json        pyperf's own options apply (--fast, --rigorous)
    python -m benchmarks.bench_sdp --ratios sdp.json  prints the ratios; exit 1 if one misses its mark
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import aiosipua
import pyperf
import sdp_transform

from benchmarks.texts import texts
from imsmediasec.sdp import SessionDescription

MARKS = {"sdp-transform": 0.35, "aiosipua": 1.0}
"""The most that `edit` may take of each peer's parse and write."""
MARKED = range(500, 1300)
"""Octets of the texts that the marks are for."""


def parse(text: str) -> object:
    return SessionDescription.parse(text)


def edit(text: str) -> str:
    """What a softphone does with an offer: look at everything, change the port."""
    doc = SessionDescription.parse(text)
    for media in doc.media:
        _ = (media.media_type, media.port, media.proto, media.formats, media.mid, media.direction)
        _ = (media.crypto, media.crypto_errors)
    if doc.media:
        doc.media[0].set_media(port=40404)
    return str(doc)


def with_sdp_transform(text: str) -> str:
    written: str = sdp_transform.write(sdp_transform.parse(text))
    return written


def with_aiosipua(text: str) -> Any:
    return aiosipua.serialize_sdp(aiosipua.parse_sdp(text))


CALLS: dict[str, Callable[[str], object]] = {
    "parse": parse,
    "edit": edit,
    "sdp-transform": with_sdp_transform,
    "aiosipua": with_aiosipua,
}


def measure() -> None:
    runner = pyperf.Runner(program_args=("-m", "benchmarks.bench_sdp"))
    for name, text in texts().items():
        for kind, call in CALLS.items():
            runner.bench_func(f"{name} {kind}", call, text)


def report(path: str) -> int:
    """Print each figure and its ratio to the peers; 1 if one misses its mark. The quickest value counts."""
    best = {bench.get_name(): min(bench.get_values()) for bench in pyperf.BenchmarkSuite.load(path)}
    missed = False
    for name, text in texts().items():
        edited = best[f"{name} edit"]
        line = (
            f"{name:20} {len(text):5} octets  parse {best[f'{name} parse'] * 1e6:6.2f} us  edit {edited * 1e6:6.2f} us"
        )
        for peer, mark in MARKS.items():
            ratio = edited / best[f"{name} {peer}"]
            missed |= len(text) in MARKED and ratio > mark
            line += f"  {peer} {best[f'{name} {peer}'] * 1e6:6.1f} us ratio {ratio:.3f}"
        print(line)
    return int(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ratios"]:
        sys.exit(report(sys.argv[2]))
    measure()
