"""``rules diff``, ``rules who`` and ``rules can``: without a router."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from trio_router.cli.main import cli

OLD = """
event:
  "news/*":
    subscribe: true
    publish: "user.data.role === 'editor'"
  "private/$id":
    subscribe: "user.id === $id"
  "a/$x/b":
    subscribe: true
  "a/c/$y":
    subscribe: false
"""
NEW = """
event:
  "news/*":
    subscribe: "user.isAuthenticated"
    publish: "user.data.role === 'editor'"
  "news/secret":
    subscribe: false
  "a/c/$z":
    subscribe: false
  "a/$x/b":
    subscribe: true
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["rules", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "old.yml").write_text(OLD)
    (tmp_path / "new.yml").write_text(NEW)
    return str(tmp_path / "old.yml"), str(tmp_path / "new.yml")


def test_a_file_does_not_differ_from_itself(files: tuple[str, str]) -> None:
    result = run("diff", files[0], files[0])
    assert (result.exit_code, result.output) == (0, "no changed rules\n")


def test_what_was_added_removed_and_changed_is_said(files: tuple[str, str]) -> None:
    result = run("diff", *files)
    assert result.exit_code == 1
    old, new = files
    assert result.output.splitlines() == [
        f"- event subscribe 'news/*': true ({old}:4)",
        f"+ event subscribe 'news/*': user.isAuthenticated ({new}:4)",
        f"+ event subscribe 'news/secret': false ({new}:7)",
        f"    where it applies, until now 'news/*': true ({old}:4)",
        f"- event subscribe 'private/$id': user.id === $id ({old}:7)",
        "    nothing else matches: denied",
        f"~ event subscribe 'a/$x/b': decides names it shares with 'a/c/$y' now, by its place in the file ({new}:11)",
        "4 changed rules",
    ]


def test_the_same_as_json(files: tuple[str, str]) -> None:
    result = run("diff", *files, "--json")
    assert result.exit_code == 1
    changes = json.loads(result.output)["changes"]
    assert [change["kind"] for change in changes] == ["changed", "added", "removed", "order"]
    assert changes[1]["instead"][0]["pattern"] == "news/*"


def test_a_refused_file_is_told_whole(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "new.yml").write_text("event: {a: {subscribe: 'x', publish: 'y'}}")
    result = run("diff", *files)
    assert result.exit_code == 1
    assert result.output.count("unknown name") == 2


def entry(user: str, action: str, name: str, allowed: bool, **more: Any) -> str:
    return json.dumps({"kind": "decision", "user": user, "action": action, "name": name, "allowed": allowed, **more})


def test_recorded_decisions_change_stay_or_cannot_be_told(files: tuple[str, str], tmp_path: Path) -> None:
    lines = [
        entry("ann", "event.subscribe", "news/x", True),  # it is not recorded whether ann was authenticated
        entry("ann", "event.subscribe", "news/secret", True),
        entry("ann", "event.subscribe", "private/ann", True),
        entry("ann", "event.subscribe", "private/bob", False),
        entry("ann", "event.publish", "news/x", True),  # the same rule in both files
        entry("ann", "event.subscribe", "a/c/b", False),
        entry("ann", "event.subscribe", "news/*", True),
        entry("ann", "event.subscribe", "pvt:x", False, reason="reserved"),
        json.dumps({"kind": "head"}),
        "torn li",
    ]
    (tmp_path / "decisions.log").write_text("\n".join(lines))
    result = run("diff", *files, "--log", str(tmp_path / "decisions.log"), "--json")
    assert result.exit_code == 1
    log = json.loads(result.output)["log"]
    assert (log["decisions"], log["unreadable"]) == (8, 1)
    assert [(each["user"], each["name"], each["verdict"]) for each in log["differences"]] == [
        ("ann", "news/x", "unknown"),
        ("ann", "news/secret", "changes"),
        ("ann", "private/ann", "changes"),
        ("ann", "a/c/b", "changes"),
        ("ann", "news/*", "unknown"),
    ]
    assert "would be denied" in run("diff", *files, "--log", str(tmp_path / "decisions.log")).output


def test_a_decision_about_what_the_log_does_not_hold_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "old.yml").write_text("event: {a: {publish: true}}")
    (tmp_path / "new.yml").write_text('event: {a: {publish: "action !== name && data.n < 3"}}')
    (tmp_path / "log").write_text(entry("ann", "event.publish", "a", True))
    result = run(
        "diff", *(str(tmp_path / name) for name in ("old.yml", "new.yml")), "--log", str(tmp_path / "log"), "--json"
    )
    (difference,) = json.loads(result.output)["log"]["differences"]
    assert difference["verdict"] == "unknown"
    assert difference["why"].endswith("depends on data.n < 3")


@pytest.fixture
def users_file(tmp_path: Path) -> str:
    tmp_path.chmod(0o700)
    path = tmp_path / "users.yml"
    hashed = CliRunner().invoke(cli, ["hash-password", "--stdin"], input="a long password\n").output.strip()
    path.write_text(
        json.dumps(
            {
                "ann": {"password_hash": hashed, "data": {"role": "editor"}},
                "bob": {"password_hash": hashed},
                "eve": {"password_hash": hashed, "data": {"role": "editor"}, "disabled": True},
            }
        )
    )
    path.chmod(0o600)
    return str(path)


def test_who_may(files: tuple[str, str], users_file: str) -> None:
    def asked(*arguments: str) -> list[tuple[str, str]]:
        result = run("who", "--rules", files[0], "--users-file", users_file, "--json", *arguments)
        assert result.exit_code == 0, result.output
        return [(each["user"], each["verdict"]) for each in json.loads(result.output)["who"]]

    assert asked("--action", "subscribe", "--name", "news/x") == [("ann", "always"), ("bob", "always")]
    assert asked("--action", "publish", "--name", "news/x") == [("ann", "always")]
    assert asked("--action", "event.subscribe", "--name", "private/bob") == [("bob", "always")]
    assert asked("--action", "subscribe", "--name", "elsewhere") == []
    shown = run("who", "--rules", files[0], "--users-file", users_file, "--action", "subscribe", "--name", "pvt:L1")
    assert "reserved" in shown.output


def test_who_asks_for_names_that_exist(files: tuple[str, str], users_file: str) -> None:
    arguments = ("who", "--rules", files[0], "--users-file", users_file, "--action", "subscribe", "--name", "a//b")
    assert run(*arguments).exit_code == 1
    assert run("who", "--action", "listen", "--name", "a").exit_code == 2


def test_what_a_user_can_do(files: tuple[str, str]) -> None:
    result = run("can", "--rules", files[0], "--user", "ann", "--user-data", '{"role": "editor"}', "--json")
    assert [
        (each["pattern"], each["action"], each["verdict"], each["condition"])
        for each in json.loads(result.output)["can"]
    ] == [
        ("news/*", "subscribe", "always", ""),
        ("news/*", "publish", "always", ""),
        ("private/$id", "subscribe", "depends", '"ann" === $id'),
        ("a/$x/b", "subscribe", "always", ""),
    ]
    shown = run("can", "--rules", files[0], "--user", "ann").output
    assert "if user.data.role === 'editor'" in shown
    assert "nothing is known of user.data" in shown
