"""How many instructions the whole router needs: ``python -m benchmarks.instructions [--json]``.

The router runs under valgrind's callgrind, which counts what its process executes; seconds, other programs and the speed of the
machine do not come into it. Each figure is the difference of two runs of the load generator with different numbers of operations,
so that connecting, logging in and starting are not in it. The unit is what the C floor executes for a publish to one subscriber,
counted in the same way and at the same time: how often the router may take that is what ``tests/integration/test_instructions.py``
holds. What the kernel executes for them is not counted. Needs valgrind and a C compiler.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.compare.compiled import compile_it
from benchmarks.compare.processes import Running
from benchmarks.compare.server import Server
from benchmarks.compare.servers import BY_NAME
from benchmarks.compare.starting import started
from benchmarks.generator import build_load, measure

PATIENCE: Final = 300.0
FEW: Final = 256
MANY: Final = 1024


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
    "publish to 100, alone": Work({"scenario": "events", "subscribers": 100, "window": 1}),
    "call": Work({"scenario": "calls", "window": 64}),
    "login": Work({"scenario": "logins", "concurrent": 10}, "connections", 20, 120),
}
UNIT: Final = "publish to 1"
"""What the C floor is counted with: of all its work the one that always takes the same number of instructions."""


def available() -> bool:
    return all(shutil.which(program) for program in ("valgrind", "callgrind_control"))


def count(server: Server, *kinds: str) -> dict[str, float]:
    """Instructions of ``server`` for one operation of each kind of work.

    Raises:
        NoValgrind: it is not installed, or does not work here.
        LoadFailed: the server did not do the work.
    """
    if not available():
        raise NoValgrind("valgrind is not installed")
    load, _ = build_load()
    with counted(server) as (target, folder):
        return {name: of_one(load, server, target, folder, work) for name, work in WORK.items() if name in kinds}


def of_one(load: Path, server: Server, target: Running, folder: Path, work: Work) -> float:
    """Instructions of ``target``, a running ``server``, for one operation of ``work``."""
    common = {"channel": "bench/open/", "port": target.port, **work.options, **server.options}
    measure(load, {**common, work.count: work.few}, watch=[], core=-1, patience=PATIENCE)  # what is done only once
    totals = []
    for operations in (work.few, work.many):
        _dump(target, folder)
        measure(load, {**common, work.count: operations}, watch=[], core=-1, patience=PATIENCE)
        totals.append(_dump(target, folder))
    return (totals[1] - totals[0]) / (work.many - work.few)


@contextmanager
def counted(
    server: Server, before: Callable[[Running], AbstractContextManager[object]] = nullcontext
) -> Iterator[tuple[Running, Path]]:
    """``server`` under callgrind, and its folder. ``before`` is entered when it runs; what that makes it do is not counted."""
    # Not counting while it starts: that part is long, and faster so.
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file={folder}/counted"]
    with started(server, None, None, valgrind, PATIENCE) as (target, folder), before(target):
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
    parser.add_argument("--interpreted", action="store_true", help="the router as it lies here, not compiled")
    arguments = parser.parse_args()
    server = BY_NAME["router-interpreted" if arguments.interpreted else "router"]
    if not arguments.interpreted:
        compile_it()
    try:
        unit = count(BY_NAME["floor-coalesced"], UNIT)[UNIT]
        router = count(server, *WORK)
    except NoValgrind as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps({"unit": unit, "router": router}))
        return 0
    print(f"{'instructions':24}{'router':>12}{'C floor, ' + UNIT:>24}{'ratio':>8}")
    for name, instructions in router.items():
        print(f"{name:24}{instructions:12,.0f}{unit:24,.0f}{instructions / unit:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
