"""The strategy ``users``: who gets in, and what those who do not can learn."""

from __future__ import annotations

import bisect
import dataclasses
import statistics
import threading
import time
import traceback
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import argon2
import attrs
import pytest
import structlog
import trio
import trio.testing

from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher, Turn
from trio_router.auth.services import Services
from trio_router.auth.strategy import (
    Accepted,
    Answer,
    Denied,
    LoginRequest,
    NotMine,
    Prepares,
    Strategy,
    StrategyType,
    Unavailable,
)
from trio_router.auth.throttle import Throttle
from trio_router.auth.userfile import FileUser
from trio_router.auth.users import UsersOptions, UsersStrategy, UsersType
from trio_router.clock import ManualClock
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.identity import User
from trio_router.secret import Secret
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.users import Change, UserRecord

CHEAP = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=64, parallelism=1
)
CANARY = "swordfish"


class FlakyStore(MemoryUserStore):
    """A memory store that can be away."""

    away = False

    async def get(self, app: str, user_id: str) -> UserRecord | None:
        self._look()
        return await super().get(app, user_id)

    async def rehash(self, app: str, user_id: str, old: str, new: str) -> bool:
        self._look()
        return await super().rehash(app, user_id, old, new)

    async def check(self) -> None:
        self._look()
        await super().check()

    def _look(self) -> None:
        if self.away:
            raise StorageUnavailable("away")


class World:
    """One strategy with everything it stands on."""

    def __init__(self, *, seed: tuple[FileUser, ...] = (), update: bool = False, **throttle: Any) -> None:
        self.store = FlakyStore()
        self.clock = ManualClock()
        self.hasher = PasswordHasher(threads=2, parameters=CHEAP)
        self.log: list[Mapping[str, Any]] = []
        self.accounts = Accounts(self.store, "app", self.hasher, self.clock)
        self.strategy = UsersStrategy(
            self.store,
            self.hasher,
            Throttle(self.clock, **throttle),
            self.accounts,
            structlog.wrap_logger(None, processors=[self._record]),
            seed=seed,
            update=update,
        )

    def _record(self, _logger: Any, method: str, event: Any) -> Any:
        self.log.append({"level": method, **event})
        raise structlog.DropEvent

    async def login(self, username: Any, password: Any, address: str = "192.0.2.1", app: str = "app") -> Answer:
        return await self.strategy.start(
            LoginRequest(app, "session", address, auth={"username": username, "password": password})
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.accounts.add("ann", Secret("right"), data={"role": "admin"}, client_data={"theme": "dark"})
    await made.accounts.add("disabled", Secret("right"), disabled=True)
    await made.accounts.add("passwordless")
    yield made
    await made.store.aclose()


def test_it_is_a_strategy() -> None:
    assert isinstance(World().strategy, Strategy)
    assert isinstance(World().strategy, Prepares)
    assert isinstance(UsersType(), StrategyType)


async def test_the_right_password_lets_in_with_data_and_client_data(world: World) -> None:
    answer = await world.login("ann", "right")
    assert answer == Accepted(User("ann", {"role": "admin"}), {"theme": "dark"})
    assert isinstance(answer, Accepted)
    assert answer.user.is_authenticated


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"username": "ann"},
        {"password": "right"},
        {"username": "ann", "password": None},
        {"username": "ann", "password": 5},
        {"username": ["ann"], "password": "right"},
        {"token": "x"},
    ],
)
async def test_without_two_texts_it_is_not_mine(world: World, auth: Any) -> None:
    assert await world.strategy.start(LoginRequest("app", "s", "192.0.2.1", auth=auth)) == NotMine()


NOBODIES = [
    ("unknown_user", "nobody", "right"),
    ("wrong_password", "ann", "wrong"),
    ("disabled", "disabled", "right"),
    ("disabled", "disabled", "wrong"),
    ("no_password", "passwordless", "right"),
    ("unknown_user", "not/an id", "right"),
    ("unknown_user", "", "right"),
    ("unknown_user", "\ud800", "right"),
    ("unknown_user", "x" * 10_000, "right"),
    ("unknown_user", "Ann", "right"),
]


