"""Changes inputs without looking at what they reach: the short form of fuzzing, for every run of the tests.

One seed, one sequence. It is a poor fuzzer and a good alarm: it needs nothing installed and finds what broke near the corpus.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from tests.fuzz.target import Target

_BYTES: Final = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b'"',
    b"\\",
    b"\n",
    b"\r\n",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
)
_NUMBERS: Final = (b"0", b"-1", b"1e999", b"9007199254740993", b"9" * 400, b"1.5", b"-0", b"1e-5")
_DEEP: Final = (b"[" * 60, b"[" * 3000, b'{"a":' * 700, b"(" * 300, b"{" * 40, b'{"a":' * 40)


def mutations(target: Target, count: int, seed: int) -> Iterator[bytes]:
    """``count`` changed inputs of ``target``, the same ones for the same seed and corpus."""
    pick = random.Random(seed)
    kept, seeds = list(target.kept()), list(target.seeds())
    pieces = [*(word.encode() for word in target.words), *_BYTES, *_NUMBERS, *_DEEP]
    for _ in range(count):
        data = pick.choice(kept if pick.random() < 0.8 else seeds)
        for _ in range(pick.choice((1, 1, 1, 2, 4, 8))):
            data = _changed(pick, data, pieces, seeds)
        yield data[: target.max_size]


def _changed(pick: random.Random, data: bytes, pieces: Sequence[bytes], seeds: Sequence[bytes]) -> bytes:
    at = pick.randrange(len(data) + 1)
    size = min(len(data) - at, pick.choice((0, 1, 1, 2, 4, 16, 64)))
    match pick.randrange(8):
        case 0:
            return data[:at] + pick.randbytes(1) + data[at + 1 :]
        case 1:
            return data[:at] + bytes(byte ^ 1 << pick.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + data[at : at + size] * pick.choice((2, 3, 30)) + data[at + size :]
        case 4 | 5:
            return data[:at] + pick.choice(pieces) + data[at + size * pick.randrange(2) :]
        case 6:
            other = pick.choice(seeds)
            start = pick.randrange(len(other) + 1)
            return data[:at] + other[start : start + pick.randrange(1, 80)] + data[at + size :]
        case _:
            to = pick.randrange(len(data) + 1)
            moved = data[at : at + size]
            rest = data[:at] + data[at + size :]
            return rest[:to] + moved + rest[to:]
