from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_router import names

CONFUSABLES = [
    "",
    "a//b",
    "/a",
    "a/",
    "a/../b",
    "a/./b",
    "a.",
    "a./b",
    "a b",
    " a",
    "a\n",
    "a\0",
    "a%2Fb",
    "caf\u00e9",
    "cafe\u0301",
    "p\u0430ypal",
    "a\u200bb",
    "a\u202eb",
    "a\\b",
    "*",
    "a*",
    "$a",
    "pvt:",
    ":a",
    "xyz:a",
    "PVT:a",
    "a" * 256,
]


@pytest.mark.threat("T25")
@pytest.mark.parametrize("name", CONFUSABLES, ids=ascii)
def test_a_second_spelling_is_refused_not_rewritten(name: str) -> None:
    with pytest.raises(names.InvalidName):
        names.check_channel(name)


@pytest.mark.threat("T25")
@given(st.text(max_size=20))
def test_whatever_is_accepted_is_ascii_and_stable_under_every_normal_form(name: str) -> None:
    import unicodedata

    try:
        names.check_channel(name)
    except names.InvalidName:
        return
    assert name.isascii()
    assert all(unicodedata.normalize(form, name) == name for form in ("NFC", "NFD", "NFKC", "NFKD"))
    assert name.strip() == name


@pytest.mark.parametrize(
    "name", ["news", "news/x", "a.b", "pvt:L1", "prs:room1", "sys:x", "user/egon@example.com", "a" * 255]
)
def test_ordinary_names_are_accepted(name: str) -> None:
    names.check_channel(name)


def test_procedures_have_no_system_kind() -> None:
    names.check_procedure("pvt:sum")
    with pytest.raises(names.InvalidName, match="prs, pvt"):
        names.check_procedure("sys:sum")


@pytest.mark.threat("T23")
@pytest.mark.parametrize("user_id", ["", "*", "a/b", "a*", "$x", "#", "a b", "\u00e9", "a" * 129])
def test_a_user_id_is_one_literal_segment(user_id: str) -> None:
    with pytest.raises(names.InvalidName):
        names.check_user_id(user_id)


def test_an_error_says_where_but_does_not_repeat_the_name() -> None:
    with pytest.raises(names.InvalidName, match=r"position 4$") as caught:
        names.check_channel("abc\u00e9")
    assert "abc" not in str(caught.value)
