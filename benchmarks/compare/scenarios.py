"""A scenario file: what is measured, on which servers, in which cases, and what is aimed at. Says where a file is wrong."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import attrs

from benchmarks.compare.server import Server
from benchmarks.compare.servers import BY_NAME
from benchmarks.generator import ROOT

FOLDER: Final = ROOT / "benchmarks" / "scenarios"
FIGURES: Final = {
    "deliveries_per_second": "deliveries a second",
    "operations_per_second": "operations a second",
    "p99_ms": "ms, 99th percentile",
    "kb_per_connection": "KB a connection",
}
RATES: Final = ("deliveries_per_second", "operations_per_second")


class ScenarioError(Exception):
    """A scenario file is wrong; the text says which and where."""


@attrs.frozen
class Goal:
    """``server``'s figure is at least (at most) so many times that of ``than``; without ``than``, so much itself."""

    server: str
    cases: tuple[str, ...]
    than: str | None = None
    at_least: float | None = None
    at_most: float | None = None


@attrs.frozen
class Scenario:
    """One file. ``cases`` are the options of the generator for each case; ``half_load`` and ``fresh`` as in ``measuring``."""

    name: str
    title: str
    about: str
    figure: str
    servers: tuple[Server, ...]
    cases: dict[str, dict[str, Any]]
    goals: tuple[Goal, ...]
    lower_is_better: bool = False
    half_load: bool = False
    fresh: bool = False

    @property
    def timed(self) -> bool:
        """Whether somebody else's work can change what is measured."""
        return self.figure != "kb_per_connection"


ORDER: Final = (
    "fanout",
    "one_at_a_time",
    "many_channels",
    "patterns",
    "calls",
    "chat",
    "latency",
    "rules",
    "tls",
    "idle",
    "logins",
    "password_logins",
    "webhook_logins",
    "key_logins",
)


def names() -> list[str]:
    """All there are, in the order in which they are told; the rest by name."""
    there = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(there, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def load(name: str, *, short: bool) -> Scenario:
    """The scenario ``name``; ``short`` takes the cases and servers that its ``[short]`` names.

    Raises:
        ScenarioError: there is none, or its file is wrong.
    """
    path = FOLDER / f"{name}.toml"
    try:
        return parse(name, tomllib.loads(path.read_text()), short=short)
    except FileNotFoundError:
        raise ScenarioError(f"there is no scenario {name}; there are {', '.join(names())}") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path.name}: {error}") from None


def parse(name: str, content: dict[str, Any], *, short: bool = False) -> Scenario:
    """The scenario a file's content describes.

    Raises:
        ScenarioError: a key is missing or unknown, or names what there is not.
    """
    content = dict(content)

    def take(key: str, default: Any = attrs.NOTHING) -> Any:
        if key not in content and default is attrs.NOTHING:
            raise ScenarioError(f"{name}: {key} is missing")
        return content.pop(key, default)

    common, cases, brief, goals = take("load"), take("cases"), take("short", {}), take("goals", [])
    wanted, work = take("servers"), take("work")
    if short:
        cases = {case: cases[case] for case in brief.get("cases", cases)}
        wanted = brief.get("servers", wanted)
    for server in wanted:
        if server not in BY_NAME:
            raise ScenarioError(f"{name}: servers: there is no {server}")
        if work not in BY_NAME[server].offers:
            raise ScenarioError(f"{name}: servers: {server} does not offer {work}")
    figure = take("figure")
    if figure not in FIGURES:
        raise ScenarioError(f"{name}: figure: there is no {figure}; known are {', '.join(FIGURES)}")
    scenario = Scenario(
        name,
        take("title"),
        take("about"),
        figure,
        tuple(BY_NAME[server] for server in wanted),
        {case: {**common, **options} for case, options in cases.items()},
        tuple(_goal(name, goal) for goal in goals),
        take("lower_is_better", False),
        take("half_load", False),
        take("fresh", False),
    )
    if content:
        raise ScenarioError(f"{name}: unknown: {', '.join(content)}")
    return scenario


def _goal(name: str, content: dict[str, Any]) -> Goal:
    content = {"server": "router", **content}
    if content.pop("absolute", False) == ("than" in content):
        raise ScenarioError(f"{name}: goals: a goal names what it is compared with, or is absolute")
    try:
        return Goal(**{**content, "cases": tuple(content["cases"])})
    except (TypeError, KeyError) as error:
        raise ScenarioError(f"{name}: goals: {error}") from None
