from __future__ import annotations

from typing import Any

import pytest

from trio_router.auth.claim_paths import MISSING, parse_path, parse_paths, pick

CLAIMS = {
    "sub": "ada",
    "https://app.example/roles": ["admin"],
    "realm_access": {"roles": ["user"], "a/b": {"m~n": 1}},
    "list": [{"x": 1}],
    "text": "abc",
    "null": None,
    "": "nameless",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sub", "ada"),
        ("https://app.example/roles", ["admin"]),
        ("/sub", "ada"),
        ("/realm_access/roles", ["user"]),
        ("/realm_access/a~1b/m~0n", 1),
        ("null", None),
        ("/", "nameless"),
    ],
)
def test_a_path_leads_to_a_claim(text: str, value: Any) -> None:
    assert parse_path(text).find(CLAIMS) == value


@pytest.mark.threat("T18")
@pytest.mark.parametrize(
    "text",
    [
        "x",
        "realm_access.roles",
        "/realm_access/x",
        "/sub/x",
        "/list/0",
        "/list/0/x",
        "/text/0",
        "/null/x",
        "__class__",
        "/__class__",
        "/realm_access/__class__",
        "/realm_access/keys",
        "/text/upper",
        "/realm_access/roles/",
    ],
)
def test_only_members_of_objects_are_followed(text: str) -> None:
    assert parse_path(text).find(CLAIMS) is MISSING


@pytest.mark.parametrize("text", ["", "/a~", "/a~2b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|~0"):
        parse_path(text)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("sub", {"sub": "ada"}),
        ("/realm_access/roles", {"roles": ["user"]}),
        (["sub", "/realm_access/roles", "nothing"], {"sub": "ada", "roles": ["user"]}),
        ({"name": "sub", "roles": "/realm_access/roles", "x": "y"}, {"name": "ada", "roles": ["user"]}),
        ({"null": "null"}, {"null": None}),
        ([], {}),
        ({}, {}),
    ],
)
def test_claims_get_names(options: Any, found: dict[str, Any]) -> None:
    assert pick(parse_paths(options), CLAIMS) == found


def test_two_claims_do_not_get_one_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        parse_paths(["/a/roles", "/b/roles"])
    assert len(parse_paths({"one": "/a/roles", "two": "/b/roles"})) == 2
