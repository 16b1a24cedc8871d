"""Puts results where they are kept: ``python -m benchmarks.compare.publish .bench/results/results.json``.

Writes their medians to benchmarks/results.json and the tables made of them into docs/reference/benchmarks.md; ``tests/docs`` holds that
page and file say the same, so that no figure stands in the documentation that was not measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from benchmarks.compare import table
from benchmarks.generator import ROOT

KEPT: Final = ROOT / "benchmarks" / "results.json"
PAGE: Final = ROOT / "docs" / "reference" / "benchmarks.md"
BEGIN: Final = "<!-- begin results: made by benchmarks.compare.publish -->\n"
END: Final = "<!-- end results -->\n"


def slim(results: dict[str, Any]) -> dict[str, Any]:
    """The results without each single run."""
    scenarios = {
        name: {
            **measured,
            "cases": {
                case: {
                    server: {key: value for key, value in entry.items() if key != "runs"}
                    for server, entry in servers.items()
                }
                for case, servers in measured["cases"].items()
            },
        }
        for name, measured in results["scenarios"].items()
    }
    return {**results, "scenarios": scenarios}


def page(text: str, results: dict[str, Any]) -> str:
    """The documentation page ``text`` with the tables of ``results``."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table.markdown(results)}\n{END}{tail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    results = slim(json.loads(parser.parse_args().results.read_text()))
    KEPT.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), results))


if __name__ == "__main__":
    main()
