"""Where a contract test of a store runs: over which of the twins the fixture ``storage_url`` gives it a place."""

from __future__ import annotations

import pytest

SQL = ["sqlite", "postgresql"]

everywhere = pytest.mark.parametrize("storage_url", ["memory", *SQL], indirect=True)
in_sql = pytest.mark.parametrize("storage_url", SQL, indirect=True)