@pytest.mark.threat("T56")
@pytest.mark.parametrize(("reason", "username", "password"), NOBODIES, ids=range(len(NOBODIES)))
async def test_whoever_does_not_get_in_is_told_the_same_after_the_same_work(
    world: World, reason: str, username: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[argon2.Parameters] = []
    real = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, target: str, password: bytes) -> bool:
        work.append(argon2.extract_parameters(target))
        return real(self, target, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    answer = await world.login(username, password)
    assert isinstance(answer, Denied)
    assert answer.client_data is None  # all that reaches the client
    assert answer.reason == reason  # for log and metrics
    assert work == [CHEAP]


@pytest.mark.threat("T56")
async def test_times_of_unknown_and_known_users_overlap() -> None:
    """A thousand attempts each, taken in turns: how often a known user's took longer is about every second time."""
    world = World(user_failures=10_000, address_failures=10_000)
    hasher = PasswordHasher(threads=1, parameters=dataclasses.replace(CHEAP, memory_cost=4096))
    world.strategy._hasher = hasher
    await Accounts(world.store, "app", hasher, world.clock).add("ann", Secret("right"))
    times: dict[str, list[float]] = {"ann": [], "nobody": []}
    for _ in range(1000):
        for user, taken in times.items():
            began = time.perf_counter()
            await world.login(user, "wrong")
            taken.append(time.perf_counter() - began)
    unknown = sorted(times["nobody"])
    longer = statistics.mean(bisect.bisect(unknown, taken) / len(unknown) for taken in times["ann"])
    assert 0.1 < longer < 0.9  # 1.0 if there were no work for nobody


@pytest.mark.threat("T57")
async def test_guessing_is_slowed_down_for_known_and_unknown_alike(world: World) -> None:
    for user in ("ann", "nobody", "disabled"):
        address = f"192.0.2.{len(user)}"
        for _ in range(5):
            answer = await world.login(user, "wrong", address)
            assert isinstance(answer, Denied)
            assert answer.client_data is None
        for password in ("wrong", "right"):  # not judged: the right one does not tell either
            assert await world.login(user, password, address) == Denied(
                "throttled", {"error": "too many failed logins", "retry_after": 1}
            )
    assert isinstance(await world.login("ann", "right", "198.51.100.1"), Accepted)
    world.clock.advance(1)
    assert isinstance(await world.login("ann", "right", "192.0.2.3"), Accepted)


@pytest.mark.threat("T57")
async def test_guesses_sent_all_at_once_are_not_judged_all_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    real = Turn.verify

    async def verify(self: Turn, stored: str | None, password: Secret) -> bool:
        nonlocal judged
        judged += 1
        return await real(self, stored, password)

    monkeypatch.setattr(Turn, "verify", verify)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(world.login, "ann", f"guess {number}")
    assert judged <= 5 + world.hasher.threads


@pytest.mark.threat("T57")
async def test_an_impossible_password_is_denied_without_a_hash_and_counts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.strategy, "_hasher", None)
    for password in ("", "x" * 1025, "\ud800", "", ""):
        assert await world.login("ann", password) == Denied("invalid_password")
    answer = await world.login("ann", "right")
    assert isinstance(answer, Denied)
    assert answer.reason == "throttled"


@pytest.mark.threat("T57")
async def test_a_full_queue_is_unavailable_and_nobody_counts_it_as_a_failure(world: World) -> None:
    world.strategy._hasher = world.hasher = PasswordHasher(threads=1, queue=0, parameters=CHEAP)
    await world.strategy.prepare()
    async with world.hasher.turn():
        for _ in range(30):
            assert await world.login("ann", "right") == Unavailable("busy")
    assert isinstance(await world.login("ann", "right"), Accepted)


@pytest.mark.threat("T57")
async def test_a_thousand_logins_at_once_all_get_in_while_others_are_served(world: World) -> None:
    accepted, turns, done = 0, 0, trio.Event()

    async def login() -> None:
        nonlocal accepted
        answer = await world.login("ann", "right")
        accepted += isinstance(answer, Accepted)

    async def other_work() -> None:
        nonlocal turns
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as others:
        others.start_soon(other_work)
        async with trio.open_nursery() as nursery:
            for _ in range(1000):
                nursery.start_soon(login)
        done.set()
    assert accepted == 1000
    assert turns > 100


@pytest.mark.threat("T57")
async def test_no_hash_runs_in_the_thread_of_the_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.store.add("app", UserRecord("old", await old_hash("right")))
    threads: list[int] = []
    for name in ("verify", "hash"):
        real = getattr(argon2.PasswordHasher, name)

        def spy(*arguments: Any, real: Any = real) -> Any:
            threads.append(threading.get_ident())
            return real(*arguments)

        monkeypatch.setattr(argon2.PasswordHasher, name, spy)
    for user, password in (("old", "right"), ("ann", "wrong"), ("nobody", "x")):
        await world.login(user, password)
    await world.accounts.set_password("ann", Secret("new"))
    assert len(threads) == 5  # a verification each, a renewed hash and a new one
    assert threading.get_ident() not in threads


