"""Reading htpasswd files: what is accepted, and what is said about the rest."""

from __future__ import annotations

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio_router_htpasswd.passwords import Passwords, parse

from trio_router.errors import ConfigError

# `htpasswd -nbB alice hunter2` of Apache's tools writes $2y$; the same hash under the three names it goes by.
HASH = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()[4:]


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "users")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("prefix", ["$2y$", "$2b$", "$2a$"])
def test_bcrypt_under_each_of_its_names(prefix: str) -> None:
    users = parse(f"alice:{prefix}{HASH}\n", "users")
    assert users.match("alice", "hunter2")
    assert not users.match("alice", "hunter3")
    assert not users.match("bob", "hunter2")


def test_comments_blank_lines_and_any_line_ends() -> None:
    users = parse(f"# staff\r\n\r\n   \nalice:$2y${HASH}\r\nbob:$2y${HASH}", "users")
    assert sorted(users.hashes) == ["alice", "bob"]


def test_an_empty_file_has_nobody_in_it_and_takes_its_time_to_say_so() -> None:
    users = parse("", "users")
    assert not users.match("alice", "")
    assert users.decoy.startswith(b"$2b$10$")


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("$apr1$lQbPPPV6$EiBKPy4LjtRdbfKPqvqbn0", "MD5 (apr1)"),
        ("$1$abc$xyz", "MD5 (crypt)"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
        ("{SSHA}abc", "salted SHA-1"),
        ("$5$rounds=5000$x$y", "SHA-256"),
        ("$6$x$y", "SHA-512"),
        ("$argon2id$v=19$m=1$a$b", "argon2"),
        ("$2x$04$" + "a" * 53, "bcrypt"),
        ("$2y$04$" + "a" * 52, "bcrypt"),
        ("rqXexS6ZhobKA", "DES (crypt) or plain text"),
        ("hunter2", "DES (crypt) or plain text"),
    ],
)
def test_other_formats_are_named_and_the_way_out_is_shown(stored: str, name: str) -> None:
    (fault,) = faults(f"alice:$2y${HASH}\nbob:{stored}\n")
    assert fault.startswith("users:2: ")
    assert "'bob'" in fault
    assert name in fault
    assert "htpasswd -B" in fault
    assert stored not in fault


def test_all_faults_at_once_each_with_its_line() -> None:
    text = (
        f"alice\n:x\na b:$2y${HASH}\nbob:$2y${HASH}\nbob:$2y${HASH}\ncarol:$2y$03${HASH[3:]}\ndave:$2y$31${HASH[3:]}\n"
    )
    found = faults(text)
    assert [fault.split(": ")[0] for fault in found] == [
        "users:1",
        "users:2",
        "users:3",
        "users:5",
        "users:6",
        "users:7",
    ]
    assert "already there" in found[3]
    assert "cost" in found[4]
    assert "cost" in found[5]


def test_a_password_is_not_matched_by_its_first_72_bytes() -> None:
    long = "x" * 72
    stored = bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode()
    users = parse(f"alice:{stored}\n", "users")
    assert users.match("alice", long)
    assert not users.match("alice", long + "y")


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=100), st.text(max_size=20))
def test_any_text_has_an_answer(password: str, username: str) -> None:
    users = parse(f"alice:$2y${HASH}\n", "users")
    cheap = Passwords(users.hashes, users.hashes["alice"])
    assert cheap.match(username, password) is (username == "alice" and password == "hunter2")


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=200))
def test_any_file_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "users")
    except ConfigError as error:
        assert error.problems
