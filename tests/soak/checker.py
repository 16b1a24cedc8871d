"""Reads the logs of a soak and says whether everything in them is in order. It runs afterwards, and knows no router.

What it holds: the numbers of one publisher on one channel rise for every subscriber and never come twice, not even over a reconnect; within one
subscription none is missing that was acknowledged, from the moment the subscription stood to the moment it was given up; nothing of a channel
reaches those whose right to it had ended; every call has exactly one outcome while its caller is there, and is carried out at most once.

A number whose publish was not acknowledged may be missing and may be there. What a connection's end took with it is announced by that end.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

Entry = dict[str, Any]

MOST: Final = 50
"""Faults of one kind that are kept with their text."""


PATIENCE: Final = 30.0
"""Seconds after which a call of 20 seconds has an outcome, whatever happens."""

MARGIN: Final = 1.0
"""Seconds before a reload that opens the gate: a router that starts just then may have read the new rules already."""


@attrs.define
class Findings:
    """``faults`` by kind with their texts; ``counts`` of what was looked at."""

    faults: dict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    counts: Counter[str] = attrs.field(factory=Counter)

    def fault(self, kind: str, text: str) -> None:
        self.counts[f"fault: {kind}"] += 1
        if len(self.faults[kind]) < MOST:
            self.faults[kind].append(text)

    @property
    def is_good(self) -> bool:
        return not self.faults


@attrs.frozen
class Published:
    """One number: when it was sent, and when it was acknowledged (None: nobody knows)."""

    sent: float
    acknowledged: float | None


Numbers = dict[tuple[str, str], dict[int, Published]]
"""By channel and publisher."""


def read(path: Path) -> Iterator[Entry]:
    """The entries of one log; a last line that was not finished is none."""
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def check(folder: Path) -> Findings:
    """Look at everything in the ``folder`` of one soak."""
    findings = Findings()
    logs = {path.stem: list(read(path)) for path in sorted((folder / "logs").glob("*.jsonl"))}
    numbers = published(logs, findings)
    closed = times_closed(read(folder / "events.jsonl"))
    for name, entries in logs.items():
        if any(entry["k"] == "sub" for entry in entries):
            check_reader(name, entries, numbers, closed, findings)
    check_calls(logs, findings)
    check_logins(logs, list(read(folder / "events.jsonl")), findings)
    for entry in read(folder / "events.jsonl"):
        findings.counts[f"event: {entry['k']}"] += 1
        if entry["k"] == "reload" and entry["status"] != 200:
            findings.counts["event: reload without an answer"] += 1
    return findings


def published(logs: dict[str, list[Entry]], findings: Findings) -> Numbers:
    """What was published, by whom and where."""
    numbers: Numbers = defaultdict(dict)
    for name, entries in logs.items():
        for entry in entries:
            if entry["k"] == "pub":
                numbers[entry["c"], name][entry["n"]] = Published(entry["t"], None)
                findings.counts["published"] += 1
            elif entry["k"] == "ack":
                before = numbers[entry["c"], name][entry["n"]]
                numbers[entry["c"], name][entry["n"]] = attrs.evolve(before, acknowledged=entry["t"])
                findings.counts["acknowledged"] += 1
    return numbers


def times_closed(events: Iterable[Entry]) -> list[tuple[float, float]]:
    """From when to when nobody had the right to ``gate/``: from a reload's answer to the beginning of the next that opens it."""
    found: list[tuple[float, float]] = []
    since: float | None = None
    for event in events:
        if event["k"] != "reload":
            continue
        if since is not None:
            found.append((since, event["began"] - MARGIN))
            since = None
        if event["status"] == 200 and not event["gate"]:
            since = event["t"]
    if since is not None:
        found.append((since, float("inf")))
    return found


@attrs.define
class _Standing:
    """One subscription: since when, and the last number of each publisher."""

    since: float
    last: dict[str, int] = attrs.field(factory=dict)


def check_reader(
    name: str, entries: list[Entry], numbers: Numbers, closed: list[tuple[float, float]], findings: Findings
) -> None:
    """One subscriber's log."""
    standing: dict[str, _Standing] = {}
    ever: dict[tuple[str, str], int] = {}
    leaving = 0.0
    for entry in entries:
        kind, channel = entry["k"], entry.get("c", "")
        if kind == "sub":
            standing[channel] = _Standing(entry["t"])
            findings.counts["subscriptions"] += 1
        elif kind in {"away", "over", "revoked", "login"}:
            for gone in [channel] if kind == "revoked" else list(standing):
                standing.pop(gone, None)
            findings.counts[f"subscriber: {kind}"] += 1
        elif kind == "leaving":
            leaving = entry["t"]
        elif kind == "left":
            for gone, at in standing.items():
                _complete(f"{name} at {entry['t']}", gone, at, leaving, numbers, findings)
            standing.clear()
        elif kind == "ev":
            findings.counts["received"] += 1
            _event(name, entry, standing, ever, numbers, findings)
            one = numbers[channel, entry["p"]].get(entry["n"])
            if one is not None and channel.startswith("gate/") and any(a < one.sent < b for a, b in closed):
                findings.fault("after revocation", f"{name} at {entry['t']}: {channel} {entry['n']}")


