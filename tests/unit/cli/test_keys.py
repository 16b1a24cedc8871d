"""The commands about app keys and apps: what they make, show once, refuse and never say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from trio_router.cli.main import cli

FURTHER = """
apps:
  shop: {rules: rules.yml, login: [{strategy: key}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "router"
    assert CliRunner().invoke(cli, ["init", str(folder)]).exit_code == 0
    config = folder / "config.yml"
    config.write_text(config.read_text() + FURTHER)
    return folder


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(folder / "config.yml")])


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.threat("T62")
def test_a_secret_is_printed_by_the_command_that_made_it_and_rests_encrypted(folder: Path) -> None:
    made = data(run(folder, "keys", "create", "--id", "k1", "--label", "pages", "--json"))
    assert made["key"] == "default.k1"
    secret = made["secret"]
    shown = [run(folder, "keys", "list"), run(folder, "keys", "list", "--json"), run(folder, "keys", "disable", "k1")]
    assert all(result.exit_code == 0 and secret not in result.output for result in shown)
    assert "disabled" in run(folder, "keys", "list").output
    for file in folder.glob("router.db*"):
        assert secret.encode() not in file.read_bytes()


def test_a_key_goes_through_its_life(folder: Path) -> None:
    assert "secret (shown this once): " in run(folder, "keys", "create", "--id", "k1").output
    rotated = data(run(folder, "keys", "rotate", "k1", "--grace", "60", "--json"))
    assert rotated["secrets"] == 2
    assert data(run(folder, "keys", "grant", "k1", "subscribe,rpc", "--json"))["grants"] == ["subscribe", "rpc"]
    assert data(run(folder, "keys", "grant", "k1", "none", "--json"))["grants"] == []
    assert data(run(folder, "keys", "disable", "k1", "--json"))["disabled"] is True
    assert data(run(folder, "keys", "enable", "k1", "--json"))["disabled"] is False
    assert run(folder, "keys", "remove", "k1").output == "default.k1: removed\n"
    assert run(folder, "keys", "remove", "k1").exit_code == 1


@pytest.mark.threat("T66")
def test_keys_of_two_apps_are_two_lists(folder: Path) -> None:
    run(folder, "keys", "create", "--id", "k1")
    made = data(run(folder, "keys", "create", "--id", "k1", "--app", "shop", "--grants", "publish", "--json"))
    assert made["key"] == "shop.k1"
    run(folder, "keys", "remove", "k1")
    assert data(run(folder, "keys", "list", "--app", "shop", "--json"))["grants"] == ["publish"]
    assert run(folder, "keys", "list", "--json").output == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--grants", "everything"), "key_invalid"),
        (("create", "--id", "a.b"), "key_invalid"),
        (("rotate", "nobody"), "key_unknown"),
        (("list", "--app", "nowhere"), "app_unknown"),
    ],
)
def test_what_cannot_be_done_says_why(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    result = run(folder, "keys", *arguments, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == code


def test_without_an_encryption_key_no_key_is_made(folder: Path) -> None:
    config = folder / "config.yml"
    config.write_text(config.read_text().replace("  encryption_key: ${file:secrets/storage-key}\n", ""))
    result = run(folder, "keys", "create")
    assert result.exit_code == 1
    assert "storage.encryption_key: is missing" in result.stderr


def test_the_apps_are_listed(folder: Path) -> None:
    assert run(folder, "apps", "list").output.splitlines()[1:] == [
        "default  /      users  in the config",
        "shop     /shop  key    in the config",
    ]
    lines = [json.loads(line) for line in run(folder, "apps", "list", "--json").output.splitlines()]
    assert [(line["app"], line["path"], line["login"]) for line in lines] == [
        ("default", "/", ["users"]),
        ("shop", "/shop", ["key"]),
    ]
