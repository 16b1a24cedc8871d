"""Who may reach the database of users: T70."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.files import check_private, create_private
from trio_router.storage.opening import open_user_store
from trio_router.storage.users import UserRecord

URL = Secret("sqlite:///users.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.threat("T70")
@pytest.mark.usefixtures("umask")
async def test_whatever_the_umask_every_file_of_the_database_is_the_owners_alone(folder: Path) -> None:
    store = open_user_store(URL, folder)
    await store.add("a", UserRecord("u"))
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == {"users.db": 0o600, "users.db-wal": 0o600, "users.db-shm": 0o600}
    await store.aclose()


@pytest.mark.threat("T70")
@pytest.mark.parametrize("mode", [0o640, 0o644, 0o604, 0o660, 0o602])
def test_a_database_that_others_can_use_is_refused_at_start(folder: Path, mode: int) -> None:
    path = folder / "users.db"
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"mode 0{mode:o}\): run `chmod 600 {path}`"):
        open_user_store(URL, folder)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.threat("T70")
def test_the_write_ahead_log_counts_too(folder: Path) -> None:
    create_private(folder / "users.db")
    (folder / "users.db-wal").touch()
    (folder / "users.db-wal").chmod(0o644)
    with pytest.raises(ConfigError, match=r"users\.db-wal"):
        open_user_store(URL, folder)


@pytest.mark.threat("T70")
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_is_refused_at_start(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod go-w {folder}"):
        open_user_store(URL, folder)


@pytest.mark.threat("T70")
async def test_modes_are_looked_at_again_when_the_store_connects(folder: Path) -> None:
    store = open_user_store(URL, folder)
    (folder / "users.db").touch()
    (folder / "users.db").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await store.check()
    with pytest.raises(StorageUnavailable):
        await store.get("a", "u")
    (folder / "users.db").chmod(0o600)
    assert await store.get("a", "u") is None
    await store.aclose()


def test_a_missing_folder_and_a_folder_in_place_of_the_file_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist: create it with mode 0700"):
        open_user_store(Secret("sqlite:///nowhere/users.db"), folder)
    (folder / "users.db").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="not a plain file"):
        open_user_store(URL, folder)


def test_a_readable_file_may_be_readable_but_never_writable(folder: Path) -> None:
    path = folder / "users.yaml"
    path.touch()
    path.chmod(0o644)
    check_private(path, "the users file", readable=True)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="writable by others"):
        check_private(path, "the users file", readable=True)


def test_an_existing_file_is_not_emptied(folder: Path) -> None:
    path = folder / "x"
    path.write_text("content")
    create_private(path)
    assert path.read_text() == "content"
