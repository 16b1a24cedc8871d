"""``python -m tests.autobahn [--lane LANE]... [--case CASE]... [--reports FOLDER]``: the suite, once per lane.

Ends with 0 if nothing failed, or if there is no Python 2.7 (then it says ``skipped``); with 1 otherwise.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.autobahn import suite
from tests.autobahn.echo import LANES

ROOT = Path(__file__).parents[2]


def once(program: Path, lane: str, cases: list[str], reports: Path) -> list[str]:
    """Start an echo, run the client against it, end it: the failures."""
    command = [sys.executable, "-m", "tests.autobahn.echo", lane]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as echo:
        try:
            assert echo.stdout is not None
            url = echo.stdout.readline().strip()
            if not url:
                return ["the echo did not start"]
            verdicts = suite.run(program, url, reports, cases)
            if echo.poll() is not None:
                return ["the echo has ended"]
        except subprocess.TimeoutExpired as late:
            return [f"the client was not done after {late.timeout:.0f} s"]
        finally:
            echo.terminate()
    counts = Counter(verdict["behavior"] for verdict in verdicts.values())
    print(f"{lane}: {len(verdicts)} cases, " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
    return suite.failures(verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.autobahn", description="The Autobahn suite on our transport."
    )
    parser.add_argument("--lane", action="append", choices=LANES, help="all of them unless named")
    parser.add_argument("--case", action="append", help="for example 7.*; unless named, all but those on compression")
    parser.add_argument("--reports", type=Path, default=ROOT / "results" / "autobahn", help="where the pages go")
    parser.add_argument(
        "--venv", type=Path, default=ROOT / ".tox" / "autobahn-python2.7", help="where the client lives"
    )
    arguments = parser.parse_args()
    failed = False
    try:
        program = suite.install(arguments.venv.absolute())
        for lane in arguments.lane or LANES:
            reports = (arguments.reports / lane).absolute()
            for failure in once(program, lane, arguments.case or list(suite.CASES), reports):
                failed = True
                print(f"{lane}: {failure}")
    except suite.Missing as missing:
        print(f"skipped: {missing}")
    except suite.Broken as broken:
        failed = True
        print(broken)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
