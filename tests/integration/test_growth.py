"""The table of growth is made of work that was done, beside sessions that are there."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import attrs
import pytest

from benchmarks import growth
from benchmarks.compare.servers import BY_NAME
from benchmarks.compare.starting import started
from benchmarks.generator import LoadFailed, build_load, idle, measure
from benchmarks.growth import Row, Side

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def sockets(pid: int) -> int:
    """How many connections and listeners the process has."""
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    return sum(link.startswith("socket:") for link in links)


def settled(pid: int) -> int:
    """The same, when nobody comes or goes any more: whoever looked whether the server listens has to be gone from it too."""
    found = sockets(pid)
    for _ in range(100):
        time.sleep(0.2)
        last, found = found, sockets(pid)
        if found == last:
            break
    return found


def test_idle_sessions_are_there_for_as_long_as_they_should() -> None:
    load, _ = build_load()
    server = BY_NAME["router-interpreted"]
    with started(server, None, None) as (target, _):
        before = settled(target.process.pid)
        with idle(load, 50, {"port": target.port, **server.options}, core=-1):
            assert settled(target.process.pid) == before + 50
            run = measure(
                load,
                {"port": target.port, "count": 20, **server.options, "channel": "bench/open/"},
                watch=[],
                core=-1,
                patience=60,
            )
            assert run["operations"] == 20


def test_idle_sessions_that_are_not_let_in_are_told_of() -> None:
    load, _ = build_load()
    server = attrs.evolve(BY_NAME["router-users"], environ={})
    with started(server, None, None) as (target, _):
        wrong = {"port": target.port, "dialect": "native", "auth": '{"username":"nobody","password":"x"}'}
        with pytest.raises(LoadFailed, match="login"), idle(load, 3, wrong, core=-1):
            pass


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
@pytest.mark.parametrize(
    "row",
    [
        Row("publish", Side(channels=10), Side(channels=30, sessions=20)),
        Row("call", Side(), Side(call_rules=100)),
        Row("publish", Side(channels=10), Side(channels=10, rules=100)),
    ],
    ids=["sessions", "calls", "rules"],
)
def test_both_sides_of_a_row_are_measured(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    monkeypatch.setattr(growth, "ENVIRON", {})  # the router that the tests have
    load, _ = build_load()
    first, second, *_ = sorted(os.sched_getaffinity(0))
    small, large = growth.microseconds(load, row, 1, 0.3, (first, second))
    assert small > 0
    assert large > 0


def test_the_table_has_every_figure_and_what_was_not_counted_is_no_figure() -> None:
    rows = {"channels": {"instructions": [1000.0, 1100.0], "microseconds": [20.0, 25.0]}, "sessions, calls": {}}
    rows["sessions, calls"] = {"microseconds": [10.0, 16.0]}
    text = growth.table({"rows": rows})
    assert (
        "| an event to three subscribers: 10,000 channels, and 100 | 1,100 | 1,000 | 1.10 | 25.0 | 20.0 | 1.25 |"
        in text
    )
    assert "| a call: 8,000 further sessions, and none | - | - | - | 16.0 | 10.0 | 1.60 |" in text
    assert [what for what, ratio in growth.growth({"rows": rows}).items() if ratio > growth.GOAL] == [
        "sessions, calls: microseconds"
    ]
