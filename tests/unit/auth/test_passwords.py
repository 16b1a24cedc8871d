"""Hashing: its parameters, its bounds, and the equality of unknown and known."""

from __future__ import annotations

import ast
import hmac
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
import trio
import trio.testing

import trio_router
from trio_router.auth import passwords
from trio_router.auth.passwords import (
    HashingBusy,
    InvalidHash,
    InvalidPassword,
    PasswordHasher,
    check_hash,
    check_password,
)
from trio_router.secret import Secret

CHEAP = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=64, parallelism=1
)


async def verify(hasher: PasswordHasher, stored: str | None, password: str) -> bool:
    async with hasher.turn() as turn:
        return await turn.verify(stored, Secret(password))


async def hash_of(hasher: PasswordHasher, password: str) -> str:
    async with hasher.turn() as turn:
        return await turn.hash(Secret(password))


async def test_hashes_are_argon2id_with_the_documented_parameters_and_a_salt_of_their_own() -> None:
    hasher = PasswordHasher()
    first, second = await hash_of(hasher, "pw"), await hash_of(hasher, "pw")
    assert re.match(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$", first)
    assert first != second
    check_hash(first)
    assert await verify(hasher, first, "pw")
    assert not await verify(hasher, first, "Pw")


@pytest.mark.parametrize("password", ["x", "\0", "caf\u00e9", "cafe\u0301", "\U0001f600" * 256, "a" * 1024, " "])
async def test_every_password_in_bounds_matches_itself_alone(password: str) -> None:
    hasher = PasswordHasher(parameters=CHEAP)
    stored = await hash_of(hasher, password)
    assert await verify(hasher, stored, password)
    assert not await verify(hasher, stored, password[:-1] + "y")


@pytest.mark.threat("T57")
@pytest.mark.parametrize("password", ["", "a" * 1025, "\u00e9" * 513, "\ud800"], ids=ascii)
async def test_a_password_out_of_bounds_is_refused_before_any_work(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = PasswordHasher(parameters=CHEAP)
    stored = await hash_of(hasher, "pw")
    monkeypatch.setattr(hasher._turn, "_run", None)
    with pytest.raises(InvalidPassword) as caught:
        await verify(hasher, stored, password)
    assert not password or password not in str(caught.value)
    with pytest.raises(InvalidPassword):
        await hash_of(hasher, password)


def test_a_password_of_1024_bytes_is_still_one() -> None:
    assert len(check_password(Secret("\u00e9" * 512))) == 1024


@pytest.mark.threat("T56")
async def test_nobodys_hash_costs_what_a_real_one_costs_and_nothing_matches_it() -> None:
    hasher = PasswordHasher()
    real = argon2.extract_parameters(await hash_of(hasher, "pw"))
    assert argon2.extract_parameters(hasher._turn._dummy) == real
    for password in ("pw", "", "dummy", hasher._turn._dummy):
        if password:
            assert not await verify(hasher, None, password)


@pytest.mark.threat("T56")
@pytest.mark.parametrize("stored", [None, "", "x", "$argon2id$v=19$m=8,t=1,p=1$$", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_no_hash_and_a_broken_hash_do_the_same_work_and_match_nothing(
    stored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = PasswordHasher(parameters=CHEAP)
    targets = spy(monkeypatch)
    assert not await verify(hasher, stored, "pw")
    assert targets == [hasher._turn._dummy]


def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    targets: list[str] = []
    real = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, target: str, password: bytes) -> bool:
        targets.append(target)
        return real(self, target, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    return targets


@pytest.mark.threat("T53")
def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert not Secret("a").matches("b")
    assert len(compared) == 3


def comparisons(tree: ast.AST) -> Iterator[ast.Compare]:
    """``==`` and the like with a revealed secret, or with a name that says it is one, on either side."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(o, ast.Eq | ast.NotEq) for o in node.ops):
            for side in (node.left, *node.comparators):
                text = ast.unparse(side)
                if isinstance(side, ast.Constant) or text.startswith(("len(", "type(")):
                    continue
                if "reveal" in text or re.search(r"(^|[._])(password|secret|mac|digest|signature)$", text):
                    yield node


@pytest.mark.threat("T53")
def test_no_module_compares_a_revealed_secret_with_equals() -> None:
    package = Path(trio_router.__file__).parent
    found = [
        f"{path.relative_to(package)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(package.rglob("*.py"))
        for node in comparisons(ast.parse(path.read_text(encoding="utf-8")))
        # a configured URL against a fixed text, and a mapping's keys: neither side is guessed at by a client
        if ast.unparse(node) != "url.reveal() == MEMORY"
    ]
    assert found == []
    assert list(comparisons(ast.parse("given == token.reveal()")))
    assert list(comparisons(ast.parse("auth.password != other")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=16$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo\n",
        "$argon2id$v=19$m=0,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=-1,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=9,t=2,p=2$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHR$aGFzaGhhc2hoYXNo",  # bits left over
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoa",  # a letter left over
    ],
)
def test_what_is_no_argon2id_hash_is_refused(text: str) -> None:
    with pytest.raises(InvalidHash):
        check_hash(text)


@pytest.mark.threat("T57")
@pytest.mark.parametrize("cost", ["m=4000000,t=1,p=1", "m=19456,t=99,p=1", "m=19456,t=1,p=64"])
def test_a_hash_that_costs_too_much_is_refused(cost: str) -> None:
    with pytest.raises(InvalidHash, match="costs too much"):
        check_hash(f"$argon2id$v=19${cost}$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo")


async def test_other_parameters_need_a_rehash_weaker_or_stronger() -> None:
    usual = PasswordHasher(parameters=CHEAP)
    async with usual.turn() as turn:
        assert not turn.needs_rehash(await turn.hash(Secret("pw")))
    for memory in (32, 128):
        other = PasswordHasher(
            parameters=argon2.Parameters(argon2.Type.ID, 19, 16, 32, time_cost=1, memory_cost=memory, parallelism=1)
        )
        stored = await hash_of(other, "pw")
        async with usual.turn() as turn:
            assert turn.needs_rehash(stored)
            assert await turn.verify(stored, Secret("pw"))


@pytest.mark.parametrize(
    "error", [argon2.exceptions.VerificationError("Memory allocation error"), argon2.exceptions.HashingError("same")]
)
async def test_no_memory_is_busy_and_never_a_wrong_password(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise error

    hasher = PasswordHasher(parameters=CHEAP)
    stored = await hash_of(hasher, "pw")
    monkeypatch.setattr(argon2.PasswordHasher, "verify", fail)
    monkeypatch.setattr(argon2.PasswordHasher, "hash", fail)
    with pytest.raises(HashingBusy):
        await verify(hasher, stored, "pw")
    with pytest.raises(HashingBusy):
        await hash_of(hasher, "pw")


async def test_a_cancelled_attempt_that_runs_is_finished_and_its_outcome_known() -> None:
    hasher = PasswordHasher(parameters=CHEAP)
    stored = await hash_of(hasher, "pw")
    async with hasher.turn() as turn:
        with trio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(trio.Cancelled):  # before it runs it is not judged at all
                await turn.verify(stored, Secret("pw"))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                outcome: list[bool] = []

                async def attempt() -> None:
                    outcome.append(await turn.verify(stored, Secret("pw")))

                nursery.start_soon(attempt)
                await trio.testing.wait_all_tasks_blocked(0)
                scope.cancel()
        assert outcome == [True]


@pytest.mark.threat("T57")
async def test_at_most_so_many_hash_at_once_and_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher(threads=2, queue=3, parameters=CHEAP)
    stored = await hash_of(hasher, "pw")
    release, both, running, most = threading.Event(), threading.Event(), [0], [0]
    lock = threading.Lock()
    real = argon2.PasswordHasher.verify

    def slow(self: argon2.PasswordHasher, target: str, password: bytes) -> bool:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == 2:
                both.set()
        assert release.wait(30)
        with lock:
            running[0] -= 1
        return real(self, target, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", slow)
    outcomes: list[str] = []

    async def attempt() -> None:
        try:
            outcomes.append("yes" if await verify(hasher, stored, "pw") else "no")
        except HashingBusy:
            outcomes.append("busy")

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(attempt)
        assert await trio.to_thread.run_sync(both.wait, 30)
        await trio.testing.wait_all_tasks_blocked()  # the loop is free while both threads are held
        assert outcomes == ["busy"] * 5
        assert hasher.waiting == 3
        release.set()
    assert sorted(outcomes) == ["busy"] * 5 + ["yes"] * 5
    assert most[0] == 2
    assert hasher.waiting == 0


@pytest.mark.threat("T57")
async def test_who_gives_up_waiting_frees_the_place() -> None:
    hasher = PasswordHasher(threads=1, queue=1, parameters=CHEAP)

    async def give_up() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hash_of, hasher, "pw")
            await trio.testing.wait_all_tasks_blocked()
            assert hasher.waiting == 1
            nursery.cancel_scope.cancel()

    async with hasher.turn():
        for _ in range(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(give_up)
            assert hasher.waiting == 0
    assert await hash_of(hasher, "pw")


def test_threads_default_to_the_usable_cores() -> None:
    assert PasswordHasher().threads == passwords.usable_cores() >= 1
