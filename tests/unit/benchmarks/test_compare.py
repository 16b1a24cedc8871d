"""Scenario files are read strictly, and what is made of results is what they say."""

from __future__ import annotations

import json
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.compare import measuring, page, scenarios, table
from benchmarks.compare.measuring import _summary
from benchmarks.compare.processes import Running
from benchmarks.compare.scenarios import ScenarioError
from benchmarks.generator import LoadFailed

CONTENT: dict[str, Any] = {
    "title": "T",
    "about": "A",
    "work": "events",
    "figure": "deliveries_per_second",
    "servers": ["router", "node-ws"],
    "load": {"scenario": "events", "window": 2},
    "cases": {"1": {"subscribers": 1}, "9": {"subscribers": 9, "window": 3}},
    "short": {"cases": ["9"]},
    "goals": [{"than": "node-ws", "at_least": 20, "cases": ["9"]}],
}


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", scenarios.names())
def test_every_scenario_file_is_sound(name: str, short: bool) -> None:
    scenario = scenarios.load(name, short=short)
    whole = scenarios.load(name, short=False)
    assert scenario.cases
    assert {server.name for server in scenario.servers} <= {server.name for server in whole.servers}
    for goal in scenario.goals:
        assert set(goal.cases) <= set(whole.cases)
        assert {goal.server, *([goal.than] if goal.than else [])} <= {server.name for server in whole.servers}


def test_cases_inherit_and_override_and_the_short_run_takes_its_part() -> None:
    assert scenarios.parse("x", CONTENT).cases["9"] == {"scenario": "events", "window": 3, "subscribers": 9}
    assert list(scenarios.parse("x", CONTENT, short=True).cases) == ["9"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"title": None}, "title is missing"),
        ({"surprise": 1}, "unknown: surprise"),
        ({"servers": ["routr"]}, "there is no routr"),
        ({"work": "patterns"}, "node-ws does not offer patterns"),
        ({"figure": "speed"}, "there is no speed"),
        ({"goals": [{"cases": ["9"], "at_least": 1}]}, "names what it is compared with, or is absolute"),
        ({"goals": [{"than": "node-ws", "at_leest": 1, "cases": ["9"]}]}, "at_leest"),
    ],
)
def test_a_wrong_scenario_is_refused_by_name(change: dict[str, Any], text: str) -> None:
    content = {key: value for key, value in {**deepcopy(CONTENT), **change}.items() if value is not None}
    with pytest.raises(ScenarioError, match=text) as caught:
        scenarios.parse("wrong", content)
    assert str(caught.value).startswith("wrong: ")


def test_a_name_that_is_no_scenario_is_told_which_there_are() -> None:
    with pytest.raises(ScenarioError, match="fanout"):
        scenarios.load("fan-out", short=False)


def entry(rate: float, *, cpu: float = 1.0, others: float = 0.0, saturated: bool = False) -> dict[str, Any]:
    run = {"figure": rate, "server_cpu": cpu, "load_cpu": 0.5, "server_rss": 2**20, "others": others}
    run |= {"per_cpu": rate / cpu, "saturated": saturated, "refused": 0}
    return _summary([run, {**run, "figure": rate * 3}, {**run, "figure": rate / 3}])


def measured(router: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    scenario = scenarios.parse("x", CONTENT)
    found = {
        "title": "T",
        "about": "A <b>",
        "figure": scenario.figure,
        "lower_is_better": False,
        "failed": {"bun": "gone"},
    }
    found |= {"rounds": 3, "seconds": 1.5, "date": "2026-01-02T03:04", "commit": "abc", "processor": "Abacus"}
    found["cases"] = {"1": {}, "9": {"router": router, "node-ws": node}}
    return {**found, "goals": table.goals(scenario, found)}


@pytest.mark.parametrize("figure", ["deliveries_per_second", "operations_per_second"])
def test_a_server_that_delivers_has_a_figure_for_it_before_the_first_event_is_everywhere(
    monkeypatch: pytest.MonkeyPatch, figure: str
) -> None:
    run = {"scenario": "events", "operations": 0, "deliveries": 900, "operations_per_second": 0.0, "seconds": 0.3}
    run |= {"deliveries_per_second": 3000.0, "server_cpu": 0.5, "stalled": False}
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: dict(run))
    bench = measuring.Bench(Path("load"), 0, 1)
    scenario = scenarios.parse("x", {**CONTENT, "figure": figure, "goals": []})
    target = Idle(cast("Any", None), 1, Path())

    def measured_once() -> dict[str, Any]:
        return measuring._measured(bench, scenario, scenario.servers[0], target, {"seconds": 0.3})

    if figure == "deliveries_per_second":
        assert (measured_once()["figure"], measured_once()["per_cpu"]) == (3000.0, 6000.0)
    else:
        with pytest.raises(LoadFailed, match="nothing was finished"):
            measured_once()


class Idle(Running):
    """A server that is no process and does nothing."""

    @property
    def pids(self) -> list[int]:
        return []


def test_the_median_of_the_rounds_is_what_counts() -> None:
    assert entry(300.0)["figure"] == 300.0


def test_a_goal_is_met_or_missed_by_the_clock_on_a_quiet_machine() -> None:
    (met,) = measured(entry(2000), entry(100))["goals"]
    assert (met["value"], met["met"], met["by_cpu"]) == (20.0, True, False)
    (missed,) = measured(entry(1999), entry(100))["goals"]
    assert not missed["met"]


def test_on_a_disturbed_machine_a_goal_is_judged_by_cpu_time() -> None:
    (goal,) = measured(entry(1000, cpu=0.5, others=0.5), entry(100))["goals"]
    assert (goal["value"], goal["met"], goal["by_cpu"]) == (20.0, True, True)
    assert "by CPU time" in table.goal_text(goal)


def results(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2026-01-02T03:04",
        "machine": {"processor": "P", "cores": 2, "kernel": "6"},
        "versions": {"node": "20"},
        "missing": {"nchan": "no <apt>"},
        "scenarios": {"x": found},
    }


def test_tables_have_every_figure_and_name_what_is_not_there() -> None:
    text = table.markdown(results(measured(entry(2_000_000), entry(97_321, saturated=True))))
    assert "| router | - | 2 M |" in text
    assert "| node-ws | - | 97.3 k* |" in text
    assert "Not measured: nchan (no <apt>)." in text
    assert "no figure: bun" in text
    assert "20.55 times node-ws" in text
    assert "Measured 2026-01-02 at commit abc on Abacus, medians of 3 rounds of 1.5 s." in text


def test_latencies_of_a_disturbed_machine_are_not_passed_off_as_the_servers() -> None:
    found = {**measured(entry(20, others=0.5), entry(10)), "figure": "p99_ms"}
    assert "Others used the cores" in table.when(found)
    assert "Others used the cores" not in table.when({**measured(entry(20), entry(10)), "figure": "p99_ms"})


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bars = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.bars += tag == "rect"
        assert not any(name == "src" or (value or "").startswith("http") for name, value in attrs)


def test_the_page_has_a_bar_for_each_server_and_loads_nothing() -> None:
    text = page.html(results(measured(entry(2_000_000), entry(100))))
    parser = Balance()
    parser.feed(text)
    assert parser.bars == 2
    assert "A &lt;b&gt;" in text
    assert "no &lt;apt&gt;" in text


def test_results_are_json() -> None:
    found = measured(entry(2000), entry(100))
    assert json.loads(json.dumps(results(found)))["scenarios"]["x"]["goals"][0]["met"] is True