async def test_storage_away_is_unavailable_not_denied_and_works_again_later(world: World) -> None:
    world.store.away = True
    for _ in range(30):
        assert await world.login("ann", "right") == Unavailable("storage")
    assert {entry["event"] for entry in world.log} == {"users_unavailable"}
    world.store.away = False
    assert isinstance(await world.login("ann", "right"), Accepted)


@pytest.mark.threat("T66")
async def test_a_user_of_one_app_is_nobody_in_another(world: World) -> None:
    answer = await world.login("ann", "right", app="other")
    assert isinstance(answer, Denied)
    assert answer.reason == "unknown_user"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change(disabled=True), Denied("disabled")),
        (Change(password_hash=None), Denied("no_password")),
        (None, Denied("unknown_user")),
        (Change(data={"role": "guest"}), Accepted(User("ann", {"role": "guest"}), {"theme": "dark"})),
    ],
)
async def test_no_login_outruns_an_administrator(
    world: World, change: Change | None, expected: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is changed after his record was read and before his password was found to be right."""
    real = Turn.verify

    async def verify(self: Turn, stored: str | None, password: Secret) -> bool:
        matches = await real(self, stored, password)
        if change is not None:
            await world.store.change("app", "ann", change)
        elif await world.store.get("app", "ann"):
            await world.store.remove("app", "ann")
        return matches

    monkeypatch.setattr(Turn, "verify", verify)
    assert await world.login("ann", "right") == expected


async def old_hash(password: str, memory: int = 32) -> str:
    parameters = argon2.Parameters(argon2.Type.ID, 19, 16, 32, time_cost=1, memory_cost=memory, parallelism=1)
    async with PasswordHasher(parameters=parameters).turn() as turn:
        return await turn.hash(Secret(password))


async def test_a_login_renews_a_hash_of_other_parameters_once(world: World) -> None:
    old = await old_hash("right")
    await world.store.add("app", UserRecord("old", old))
    assert isinstance(await world.login("old", "wrong"), Denied)
    user = await world.store.get("app", "old")
    assert user is not None
    assert user.password_hash == old
    assert isinstance(await world.login("old", "right"), Accepted)
    user = await world.store.get("app", "old")
    assert user is not None
    assert user.password_hash is not None
    assert argon2.extract_parameters(user.password_hash) == CHEAP
    assert isinstance(await world.login("old", "right"), Accepted)
    assert await world.store.get("app", "old") == user


async def test_many_logins_of_one_user_with_an_old_hash_all_get_in(world: World) -> None:
    await world.store.add("app", UserRecord("old", await old_hash("right")))
    answers: list[Answer] = []

    async def login() -> None:
        answers.append(await world.login("old", "right"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(login)
    assert all(isinstance(answer, Accepted) for answer in answers)


async def test_a_hash_that_cannot_be_renewed_does_not_stop_the_login(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rehash(*_: Any) -> bool:
        raise StorageUnavailable("away")

    await world.store.add("app", UserRecord("old", await old_hash("right")))
    monkeypatch.setattr(world.store, "rehash", rehash)
    assert isinstance(await world.login("old", "right"), Accepted)
    assert [entry["event"] for entry in world.log] == ["rehash_failed"]


async def test_a_login_given_up_while_waiting_is_never_judged(world: World) -> None:
    world.strategy._hasher = world.hasher = PasswordHasher(threads=1, parameters=CHEAP)

    async def give_up() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.login, "ann", "wrong")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    async with world.hasher.turn():
        for _ in range(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(give_up)
    assert isinstance(await world.login("ann", "right"), Accepted)


@pytest.mark.threat("T62")
async def test_no_output_holds_a_password(world: World) -> None:
    shown: list[str] = []
    await world.accounts.add("canary", Secret(CANARY))
    for user, password in (("canary", CANARY), ("canary", CANARY + "!"), ("nobody", CANARY), ("canary", CANARY * 200)):
        request = LoginRequest("app", "s", "192.0.2.1", auth={"username": user, "password": password})
        shown += [repr(await world.strategy.start(request)), repr(request)]
    world.store.away = True
    shown.append(repr(await world.login("canary", CANARY)))
    try:
        await world.strategy._judge(LoginRequest("app", "s", ""), "canary", Secret(CANARY))
    except StorageUnavailable as error:
        shown += traceback.format_exception(error)
    shown += [repr(entry) for entry in world.log] + [repr(world.strategy)]
    assert world.log
    assert CANARY not in "".join(shown)


# The users file


def services(tmp_path: Path, store: MemoryUserStore, log: list[Any]) -> Services:
    def record(_logger: Any, _method: str, event: Any) -> Any:
        log.append(event)
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, processors=[record])
    return Services("app", ManualClock(), None, lambda: store, tmp_path, logger)  # type: ignore[arg-type]


def write(tmp_path: Path, text: str) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "users.yaml"
    path.write_text(text)
    path.chmod(0o600)


async def test_the_first_login_imports_the_file_where_nobody_prepared(tmp_path: Path) -> None:
    write(tmp_path, "ann: {password: right, data: {role: admin}}")
    log: list[Any] = []
    strategy = UsersType().build(UsersOptions(file=Path("users.yaml")), services(tmp_path, MemoryUserStore(), log))
    request = LoginRequest("app", "s", "192.0.2.1", auth={"username": "ann", "password": "right"})
    assert await strategy.start(request) == Accepted(User("ann", {"role": "admin"}))
    assert [entry["event"] for entry in log] == ["users_file_holds_plain_passwords", "users_imported"]
    assert "right" not in repr(log)


@pytest.mark.parametrize(("mode", "role"), [("add", "changed"), ("update", "of the file")])
async def test_file_mode_says_who_wins(tmp_path: Path, mode: Any, role: str) -> None:
    write(tmp_path, "ann: {password: right, data: {role: of the file}}")
    store = MemoryUserStore()
    await store.add("app", UserRecord("ann", data={"role": "changed"}))
    options = UsersOptions(file=tmp_path / "users.yaml", file_mode=mode)
    strategy = UsersType().build(options, services(tmp_path, store, []))
    await strategy.prepare()
    await strategy.prepare()
    user = await store.get("app", "ann")
    assert user is not None
    assert user.data == {"role": role}


async def test_an_import_that_failed_is_tried_again() -> None:
    world = World(seed=(FileUser("ann", password=Secret("right")),))
    world.store.away = True
    with pytest.raises(StorageUnavailable):
        await world.strategy.prepare()
    assert await world.login("ann", "right") == Unavailable("storage")
    world.store.away = False
    assert isinstance(await world.login("ann", "right"), Accepted)


async def test_an_import_that_finds_no_memory_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> str:
        raise argon2.exceptions.HashingError("Memory allocation error")

    world = World(seed=(FileUser("ann", password=Secret(CANARY)),))
    with monkeypatch.context() as patch:
        patch.setattr(argon2.PasswordHasher, "hash", fail)
        with pytest.raises(StorageUnavailable, match="the users file was not imported") as caught:
            await world.strategy.prepare()
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    await world.strategy.prepare()
    assert isinstance(await world.login("ann", CANARY), Accepted)


async def test_a_store_that_is_refused_is_unavailable_and_the_log_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        raise ConfigError([])

    monkeypatch.setattr(world.store, "check", check)
    assert await world.login("ann", "right") == Unavailable("storage")
    assert [entry["event"] for entry in world.log] == ["users_unavailable"]


@pytest.mark.threat("T70")
def test_a_users_file_that_others_can_read_stops_the_start_unless_the_config_says_so(tmp_path: Path) -> None:
    write(tmp_path, "ann: {password: right}")
    (tmp_path / "users.yaml").chmod(0o644)
    options = UsersOptions(file=Path("users.yaml"))
    with pytest.raises(ConfigError, match=r"readable by others \(mode 0644\): run `chmod 600 "):
        UsersType().build(options, services(tmp_path, MemoryUserStore(), []))
    options = attrs.evolve(options, file_readable=True)
    assert UsersType().build(options, services(tmp_path, MemoryUserStore(), []))
    assert UsersType().unsafe(options)
    assert UsersType().unsafe(UsersOptions()) == []


def test_a_broken_file_stops_the_start_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, "ann:\n  passwrd: right")
    with pytest.raises(ConfigError, match=r"users\.yaml:2:3: ann: there is no field passwrd; did you mean password\?"):
        UsersType().build(UsersOptions(file=Path("users.yaml")), services(tmp_path, MemoryUserStore(), []))


@pytest.mark.parametrize(
    "wrong",
    [{"hash_threads": 0}, {"hash_queue": -1}, {"user_failures": 0}, {"failure_window": 0}, {"longest_delay": -1}],
)
def test_options_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UsersOptions(**wrong)
