"""``python -m tests.simulation [--seeds N] [--first N] [--processes N]``, or one seed again: ``--seed N``.

Ends with 1 at the first seed that finds something, after saying which one it was.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import traceback
from collections import Counter

from tests.simulation.sessions import run


def attempt(seed: int) -> tuple[int, Counter[str], str]:
    try:
        return seed, run(seed).happened, ""
    except Exception:
        return seed, Counter(), traceback.format_exc()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Sessions under faults, by seeds.")
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one, and what its clients heard")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        simulation = run(arguments.seed)
        for client in simulation.everybody:
            print(f"client {client.name}, {client.user}:", *client.log, sep="\n  ")
        print(dict(simulation.happened))
        return 0
    happened: Counter[str] = Counter()
    with multiprocessing.Pool(arguments.processes, maxtasksperchild=500) as pool:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        for seed, found, failure in pool.imap_unordered(attempt, seeds, chunksize=20):
            if failure:
                print(failure, f"seed {seed}; again: python -m tests.simulation --seed {seed}", sep="\n")
                return 1
            happened += found
    print(f"{arguments.seeds} seeds from {arguments.first} on, nothing found; what happened in them:")
    print(*(f"  {name}: {times}" for name, times in happened.most_common()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
