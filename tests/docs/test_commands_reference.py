"""docs/reference/commands.md says what the commands say of themselves.

``python -m tests.docs.test_commands_reference`` writes the page anew below its introduction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from trio_router.cli import main, output

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
TEXT = PAGE.read_text()
WIDTH = 100


def commands(group: click.Group, parent: click.Context) -> Iterator[tuple[str, str]]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, max_content_width=WIDTH, terminal_width=WIDTH)
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            yield from commands(command, context)


ROOT = click.Context(main.cli, info_name="trio-router", max_content_width=WIDTH, terminal_width=WIDTH)
HELP = dict(commands(main.cli, ROOT))


def words(text: str) -> list[str]:
    """How lines are broken is the terminal's business."""
    return text.split()


@pytest.mark.parametrize("path", HELP)
def test_the_page_repeats_the_help(path: str) -> None:
    section = re.search(rf"^## {re.escape(path)}$\n+```text\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL)
    assert section
    assert words(section[1]) == words(HELP[path])


def test_the_page_knows_no_other_command() -> None:
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE) == list(HELP)


def test_the_exit_codes_are_the_true_ones() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)]
    assert codes == [0, output.REFUSED, 2, output.UNAVAILABLE, output.INTERRUPTED]


def rewrite() -> None:
    sections = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in HELP.items()]
    PAGE.write_text("\n".join([TEXT.partition("## ")[0].rstrip("\n") + "\n", *sections]))


if __name__ == "__main__":
    rewrite()
