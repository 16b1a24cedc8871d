"""The commands that need no router: what they write, what they refuse, and what they never say."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from trio_router import __version__
from trio_router.cli.main import COMMANDS, cli
from trio_router.config.check import Report, check
from trio_router.config.load import load

CANARY = "canary-password-0451"


def run(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin, env=env)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "router"
    assert run("init", str(folder)).exit_code == 0
    return folder


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def users(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    return run("users", *arguments, "--config", str(folder / "config.yml"), stdin=stdin)


def test_every_command_has_help_and_json() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for one in command.commands.values() if isinstance(command, click.Group) else [command]:
            assert one.help
            options = {option for parameter in one.params for option in parameter.opts}
            assert "--json" in options or name == "serve"


@pytest.mark.threat("T62")
def test_no_command_takes_a_secret_as_an_argument() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for one in command.commands.values() if isinstance(command, click.Group) else [command]:
            for parameter in one.params:
                is_flag = isinstance(parameter, click.Option) and parameter.is_flag
                word = " ".join([*parameter.opts, parameter.name or ""])
                assert is_flag or not any(secret in word for secret in ("password", "secret", "credential"))
                assert "token" not in word or "token-file" in word


def test_version() -> None:
    assert run("version").output.startswith(f"trio_router {__version__}, python ")
    assert json.loads(run("version", "--json").output)["trio_router"] == __version__


def test_what_init_writes_passes_check_with_nothing_unsafe(folder: Path) -> None:
    assert check(folder / "config.yml") == Report()
    result = run("check", str(folder / "config.yml"), str(folder / "rules.yml"))
    assert (result.exit_code, result.output) == (0, "no problems, no unsafe settings\n")
    config = load(folder / "config.yml")
    assert config.admin is not None
    assert config.admin.token is not None


@pytest.mark.threat("T70")
def test_what_init_writes_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, open_umask: None) -> None:
    folder = tmp_path / "router"
    assert run("init", str(folder)).exit_code == 0
    paths = [folder, *folder.rglob("*")]
    assert len(paths) >= 6
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path}: {mode:04o}"


@pytest.mark.threat("T62")
def test_the_password_is_printed_once_and_stored_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "router"
    result = run("init", str(folder), "--json")
    password = json.loads(result.output)["password"]
    token = (folder / "secrets" / "admin-token").read_text().strip()
    assert len(password) >= 20
    assert token not in result.output
    for path in folder.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes()


def test_init_writes_over_nothing_unless_told_to(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = run("init", str(folder))
    assert result.exit_code == 1
    assert "already there" in result.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    result = run("init", str(folder), "--force", "--port", "7777")
    assert result.exit_code == 0
    assert load(folder / "config.yml").listen.port == 7777
    assert (folder / "secrets" / "admin-token").read_bytes() != before[folder / "secrets" / "admin-token"]


def test_init_into_a_folder_that_others_can_write_to_writes_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    result = run("init", str(tmp_path))
    assert result.exit_code == 1
    assert "writable by others" in result.output
    assert list(tmp_path.iterdir()) == []


def test_check_says_where_and_what(folder: Path) -> None:
    config = folder / "config.yml"
    config.write_text(config.read_text().replace("origins: []", "originss: []"))
    result = run("check", str(config))
    assert result.exit_code == 1
    assert f"error: {config}:13:3: listen.originss: unknown key 'originss'; did you mean 'origins'?" in result.output
    found = json.loads(run("check", str(config), "--json").output)
    assert found["ok"] is False
    assert found["problems"][0]["line"] == 13


def test_check_judges_rules_files_by_themselves(folder: Path) -> None:
    rules = folder / "rules.yml"
    rules.write_text("event:\n  'a':\n    publish: 'user.'\n")
    result = run("check", str(rules))
    assert result.exit_code == 1
    assert f"{rules}:3:" in result.output


@pytest.mark.threat("T31")
def test_what_is_unsafe_is_listed_and_fails_only_when_strict(folder: Path) -> None:
    config = folder / "config.yml"
    config.write_text(config.read_text().replace("origins: []", "origins: ['*']"))
    result = run("check", str(config))
    assert result.exit_code == 0
    assert "unsafe: " in result.output
    assert run("check", str(config), "--strict").exit_code == 1


def test_a_missing_file_is_a_problem_and_not_a_traceback(tmp_path: Path) -> None:
    for arguments in (("check", "none.yml"), ("users", "list", "-c", "none.yml"), ("serve", "-c", "none.yml")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "none.yml: cannot be read: No such file or directory" in result.output


def test_the_life_of_a_user(folder: Path) -> None:
    result = users(folder, "add", "ann", "--stdin", "--data", '{"role": "editor"}', stdin=f"{CANARY}\n")
    assert (result.exit_code, result.output) == (0, "ann: added\n")
    assert users(folder, "add", "ann", "--stdin", stdin="x\n").exit_code == 1
    assert users(folder, "disable", "ann").output == "ann: disabled\n"
    rows = [json.loads(row) for row in users(folder, "list", "--json").output.splitlines()]
    assert [(row["id"], row["disabled"]) for row in rows] == [("admin", False), ("ann", True)]
    assert "ann    disabled" in users(folder, "list").output
    assert users(folder, "enable", "ann", "--json").exit_code == 0
    result = users(folder, "set-password", "ann", "--generate", "--json")
    assert len(json.loads(result.output)["password"]) >= 20
    assert users(folder, "remove", "ann").exit_code == 0
    result = users(folder, "remove", "ann", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["error"]["code"] == "user_unknown"


def test_users_come_from_a_file(folder: Path) -> None:
    file = folder / "users.yml"
    file.write_text(f"ann: {{password: {CANARY}}}\nbob: {{password: other-password, disabled: true}}\n")
    file.chmod(0o600)
    assert users(folder, "import", str(file)).output == "2 added, 0 updated, 0 unchanged\n"
    assert json.loads(users(folder, "import", str(file), "--json").output)["unchanged"] == ["ann", "bob"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "add", "ann"),  # nobody to ask
        ("users", "add", "ann", "--generate", "--stdin"),
        ("users", "add", "ann", "--no-password", "--generate"),
        ("users", "add", "ann", "--no-password", "--data", "{"),
        ("subscribe",),
        ("publish", "a", "1", "--username", "u", "--token-file", "t"),
        ("provide", "p"),
        ("provide", "p", "--echo", "--exec", "cat"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.threat("T62")
def test_no_output_of_any_command_holds_a_password_a_hash_or_a_token(folder: Path) -> None:
    token = (folder / "secrets" / "admin-token").read_text().strip()
    config = folder / "config.yml"
    broken = folder / "broken.yml"
    broken.write_text(
        f"rules: rules.yml\nlogin: [{{strategy: users, pasword: {CANARY}}}]\n"
        f"admin: {{token: [{CANARY}]}}\nstorage: {{url: '${{DB}}'}}\nlog: {{level: '${{DB}}'}}\n"
    )
    leaky = folder / "users.yml"
    leaky.write_text(f"ann: {{passwrd: {CANARY}}}\nbob: {{password_hash: {CANARY}}}\nc/c: {{password: [{CANARY}]}}\n")
    leaky.chmod(0o600)
    env = {"DB": f"postgresql://u:{CANARY}@127.0.0.1:1/x", "TRIO_ROUTER_PASSWORD": CANARY}
    outputs = [
        users(folder, "add", "ann", "--stdin", stdin=f"{CANARY}\n"),
        users(folder, "add", "ann", "--stdin", "--json", stdin=f"{CANARY}\n"),
        users(folder, "set-password", "ann", "--stdin", stdin=f"{CANARY * 100}\n"),
        users(folder, "set-password", "nobody", "--stdin", stdin=f"{CANARY}\n"),
        users(folder, "list"),
        users(folder, "list", "--json"),
        users(folder, "import", str(leaky)),
        run("check", str(config)),
        run("check", str(broken), env=env),
        run("check", str(broken), "--json", env=env),
        run("users", "list", "-c", str(broken), env=env),
        run("serve", "-c", str(broken), env=env),
        run("publish", "a", "1", "-u", "ann", "--url", "ws://127.0.0.1:1/", env=env),
        run("publish", "a", "1", "-u", "ann", "--url", "ws://127.0.0.1:1/", "--json", env=env),
        run("publish", "a", "1", "--url", f"ws://u:{CANARY}@127.0.0.1:1/"),
        run("publish", "a", "1", "--url", f"ws://127.0.0.1:1/?token={CANARY}"),
        run("call", "a", f'{{"{CANARY}": }}'),
    ]
    for result in outputs:
        text = result.output + result.stderr
        assert CANARY not in text
        assert token not in text
        assert "$argon2id$v=19$m=1" not in text
        assert "Traceback" not in text
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception


@pytest.mark.threat("T70")
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(CANARY)
    file.chmod(0o644)
    result = run("publish", "a", "1", "--token-file", str(file), "--url", "ws://127.0.0.1:1/")
    assert result.exit_code == 1
    assert "is open to other users" in result.output


def test_no_router_is_exit_code_3_and_one_line() -> None:
    result = run("publish", "a", "1", "--url", "ws://127.0.0.1:1/")
    assert result.exit_code == 3
    assert result.output.count("\n") == 1
    result = run("call", "a", "--url", "ws://127.0.0.1:1/", "--json")
    assert json.loads(result.output)["error"]["code"] == "no_connection"


def test_data_that_is_not_json_says_how_to_send_text() -> None:
    result = run("publish", "a", "hello", "--url", "ws://127.0.0.1:1/")
    assert result.exit_code == 1
    assert "use --text" in result.output


def test_a_hash_for_a_users_file() -> None:
    result = run("hash-password", "--stdin", stdin=f"{CANARY}\n")
    assert result.output.startswith("$argon2id$v=19$")
    assert run("hash-password", "--stdin", stdin="\n").exit_code == 1
