"""What all tests share: they hold for the router as it lies here and as it is when compiled (``setup.py``)."""

from __future__ import annotations

import importlib.util
import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def not_compiled() -> list[str]:
    """Those of the modules that are to be compiled which would be imported as Python."""
    names = [path.removesuffix(".py").replace("/", ".") for path in runpy.run_path(str(ROOT / "setup.py"))["COMPILED"]]
    origins = {name: importlib.util.find_spec(name).origin for name in names}  # type: ignore[union-attr]
    return [name for name, origin in origins.items() if str(origin).endswith(".py")]


def pytest_configure() -> None:
    if os.environ.get("TRIO_ROUTER_TESTS") == "compiled" and (plain := not_compiled()):
        raise pytest.UsageError(f"these tests are for the compiled router, but these are not compiled: {plain}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only the interpreted router allows is left to the run that has it."""
    if os.environ.get("TRIO_ROUTER_TESTS") == "compiled":
        left = [item for item in items if item.get_closest_marker("interpreted")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("interpreted")]
