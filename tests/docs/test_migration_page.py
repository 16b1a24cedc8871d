"""The page about migrating from deepstream: its config loads, and everything it names on our side is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import yaml

from trio_router.auth.webhook_options import WebhookOptions
from trio_router.config.load import load_text
from trio_router.config.schema import Config
from trio_router.session.deepstream.options import DeepstreamOptions

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "migrate-from-deepstream.md").read_text()
CONFIG = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
SECTIONS = {"deepstream": 2, "http_api": 2, "listen": 2, "limits": 2}


def section(title: str) -> str:
    start = PAGE.index(f"## {title}")
    return PAGE[start : PAGE.index("\n## ", start + 1)]


def rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def loaded(folder: Path) -> Config:
    return load_text(CONFIG, base=folder, environ={})


def test_the_config_loads_and_sets_what_a_deepstream_server_sets(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    assert config.deepstream is not None and config.http_api is not None
    assert {field.name for field in attrs.fields(DeepstreamOptions)} - set(yaml.safe_load(CONFIG)["deepstream"]) <= {
        "requestor_data",
        "json_paths",
    }
    assert config.deepstream.rpc_accept_timeout == 1.0


def named() -> list[str]:
    """The dotted keys on our side of the config table."""
    cells = (row[1] for row in rows(section("2. Carry the config over")))
    keys = {key for cell in cells for key in re.findall(r"`([a-z_.]+)", cell)}
    return sorted(key for key in keys if "." in key)


def test_the_table_names_keys() -> None:
    assert len(named()) >= 20


@pytest.mark.parametrize("key", named())
def test_every_key_of_the_table_exists(key: str, tmp_path: Path) -> None:
    names = key.split(".")
    kind: object = Config
    for name in names:
        assert isinstance(kind, type)
        fields = {field.name: field.type for field in attrs.fields(attrs.resolve_types(kind))}
        assert name in fields, f"{key}: {sorted(fields)}"
        kind = fields[name]
        kind = next((one for one in getattr(kind, "__args__", ()) if attrs.has(one)), kind)


def test_every_option_of_the_webhook_exists() -> None:
    options = {field.name for field in attrs.fields(WebhookOptions)}
    start = PAGE.index("The options of the `http` handler")
    for row in list(rows(PAGE[start : PAGE.index("\nTwo meanings")]))[1:]:
        for option in re.findall(r"`([a-z_]+)", row[1]):
            assert option in options
