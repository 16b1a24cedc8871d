"""The README and the other documents point at files that exist, and the README's config and rules are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_router.clock import SystemClock
from trio_router.config.load import load_text
from trio_router.permissions.loader import load_rules

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
