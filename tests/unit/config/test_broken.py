"""Every file of tests/broken/config is refused with exactly the problems that its last lines (``#! ``) name."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_router.config.load import load
from trio_router.errors import ConfigError

BROKEN = sorted((Path(__file__).parents[2] / "broken" / "config").glob("*.yml"))


def expected(path: Path) -> list[str]:
    return [f"{path}{line[3:]}" for line in path.read_text().splitlines() if line.startswith("#! ")]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 25


@pytest.mark.threat("T31")
@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_config_is_refused_with_file_line_and_field(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert expected(path)
    assert [str(problem) for problem in caught.value.problems] == expected(path)
