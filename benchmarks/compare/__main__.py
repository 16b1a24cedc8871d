"""The router and its peers side by side: ``python -m benchmarks.compare``.

    python -m benchmarks.compare [SCENARIO ...] [--short] [--install] [--servers a,b] [--rounds 3] [--seconds 3] [--output .bench/results]

Without names, all of benchmarks/scenarios. Writes results.json, index.html with plots, and table.md. ``--install`` gets what is missing of the peers
(npm, pip in virtual environments of their own, Debian's nginx where run as root) into .bench. Two cores are needed: the server runs on the
first, the generator on the second. Exit status 1 if a server of the router's own could not be measured.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import attrs

from benchmarks.compare import page, scenarios, table
from benchmarks.compare.machine import describe
from benchmarks.compare.measuring import Bench, carry_out
from benchmarks.compare.server import Missing
from benchmarks.compare.servers import ALL, BY_NAME
from benchmarks.generator import BUILT, BuildFailed, build_load


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--short", action="store_true", help="the cases and servers of the short run, one round")
    parser.add_argument("--install", action="store_true", help="install the peers that are missing")
    parser.add_argument("--servers", help="only these, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--tries", type=int, help="how often a disturbed measurement is made")
    parser.add_argument("--cases", help="only these, separated by semicolons")
    parser.add_argument("--update", action="store_true", help="keep what the output has of other scenarios")
    parser.add_argument("--output", type=Path, default=BUILT / "results")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("one core: server and generator cannot be kept apart here", file=sys.stderr)
        return 2
    try:
        generator, tls = build_load()
        chosen = [scenarios.load(name, short=arguments.short) for name in arguments.scenarios or scenarios.names()]
    except (BuildFailed, scenarios.ScenarioError) as error:
        print(error, file=sys.stderr)
        return 2
    only = set(arguments.servers.split(",")) if arguments.servers else set(BY_NAME)
    if unknown := only - set(BY_NAME):
        print(f"there is no server {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}", file=sys.stderr)
        return 2
    missing: dict[str, str] = {}
    if arguments.install:
        wanted = {server.name for scenario in chosen for server in scenario.servers}
        for server in ALL:
            if server.name in only & wanted:
                try:
                    server.install()
                except Missing as error:
                    missing[server.name] = str(error)
    bench = Bench(
        generator,
        cores[0],
        cores[1],
        rounds=arguments.rounds or (1 if arguments.short else 3),
        seconds=arguments.seconds or (1.5 if arguments.short else 3.0),
        warmup=0.5 if arguments.short else 1.0,
        tries=arguments.tries or (1 if arguments.short else 2),
    )
    results: dict[str, Any] = {"date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"), **describe()}
    method = {"rounds": bench.rounds, "seconds": bench.seconds, "warmup": bench.warmup}
    results["missing"], results["scenarios"] = missing, {}
    kept = arguments.output / "results.json"
    if arguments.update and kept.exists():
        before = json.loads(kept.read_text())
        results["scenarios"] = before["scenarios"]
        missing = results["missing"] = {**before["missing"], **missing}
    arguments.output.mkdir(parents=True, exist_ok=True)
    for scenario in chosen:
        servers = tuple(server for server in scenario.servers if server.name in only)
        if not tls:
            missing.update({s.name: "the generator was built without TLS" for s in servers if "tls" in s.options})
            servers = tuple(server for server in servers if "tls" not in server.options)
        asked = arguments.cases.split(";") if arguments.cases else list(scenario.cases)
        cases = {case: options for case, options in scenario.cases.items() if case in asked}
        measured = carry_out(bench, attrs.evolve(scenario, servers=servers, cases=cases), missing)
        measured |= {
            "goals": table.goals(scenario, measured),
            **method,
            "date": results["date"],
            "commit": results["commit"],
            "processor": results["machine"]["processor"],  # scenarios that are kept may be of another one
        }
        results["scenarios"][scenario.name] = measured
        results["scenarios"] = {
            name: results["scenarios"][name] for name in scenarios.names() if name in results["scenarios"]
        }
        # After each scenario, so that a run that is broken off leaves what it has.
        kept.write_text(json.dumps(results, indent=1) + "\n")
        (arguments.output / "index.html").write_text(page.html(results))
        (arguments.output / "table.md").write_text(table.markdown(results))
        print(table.text(scenario.name, measured), flush=True)
    for name, why in missing.items():
        print(f"missing: {name}: {why}")
    failed = {what: why for measured in results["scenarios"].values() for what, why in measured["failed"].items()}
    for what, why in failed.items():
        print(f"failed: {what}: {why}")
    print(f"written: {arguments.output}/results.json, index.html, table.md")
    return 1 if any(what.startswith("router") for what in failed) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers that were started end with it
    sys.exit(main())
