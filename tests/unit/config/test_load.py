"""What a config file means."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from trio_router.config.load import load, load_located, load_text
from trio_router.config.schema import Config
from trio_router.errors import ConfigError
from trio_router.limits import Limits
from trio_router.secret import Secret

MINIMAL = "rules: rules.yml\nlogin:\n  - strategy: open\n"
TOKEN = "canary-token-0123456789-abcdef"


def loaded(text: str, base: Path = Path("/srv/router"), **environ: str) -> Config:
    return load_text(text, base=base, environ=environ)


def problems(text: str, base: Path = Path("/srv/router"), **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, base=base, environ=environ)
    return [str(problem) for problem in caught.value.problems]


def test_everything_but_rules_and_login_has_a_safe_default() -> None:
    config = loaded(MINIMAL)
    assert config.rules == Path("/srv/router/rules.yml")
    assert config.login[0].strategy == "open"
    assert config.listen.host == "127.0.0.1"
    assert config.listen.origins == []
    assert config.admin is None
    assert config.limits == Limits()
    assert config.base == Path("/srv/router")


def test_options_stand_beside_the_strategy_and_take_its_own_class() -> None:
    step = loaded(
        "rules: r\nlogin:\n  - strategy: open\n    allow_username: true\n    user_data: {role: guest}\n"
    ).login[0]
    assert step.options.allow_username is True
    assert step.options.user_data == {"role": "guest"}
    assert type(step.options).__name__ == "OpenOptions"


def test_a_reference_is_replaced_inside_any_text() -> None:
    config = loaded(MINIMAL + "storage:\n  url: postgresql://${USER}:${PASS}@db/router\n", USER="r", PASS="s3")
    assert config.storage.url == Secret("postgresql://r:s3@db/router")


def test_a_reference_becomes_what_its_field_wants() -> None:
    config = loaded(MINIMAL + "listen: {port: '${PORT}', require_origin: '${STRICT}'}\n", PORT="8080", STRICT="true")
    assert config.listen.port == 8080
    assert config.listen.require_origin is True
    config = loaded(MINIMAL + "admin: {token: '${TOKEN}'}\n", TOKEN="1" * 30)
    assert config.admin is not None
    assert config.admin.token == Secret("1" * 30)


def test_two_dollars_are_a_plain_one() -> None:
    config = loaded(MINIMAL.replace("rules.yml", "$${x}-$y.yml"))
    assert config.rules.name == "${x}-$y.yml"


def test_a_value_that_came_in_is_not_expanded_again() -> None:
    config = loaded(MINIMAL.replace("rules.yml", "${A}"), A="${B}", B="no")
    assert config.rules.name == "${B}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_file_reference_gives_its_content_without_the_last_newline(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(mode)
    config = loaded(MINIMAL + "admin:\n  token: ${file:token}\n", tmp_path)
    assert config.admin is not None
    assert config.admin.token == Secret(TOKEN)


@pytest.mark.threat("T70")
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o666, 0o777])
def test_a_secret_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    secret.chmod(mode)
    (problem,) = problems(MINIMAL + "admin:\n  token: ${file:token}\n", tmp_path)
    assert problem == (
        f"config.yml:5:10: admin.token: the file token is open to other users (mode {mode:04o}): chmod 600 it"
    )


@pytest.mark.threat("T70")
def test_a_secret_file_that_others_can_replace_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    folder.chmod(0o777)
    (problem,) = problems(MINIMAL + "admin:\n  token: ${file:open/token}\n", tmp_path)
    assert "is in a folder that everybody may write to" in problem


def test_a_secret_file_is_a_regular_file_of_text_and_of_bounded_size(tmp_path: Path) -> None:
    text = MINIMAL + "admin:\n  token: ${file:token}\n"
    secret = tmp_path / "token"
    os.mkfifo(secret, 0o600)  # opening it must not wait for a writer either
    assert "token is not a regular file" in problems(text, tmp_path)[0]
    secret.unlink()
    secret.write_bytes(b"\xff\xfe")
    secret.chmod(0o600)
    assert "is not UTF-8 text" in problems(text, tmp_path)[0]
    secret.write_bytes(b"x" * (1024 * 1024 + 1))
    assert "is larger than" in problems(text, tmp_path)[0]


def test_all_problems_are_named_at_once_in_file_order() -> None:
    text = "rules: 3\nlogin:\n  - strategy: opn\n  - strategy: open\n    no: 1\nlisten: {port: x}\nadmin: {token: '${NO}'}\n"
    lines = [int(problem.split(":")[1]) for problem in problems(text)]
    assert lines == [1, 3, 5, 6, 7]


@pytest.mark.threat("T62")
@pytest.mark.parametrize(
    "section",
    [
        "admin:\n  token: ${SECRET} with spaces, so it is refused\n",
        "admin:\n  port: ${SECRET}\n",
        "log:\n  level: ${SECRET}\n",
        "listen:\n  path: ${SECRET}\n",
        "listen:\n  origins: ['${SECRET}']\n",
        "listen:\n  tls: ${SECRET}\n",
        "limits:\n  connections: ${SECRET}\n",
        "limits:\n  drain_window: ${SECRET}\n",
        "storage:\n  url: ['${SECRET}']\n",
    ],
)
def test_no_message_repeats_what_a_reference_brought_in(section: str) -> None:
    found = problems(MINIMAL + section, SECRET=TOKEN)
    assert found
    assert TOKEN not in "\n".join(found)


@pytest.mark.threat("T62")
def test_a_config_does_not_show_its_secrets() -> None:
    config = loaded(MINIMAL + "admin: {token: '${T}'}\nstorage: {url: 'postgresql://u:${T}@db/x'}\n", T=TOKEN)
    assert TOKEN not in repr(config)


@pytest.mark.threat("T31")
def test_an_unreadable_config_is_an_error_and_not_a_default(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(path, environ={})
    broken = tmp_path / "latin.yml"
    broken.write_bytes(b"rules: r.yml\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yml:2: is not UTF-8 text"):
        load(broken, environ={})


@pytest.mark.threat("T69")
def test_a_config_cannot_be_changed_in_place() -> None:
    config = loaded(MINIMAL)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.login_deadline = 1.0  # type: ignore[misc]


def test_a_finding_can_point_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(MINIMAL + "listen:\n  origins: ['*']\n")
    located = load_located(path, environ={})
    assert str(located.problem("look", "listen", "origins")) == f"{path}:5:3: listen.origins: look"
    assert located.problem("look", "admin", "token").line == 1
    assert located.inline_secrets == 0


def test_the_environment_is_the_process_s_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_RULES", "mine.yml")
    path = tmp_path / "config.yml"
    path.write_text("rules: ${ROUTER_RULES}\nlogin: [{strategy: open}]\n")
    assert load(path).rules == tmp_path / "mine.yml"
