"""The pages about the HTTP API say what it does: the commands of the how-to are run, the reference's tables are complete."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import trio

from trio_router.app import Router
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.client import connect
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.http import batch, batch_answers, visitors
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store

DOCS = Path(__file__).parents[2] / "docs"
HOWTO = (DOCS / "howto/use-the-http-api.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference/http-api.md").read_text(encoding="utf-8")
CONFIG, RULES = re.findall(r"```yaml\n(.*?)```", HOWTO, re.DOTALL)
BLOCKS = re.findall(r"```console\n(.*?)```", HOWTO, re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each command of the how-to with what it says is answered."""
    found = []
    for block in BLOCKS:
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            ends = [m.end() for m in re.finditer(r"'\n", piece)]
            found.append((piece[: ends[-1]].strip(), piece[ends[-1] :].strip()))
    return found


async def test_the_commands_of_the_how_to_answer_what_it_says(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "config.yml").write_text(CONFIG + "listen: {port: 0}\n")
    store = open_user_store(Secret("sqlite:///router.db"), tmp_path)
    accounts = Accounts(store, "default", PasswordHasher(), SystemClock())
    await accounts.add("ann", password=Secret("correct horse"), client_data={"theme": "dark"})
    await accounts.add("bob", password=Secret("correct horse"))
    await store.aclose()
    router = Router.load(lambda: load(tmp_path / "config.yml", environ={}))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(router.run)
        bob = {"username": "bob", "password": "correct horse"}

        async def add(data: Any, _: Any) -> Any:
            return sum(data)

        async with connect(address.url, bob) as client, client.provide("add", add):
            ran = 0
            for command, wanted in commands():
                here = command.replace("http://localhost:7000/", address.url.replace("ws://", "http://"))
                done = await trio.run_process(shlex.split(here), capture_stdout=True)
                given = re.sub(r'"decision":"[^"]*"', '"decision":"..."', done.stdout.decode())
                assert given.replace("\r\n", "") == wanted
                ran += 1
        router.stop()
    assert ran == 5


def test_every_message_is_in_the_reference() -> None:
    rows = re.findall(r"^\| `(\w+)` (`.*?`) \| (`\w+`.*?|) \|", REFERENCE, re.MULTILINE)
    listed = {
        (topic, action): {(name, bool(optional)) for name, optional in re.findall(r"`(\w+)`(\??)", fields)}
        for topic, actions, fields in rows
        for action in re.findall(r"`(\w+)`", actions)
    }
    real = {}
    for shape in batch.SHAPES:
        hints = get_type_hints(shape)
        fields = {
            (name, name not in {f.name for f in batch.msgspec.structs.fields(shape) if f.required})
            for name in hints
            if name not in {"topic", "action"}
        }
        for action in get_args(hints["action"]):
            real[get_args(hints["topic"])[0], action] = fields
    assert listed == real


@pytest.mark.parametrize("kind", [batch.Emit, batch.Make, batch.Query])
def test_every_error_number_is_in_the_reference(kind: type) -> None:
    topic = get_args(get_type_hints(kind)["topic"])[0]
    listed = set(re.findall(rf'^\| `{topic}` \| (\d+|`"\w+"`) \|', REFERENCE, re.MULTILINE))
    used = {table[kind] for table in (batch_answers.DENIED, batch_answers.FAILED, batch_answers.INVALID)}
    if kind is batch.Make:
        used |= set(batch_answers.CALLS.values())
    assert listed == {f'`"{number}"`' if isinstance(number, str) else str(int(number)) for number in used}


def test_the_figures_are_the_true_ones() -> None:
    assert f"After {visitors.FAILURES} failed logins" in REFERENCE
