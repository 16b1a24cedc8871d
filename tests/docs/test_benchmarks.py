"""The figures in the documentation are those of the committed results, and what the page says can be run is there."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import growth
from benchmarks.compare import publish
from benchmarks.generator import ROOT


@pytest.fixture
def text() -> str:
    return publish.PAGE.read_text()


def test_the_tables_are_those_of_the_results(text: str) -> None:
    results = json.loads(publish.KEPT.read_text())
    assert text == publish.page(text, results)
    readme = publish.README.read_text()
    assert publish.BEGIN in readme
    assert readme == publish.readme(readme, results)


def test_the_table_of_growth_is_that_of_its_results(text: str) -> None:
    results = json.loads(growth.KEPT.read_text())
    assert set(results["rows"]) == set(growth.ROWS) == set(growth.TITLES)
    assert text == growth.page(text, results)
    assert max(growth.growth(results).values()) <= growth.GOAL


def test_no_run_is_kept_with_the_results() -> None:
    assert '"runs"' not in publish.KEPT.read_text()
    assert publish.slim({"scenarios": {"x": {"cases": {"1": {"s": {"figure": 1, "runs": []}}}}}}) == {
        "scenarios": {"x": {"cases": {"1": {"s": {"figure": 1}}}}}
    }


def test_every_module_it_names_is_there_and_every_module_is_named(text: str) -> None:
    table = text[text.index("| module of") :].splitlines()[2:]
    named = {name for line in table for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert named <= there
    parts = {
        "__init__",
        "counting_webhook",
        "generator",
        "growth",
        "instructions",
        "measured_router",
    }  # named elsewhere in the page, or no benchmark
    assert there - named - parts == {path.stem for path in (ROOT / "benchmarks").glob("fuzz_*.py")}


def test_its_tox_environments_are_there(text: str) -> None:
    environments = set(re.findall(r"tox run -e ([a-z-]+)", text))
    assert environments == {"bench", "bench-full", "bench-rules"}
    tox = (ROOT / "tox.ini").read_text()
    assert all(f"[testenv:{name}]" in tox for name in environments)
