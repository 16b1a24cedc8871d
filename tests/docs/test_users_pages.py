"""The pages about users say what the code does: the example is a users file, every option is in the table."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from trio_router.auth import userfile
from trio_router.auth.users import UsersOptions

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_is_a_users_file() -> None:
    text = (DOCS / "reference/users-file.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    users = userfile.read(example[1], "users-file.md")
    assert [user.id for user in users] == ["ann@example.com", "worker-7", "42"]
    assert users[2].disabled


def test_every_option_is_described_with_its_default() -> None:
    text = (DOCS / "howto/manage-users.md").read_text(encoding="utf-8")
    for field in attrs.fields(UsersOptions):
        assert f"`{field.name}`" in text or f"`{field.name}:`" in text, field.name
        if type(field.default) in (int, float):
            assert re.search(rf"\| `{field.name}` \| {field.default:g} \|", text), field.name


def test_every_field_of_a_user_is_in_the_reference() -> None:
    text = (DOCS / "reference/users-file.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in userfile._FIELDS)
