"""The htpasswd strategy: the contract of all strategies, and a file that changes under it."""

from __future__ import annotations

import os
from pathlib import Path

import bcrypt
import pytest
import trio
import trio_router_htpasswd.strategy as htpasswd
from structlog.testing import capture_logs
from trio_router_htpasswd.passwords import Passwords
from trio_router_htpasswd.strategy import HtpasswdOptions, HtpasswdStrategy, HtpasswdType

from trio_router.auth import registry
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest, NotMine, Strategy, Unavailable
from trio_router.errors import ConfigError
from trio_router.identity import User
from trio_router.testing.strategies import StrategyContract, login_request, services


def line(username: str, password: str, cost: int = 4) -> str:
    stored = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()
    return f"{username}:$2y${stored[4:]}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "users.htpasswd"
    path.write_text("# the staff\n\n" + line("alice", "hunter2") + line("bob", "correct horse", cost=10))
    path.chmod(0o600)
    return path


@pytest.fixture
def strategy(file: Path) -> HtpasswdStrategy:
    return HtpasswdType().build(HtpasswdOptions(file), services(file.parent))


async def ask(strategy: HtpasswdStrategy, username: str, password: str) -> Answer:
    return await strategy.start(login_request({"username": username, "password": password}))


class TestContract(StrategyContract):
    strategy_type = HtpasswdType()
    secrets = ("hunter2", "correct horse", "wrong", "$2y$", "$2b$")

    @pytest.fixture
    def strategy(self, strategy: HtpasswdStrategy) -> Strategy:
        return strategy

    def accepted(self) -> list[LoginRequest]:
        return [
            login_request({"username": "alice", "password": "hunter2"}),
            login_request({"username": "bob", "password": "correct horse", "other": 1}),
        ]

    def denied(self) -> list[LoginRequest]:
        return [
            login_request({"username": "alice", "password": "wrong"}),
            login_request({"username": "nobody", "password": "hunter2"}),
        ]

    def foreign(self) -> list[LoginRequest]:
        return [login_request(), login_request({"token": "hunter2"}), login_request({"username": "alice"})]


def test_it_is_found_by_its_name() -> None:
    assert isinstance(registry.load("htpasswd"), HtpasswdType)


async def test_who_it_lets_in(strategy: HtpasswdStrategy) -> None:
    assert await ask(strategy, "alice", "hunter2") == Accepted(User("alice"))
    for username, password in (
        ("alice", "correct horse"),
        ("Alice", "hunter2"),
        ("alice", ""),
        ("", ""),
        ("alice", "\ud800"),
    ):
        assert await ask(strategy, username, password) == Denied("credentials")
    assert await strategy.start(login_request({"username": "alice", "password": ["hunter2"]})) == NotMine()


@pytest.mark.threat("T56")
async def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    strategy: HtpasswdStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[bytes] = []
    real = bcrypt.checkpw

    def checkpw(password: bytes, stored: bytes) -> bool:
        checked.append(stored)
        return real(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    answers = [await ask(strategy, name, "wrong") for name in ("bob", "nobody")]
    assert answers[0] == answers[1]
    assert [stored[4:6] for stored in checked] == [b"10", b"10"]  # one hash each, of the same cost


@pytest.mark.threat("T57")
async def test_a_crowd_hashes_few_at_a_time_and_beyond_a_bound_is_told_to_come_back(
    strategy: HtpasswdStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(htpasswd, "QUEUE", 3)
    answers: list[Answer] = []

    async def one() -> None:
        answers.append(await ask(strategy, "bob", "correct horse"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(one)
    assert answers.count(Unavailable("busy")) == 20 - htpasswd.THREADS - 3
    assert answers.count(Accepted(User("bob"))) == htpasswd.THREADS + 3


async def test_a_changed_file_counts_at_once(strategy: HtpasswdStrategy, file: Path) -> None:
    replacement = file.with_name("new")
    replacement.write_text(line("carol", "tr0ub4dor"))
    replacement.replace(file)
    assert await ask(strategy, "carol", "tr0ub4dor") == Accepted(User("carol"))
    assert await ask(strategy, "alice", "hunter2") == Denied("credentials")


@pytest.mark.parametrize("fault", ["missing", "broken", "binary"])
async def test_a_file_that_breaks_lets_nobody_in_and_calls_nobody_wrong(
    strategy: HtpasswdStrategy, file: Path, fault: str
) -> None:
    before = file.read_text()
    if fault == "missing":
        file.unlink()
    else:
        file.write_bytes(
            b"\xff\xfe" if fault == "binary" else before.encode() + b"dave:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
        )
    with capture_logs() as logs:
        assert await ask(strategy, "alice", "hunter2") == Unavailable("file")
    assert logs[0]["event"] == "htpasswd_file"
    assert str(file) in logs[0]["problems"][0]
    file.write_text(before)
    assert await ask(strategy, "alice", "hunter2") == Accepted(User("alice"))


def test_a_router_does_not_start_with_a_file_it_cannot_use(file: Path) -> None:
    file.write_text("alice:$apr1$x$y\n")
    with pytest.raises(ConfigError, match=r"users\.htpasswd:1: .*MD5"):
        HtpasswdType().build(HtpasswdOptions(file), services(file.parent))
    with pytest.raises(ConfigError, match="cannot be read"):
        HtpasswdType().build(HtpasswdOptions(Path("absent")), services(file.parent))


async def test_a_relative_path_counts_from_the_config(file: Path) -> None:
    strategy = HtpasswdType().build(HtpasswdOptions(Path(file.name)), services(file.parent))
    assert await ask(strategy, "alice", "hunter2") == Accepted(User("alice"))


def test_the_file_is_read_once_while_it_stays_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    real = htpasswd.parse

    def parse(text: str, source: str) -> Passwords:
        nonlocal reads
        reads += 1
        return real(text, source)

    monkeypatch.setattr(htpasswd, "parse", parse)
    found = htpasswd.PasswordFile(file)
    assert found.current() is found.current()
    os.utime(file, ns=(1, 1))
    found.current()
    assert reads == 2


@pytest.mark.threat("T70")
def test_a_file_everybody_can_read_is_listed_as_unsafe(file: Path) -> None:
    assert registry.unsafe(HtpasswdType(), HtpasswdOptions(file)) == []
    file.chmod(0o644)
    assert len(registry.unsafe(HtpasswdType(), HtpasswdOptions(file))) == 1
