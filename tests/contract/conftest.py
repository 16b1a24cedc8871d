"""What contract suites share: the real services behind storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Postgres, PostgresMissing, cluster


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
