"""Results in words: a plain text table for the terminal, Markdown for the documentation, and which goals were met."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.compare.measuring import DISTURBED
from benchmarks.compare.scenarios import FIGURES, Goal, Scenario


def goals(scenario: Scenario, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Each goal in each of its cases that was measured: what was aimed at, what came out."""
    return [found for goal in scenario.goals for case in goal.cases if (found := _goal(goal, case, measured))]


def _goal(goal: Goal, case: str, measured: dict[str, Any]) -> dict[str, Any] | None:
    servers = measured["cases"].get(case, {})
    if goal.server not in servers or (goal.than is not None and goal.than not in servers):
        return None
    compared = [servers[goal.server], *([servers[goal.than]] if goal.than is not None else [])]
    by_cpu = disturbed(compared)
    values = [entry["per_cpu" if by_cpu else "figure"] for entry in compared]
    value = values[0] / values[1] if goal.than is not None else values[0]
    met = (goal.at_least is None or value >= goal.at_least) and (goal.at_most is None or value <= goal.at_most)
    bound = f"at least {goal.at_least:g}" if goal.at_least is not None else f"at most {goal.at_most:g}"
    found = {"server": goal.server, "than": goal.than, "case": case, "bound": bound, "value": value, "met": met}
    return {**found, "by_cpu": by_cpu}


def disturbed(entries: Iterable[dict[str, Any]]) -> bool:
    """Whether others had so much of the server's core that rates are compared per second of the server's CPU, where they can be."""
    several = list(entries)
    return any(entry["others"] > DISTURBED for entry in several) and all("per_cpu" in entry for entry in several)


def number(value: float) -> str:
    """Three digits that count: 4.51 M, 97.3 k, 12.4."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _names(measured: dict[str, Any]) -> list[str]:
    seen: dict[str, None] = {}
    for servers in measured["cases"].values():
        seen.update(dict.fromkeys(servers))
    return list(seen)


def _cell(entry: dict[str, Any] | None, key: str) -> str:
    if entry is None:
        return "-"
    return number(entry[key]) + ("*" if entry["saturated_load"] else "")


def _rows(measured: dict[str, Any]) -> list[list[str]]:
    cases, key = measured["cases"], shown(measured)
    return [[name, *(_cell(servers.get(name), key) for servers in cases.values())] for name in _names(measured)]


def shown(measured: dict[str, Any]) -> str:
    """Which value of the entries is shown: all of a scenario by the clock, or all by CPU time."""
    return (
        "per_cpu"
        if disturbed(entry for servers in measured["cases"].values() for entry in servers.values())
        else "figure"
    )


def unit(measured: dict[str, Any]) -> str:
    """What is shown, in words."""
    words = FIGURES[measured["figure"]]
    if shown(measured) == "per_cpu":
        words = words.replace("a second", "a second of server CPU")
    return words + (", less is better" if measured["lower_is_better"] else "")


def text(name: str, measured: dict[str, Any]) -> str:
    rows = [["", *measured["cases"]], *_rows(measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{name}: {measured['title']} ({unit(measured)})"]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join([row[0].ljust(widths[0]), *cells]))
    lines += [f"  {'met   ' if goal['met'] else 'MISSED'} {goal_text(goal)}" for goal in measured["goals"]]
    return "\n".join(lines)


def goal_text(goal: dict[str, Any]) -> str:
    than = f" times {goal['than']}" if goal["than"] else ""
    by = ", by CPU time" if goal["by_cpu"] else ""
    return f"{goal['server']}, {goal['case']}: {goal['value']:.2f}{than}{by} (wanted: {goal['bound']})"


def when(measured: dict[str, Any]) -> str:
    """When and how often it was measured."""
    rounds = "one round" if measured["rounds"] == 1 else f"medians of {measured['rounds']} rounds"
    text = f"Measured {measured['date'][:10]} at commit {measured['commit']} on {measured['processor']}, {rounds} of {measured['seconds']:g} s."
    entries = [entry for servers in measured["cases"].values() for entry in servers.values()]
    if measured["figure"] == "p99_ms" and any(entry["others"] > DISTURBED for entry in entries):
        text += " Others used the cores meanwhile: these latencies are as much theirs as the servers'."
    return text


def markdown(results: dict[str, Any]) -> str:
    """All tables, each with its unit, and the goals; a figure with * was limited by the generator."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        (
            f"On {machine['cores']} cores, Linux {machine['kernel']}, {versions}. "
            "`*`: the generator was at its limit, the server may do more. `-`: not measured."
        )
    ]
    for measured in results["scenarios"].values():
        parts.append(f"### {measured['title']}\n\n{measured['about']} {when(measured)}")
        head = ["", *measured["cases"]]
        lines = [f"| {unit(measured)} {' | '.join(head)} |", "| --- " + "| ---: " * len(measured["cases"]) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in _rows(measured)]
        parts.append("\n".join(lines))
        if measured["goals"]:
            parts.append(
                "\n".join(
                    f"* {'met' if goal['met'] else '**missed**'}: {goal_text(goal)}" for goal in measured["goals"]
                )
            )
        if measured["failed"]:
            parts.append("\n".join(f"* no figure: {what}" for what in measured["failed"]))
    for name, why in results["missing"].items():
        parts.append(f"Not measured: {name} ({why}).")
    return "\n\n".join(parts) + "\n"
