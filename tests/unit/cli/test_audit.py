"""``trio-router audit verify``: what it says and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.audit.test_log import written
from trio_router.audit.verify import head_of, verify
from trio_router.cli.main import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["audit", "verify", *arguments])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    written(tmp_path / "decisions.log", ["a", "b"])
    return tmp_path / "decisions.log"


def test_a_whole_log(path: Path) -> None:
    result = run(str(path))
    assert result.exit_code == 0
    assert result.output.startswith(f"whole: 4 entries, 2 decisions, last 4 {verify([path]).last.hash}\n")
    assert "not checked" not in result.output


def test_an_edited_log_names_file_and_line(path: Path) -> None:
    path.write_text(path.read_text().replace('"a"', '"x"'))
    result = run(str(path))
    assert result.exit_code == 1
    assert f"broken: {path}:2: the entry was changed" in result.output


def test_without_a_head_file_the_end_is_said_to_be_unchecked(path: Path) -> None:
    head_of(path).unlink()
    assert "the end was not checked" in run(str(path)).output
    last = verify([path]).last.hash
    assert run(str(path), "--expect", last).exit_code == 0
    assert run(str(path), "--expect", "0" * 63 + "1").exit_code == 1


def test_json(path: Path) -> None:
    told = json.loads(run(str(path), "--json").output)
    assert (told["ok"], told["decisions"], told["last"]["seq"], told["problems"]) == (True, 2, 4, [])
    path.write_text("x\n")
    told = json.loads(run(str(path), "--json").output)
    assert not told["ok"]
    assert told["problems"][0]["line"] == 1


def test_wrong_usage_and_missing_files(path: Path) -> None:
    assert run(str(path), "--expect", "nonsense").exit_code == 2
    assert run().exit_code == 2
    result = run(str(path.with_name("none.log")))
    assert (result.exit_code, "none.log: cannot be read" in result.stderr) == (3, True)
