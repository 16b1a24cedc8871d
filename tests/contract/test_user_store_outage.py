"""What a database that goes away, hangs or is locked does to the SQL store: a bounded, secret-free refusal."""

from __future__ import annotations

import os
import signal
import sqlite3
import traceback
from pathlib import Path

import pytest
import trio

from tests.postgres import Postgres
from trio_router.errors import StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage import engine
from trio_router.storage.opening import open_user_store
from trio_router.storage.sql import SqlUserStore
from trio_router.storage.users import Change, UserRecord

CANARY = "swordfish"


async def test_a_locked_sqlite_file_is_unavailable_and_works_again_later(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    store = SqlUserStore(engine.parse(Secret("sqlite:///users.db"), tmp_path), timeout=0.5)
    await store.add("a", UserRecord("u"))
    other = sqlite3.connect(tmp_path / "users.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageUnavailable, match="did not answer in time"):
        await store.change("a", "u", Change(disabled=True))
    assert await store.get("a", "u") == UserRecord("u")  # readers do not wait for writers
    other.execute("ROLLBACK")
    other.close()
    await store.replace("a", UserRecord("u", client_data=1))
    await store.aclose()


async def test_a_restarted_postgresql_is_found_again(postgres: Postgres, tmp_path: Path) -> None:
    store = open_user_store(Secret(postgres.new_database()), tmp_path)
    await store.add("a", UserRecord("u"))
    await trio.to_thread.run_sync(postgres.stop)
    try:
        with pytest.raises(StorageUnavailable) as caught:
            await store.get("a", "u")
    finally:
        await trio.to_thread.run_sync(postgres.start)
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert await store.get("a", "u") == UserRecord("u")
    await store.aclose()


async def test_a_frozen_postgresql_costs_a_deadline_not_the_loop(postgres: Postgres, tmp_path: Path) -> None:
    store = SqlUserStore(engine.parse(Secret(postgres.new_database()), tmp_path), threads=2, timeout=0.3)
    await store.add("a", UserRecord("u"))
    refused = 0

    async def ask() -> None:
        nonlocal refused
        with pytest.raises(StorageUnavailable, match="did not answer in time"):
            await store.get("a", "u")
        refused += 1

    pids = [
        int(pid)
        for pid in postgres.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'trio_router'").split()
    ]
    assert pids
    postmaster = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
    try:
        for pid in (postmaster, *pids):
            os.kill(pid, signal.SIGSTOP)
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(10):  # more than there are threads: the rest wait for one, no longer
                    nursery.start_soon(ask)
        with trio.move_on_after(0.05) as scope:  # and a cancelled read does not wait for its thread
            await store.get("a", "u")
        assert scope.cancelled_caught
    finally:
        for pid in (postmaster, *pids):
            os.kill(pid, signal.SIGCONT)
    assert refused == 10
    with trio.fail_after(20):
        while True:
            try:
                assert await store.get("a", "u") == UserRecord("u")
            except StorageUnavailable:
                continue
            break
    await store.aclose()


async def test_a_wrong_database_or_refused_login_is_named_without_the_password(
    postgres: Postgres, tmp_path: Path
) -> None:
    store = open_user_store(Secret(postgres.url("nowhere")), tmp_path)
    with pytest.raises(StorageUnavailable, match=r"/nowhere: OperationalError") as caught:
        await store.check()
    assert CANARY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    await store.aclose()
