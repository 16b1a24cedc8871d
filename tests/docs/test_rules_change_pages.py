"""The pages about changing rules and asking them in reverse show what the commands really say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from trio_router.cli.main import cli
from trio_router.routing.shadow import LINES

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGES = ("change-rules-safely.md", "who-may-do-what.md")


def shown(page: str) -> list[tuple[str, str]]:
    """(command, what it says) of each console block."""
    blocks = re.findall(r"```console\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL)
    return [(block.partition("\n")[0].removeprefix("$ "), block.partition("\n")[2]) for block in blocks]


@pytest.mark.parametrize(("page", "command", "said"), [(page, *block) for page in PAGES for block in shown(page)])
def test_the_page_shows_what_the_command_says(
    page: str, command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", (HOWTO / page).read_text(), re.DOTALL):
        (tmp_path / name).write_text(text if name.endswith(".log") else f"# {name}\n{text}")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, shlex.split(command)[1:])
    assert re.sub(" +\n", "\n", result.output).split("\n") == said.split("\n")
    assert result.exit_code == (1 if " diff " in command else 0)


def test_the_figure_is_the_true_one() -> None:
    assert f"at most {LINES} lines a minute" in (HOWTO / PAGES[0]).read_text().replace("\n", " ")
