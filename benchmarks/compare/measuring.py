"""Carries out a scenario: servers on one core, the generator on another, rounds interleaved, medians of the rounds.

For each case every server is measured once, then every server again, and so on: what disturbs the machine for a while disturbs all of
them alike. Before each measurement it waits until the server's core is quiet. How much of that core others took meanwhile is kept with
each figure, and a measurement that lost too much to them is made again. Rates are kept per second of the clock and per second of the
server's CPU: the second one holds on a machine that others use as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.compare.processes import Running, ServerFailed, core_busy
from benchmarks.compare.scenarios import RATES, Scenario
from benchmarks.compare.server import Missing, Server
from benchmarks.compare.starting import started
from benchmarks.generator import LoadFailed, measure

QUIET_WAIT: Final = 1.0
FAILURES: Final = (ServerFailed, LoadFailed, Missing)
DISTURBED: Final = 0.10
"""Share of the server's core taken by others from which on a measurement is made again."""


@attrs.frozen
class Bench:
    """How everything is measured. Seconds; ``tries`` of one measurement while others use the server's core."""

    generator: Path
    server_core: int
    load_core: int
    rounds: int = 3
    seconds: float = 3.0
    warmup: float = 1.0
    tries: int = 2
    say: Callable[[str], None] = print


def carry_out(bench: Bench, scenario: Scenario, missing: dict[str, str]) -> dict[str, Any]:
    """What the scenario measured, as JSON: for each case and server the runs and their median.

    A server that fails is named in ``failed`` with what it said, and left out from then on in that case.
    """
    result: dict[str, Any] = {
        "title": scenario.title,
        "about": scenario.about,
        "figure": scenario.figure,
        "lower_is_better": scenario.lower_is_better,
        "cases": {case: {} for case in scenario.cases},
        "failed": {},
    }
    servers = [server for server in scenario.servers if _there(server, missing)]
    failed: dict[str, str] = result["failed"]
    with ExitStack() as stack:
        targets: dict[str, Running] = {}
        if not scenario.fresh:
            for server in servers:
                try:
                    targets[server.name] = _start(stack, bench, server)
                    _warm(bench, server, targets[server.name])
                except FAILURES as error:
                    failed[server.name] = str(error)[-500:]
        for case, options in scenario.cases.items():
            runs: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
            for number in range(bench.rounds):
                for server in servers:
                    what = f"{server.name}, {case}"
                    if what in failed or server.name in failed:
                        continue
                    try:
                        runs[server.name].append(_undisturbed(bench, scenario, server, targets, options))
                    except FAILURES as error:
                        failed[what] = str(error)[-500:]
                bench.say(f"{scenario.name}, {case}: round {number + 1} of {bench.rounds}")
            result["cases"][case] = {name: _summary(several) for name, several in runs.items() if several}
    return result


def _there(server: Server, missing: dict[str, str]) -> bool:
    try:
        server.check()
    except Missing as error:
        missing[server.name] = str(error)
        return False
    return True


def _start(stack: ExitStack, bench: Bench, server: Server) -> Running:
    target, _ = stack.enter_context(started(server, bench.server_core, bench.load_core))
    return target


def _warm(bench: Bench, server: Server, target: Running) -> None:
    """Events for a moment, one at a time: what a server does only once is then done."""
    options = {
        "warmup": 0.1,
        "seconds": 0.5,
        "window": 1,
        "channel": "bench/open/warm",
        "port": target.port,
        **server.options,
    }
    with suppress(LoadFailed):
        measure(bench.generator, options, watch=[], core=bench.load_core, patience=30)


def _undisturbed(
    bench: Bench, scenario: Scenario, server: Server, targets: dict[str, Running], options: dict[str, Any]
) -> dict[str, Any]:
    """One run, made again as often as ``bench`` allows while others have the server's core; the least disturbed one counts."""
    best: dict[str, Any] = {}
    for _ in range(bench.tries):
        with ExitStack() as own:
            target = _start(own, bench, server) if scenario.fresh else targets[server.name]
            run = _measured(bench, scenario, server, target, options)
        best = min(best or run, run, key=lambda one: one["others"])
        if best["others"] <= DISTURBED or not scenario.timed:
            break
    return best


def _measured(
    bench: Bench, scenario: Scenario, server: Server, target: Running, options: dict[str, Any]
) -> dict[str, Any]:
    full = {
        "warmup": bench.warmup,
        "seconds": bench.seconds,
        "channel": "bench/open/",
        "port": target.port,
        **server.options,
        **options,
    }
    counts = "deliveries" if scenario.figure == "deliveries_per_second" else "operations"
    run = _once(bench, target, full, counts)
    if scenario.half_load:
        rate = run["operations_per_second"] / 2
        run = {**_once(bench, target, {**full, "rate": rate}, counts), "rate": rate}
    run["figure"] = _figure(scenario.figure, run)
    if scenario.figure in RATES and run.get("server_cpu"):
        run["per_cpu"] = run["figure"] / run["server_cpu"]
    return run


def _once(bench: Bench, target: Running, options: dict[str, Any], counts: str) -> dict[str, Any]:
    """One run of the generator. ``counts``: what there must be some of, "operations" or "deliveries"."""
    _until_quiet(bench)
    began, busy, own = time.monotonic(), core_busy(bench.server_core), target.cpu()
    patience = 90 + 3 * float(options["seconds"])
    run = measure(bench.generator, options, watch=target.pids, core=bench.load_core, patience=patience)
    used = core_busy(bench.server_core) - busy - (target.cpu() - own)
    run["others"] = max(0.0, used) / (time.monotonic() - began)
    if run["stalled"]:
        raise LoadFailed(f"nothing arrived any more for 5 seconds, {run['in_flight']} in flight")
    if run[counts] == 0 and run["scenario"] != "idle":
        raise LoadFailed(f"nothing was finished in {run['seconds']} seconds")
    return run


def _until_quiet(bench: Bench) -> None:
    end = time.monotonic() + QUIET_WAIT
    while time.monotonic() < end:
        busy = core_busy(bench.server_core)
        time.sleep(0.1)
        if core_busy(bench.server_core) - busy <= 0.02:
            return


def _figure(figure: str, run: dict[str, Any]) -> float:
    if figure == "p99_ms":
        return float(run["latency_us"]["p99"]) / 1000
    if figure == "kb_per_connection":
        return float(run["server_rss"] - run["server_rss_before"]) / 1024 / float(run["connections"])
    return float(run[figure])


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians of what the runs have in common, and the runs."""
    median = {"figure": statistics.median(run["figure"] for run in runs)}
    for key in ("per_cpu", "server_cpu", "load_cpu", "server_rss", "others", "rate"):
        if all(key in run for run in runs):
            median[key] = statistics.median(run[key] for run in runs)
    if all("latency_us" in run for run in runs):
        median |= {
            f"{key}_us": statistics.median(run["latency_us"][key] for run in runs) for key in ("p50", "p99", "p999")
        }
    return {
        **median,
        "saturated_load": any(run["saturated"] for run in runs),
        "refused": sum(run["refused"] for run in runs),
        "disordered": sum(run.get("disordered", 0) for run in runs),
        "runs": runs,
    }
