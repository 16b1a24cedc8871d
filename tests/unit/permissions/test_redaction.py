"""Which paths hide what."""

from __future__ import annotations

import pytest

from trio_router.permissions.redaction import REDACTED, Redaction, check_path

VALUE = {"password": "x", "users": [{"ssn": 1, "name": "a"}, {"ssn": 2}], "deep": {"key": {"x": 1}}}


@pytest.mark.parametrize("path", ["data", "data.a", "data.*.b", "user.data.x.0", "user.id", "name", "session.id"])
def test_paths(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path", ["", "password", "user", "user.isAuthenticated", "data.", ".data", "data..x", "data.a b", "*"]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="a path begins with one of") as caught:
        check_path(path)
    assert str(caught.value) == (
        "a path begins with one of data, name, user.data, user.id, session.id, session.remoteAddress, "
        "and its parts are joined by dots"
    )


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        ([], VALUE),
        (["data"], REDACTED),
        (["data.password"], VALUE | {"password": REDACTED}),
        (["data.users.*.ssn"], VALUE | {"users": [{"ssn": REDACTED, "name": "a"}, {"ssn": REDACTED}]}),
        (["data.users.1"], VALUE | {"users": [{"ssn": 1, "name": "a"}, REDACTED]}),
        (["data.deep.key.x"], VALUE | {"deep": {"key": {"x": REDACTED}}}),
        (["data.deep.key.x.y"], VALUE),
        (["user.data.password"], VALUE),
        (["data.*"], dict.fromkeys(VALUE, REDACTED)),
    ],
)
def test_a_value_is_shown_without_what_is_hidden(paths: list[str], shown: object) -> None:
    before = repr(VALUE)
    assert Redaction.of(paths).scrubbed(VALUE, "data") == shown
    assert repr(VALUE) == before
