"""The short form of the soak, and the checker on logs in which something is wrong: it has to see each fault it is there for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.soak import checker, report
from trio_router.auth.outbound import IDLE_CONNECTIONS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_half_a_minute_of_everything_at_once_is_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "soak"
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.5", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stderr
    counts = checker.check(folder).counts
    assert counts["received"] > counts["acknowledged"] > 100
    assert counts["results"] > 20
    assert counts["event: restart"] >= 1
    assert counts["event: reload"] >= 2
    text = (folder / "report.html").read_text()
    assert "Everything is in order." in text
    assert text.count("<svg") == 4


class Logs:
    """A soak in which one publisher and one subscriber do what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir()
        self.write("events")

    def write(self, name: str, *entries: tuple[float, str, dict[str, Any]]) -> None:
        place = self.folder if name == "events" else self.folder / "logs"
        lines = [json.dumps({"t": t, "k": kind, **fields}) + "\n" for t, kind, fields in entries]
        (place / f"{name}.jsonl").write_text("".join(lines))

    def publish(self, *numbers: int, channel: str = "room/1", without: tuple[int, ...] = ()) -> None:
        entries = []
        for n in numbers:
            entries.append((n + 0.1, "pub", {"c": channel, "n": n}))
            if n not in without:
                entries.append((n + 0.2, "ack", {"c": channel, "n": n}))
        self.write("ann", *entries)

    def read(self, *entries: Any, channel: str = "room/1") -> None:
        """Numbers are events, texts are kinds, each a second after the one before."""
        lines: list[tuple[float, str, dict[str, Any]]] = []
        for t, entry in enumerate(entries):
            if isinstance(entry, int):
                lines.append((t + 0.5, "ev", {"c": channel, "p": "ann", "n": entry}))
            else:
                lines.append((t + 0.5, entry, {"c": channel}))
        self.write("ben", *lines)

    def faults(self) -> list[str]:
        return sorted(checker.check(self.folder).faults)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


@pytest.mark.parametrize(
    ("read", "faults"),
    [
        (("sub", 1, 2, 3, 4, "leaving", "left"), []),
        (("sub", 1, 2, "away", "sub", 4, "leaving", "left"), []),
        (("sub", 1, 2, 2, 3, 4, "leaving", "left"), ["duplicate"]),
        (("sub", 1, 2, "away", "sub", 2, 3, 4), ["duplicate"]),
        (("sub", 2, 1, 3, 4), ["gap", "order"]),
        (("sub", 1, 2, 4, "leaving", "left"), ["gap"]),
        (("sub", 1, 2, 3, "over", "sub", "login"), []),
        (("sub", 1, 2, 3, 4, "leaving", 9), ["never published"]),
        (("sub", 1, "revoked", 2), ["not subscribed"]),
        (("sub", 2, 3, 4), ["gap"]),
        (("sub", "login", "login", "login", "login", "login", "sub", "leaving", "left"), []),
    ],
)
def test_what_a_subscriber_must_not_see_is_seen(logs: Logs, read: tuple[Any, ...], faults: list[str]) -> None:
    logs.publish(1, 2, 3, 4)
    logs.read(*read)

    assert logs.faults() == faults


def test_the_end_of_a_subscription_is_looked_at_too(logs: Logs) -> None:
    logs.publish(1, 2, 3, 4)
    logs.read("sub", 1, 2, 3, "seen nothing", "seen nothing", "leaving", "left")

    assert logs.faults() == ["gap"]


def test_what_was_acknowledged_after_it_asked_to_go_need_not_come(logs: Logs) -> None:
    logs.publish(1, 2, 9)
    logs.read("sub", 1, 2, "leaving", "left")

    assert logs.faults() == []


def test_what_nobody_acknowledged_may_be_missing(logs: Logs) -> None:
    logs.publish(1, 2, 3, 4, without=(2,))
    logs.read("sub", 1, 3, 4, "leaving", "left")

    assert logs.faults() == []


def test_an_event_after_the_right_has_ended_is_seen(logs: Logs) -> None:
    logs.publish(1, 2, 3, 4, 5, 6, channel="gate/a")
    reload = {"status": 200, "began": 2.5}
    logs.write(
        "events", (3.0, "reload", {**reload, "gate": False}), (9.0, "reload", {**reload, "gate": True, "began": 8})
    )
    logs.read("sub", 1, 2, channel="gate/a")
    assert logs.faults() == []
    logs.read("sub", 1, 2, 3, channel="gate/a")
    assert logs.faults() == ["after revocation"]


@pytest.mark.parametrize(
    ("outcomes", "executions", "faults"),
    [
        ([("res", 14)], 1, []),
        ([("err", 0)], 1, []),
        ([("err", 0)], 0, []),
        ([("res", 15)], 1, ["wrong result"]),
        ([("res", 14), ("res", 14)], 1, ["second outcome"]),
        ([("err", 0), ("res", 14)], 1, ["second outcome"]),
        ([("res", 14)], 2, ["carried out twice"]),
        ([("res", 14)], 0, ["result from nowhere"]),
        ([], 1, ["no outcome"]),
    ],
)
def test_a_call_has_one_outcome(
    logs: Logs, outcomes: list[tuple[str, int]], executions: int, faults: list[str]
) -> None:
    logs.write("carl", *[(1.0, "exec", {"n": "c-7", "call": str(n)}) for n in range(executions)])
    told = [(2.0, kind, {"n": "c-7", "v": value, "e": "provider_error"}) for kind, value in outcomes]
    logs.write("caller", (0.0, "call", {"n": "c-7", "v": 7}), *told, (60.0, "over", {}))

    assert logs.faults() == faults


def test_a_login_while_the_login_service_is_away_is_seen(logs: Logs) -> None:
    logs.write("events", (10.0, "webhook", {"up": False}), (20.0, "webhook", {"up": True}))
    logs.write("ann", (5.0, "login", {}), (15.0, "login", {"error": "login_unavailable"}), (21.0, "login", {}))
    assert logs.faults() == []
    logs.write("ben", (15.0, "login", {}))
    assert logs.faults() == ["let in by nobody"]


def test_a_line_that_was_not_finished_is_none(logs: Logs) -> None:
    path = logs.folder / "logs" / "ann.jsonl"
    path.write_text('{"t": 1, "k": "pub", "c": "room/1", "n": 1}\n{"t": 2, "k": "pu')

    assert [entry["n"] for entry in checker.read(path)] == [1]


def test_what_does_not_come_back_is_said() -> None:
    before = {"rss": 100 << 20, "fds": 10, "tasks": 20, "sessions": 0, "connections": 0}
    fine = {"rss": 114 << 20, "fds": 20, "tasks": 21, "sessions": 0, "connections": 0}
    left = {"rss": 130 << 20, "fds": 11 + IDLE_CONNECTIONS, "tasks": 30, "sessions": 1, "connections": 1}

    assert report.Held(before, fine, fine).faults == []
    assert [fault.partition(":")[0] for fault in report.Held(before, left, left).faults] == [
        "tasks",
        "fds",
        "sessions",
        "connections",
        "memory",
    ]
