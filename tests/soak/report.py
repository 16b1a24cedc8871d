"""The page of a soak: what was held, what was counted, and what the router held meanwhile, as one HTML file without anything from outside."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from tests.soak.checker import Findings, read
from trio_router.auth.outbound import IDLE_CONNECTIONS

WIDTH: Final = 900
HEIGHT: Final = 160

STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a2733; }
table { border-collapse: collapse; } td { padding: .1rem 1rem .1rem 0; } td + td { text-align: right; }
svg { width: 100%; height: auto; background: #f6f8fa; } .bad { color: #b00020; } .good { color: #00695c; }
text { font: 12px system-ui, sans-serif; fill: #55636e; }
"""


@attrs.frozen
class Held:
    """What the last router held: before anybody came, at most, when everybody had left; ``middle``: memory in the middle of its life, in bytes."""

    base: dict[str, int]
    most: dict[str, int]
    after: dict[str, int]
    middle: int = 0

    @property
    def faults(self) -> list[str]:
        """What did not come back: tasks beyond two, descriptors beyond the connections to the login service that are kept for the next
        login, memory beyond 10 % or 16 MiB of the beginning and beyond 10 % of the middle: Python keeps what a crowd has needed once."""
        found = []
        for name, slack in (("tasks", 2), ("fds", IDLE_CONNECTIONS), ("sessions", 0), ("connections", 0)):
            if self.after[name] > self.base[name] + slack:
                found.append(f"{name}: {self.base[name]} before, {self.after[name]} after")
        if self.after["rss"] > max(self.base["rss"] * 1.1, self.base["rss"] + 16 * 1024 * 1024, self.middle * 1.1):
            found.append(f"memory: {_mib(self.base['rss'])} before, {_mib(self.after['rss'])} after")
        return found


def held(folder: Path) -> Held:
    """From the samples of the router and the times of the soak."""
    samples = list(read(folder / "samples.jsonl"))
    times = {event["k"]: event["t"] for event in read(folder / "events.jsonl")}
    base = [sample for sample in samples if times["base"] <= sample["t"] <= times["began"]]
    after = [sample for sample in samples if sample["t"] >= times["after"]]
    names = ("rss", "fds", "tasks", "sessions", "connections")
    last = after[-1]["pid"]
    own = [sample for sample in samples if sample["pid"] == last]
    return Held(
        {name: min(sample[name] for sample in base) for name in names},
        {name: max(sample[name] for sample in own) for name in names},
        {name: min(sample[name] for sample in after) for name in names},
        own[len(own) // 2]["rss"],
    )


def write(folder: Path, findings: Findings, plan: str) -> Path:
    """``report.html`` in ``folder``."""
    samples = list(read(folder / "samples.jsonl"))
    events = list(read(folder / "events.jsonl"))
    what = held(folder)
    faults = [f"{kind}: {text}" for kind, texts in findings.faults.items() for text in texts]
    faults += [f"did not come back: {text}" for text in what.faults]
    verdict = "<p class=bad>Not in order.</p>" if faults else "<p class=good>Everything is in order.</p>"
    plots = [
        _plot("Memory of the router (MiB)", samples, events, lambda sample: sample["rss"] / 2**20),
        _plot("Tasks", samples, events, lambda sample: sample["tasks"]),
        _plot("Descriptors", samples, events, lambda sample: sample["fds"]),
        _plot("Sessions", samples, events, lambda sample: sample["sessions"]),
    ]
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{count:,}</td></tr>" for name, count in sorted(findings.counts.items())
    )
    room = "".join(
        f"<tr><td>{name}</td><td>{_shown(name, what.base)}</td><td>{_shown(name, what.most)}</td>"
        f"<td>{_shown(name, what.after)}</td></tr>"
        for name in what.base
    )
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Soak</title><style>{STYLE}</style>"
        f"<h1>Soak</h1>{verdict}<p>{html.escape(plan)}</p>"
        + "".join(f"<p class=bad>{html.escape(fault)}</p>" for fault in faults)
        + "<h2>What the router held</h2><p>Vertical lines: blue, the router was followed by the next one; red, the login service was killed; "
        "grey, the rules were reloaded.</p>" + "".join(plots) + "<h2>Before, at most, after</h2>"
        "<table><tr><td></td><td>before</td><td>at most</td><td>after</td></tr>" + room + "</table>"
        f"<h2>Counts</h2><table>{rows}</table></html>\n"
    )
    path = folder / "report.html"
    path.write_text(text)
    return path


def _plot(
    title: str, samples: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]], value: Callable[[Any], float]
) -> str:
    began, ended = samples[0]["t"], max(samples[-1]["t"], samples[0]["t"] + 1)
    top = max(*(value(sample) for sample in samples), 1) * 1.1

    def x(t: float) -> float:
        return (t - began) / (ended - began) * WIDTH

    lines: dict[int, list[str]] = {}
    for sample in samples:
        lines.setdefault(sample["pid"], []).append(f"{x(sample['t']):.1f},{HEIGHT - value(sample) / top * HEIGHT:.1f}")
    colours = {"restart": "#1565c0", "webhook": "#c62828", "reload": "#cfd8dc"}
    marks = "".join(
        f'<line x1="{x(event["t"]):.1f}" x2="{x(event["t"]):.1f}" y1="0" y2="{HEIGHT}" stroke="{colours[event["k"]]}"/>'
        for event in events
        if event["k"] in colours and event.get("up") is not True
    )
    drawn = "".join(
        f'<polyline points="{" ".join(points)}" fill="none" stroke="#00695c" stroke-width="2"/>'
        for points in lines.values()
    )
    return (
        f'<h3>{title}</h3><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{marks}{drawn}'
        f'<text x="4" y="12">{top:.0f}</text><text x="4" y="{HEIGHT - 4}">0</text>'
        f'<text x="{WIDTH - 60}" y="{HEIGHT - 4}">{(ended - began) / 60:.0f} min</text></svg>'
    )


def _shown(name: str, values: dict[str, int]) -> str:
    return _mib(values[name]) if name == "rss" else str(values[name])


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
