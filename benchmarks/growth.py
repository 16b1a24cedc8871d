"""What a message costs when there is much of everything: ``python -m benchmarks.growth [--publish]``.

    python -m benchmarks.growth [--rows NAME;NAME] [--rounds 3] [--seconds 2] [--no-instructions] [--publish] [--json]

For each row the same work is done by a router with little and by one with much: 10,000 channels and 100, 100,000 rules and two, 8,000
idle sessions and none. The small case is the same work for each message: as many subscribers of a channel on as many connections, and
as many events in flight, which come to the same connections in the same order. Two figures for each: the instructions that the whole
router executes (under valgrind, as in ``benchmarks.instructions``), which show what grows in the code, and microseconds of its CPU, which
show besides what the processor's caches no longer hold. Pings to idle sessions are not in it: they cost by time and not by message
(``benchmarks.idle_sessions``).

``--publish`` keeps the figures in benchmarks/growth.json and puts the table into docs/reference/benchmarks.md. Exit status 1 if a row is
not within ``GOAL``. Two cores are needed, and valgrind for instructions.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.compare.compiled import compile_it
from benchmarks.compare.machine import describe
from benchmarks.compare.publish import PAGE
from benchmarks.compare.routers import COMPILED, NATIVE_LOGIN, router
from benchmarks.compare.server import Server, offers
from benchmarks.compare.starting import started
from benchmarks.generator import ROOT, build_load, idle, measure
from benchmarks.instructions import Work, available, counted, of_one

GOAL: Final = 1.5
KEPT: Final = ROOT / "benchmarks" / "growth.json"
BEGIN: Final = "<!-- begin growth: made by benchmarks.growth -->\n"
END: Final = "<!-- end growth -->\n"
ENVIRON: Final[dict[str, str]] = COMPILED["environ"]
QUIET: Final = (
    ", ping_interval: 86400, overload_delay: 0"  # under valgrind a router is late, and would turn newcomers away
)


def _server(side: Side) -> Server:
    command = router(rules=side.rules, call_rules=side.call_rules, limits=QUIET)
    return Server("router", "trio_router", command, offers(), dict(NATIVE_LOGIN), environ=ENVIRON)


@attrs.frozen
class Side:
    """How much there is: rules besides those that apply, ``sessions`` that do nothing, ``channels`` that are published to."""

    rules: int = 0
    call_rules: int = 0
    sessions: int = 0
    channels: int = 100

    def options(self, work: str) -> dict[str, Any]:
        """The generator's."""
        if work == "call":
            return {"scenario": "calls", "window": 64}
        return {"scenario": "events", "subscribers": 100, "per_channel": 3, "channels": self.channels, "window": 64}

    @property
    def steady(self) -> Work:
        """Every channel comes as often in what is counted."""
        many = max(4_000, 2 * self.channels)
        return Work({}, few=many // 2, many=many)


@attrs.frozen
class Row:
    """``work`` is "publish" (to three subscribers) or "call"."""

    work: str
    small: Side
    large: Side


ROWS: Final = {
    "channels": Row("publish", Side(), Side(channels=10_000)),
    "rules, events": Row("publish", Side(), Side(rules=100_000)),
    "rules, calls": Row("call", Side(), Side(call_rules=100_000)),
    "sessions, events": Row("publish", Side(), Side(sessions=8_000)),
    "sessions, calls": Row("call", Side(), Side(sessions=8_000)),
}
TITLES: Final = {
    "channels": "an event to three subscribers: 10,000 channels, and 100",
    "rules, events": "an event to three subscribers: 100,000 rules for events, and two",
    "rules, calls": "a call: 100,000 rules for calls, and one",
    "sessions, events": "an event to three subscribers: 8,000 further sessions, and none",
    "sessions, calls": "a call: 8,000 further sessions, and none",
}


def instructions(load: Path, side: Side, work: str) -> float:
    """Of the router, for one operation."""
    server = _server(side)
    steady = attrs.evolve(side.steady, options=side.options(work))
    with counted(
        server, lambda target: idle(load, side.sessions, {"port": target.port, **server.options}, core=-1)
    ) as (target, folder):
        return of_one(load, server, target, folder, steady)


def all_instructions(load: Path, rows: list[Row]) -> dict[tuple[Side, str], float]:
    """Of each side of ``rows`` and its work; two at a time, since how busy the machine is does not matter."""
    asked = list(dict.fromkeys((side, row.work) for row in rows for side in (row.small, row.large)))
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(asked, pool.map(lambda each: instructions(load, *each), asked), strict=True))


