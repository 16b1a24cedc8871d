"""docs/howto/import-deepstream-permissions.md: every code is explained, and the example gives exactly the list that is printed."""

from __future__ import annotations

import re
from pathlib import Path

from trio_router.permissions.deepstream import DIFFERENCES, import_permissions

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "import-deepstream-permissions.md").read_text()


def test_the_example_gives_the_list_that_is_printed() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    listed = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert example
    assert listed
    made = import_permissions(example[1], "permissions.yml").differences
    assert [f"permissions.yml:{one.line}:{one.column}: {one}" for one in made] == listed[1].splitlines()
    assert {one.code for one in made} == set(DIFFERENCES)


def test_every_code_is_in_the_table_and_explained() -> None:
    assert re.findall(r"^\| (D\d+) \| (.*) \|$", PAGE, re.MULTILINE) == list(DIFFERENCES.items())
    explained = [
        code for codes in re.findall(r"^\*\*([D\d, ]+)\.\*\*", PAGE, re.MULTILINE) for code in codes.split(", ")
    ]
    assert sorted(explained) == sorted(DIFFERENCES)
