"""What contract suites share: the real services behind storage, and a place for a store in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres, PostgresMissing, cluster
from trio_router.secret import Secret


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server; the test skips, naming what is missing, where there is none."""
    try:
        running = cluster()
        server = running.__enter__()
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    """An empty store of the kind that ``tests.contract.stores`` asks for; SQLite's is the file ``store.db`` in ``tmp_path``."""
    kind = request.param
    if kind == "memory":
        return Secret("memory://")
    if kind == "sqlite":
        tmp_path.chmod(0o700)
        return Secret("sqlite:///store.db")
    server: Postgres = request.getfixturevalue("postgres")
    return Secret(server.new_database())