def microseconds(load: Path, row: Row, rounds: int, seconds: float, cores: tuple[int, int]) -> tuple[float, float]:
    """Of the router's CPU for one operation of the small and of the large case: medians of rounds that take turns."""
    taken: dict[Side, list[float]] = {row.small: [], row.large: []}
    with ExitStack() as stack:
        targets = {}
        for side in taken:
            server = _server(side)
            target, _ = stack.enter_context(started(server, cores[0], cores[1]))
            options = {"port": target.port, **server.options}
            stack.enter_context(idle(load, side.sessions, options, core=cores[1]))
            targets[side] = target, {"channel": "bench/open/", **options, **side.options(row.work)}
        for _ in range(rounds):
            for side, figures in taken.items():
                target, options = targets[side]
                timed = {**options, "warmup": min(1.0, seconds), "seconds": seconds}
                run = measure(load, timed, watch=target.pids, core=cores[1], patience=90 + 3 * seconds)
                figures.append(1e6 * run["server_cpu"] / run["operations_per_second"])
    return statistics.median(taken[row.small]), statistics.median(taken[row.large])


def table(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| what, with much and with little | instructions | | | µs of CPU | | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in results["rows"].items():
        cells = []
        for figure, digits in (("instructions", 0), ("microseconds", 1)):
            small, large = row.get(figure) or (None, None)
            cells += (
                ["-"] * 3 if not small else [f"{large:,.{digits}f}", f"{small:,.{digits}f}", f"{large / small:.2f}"]
            )
        lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section(results: dict[str, Any]) -> str:
    """What stands on the page."""
    where = f"at commit {results['commit']} on {results['machine']['processor']}"
    how = f"medians of {results['rounds']} rounds of {results['seconds']:g} s"
    return f"\nMeasured {results['date'][:10]} {where}; CPU time: {how}.\n\n{table(results)}\n\n"


def page(text: str, results: dict[str, Any]) -> str:
    """The documentation page ``text`` with the table of ``results``."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{section(results)}{END}{tail}"


def growth(results: dict[str, Any]) -> dict[str, float]:
    """How many times as much each figure of each row is with much."""
    return {
        f"{name}: {figure}": large / small
        for name, row in results["rows"].items()
        for figure, (small, large) in row.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", help=f"only these, separated by semicolons, of {'; '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--no-instructions", action="store_true")
    parser.add_argument("--publish", action="store_true", help="keep the figures, and put them on the page")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    wanted = arguments.rows.split(";") if arguments.rows else list(ROWS)
    if len(cores) < 2 or not set(wanted) <= set(ROWS):
        print("two cores are needed" if len(cores) < 2 else f"the rows are {'; '.join(ROWS)}", file=sys.stderr)
        return 2
    load, _ = build_load()
    results: dict[str, Any] = {"date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"), **describe()}
    results |= {"rounds": arguments.rounds, "seconds": arguments.seconds, "rows": {name: {} for name in wanted}}
    compile_it()
    if not arguments.no_instructions and available():
        counts = all_instructions(load, [ROWS[name] for name in wanted])
        for name, found in results["rows"].items():
            row = ROWS[name]
            found["instructions"] = [counts[side, row.work] for side in (row.small, row.large)]
            print(f"{name}: {found}", file=sys.stderr, flush=True)
    for name, found in results["rows"].items():
        times = microseconds(load, ROWS[name], arguments.rounds, arguments.seconds, (cores[0], cores[1]))
        found["microseconds"] = list(times)
        print(f"{name}: {found}", file=sys.stderr, flush=True)
    if arguments.publish:
        KEPT.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page(PAGE.read_text(), results))
    print(json.dumps(results) if arguments.json else table(results))
    missed = {what: ratio for what, ratio in growth(results).items() if ratio > GOAL}
    for what, ratio in missed.items():
        print(f"missed: {what}: {ratio:.2f} times (wanted: at most {GOAL})", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
