"""SRTP speed: `MediaStream` against the bare pylibsrtp `Session`, and the engine, at 160 octets of payload.

`MediaStream` runs with lifetimes counted, the roll-over counter tracked, and two receive keys alive. Each
value is the time of a burst of packets in sequence, divided by their number.

    python benchmarks/bench_srtp.py -o srtp.json        pyperf's own options apply (--fast, --rigorous)
    python benchmarks/bench_srtp.py --ratios srtp.json  prints the ratios; exit 1 if one is below 0.75
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable

import pylibsrtp
import pyperf

from imsmediasec import suites
from imsmediasec.keys import MasterKey, SrtpKeys
from imsmediasec.media import MediaStream, PylibsrtpBackend
from imsmediasec.secret import Secret
from imsmediasec.suites import SrtpSuite
from imsmediasec.terms import Direction

BURST = 20_000
PAYLOAD = 160
LEAST = 0.75

_PROFILES = {
    suites.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    suites.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    suites.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
_ENGINE_ONLY = (suites.AES_256_CM_HMAC_SHA1_80, suites.F8_128_HMAC_SHA1_80)

Call = Callable[[bytes], bytes]
Pair = Callable[[bytes, SrtpSuite], tuple[Call, Call]]


def packets() -> list[bytes]:
    tail = bytes(4) + b"\x12\x34\x56\x78" + bytes(PAYLOAD)
    return [b"\x80\x00" + number.to_bytes(2, "big") + tail for number in range(BURST)]


def bare(material: bytes, suite: SrtpSuite) -> tuple[Call, Call]:
    def session(ssrc_type: int) -> pylibsrtp.Session:
        policy = pylibsrtp.Policy(key=material, ssrc_type=ssrc_type, srtp_profile=_PROFILES[suite])
        return pylibsrtp.Session(policy)

    sender = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    receiver = session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
    return sender.protect, receiver.unprotect


def stream_on(backend: PylibsrtpBackend) -> Pair:
    def pair(material: bytes, suite: SrtpSuite) -> tuple[Call, Call]:
        sender, receiver = MediaStream(backend), MediaStream(backend)
        sender.install(Direction.SEND, keys(material, suite))
        receiver.install(Direction.RECEIVE, keys(material, suite))
        receiver.install(Direction.RECEIVE, keys(secrets.token_bytes(suite.key_salt_length), suite))
        return sender.protect, receiver.unprotect

    return pair


def keys(material: bytes, suite: SrtpSuite) -> SrtpKeys:
    key, salt = Secret(material[: suite.key_length]), Secret(material[suite.key_length :])
    return SrtpKeys(suite=suite, master_keys=(MasterKey(key=key, salt=salt, lifetime=1 << 40),))


def burst(loops: int, pair: Pair, suite: SrtpSuite, opening: bool) -> float:
    """Seconds for `loops` packets. Each burst has fresh keys, since no index may come twice."""
    total = 0.0
    texts = packets()
    while loops > 0:
        protect, unprotect = pair(secrets.token_bytes(suite.key_salt_length), suite)
        call = protect
        batch = texts[:loops]
        if opening:
            batch = [protect(text) for text in batch]
            call = unprotect
        started = time.perf_counter()
        for packet in batch:
            call(packet)
        total += time.perf_counter() - started
        loops -= len(batch)
    return total


def measure() -> None:
    runner = pyperf.Runner()
    fast = stream_on(PylibsrtpBackend())
    engine = stream_on(PylibsrtpBackend(libsrtp_suites=()))
    for suite in (*_PROFILES, *_ENGINE_ONLY):
        kinds = {"engine": engine} if suite in _ENGINE_ONLY else {"bare": bare, "stream": fast, "engine": engine}
        for opening in (False, True):
            for kind, pair in kinds.items():
                name = f"{suite.name} {'unprotect' if opening else 'protect'} {kind}"
                runner.bench_time_func(name, burst, pair, suite, opening)


def report(path: str) -> int:
    """Print each `stream` and `engine` rate against `bare`; 1 if a stream falls short.

    The quickest value of each counts: what else the machine did then disturbs the ratio least.
    """
    best = {bench.get_name(): min(bench.get_values()) for bench in pyperf.BenchmarkSuite.load(path)}
    short = False
    for name, seconds in best.items():
        group, kind = name.rsplit(" ", 1)
        reference = best.get(f"{group} bare")
        ratio = f"{reference / seconds:6.3f} of bare" if reference else ""
        short |= kind == "stream" and reference is not None and reference / seconds < LEAST
        print(f"{name:50} {seconds * 1e6:7.3f} us {1 / seconds:10,.0f}/s {ratio}")
    return int(short)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ratios"]:
        sys.exit(report(sys.argv[2]))
    measure()
