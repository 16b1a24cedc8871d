"""The pages on decisions: their commands are run as printed, and their tables name what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.unit.audit.test_log import opened, written
from trio_router.audit.entries import decision_entry
from trio_router.audit.verify import verify
from trio_router.cli.main import cli
from trio_router.clock import ManualClock
from trio_router.http.decisions import Question
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.protocols.native.client_codec import decode_reply
from trio_router.routing.decisions import DecisionBook, Entry
from trio_router.routing.door import Door

DOCS = Path(__file__).parents[2] / "docs"
HOWTO = (DOCS / "howto" / "find-out-why-something-was-denied.md").read_text()
LOG = (DOCS / "reference" / "decision-log.md").read_text()

RUNS = re.findall(r"^\$ trio-router (rules explain .*)\n((?:.*\n)*?)```$", HOWTO, re.MULTILINE)


def block(text: str, language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[number]


def test_there_are_runs() -> None:
    assert len(RUNS) == 2


@pytest.mark.parametrize(("command", "output"), RUNS)
def test_a_command_prints_what_the_page_says(
    command: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules.yml").write_text(block(HOWTO, "yaml"))
    result = CliRunner().invoke(cli, shlex.split(command))
    assert result.output == output
    assert result.exit_code == 1


def test_the_error_is_one_of_the_protocol() -> None:
    reply: Any = decode_reply(block(HOWTO, "json"))
    assert (reply.code, reply.detail, reply.decision) == (300, "only editors publish news", "mQ8rUa2xVw0K")


def test_the_question_has_these_fields() -> None:
    table = HOWTO.partition("## Ask before it happens")[2].partition("Asking changes")[0]
    fields = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert fields == {field.name for field in msgspec.structs.fields(Question)}


def test_the_paths_to_hide_are_paths() -> None:
    paths = json.loads(re.findall(r"redact: (\[.*\])", HOWTO)[0])
    assert len(Redaction.of(paths).paths) == 3


def test_the_log_has_these_fields(tmp_path: Path) -> None:
    entries: list[Entry] = []
    clock = ManualClock()
    book = DecisionBook(clock, keep=1, memory=10_000, sink=entries.append)
    Door(load_rules(block(HOWTO, "yaml"), "rules.yml", clock=clock), book=book).authorize(
        Identity("default", "s", User("egon", {"role": "reader"})), Action.EVENT_PUBLISH, "news/x", Payload(1)
    )
    tmp_path.chmod(0o700)
    made = opened(tmp_path / "log")
    made._append([decision_entry(entries[0], Redaction())])
    made.close()
    line = (tmp_path / "log").read_text().splitlines()[1]
    assert list(json.loads(line)) == list(json.loads(block(LOG, "json")))
    table = LOG.partition("| field | meaning |")[2].partition("Other kinds")[0]
    told = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert told == set(json.loads(line))


def test_the_check_prints_such_a_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    written(tmp_path / "log", ["a"])
    printed = CliRunner().invoke(cli, ["audit", "verify", str(tmp_path / "log")]).output
    shape = re.sub(r"\d+", "N", re.findall(r"^whole: .*$", LOG, re.MULTILINE)[0].rpartition(" ")[0])
    assert re.sub(r"\d+", "N", printed.splitlines()[0].rpartition(" ")[0]) == shape
    assert verify([tmp_path / "log"]).problems == ()
