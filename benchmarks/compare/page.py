"""Results as one HTML page: bars as inline SVG on a logarithmic scale, tables below, nothing loaded from anywhere."""

from __future__ import annotations

import math
from html import escape
from typing import Any, Final

from benchmarks.compare.table import goal_text, number, shown, unit, when

BAR: Final = 18
LEFT: Final = 150
WIDTH: Final = 620
STYLE: Final = """
:root { color-scheme: light dark; --ours: #1f7a5c; --floor: #9a9a9a; --other: #5b7db8; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
td:first-child, th:first-child { text-align: left; }
svg { max-width: 100%; height: auto; display: block; margin: .3rem 0 1rem; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.ours { fill: var(--ours); } .floor { fill: var(--floor); } .other { fill: var(--other); }
.met::before { content: "\\2713  "; color: var(--ours); } .missed::before { content: "\\2717  "; color: #c03030; }
ul { list-style: none; padding-left: 0; }
"""


def html(results: dict[str, Any]) -> str:
    """The page for what ``carry_out`` measured in each scenario."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>trio_router, measured {escape(results['date'][:10])}</title><style>{STYLE}</style>",
        f"<h1>Side by side, {escape(results['date'])}</h1>",
        f"<p>{machine['cores']} cores of {escape(machine['processor'])}, Linux {escape(machine['kernel'])}; {escape(versions)}.</p>",
        "<p>One server on one core, one generator on another. Scales are logarithmic. * the generator was at its limit, the server may do more.</p>",
    ]
    parts += [_scenario(measured) for measured in results["scenarios"].values()]
    if results["missing"]:
        parts.append("<h2>Not measured</h2><ul>")
        parts += [f"<li>{escape(name)}: {escape(why)}</li>" for name, why in results["missing"].items()]
        parts.append("</ul>")
    return "\n".join(parts) + "\n"


def _scenario(measured: dict[str, Any]) -> str:
    parts = [f"<h2>{escape(measured['title'])}</h2><p>{escape(measured['about'])} {escape(when(measured))}</p>"]
    for case, servers in measured["cases"].items():
        if not servers:
            continue
        parts += [
            f"<h3>{escape(case)}: {escape(unit(measured))}</h3>",
            _bars(servers, shown(measured)),
            _details(servers),
        ]
    if measured["goals"]:
        parts.append("<ul>")
        parts += [
            f"<li class={'met' if goal['met'] else 'missed'}>{escape(goal_text(goal))}</li>"
            for goal in measured["goals"]
        ]
        parts.append("</ul>")
    parts += [f"<p>Failed: {escape(what)}: {escape(why)}</p>" for what, why in measured["failed"].items()]
    return "\n".join(parts)


def _bars(servers: dict[str, dict[str, Any]], key: str) -> str:
    figures = {name: max(entry[key], 1e-9) for name, entry in servers.items()}
    low = math.floor(math.log10(min(figures.values())) - 0.2)
    high = math.log10(max(figures.values()))
    scale = (WIDTH - LEFT - 90) / max(high - low, 0.1)
    rows = []
    for number_, (name, figure) in enumerate(sorted(figures.items(), key=lambda item: -item[1])):
        y = number_ * (BAR + 5)
        length = max(1.0, (math.log10(figure) - low) * scale)
        kind = "ours" if name.startswith("router") else "floor" if name.startswith("floor") else "other"
        star = "*" if servers[name]["saturated_load"] else ""
        rows.append(
            f"<text x={LEFT - 8} y={y + 13} text-anchor=end>{escape(name)}</text>"
            f"<rect class={kind} x={LEFT} y={y} width={length:.1f} height={BAR} rx=2><title>{figure:,.1f}</title></rect>"
            f"<text x={LEFT + length + 6:.1f} y={y + 13}>{number(figure)}{star}</text>"
        )
    height = len(figures) * (BAR + 5)
    return f"<svg viewBox='0 0 {WIDTH} {height}' width={WIDTH} height={height} role=img>{''.join(rows)}</svg>"


def _details(servers: dict[str, dict[str, Any]]) -> str:
    rows = [
        "<tr><th><th>median<th>per CPU second<th>p50 ms<th>p99 ms<th>server CPU<th>generator CPU<th>server MiB<th>others"
    ]
    for name, entry in servers.items():
        cells = [
            number(entry["figure"]),
            number(entry["per_cpu"]) if "per_cpu" in entry else "",
            *(f"{entry[key] / 1000:.3g}" if key in entry else "" for key in ("p50_us", "p99_us")),
            *(f"{entry[key]:.0%}" for key in ("server_cpu", "load_cpu")),
            f"{entry['server_rss'] / 2**20:.0f}",
            f"{entry['others']:.0%}",
        ]
        rows.append(f"<tr><td>{escape(name)}" + "".join(f"<td>{cell}" for cell in cells))
    return f"<details><summary>figures</summary><table>{''.join(rows)}</table></details>"
