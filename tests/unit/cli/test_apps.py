"""Apps that are made by command, and the commands that are about one app."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trio_router.cli.main import cli

CONFIG = """
rules: rules.yml
login: [{strategy: users}]
storage: {url: "sqlite:///router.db", encryption_key: "the key under which secrets of this test rest"}
apps:
  fixed: {rules: fixed.yml, login: [{strategy: users}]}
new_apps: {rules: new.yml, login: [{strategy: users}, {strategy: key}]}
"""


def rules(allowed: str) -> str:
    return f"event: {{'{allowed}': {{publish: \"user.data.role === 'boss'\"}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "config.yml").write_text(CONFIG)
    for name in ("rules", "fixed", "new"):
        (tmp_path / f"{name}.yml").write_text(rules(name))
    return tmp_path


def run(folder: Path, *arguments: str, give: str | None = None) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(folder / "config.yml")], input=give)


def test_apps_are_made_listed_disabled_and_removed(folder: Path) -> None:
    assert run(folder, "apps", "create", "shop").output == "shop: created, at /shop\n"
    made = json.loads(run(folder, "apps", "create", "zoo", "--path", "/animals", "--json").output)
    assert made == {"app": "zoo", "path": "/animals", "disabled": False}
    run(folder, "apps", "disable", "zoo")
    assert run(folder, "apps", "list").output.splitlines()[1:] == [
        "default  /         users       in the config",
        "fixed    /fixed    users       in the config",
        "shop     /shop     users, key  made",
        "zoo      /animals  users, key  disabled",
    ]
    listed = [json.loads(line) for line in run(folder, "apps", "list", "--json").output.splitlines()]
    assert [(app["app"], app["made"], app["disabled"]) for app in listed] == [
        ("default", False, False),
        ("fixed", False, False),
        ("shop", True, False),
        ("zoo", True, True),
    ]
    assert run(folder, "apps", "enable", "zoo").output == "zoo: enabled\n"
    assert run(folder, "apps", "remove", "zoo").output == "zoo: removed\n"
    assert "zoo" not in run(folder, "apps", "list").output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "fixed"), "app_exists"),
        (("create", "a.b"), "app_invalid"),
        (("create", "x", "--path", "/fixed"), "app_invalid"),
        (("remove", "fixed"), "app_of_config"),
        (("disable", "nowhere"), "app_unknown"),
    ],
)
def test_what_cannot_be_done_says_why(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    before = (folder / "config.yml").read_bytes()
    result = run(folder, "apps", *arguments, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == code
    assert (folder / "config.yml").read_bytes() == before


def test_without_the_section_no_app_is_made(folder: Path) -> None:
    (folder / "config.yml").write_text(CONFIG[: CONFIG.index("new_apps")])
    result = run(folder, "apps", "create", "shop")
    assert (result.exit_code, "new_apps" in result.stderr) == (1, True)


@pytest.mark.threat("T66")
def test_users_and_keys_are_those_of_the_app_that_is_named(folder: Path) -> None:
    run(folder, "apps", "create", "shop")
    password = "a password of some length"
    for app in ("shop", "fixed"):
        assert run(folder, "users", "add", "ann", "--stdin", "--app", app, give=password).exit_code == 0
    run(folder, "users", "disable", "ann", "--app", "shop")
    listed = [
        [(user["id"], user["disabled"]) for user in map(json.loads, output.splitlines())]
        for output in (
            run(folder, "users", "list", "--app", app, "--json").output for app in ("shop", "fixed", "default")
        )
    ]
    assert listed == [[("ann", True)], [("ann", False)], []]
    assert run(folder, "keys", "create", "--id", "k", "--app", "shop").exit_code == 0
    for command in (("users", "list"), ("keys", "list")):
        unknown = run(folder, *command, "--app", "nowhere", "--json")
        assert json.loads(unknown.stderr)["error"]["code"] == "app_unknown"
    run(folder, "apps", "remove", "shop")
    run(folder, "apps", "create", "shop")
    assert run(folder, "users", "list", "--app", "shop", "--json").output == ""
    assert run(folder, "keys", "list", "--app", "shop", "--json").output == ""


@pytest.mark.threat("T66")
def test_questions_about_rules_are_about_the_app_that_is_named(folder: Path) -> None:
    run(folder, "apps", "create", "shop")
    for app, name in (("default", "rules"), ("fixed", "fixed"), ("shop", "new")):
        data = '{"role": "boss"}'
        run(folder, "users", "add", f"boss-{name}", "--no-password", "--data", data, "--app", app)
        who = run(folder, "rules", "who", "--action", "publish", "--name", name, "--app", app, "--json")
        assert [each["user"] for each in json.loads(who.output)["who"]] == [f"boss-{name}"]
        can = json.loads(run(folder, "rules", "can", "--user", f"boss-{name}", "--app", app, "--json").output)
        assert [each["pattern"] for each in can["can"]] == [name]
        asked = ("--user", f"boss-{name}", "--action", "event.publish", "--name", name)
        assert run(folder, "rules", "explain", *asked, "--app", app).exit_code == 0
        assert run(folder, "rules", "explain", *asked, "--app", "default").exit_code == (app != "default")
    assert run(folder, "rules", "can", "--user", "ann", "--app", "nowhere").exit_code == 1
