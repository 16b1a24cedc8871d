"""docs/reference/config.md names every key of the config with its true default, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_router.config.load import NOT_KEYS, load_text
from trio_router.config.reload import LIVE
from trio_router.config.schema import (
    Admin,
    App,
    Config,
    Decisions,
    Deepstream,
    HttpApi,
    Listen,
    Log,
    LoginStep,
    RestSection,
    Storage,
    Tls,
)
from trio_router.limits import Limits, Rates
from trio_router.secret import Secret

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "config.md").read_text()
SECTIONS: dict[str, type] = {
    "Top level": Config,
    "apps": App,
    "login": LoginStep,
    "listen": Listen,
    "listen.tls": Tls,
    "admin": Admin,
    "rest": RestSection,
    "http_api": HttpApi,
    "deepstream": Deepstream,
    "storage": Storage,
    "log": Log,
    "decisions": Decisions,
    "limits": Limits,
    "limits.rates": Rates,
}
UNITS = {"size": "bytes", "timeout": "seconds", "interval": "seconds", "deadline": "seconds", "grace": "seconds"}


def rows(heading: str) -> dict[str, list[str]]:
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", section[1], re.MULTILINE)
    return {key: [cell.strip() for cell in cells.split(" | ")] for key, cells in found}


def fields(kind: type) -> list[attrs.Attribute[Any]]:
    left_out = NOT_KEYS.get(kind, frozenset()) | ({"options"} if kind is LoginStep else set())
    return [field for field in attrs.fields(kind) if field.name not in left_out]


def default(field: attrs.Attribute[Any]) -> str:
    value = field.default
    if value is attrs.NOTHING:
        return "required"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    if value is None:
        return "off"
    if attrs.has(type(value)):
        return "section"
    if isinstance(value, Secret):
        return f"`{value.reveal()}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_there_in_its_order_and_no_other(heading: str) -> None:
    assert list(rows(heading)) == [field.name for field in fields(SECTIONS[heading])]


@pytest.mark.parametrize(
    ("heading", "field"),
    [(heading, field) for heading, kind in SECTIONS.items() for field in fields(kind)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_default_is_the_true_one_and_the_rest_is_said(heading: str, field: attrs.Attribute[Any]) -> None:
    cells = rows(heading)[field.name]
    if field.name == "login":
        assert cells[0] == "required"
    else:
        assert cells[0] == default(field)
    assert cells[2]
    unit = next((unit for ending, unit in UNITS.items() if field.name.endswith(ending)), None)
    assert unit is None or cells[1] == unit


def test_the_live_keys_are_named() -> None:
    paragraph = TEXT.partition("## What a reload changes")[2]
    assert set(re.findall(r"`([a-z_.]+)`", paragraph)) == LIVE


def test_the_example_is_a_config(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert example
    assert load_text(example[1], base=tmp_path, environ={}).login[0].strategy == "users"
