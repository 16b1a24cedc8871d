"""Which storage URLs there are, and that no error says their password."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage import engine
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.opening import open_user_store

CANARY = "swordfish"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not a storage URL"),
        ("users.db", "not a storage URL"),
        (f"postgresql://u:{CANARY}@h:x/db", "not a storage URL"),
        ("mysql://u@h/db", "unknown kind"),
        ("postgresql+asyncpg://u@h/db", "unknown kind"),
        ("sqlite://", "names no database file"),
        ("sqlite:///:memory:", "names no database file"),
        ("sqlite:///file:users.db", "names no database file"),
        ("sqlite:///users.db?mode=ro", "has parameters"),
        (f"postgresql://u:{CANARY}@h", "names no database"),
    ],
)
@pytest.mark.threat("T62")
def test_an_unusable_url_is_refused_without_repeating_it(tmp_path: Path, url: str, says: str) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigError, match=says) as caught:
        open_user_store(Secret(url), tmp_path)
    assert caught.value.problems[0].field == "storage.url"
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_memory_is_a_kind_of_storage(tmp_path: Path) -> None:
    assert isinstance(open_user_store(Secret("memory://"), tmp_path), MemoryUserStore)


def test_a_relative_file_counts_from_the_config_folder(tmp_path: Path) -> None:
    assert engine.parse(Secret("sqlite:///data/users.db"), tmp_path).path == tmp_path / "data" / "users.db"
    assert engine.parse(Secret("sqlite:////srv/users.db"), tmp_path).path == Path("/srv/users.db")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_takes_the_same_driver(tmp_path: Path, scheme: str) -> None:
    database = engine.parse(Secret(f"{scheme}://u:{CANARY}@h:5433/db"), tmp_path)
    assert database.url.drivername == "postgresql+psycopg"
    assert database.label == "PostgreSQL h:5433/db"
    assert CANARY not in repr(database)


@pytest.mark.threat("T62")
async def test_a_database_that_refuses_is_unavailable_and_the_error_holds_no_secret(tmp_path: Path) -> None:
    store = open_user_store(Secret(f"postgresql://u:{CANARY}@127.0.0.1:1/db"), tmp_path)  # nothing listens on port 1
    with pytest.raises(StorageUnavailable, match=r"PostgreSQL 127\.0\.0\.1:1/db: OperationalError") as caught:
        await store.get("a", "u")
    shown = "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value) + repr(store)
    assert CANARY not in shown
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    await store.aclose()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "users.db"
    path.write_bytes(b"this is not a database, however long one looks at it" * 100)
    path.chmod(0o600)
    store = open_user_store(Secret("sqlite:///users.db"), tmp_path)
    with pytest.raises(StorageUnavailable, match="DatabaseError SQLITE_NOTADB"):
        await store.get("a", "u")
    assert path.read_bytes().startswith(b"this is not a database")
    await store.aclose()
