"""The README and the other documents point at files that exist, and the README's config and rules are valid."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from trio_router.clock import SystemClock
from trio_router.config.load import load_text
from trio_router.permissions.loader import load_rules
from trio_router.testing.process import router_process

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".tox", "node_modules", ".git", "build"} & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


def test_the_readme_shows_a_config_and_rules_that_load(tmp_path: Path) -> None:
    config, rules = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [step.strategy for step in load_text(config, base=tmp_path).login] == ["jwt", "webhook", "users"]
    load_rules(rules, "README.md", clock=SystemClock())


def test_the_two_commands_of_the_readme_exist_and_ci_runs_the_second() -> None:
    text = (ROOT / "README.md").read_text()
    for command in ("scripts/demo", "scripts/test"):
        assert command in text
        assert (ROOT / command).stat().st_mode & 0o111
    assert "\nscripts/test\n" in (ROOT / ".ci/run").read_text()


async def test_the_router_of_your_own_works_as_the_readme_says(tmp_path: Path) -> None:
    """Every command of the section, as printed, in its order; only the ports are free ones."""
    text = (ROOT / "README.md").read_text()
    shown = re.findall(r"^\.venv/bin/trio-router (.*?)(?: +#.*)?$", text, re.MULTILINE)
    init, add, check, serve, subscribe, publish = [shlex.split(line) for line in shown]
    run = functools.partial(trio.run_process, cwd=tmp_path, capture_stdout=True, stdin=b"")
    command = [sys.executable, "-m", "trio_router"]
    await run([*command, *init])
    config = tmp_path / "my-router" / "config.yml"
    config.write_text(re.sub(r"port: \d+", "port: 0", config.read_text()))
    added = await run([*command, *add, "--json"])
    checked = await run([*command, *check])
    assert b"no problems, no unsafe settings" in checked.stdout
    assert serve == ["serve", "--config", "my-router/config.yml"]
    async with router_process(config) as router, trio.open_nursery() as nursery:
        environ = {
            **os.environ,
            "TRIO_ROUTER_URL": router.url,
            "TRIO_ROUTER_PASSWORD": json.loads(added.stdout)["password"],
        }
        run_subscribe = functools.partial(
            trio.run_process, [*command, *subscribe, "--count", "1"], env=environ, cwd=tmp_path, stdout=subprocess.PIPE
        )
        subscriber = await nursery.start(run_subscribe)
        while '"login_accepted"' not in router.log:
            await trio.sleep(0.02)
        received = b""
        with trio.fail_after(30):
            while not received:  # a publish that comes before the subscription reaches nobody
                await run([*command, *publish], env=environ)
                with trio.move_on_after(0.5):
                    received = await subscriber.stdout.receive_some()
        assert b"tea is ready" in received
        nursery.cancel_scope.cancel()
