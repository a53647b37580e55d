"""SDES negotiated: a whole offer, a whole answer, their memory, and both with many calls alive.

Offer: plain text in, protected text out. Answer: a `Negotiation` made, the peer's offer in, the answer and the keys
out, all events taken. Both are set against sdp-transform's parse and write of the same text, which is what a program
without this library would spend on the SDP alone.

    python -m benchmarks.bench_negotiation -o negotiation.json
    python -m benchmarks.bench_negotiation --ratios negotiation.json  also memory and growth; exit 1 if a mark is missed
"""

from __future__ import annotations

import gc
import re
import sys
import time
import tracemalloc

import pyperf

import imsmediasec as ims
from benchmarks.bench_sdp import with_sdp_transform
from benchmarks.texts import texts

MARK = 0.8
"""The most that an answer may take of sdp-transform's parse and write, on every text."""
GROWTH_MARK = 1.5
"""The most that an answer may take with 10,000 calls alive, of what it takes with 10."""
ALIVE = (10, 100, 1000, 10_000)
ROUNDS = 300

CAPABILITIES = ims.SrtpCapabilities(suites=ims.ALL_SUITES)
POLICY = ims.SecurityPolicy(suites=ims.ALL_SUITES, requirement=ims.Requirement.PREFERRED, tolerate=ims.TOLERANT)


def plain(text: str) -> str:
    """What the application would say to it: the same without security."""
    return re.sub(r"a=(crypto|3ge2ae)[^\n]*\n", "", text).replace("RTP/SAVP", "RTP/AVP")


def negotiation(side: ims.Side) -> ims.Negotiation:
    return ims.Negotiation(
        POLICY,
        side=side,
        capabilities=CAPABILITIES,
        local_identity="sip:alice@ims.example",
        remote_target="sip:bob@ims.example",
        signalling=ims.Hop.PROTECTED,
    )


def offer(text: str) -> ims.Negotiation:
    """An INVITE's offer, with one line a suite."""
    one = negotiation(ims.Side.UAC)
    one.create_offer(text, now=0.0)
    while one.next_event() is not None:
        pass
    return one


def answer(offered: str, text: str) -> ims.Negotiation:
    """The answer to an INVITE, keys installed."""
    one = negotiation(ims.Side.UAS)
    one.receive_offer(offered, dialog="d", now=0.0)
    one.create_answer(text, dialog="d", now=0.0)
    while one.next_event() is not None:
        pass
    return one


def measure() -> None:
    runner = pyperf.Runner(program_args=("-m", "benchmarks.bench_negotiation"))
    for name, text in texts().items():
        runner.bench_func(f"{name} offer", offer, plain(text))
        runner.bench_func(f"{name} answer", answer, text, plain(text))
        runner.bench_func(f"{name} sdp-transform", with_sdp_transform, text)


def memory(offered: str, count: int) -> float:
    """Octets that a call keeps, by tracemalloc."""
    text = plain(offered)
    gc.collect()
    tracemalloc.start()
    kept = [answer(offered, text) for _ in range(count)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def growth(offered: str) -> list[tuple[int, float]]:
    """Seconds for an answer with so many others alive; the quickest of several rounds."""
    text = plain(offered)
    kept: list[ims.Negotiation] = []
    found = []
    for alive in ALIVE:
        kept += [answer(offered, text) for _ in range(alive - len(kept))]
        best = float("inf")
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _ in range(5):
                answer(offered, text)
            best = min(best, (time.perf_counter() - started) / 5)
        found.append((alive, best))
    return found


def report(path: str) -> int:
    """Print each figure, its ratio, memory and growth; 1 if a mark is missed. The quickest value counts."""
    best = {bench.get_name(): min(bench.get_values()) for bench in pyperf.BenchmarkSuite.load(path)}
    missed = False
    for name, text in texts().items():
        peer, answered = best[f"{name} sdp-transform"], best[f"{name} answer"]
        ratio = answered / peer
        missed |= ratio > MARK
        print(
            f"{name:20} {len(text):5} octets  offer {best[f'{name} offer'] * 1e6:6.1f} us  "
            f"answer {answered * 1e6:6.1f} us  sdp-transform {peer * 1e6:6.1f} us ratio {ratio:.3f}"
        )
    offered = texts()["baresip"]
    for count in ALIVE:
        print(f"{count:6} calls kept: {memory(offered, count):8,.0f} octets a call")
    times = growth(offered)
    for alive, seconds in times:
        print(f"{alive:6} calls alive: answer {seconds * 1e6:6.1f} us ratio {seconds / times[0][1]:.2f} to {ALIVE[0]}")
    return int(missed or times[-1][1] > GROWTH_MARK * times[0][1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ratios"]:
        sys.exit(report(sys.argv[2]))
    measure()
