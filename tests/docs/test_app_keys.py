"""The pages about app keys: the commands run as printed, the program logs in, options, grants and the proof are the true ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import yaml
from click.testing import CliRunner

from trio_router.app import Router
from trio_router.auth.key import KeyOptions
from trio_router.cli.main import cli
from trio_router.config.load import load
from trio_router.grants import GRANTS
from trio_router.protocols.keyproof import VERSION, key_proof
from trio_router.secret import Secret

DOCS = Path(__file__).parents[2] / "docs"
HOWTO = (DOCS / "howto/app-keys.md").read_text()
REFERENCE = (DOCS / "reference/login-key.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "router"
    assert CliRunner().invoke(cli, ["init", str(folder), "--port", "0", "--admin-port", "0"]).exit_code == 0
    config = folder / "config.yml"
    login = re.search(r"```yaml\n(login:\n.*?)```", HOWTO, re.DOTALL)
    assert login
    config.write_text(config.read_text().replace("login:\n  - strategy: users\n", login[1]))
    assert "strategy: key" in config.read_text()
    return folder


def run(folder: Path, command: str) -> str:
    arguments = shlex.split(command)
    assert arguments[0] == "trio-router"
    result = CliRunner().invoke(cli, [*arguments[1:], "--config", str(folder / "config.yml")])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_run_as_printed(folder: Path) -> None:
    block = re.search(r"```sh\n(.*?)```", HOWTO, re.DOTALL)
    assert block
    output = "".join(run(folder, command) for command in block[1].splitlines())
    assert output.count("secret (shown this once): ") == 3
    assert "default.source" in run(folder, "trio-router keys list")


async def test_the_server_program_logs_in_and_publishes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = (await trio.to_thread.run_sync(run, folder, "trio-router keys create --id source")).rpartition(": ")[2]
    monkeypatch.setenv("SOURCE_SECRET", secret.strip())
    (folder / "rules.yml").write_text('event: {"prices/*": {publish: "user.data.isServer"}}\n')
    block = re.search(r"```python\n(.*?)```", HOWTO, re.DOTALL)
    assert block
    program: dict[str, Any] = {}
    exec(compile(block[1], "app-keys.md", "exec"), program)
    router = Router(load(folder / "config.yml"))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(router.run)
        await program["main"](address.url)
        router.stop()
    assert "published as key:source" in capsys.readouterr().out


def test_every_option_is_listed_with_its_default() -> None:
    listed = dict(ROW.findall(REFERENCE[REFERENCE.index("## Options") : REFERENCE.index("## The proof")]))
    assert list(listed) == [field.name for field in attrs.fields(KeyOptions)]
    for field in attrs.fields(KeyOptions):
        assert (None if listed[field.name] == "none" else yaml.safe_load(listed[field.name])) == field.default


def test_every_grant_is_listed() -> None:
    section = HOWTO[HOWTO.index("## What grants are") : HOWTO.index("## Rotate")]
    assert tuple(dict(ROW.findall(section))) == GRANTS


@pytest.mark.threat("T49")
def test_the_proof_of_the_reference_is_a_true_one() -> None:
    assert VERSION.decode() in REFERENCE
    proof = key_proof("shop.k1", 1_700_000_000, "0123456789abcdef", "s1", Secret("secret"))
    assert f"`{proof}`" in REFERENCE
