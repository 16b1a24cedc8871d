"""The short form of ``benchmarks.fuzz_deepstream``: mutated frames against a router in a process of its own."""

from __future__ import annotations

import pytest

from benchmarks.fuzz_deepstream import CODES, Mutator, fuzz
from trio_router.errors import RemoteProtocolError
from trio_router.protocols.deepstream import binary, jsontext

COUNT = 8_000


@pytest.mark.threat("T06", "T09", "T15", "T16")
async def test_mutated_frames_end_connections_with_codes_and_disturb_nobody() -> None:
    found = await fuzz(COUNT, seed=7)
    assert found.faults == []
    assert found.frames >= COUNT
    assert found.checks > 0
    assert {1000, 1007, 4502} <= set(found.closes) <= CODES


@pytest.mark.threat("T06", "T15", "T16")
@pytest.mark.parametrize("text", [False, True], ids=["protobuf", "json"])
def test_a_codec_reads_mutated_frames_or_refuses_them(text: bool) -> None:
    mutator = Mutator(3)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(20_000):
        body = mutator.frame(text=text)
        try:
            packet = jsontext.decode(body.decode()) if text else binary.decode(body)
        except (RemoteProtocolError, UnicodeDecodeError):
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        if not text:
            binary.encode(packet)  # what was read can be written
    assert min(outcomes.values()) > 2_000, outcomes
