"""docs/tutorial/rules.md is followed to the letter: each file is written, each command run, each output compared.

``python -m tests.docs.test_rules_tutorial`` writes the outputs anew.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path

from click.testing import CliRunner

from trio_router.cli.main import cli

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "rules.md"
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def followed(page: str) -> str:
    """The page with the outputs that its commands have in the current folder."""

    def follow(block: re.Match[str]) -> str:
        if block[1] == "yaml":
            name = block[2].partition("\n")[0].removeprefix("# ")
            Path(name).write_text(block[2])
            return block[0]
        commands = re.findall(r"^\$ trio-router .*$", block[2], re.MULTILINE)
        outputs = [CliRunner().invoke(cli, command.split()[2:]).output for command in commands]
        shown = "".join(f"{command}\n{output}" for command, output in zip(commands, outputs, strict=True))
        return f"```console\n{shown}```"

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return BLOCK.sub(follow, page)


def test_the_tutorial_shows_what_happens() -> None:
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) > 10
    assert followed(page) == page


def test_the_tutorial_ends_well() -> None:
    last = BLOCK.findall(PAGE.read_text())[-1][1]
    assert "0 warnings, 0 hints" not in last.partition("lint")[0]
    assert last.rstrip().endswith(" passed, 0 failed")


if __name__ == "__main__":
    PAGE.write_text(followed(PAGE.read_text()))
