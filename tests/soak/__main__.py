"""A soak and its report: ``python -m tests.soak --minutes 30 results/soak``, or ``tox -e soak -- --minutes 30``.

Exit status 1 if anything in the logs is not in order or anything did not come back.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import trio

from tests.soak import checker, report
from tests.soak.run import Plan, Soak, short


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("results/soak"))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--check", action="store_true", help="only look at the logs that are in the folder")
    options = parser.parse_args()
    seconds = options.minutes * 60
    plan = Plan(seconds) if seconds >= 300 else short(seconds)
    if not options.check:
        shutil.rmtree(options.folder, ignore_errors=True)
        options.folder.mkdir(parents=True)
        trio.run(Soak(plan, options.folder).run)
    findings = checker.check(options.folder)
    path = report.write(options.folder, findings, str(plan))
    faults = [f"{kind}: {text}" for kind, texts in findings.faults.items() for text in texts]
    faults += report.held(options.folder).faults
    for name, count in sorted(findings.counts.items()):
        print(f"{count:>10,}  {name}")
    print(f"written: {path}")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
