"""How many instructions the whole router needs: ``python -m benchmarks.instructions [--json]``.

The router runs under valgrind's callgrind, which counts what its process executes; seconds, other programs and the speed of the
machine do not come into it. Each figure is the difference of two runs of the load generator with different numbers of operations,
so that connecting, logging in and starting are not in it. The C floor is counted in the same way, and the ratio of the two is what
``tests/integration/test_instructions.py`` holds: the instructions of both change alike with the compiler and the machine.
What the kernel executes for them is not counted. Needs valgrind and a C compiler.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.compare.processes import Running, free_port, running
from benchmarks.compare.servers import BY_NAME, Server
from benchmarks.generator import build_load, measure

PATIENCE: Final = 300.0
FEW: Final = 256
MANY: Final = 1280


class NoValgrind(Exception):
    """The text says what is missing."""


@attrs.frozen
class Work:
    """One kind of operation: the generator's options, and the option that says how many there are."""

    options: dict[str, Any]
    count: str = "count"
    few: int = FEW
    many: int = MANY


WORK: Final = {
    "publish to 1": Work({"scenario": "events", "subscribers": 1}),
    "publish to 100": Work({"scenario": "events", "subscribers": 100}),
    "publish to 1, alone": Work({"scenario": "events", "subscribers": 1, "window": 1}),
    "publish to 100, alone": Work({"scenario": "events", "subscribers": 100, "window": 1}),
    "call": Work({"scenario": "calls", "window": 64}),
    "call, alone": Work({"scenario": "calls", "window": 1}),
    "login": Work({"scenario": "logins", "concurrent": 10}, "connections", 20, 120),
}


def available() -> bool:
    return all(shutil.which(program) for program in ("valgrind", "callgrind_control"))


def count(server: Server) -> dict[str, float]:
    """Instructions of ``server`` for one operation of each kind of work.

    Raises:
        NoValgrind: it is not installed, or does not work here.
        LoadFailed: the server did not do the work.
    """
    if not available():
        raise NoValgrind("valgrind is not installed")
    load, _ = build_load()
    with _counted(server) as (target, folder):
        return {name: _one(load, server, target, folder, work) for name, work in WORK.items()}


def _one(load: Path, server: Server, target: Running, folder: Path, work: Work) -> float:
    common = {"channel": "bench/open/", "port": target.port, **work.options, **server.options}
    measure(load, {**common, work.count: work.few}, watch=[], core=-1, patience=PATIENCE)  # what is done only once
    totals = []
    for operations in (work.few, work.many):
        _dump(target, folder)
        measure(load, {**common, work.count: operations}, watch=[], core=-1, patience=PATIENCE)
        totals.append(_dump(target, folder))
    return (totals[1] - totals[0]) / (work.many - work.few)


@contextmanager
def _counted(server: Server) -> Iterator[tuple[Running, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        # Not counting while it starts: that part is long, and faster so.
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counted"]
        with running([*valgrind, *server.command(folder, port)], port, folder, None, server.environ) as target:
            _control(target, "-i", "on")
            yield target, folder


def _control(target: Running, *arguments: str) -> None:
    command = ["callgrind_control", *arguments, str(target.process.pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        raise NoValgrind(f"callgrind_control {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")


def _dump(target: Running, folder: Path) -> int:
    """The instructions since the last time."""
    before = set(folder.glob("counted.*"))
    _control(target, "-d")
    (new,) = set(folder.glob("counted.*")) - before
    found = re.search(r"^totals: (\d+)", new.read_text(), re.MULTILINE)
    if found is None:
        raise NoValgrind("callgrind wrote no totals")
    return int(found[1])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    try:
        floor, router = (count(BY_NAME[name]) for name in ("floor-coalesced", "router"))
    except NoValgrind as error:
        print(error, file=sys.stderr)
        return 2
    rows = {name: {"router": router[name], "floor": floor[name], "ratio": router[name] / floor[name]} for name in WORK}
    if as_json:
        print(json.dumps(rows))
        return 0
    print(f"{'instructions':16}{'router':>12}{'C floor':>12}{'ratio':>8}")
    for name, row in rows.items():
        print(f"{name:16}{row['router']:12,.0f}{row['floor']:12,.0f}{row['ratio']:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
