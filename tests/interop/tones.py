"""Tones as proof of audio: make them, and say which one a recording holds and for how long."""

import array
import itertools
import math
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RATE = 8000
FRAME = 160  # samples in 20 ms
HALF_SCALE = 16384


def write_tone(path: Path, frequency: int, seconds: float = 120, rate: int = RATE) -> Path:
    """A mono 16 bit wav with a half-scale sine; whole Hz, so that one second repeats without a click."""
    second = array.array("h", (round(HALF_SCALE * math.sin(2 * math.pi * frequency * n / rate)) for n in range(rate)))
    if sys.byteorder == "big":
        second.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        for _ in range(int(seconds)):
            file.writeframes(second.tobytes())
        file.writeframes(second[: round(rate * (seconds % 1))].tobytes())
    return path


def read_wav(path: Path) -> tuple[list[int], int]:
    """Samples of the first channel, and the rate."""
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise ValueError(f"{path.name}: not 16 bit PCM")
        samples = array.array("h", file.readframes(file.getnframes()))
        if sys.byteorder == "big":
            samples.byteswap()
        return list(samples[:: file.getnchannels()]), file.getframerate()


def goertzel(samples: Sequence[float], frequency: float, rate: int = RATE) -> float:
    """Share (0…1) of the samples' power that lies at the frequency."""
    total = sum(s * s for s in samples)
    if not total:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    one = two = 0.0
    for sample in samples:
        one, two = sample + coefficient * one - two, one
    power = one * one + two * two - coefficient * one * two
    return min(1.0, 2 * power / (total * len(samples)))


def rms(samples: Sequence[float]) -> float:
    """Root mean square."""
    return math.sqrt(sum(s * s for s in samples) / len(samples)) if samples else 0.0


@dataclass(frozen=True)
class Heard:
    """What a recording holds: seconds of each tone asked for, and of anything else that is not silence."""

    tones: dict[int, float]
    other: float
    rms: float
    """Of the loud part; a half-scale sine through PCMU gives about 11,600."""

    @property
    def dominant(self) -> int | None:
        """The tone heard longest, if any was heard for half a second."""
        best = max(self.tones, key=lambda tone: self.tones[tone])
        return best if self.tones[best] >= 0.5 else None


def hear(path: Path, tones: Sequence[int] = (440, 880), share: float = 0.8, silence: float = 300) -> Heard:
    """Listen to a recording, 20 ms by 20 ms."""
    samples, rate = read_wav(path)
    frame = rate // 50
    found = dict.fromkeys(tones, 0.0)
    other = 0.0
    loud: list[int] = []
    for start in range(0, len(samples) - frame + 1, frame):
        piece = samples[start : start + frame]
        if rms(piece) < silence:
            continue
        loud += piece
        tone = next((t for t in tones if goertzel(piece, t, rate) > share), None)
        if tone is None:
            other += 0.02
        else:
            found[tone] += 0.02
    return Heard({t: round(s, 2) for t, s in found.items()}, round(other, 2), rms(loud))


def tone_gap(path: Path, tone: int, share: float = 0.8) -> float:
    """The longest pause in seconds between first and last hearing of the tone: what a re-key cost."""
    samples, rate = read_wav(path)
    frame = rate // 100
    heard = [
        n
        for n in range(len(samples) // frame)
        if rms(piece := samples[n * frame : (n + 1) * frame]) > 300 and goertzel(piece, tone, rate) > share
    ]
    return max((b - a - 1 for a, b in itertools.pairwise(heard)), default=0) / 100


def _mulaw(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84 << (byte >> 4 & 7)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


def _alaw(byte: int) -> int:
    byte ^= 0x55
    mantissa, exponent = (byte & 0x0F) << 4, byte >> 4 & 7
    magnitude = mantissa + 8 if not exponent else mantissa + 0x108 << exponent - 1
    return magnitude if byte & 0x80 else -magnitude


MULAW = [_mulaw(byte) for byte in range(256)]
ALAW = [_alaw(byte) for byte in range(256)]


def _fft(values: list[complex]) -> list[complex]:
    count = len(values)
    if count == 1:
        return values
    even, odd = _fft(values[::2]), _fft(values[1::2])
    turned = [
        odd[k] * complex(math.cos(2 * math.pi * k / count), -math.sin(2 * math.pi * k / count))
        for k in range(count // 2)
    ]
    return [e + o for e, o in zip(even, turned, strict=True)] + [e - o for e, o in zip(even, turned, strict=True)]


def looks_like_sound(payload: bytes) -> bool:
    """Whether G.711 bytes hold silence or a tone rather than what a cipher leaves.

    A cipher's output read as G.711 is noise: that two neighbours of 64 bins hold 45 % of its power
    happens once in 10^12 packets. A single packet of speech is not always caught; the tests play tones.
    """
    if len(payload) < 32:
        return False
    if len(set(payload)) <= 4:
        return True
    count = 1 << (min(len(payload), 128).bit_length() - 1)
    for table in (MULAW, ALAW):
        bins = [abs(v) ** 2 for v in _fft([complex(table[b]) for b in payload[:count]])[: count // 2]]
        if max(a + b for a, b in itertools.pairwise(bins)) > 0.45 * sum(bins):
            return True
    return False
