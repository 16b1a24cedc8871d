"""Puts results where they are kept: ``python -m benchmarks.compare.publish .bench/results/results.json``.

Writes their medians to benchmarks/results.json, the tables made of them into docs/reference/benchmarks.md and a few ratios into
README.md; ``tests/docs`` holds that pages and file say the same, so that no figure stands there that was not measured.
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
README: Final = ROOT / "README.md"
BEGIN: Final = "<!-- begin results: made by benchmarks.compare.publish -->\n"
END: Final = "<!-- end results -->\n"
CLAIMS: Final = (
    ("events to 100 subscribers", "fanout", "100", "router", ("node-ws", "socket.io", "starlette", "crossbar", "bun")),
    ("events to 1,000", "fanout", "1000", "router", ("node-ws", "bun")),
    ("events to one", "fanout", "1", "router", ("node-ws",)),
    ("calls, 64 in flight", "calls", "1 x 64", "router", ("node-ws", "crossbar")),
    ("not compiled, those calls", "calls", "1 x 64", "router-interpreted", ("node-ws",)),
    ("not compiled, events to 100", "fanout", "100", "router-interpreted", ("node-ws",)),
)
"""What the README tells of: words, scenario, case, the server it is told of, and whom it is compared with."""
WORDS: Final = {
    "node-ws": "Node's `ws`",
    "bun": "Bun (uWebSockets)",
    "starlette": "uvicorn and Starlette",
    "crossbar": "Crossbar",
}


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
    return _between(text, f"\n{table.markdown(results)}\n")


def readme(text: str, results: dict[str, Any]) -> str:
    """The README ``text`` with the ratios it tells of."""
    told = []
    for words, name, case, ours, others in CLAIMS:
        servers = results["scenarios"][name]["cases"][case]
        others = tuple(other for other in others if other in servers)
        key = "per_cpu" if table.disturbed([servers[ours], *(servers[other] for other in others)]) else "figure"
        ratios = [(servers[ours][key] / servers[other][key], other) for other in others]
        by = ", by the server's CPU time" if key == "per_cpu" else ""
        times = ", ".join(f"{_times(ratio)} times {WORDS.get(other, other)}" for ratio, other in ratios)
        told.append(f"{words}{by}: {times}")
    return _between(text, "  " + ";\n  ".join(told) + ".\n  ")


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _between(text: str, content: str) -> str:
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{content}{END}{tail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path)
    results = slim(json.loads(parser.parse_args().results.read_text()))
    KEPT.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), results))
    README.write_text(readme(README.read_text(), results))


if __name__ == "__main__":
    main()
