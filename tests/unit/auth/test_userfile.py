"""The users file: what it may hold, and what is said about one that is broken."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_router.auth import userfile
from trio_router.auth.userdata import InvalidData, check_client_data, check_data
from trio_router.auth.userfile import FileUser
from trio_router.errors import ConfigError
from trio_router.secret import Secret

BROKEN = Path(__file__).parents[2] / "broken" / "users"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

EXPECTED = {
    "alias.yaml": ["1:6: anchors are not allowed; write the value out"],
    "both_passwords.yaml": ["3:3: ann: give password_hash or password, not both"],
    "data_not_a_mapping.yaml": [
        "3:9: ann.data: expected a mapping, found a list",
        "4:13: ann.disabled: expected true or false, found text",
    ],
    "duplicate_user.yaml": ["5:1: the key 'ann' is already there, in line 1"],
    "empty.yaml": ["1:1: expected a mapping from user id to user, found null"],
    "empty_password.yaml": ["2:13: ann.password: is empty"],
    "expensive_hash.yaml": ["2:18: ann.password_hash: costs too much: at most m=262144, t=16, p=16"],
    "foreign_hash.yaml": [
        "2:18: ann.password_hash: is not an argon2id hash of the form $argon2id$v=19$m=..,t=..,p=..$salt$hash"
    ],
    "invalid_id.yaml": ["3:1: the user id holds a character that names do not have, at position 5"],
    "no_password.yaml": ["1:1: ann: password_hash or password is missing"],
    "not_a_mapping.yaml": ["1:1: expected a mapping from user id to user, found a list"],
    "number_as_id.yaml": ["1:1: a key must be text, not a number: put it in quotes"],
    "numeric_password.yaml": [
        "2:13: ann.password: expected text, found a number: put it in quotes",
        "4:13: bob.password: expected text, found a boolean: put it in quotes",
    ],
    "tabs.yaml": ["2:1: a tab cannot indent; use spaces"],
    "unknown_field.yaml": [
        "2:3: ann: there is no field pasword; did you mean password?",
        "3:3: ann: there is no field serverData; did you mean data?",
    ],
    "user_without_fields.yaml": [
        "1:5: ann: expected a mapping with password_hash or password, found null",
        "2:6: bob: expected a mapping with password_hash or password, found text",
    ],
}


def test_every_broken_file_is_listed_and_says_something_of_its_own() -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in BROKEN.iterdir())
    assert len({tuple(lines) for lines in EXPECTED.values()}) == len(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_broken_file_is_refused_with_every_fault_and_its_place(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        userfile.read((BROKEN / name).read_text(encoding="utf-8"), name)
    assert [str(problem) for problem in caught.value.problems] == [f"{name}:{line}" for line in EXPECTED[name]]


def test_a_whole_file() -> None:
    text = f"""
ann@example.com:
  password_hash: {HASH}
  data: {{roles: [editor], level: 3}}
  client_data: [1, null, {{theme: dark}}]
"7":
  password: " spaces stay "
  disabled: true
"""
    assert userfile.read(text, "users.yaml") == (
        FileUser(
            "ann@example.com",
            password_hash=HASH,
            data={"roles": ["editor"], "level": 3},
            client_data=[1, None, {"theme": "dark"}],
        ),
        FileUser("7", password=Secret(" spaces stay "), disabled=True),
    )
    assert userfile.read("{}", "users.yaml") == ()


@pytest.mark.threat("T62")
@pytest.mark.parametrize(
    "text",
    [
        "ann:\n  pasword: swordfish",
        "ann: swordfish",
        "ann:\n  password_hash: swordfish",
        "ann:\n  password: [swordfish]",
        "ann:\n  password: {swordfish: 1}",
        "ann:\n  password: swordfish\n  password_hash: swordfish",
        "ann:\n  password: swordfish\n  data: swordfish",
        "ann:\n  password: swordfish\n  disabled: swordfish",
        "ann:\n  password: 'swordfish",
        "ann:\n  password: swordfish: x",
        "ann:\n  password: !swordfish x",
        "ann:\n  password: swordfish\n  password: swordfish",
        "swordfish",
        f"ann:\n  password: swordfish{'x' * 1024}",
    ],
)
def test_no_message_repeats_a_value(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        userfile.read(text, "users.yaml")
    assert "swordfish" not in "".join(traceback.format_exception(caught.value))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        userfile.read(text, "users.yaml")
    except ConfigError as error:
        assert all(problem.source == "users.yaml" for problem in error.problems)


@pytest.mark.threat("T70")
def test_a_file_that_others_can_read_is_refused_unless_that_is_wanted(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "users.yaml"
    path.write_text("ann: {password: correct horse}")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="readable by others"):
        userfile.load(path)
    assert [user.id for user in userfile.load(path, readable=True)] == ["ann"]
    path.chmod(0o600)
    assert [user.id for user in userfile.load(path)] == ["ann"]
    path.chmod(0o620)
    with pytest.raises(ConfigError, match="writable by others"):
        userfile.load(path, readable=True)


def test_a_missing_file_and_one_that_is_not_utf8_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigError, match="No such file"):
        userfile.load(tmp_path / "users.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"ann:\n  password: caf\xe9\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: is not UTF-8"):
        userfile.load(path)


@pytest.mark.threat("T16")
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"x": float("nan")}, "a number that JSON does not have"),
        ({"x": [float("inf")]}, "a number that JSON does not have"),
        ({"x": "\ud800"}, "half a character"),
        ({"\udc00": 1}, "half a character"),
        ({"x": b"bytes"}, "something that JSON does not have"),
        ({"x": (1, 2)}, "something that JSON does not have"),
        ({1: 2}, "a key that is not text"),
        ({"x": "x" * 70_000}, "larger than 65536 bytes"),
        ([], "must be a JSON object"),
        ("text", "must be a JSON object"),
    ],
    ids=ascii,
)
def test_data_that_could_not_be_sent_to_everybody_is_refused(value: object, says: str) -> None:
    with pytest.raises(InvalidData, match=says):
        check_data(value)


def test_deep_data_is_refused_without_deep_recursion() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidData, match="nested deeper than 32 levels"):
        check_client_data(value)
    while value:  # taken apart by hand: freeing it whole would recurse
        value = value.pop()  # type: ignore[assignment]