def _event(
    name: str,
    entry: Entry,
    standing: dict[str, _Standing],
    ever: dict[tuple[str, str], int],
    numbers: Numbers,
    findings: Findings,
) -> None:
    channel, publisher, number = entry["c"], entry["p"], entry["n"]
    known = numbers[channel, publisher]
    where = f"{name} at {entry['t']}: {channel} {publisher} {number}"
    if number not in known:
        findings.fault("never published", where)
        return
    before = ever.get((channel, publisher), 0)
    if number == before:
        findings.fault("duplicate", where)
    elif number < before:
        findings.fault("order", f"{where} after {before}")
    ever[channel, publisher] = max(number, before)
    at = standing.get(channel)
    if at is None:
        findings.fault("not subscribed", where)
        return
    first = publisher not in at.last
    for missed in range(number - 1, at.last.get(publisher, 0), -1):
        one = known.get(missed)
        if one is None or (first and one.sent <= at.since):
            break
        if one.acknowledged is not None:
            findings.fault("gap", f"{where}: {missed} is missing")
    at.last[publisher] = number


def _complete(name: str, channel: str, at: _Standing, leaving: float, numbers: Numbers, findings: Findings) -> None:
    """The subscriber asked to be let go at ``leaving`` and read on to the answer: what was acknowledged before that came before it."""
    for (where, publisher), known in numbers.items():
        if where != channel:
            continue
        last = at.last.get(publisher, 0)
        for number in range(max(known, default=0), last, -1):
            one = known.get(number)
            if one is None:
                continue
            if one.sent <= at.since:
                break
            if one.acknowledged is not None and one.acknowledged < leaving:
                findings.fault("gap", f"{name}: {channel} {publisher} {number} is missing at the end")


def check_logins(logs: dict[str, list[Entry]], events: list[Entry], findings: Findings) -> None:
    """Nobody is let in while the login service is away, and people are again soon after it has come back."""
    logins = sorted(e["t"] for entries in logs.values() for e in entries if e["k"] == "login" and "error" not in e)
    since: float | None = None
    for event in (event for event in events if event["k"] in {"webhook", "end"}):
        if event["k"] == "end":
            break
        if not event["up"]:
            since = event["t"]
            continue
        if since is not None:
            wrong = [t for t in logins if since + MARGIN < t < event["t"] - MARGIN]
            for t in wrong:
                findings.fault("let in by nobody", f"a login at {t}, the service was away from {since} to {event['t']}")
        later = next((t for t in logins if t > event["t"]), None)
        if since is not None and later is not None:
            waited = later - event["t"]
            findings.counts["outages of the login service"] += 1
            findings.counts["slowest login after one, in ms"] = max(
                findings.counts["slowest login after one, in ms"], round(waited * 1000)
            )
        since = None


def check_calls(logs: dict[str, list[Entry]], findings: Findings) -> None:
    """All callers and providers."""
    done = Counter(entry["n"] for entries in logs.values() for entry in entries if entry["k"] == "exec")
    for name, times in done.items():
        if times > 1:
            findings.fault("carried out twice", f"{name}: {times} times")
    for caller, entries in logs.items():
        waiting: dict[str, Entry] = {}
        for entry in entries:
            kind = entry["k"]
            if kind == "call":
                waiting[entry["n"]] = entry
                findings.counts["calls"] += 1
            elif kind in {"res", "err"}:
                asked = waiting.pop(entry["n"], None)
                findings.counts["results" if kind == "res" else f"call: {entry['e']}"] += 1
                if asked is None:
                    findings.fault("second outcome", f"{caller} at {entry['t']}: {entry['n']}")
                elif kind == "res" and entry["v"] != 2 * asked["v"]:
                    findings.fault("wrong result", f"{caller} at {entry['t']}: {entry['n']} gave {entry['v']}")
                elif kind == "res" and entry["n"] not in done:
                    findings.fault("result from nowhere", f"{caller} at {entry['t']}: {entry['n']}")
            elif kind in {"away", "over"}:
                for name, asked in waiting.items():
                    findings.counts["calls without an outcome, for the caller was away"] += 1
                    if entry["t"] - asked["t"] > PATIENCE:
                        findings.fault("no outcome", f"{caller}: {name} after {entry['t'] - asked['t']:.1f} s")
                waiting.clear()
