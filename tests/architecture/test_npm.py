"""What the npm registry gives us is pinned whole, and says nothing about where it was fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKED = sorted(
    path.parent
    for path in ROOT.rglob("package-lock.json")
    if not [part for part in path.relative_to(ROOT).parts if part.startswith(".") or part == "node_modules"]
)
FOLDERS = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in LOCKED]


@pytest.mark.parametrize("folder", FOLDERS)
def test_versions_are_exact_and_locked_with_their_digests(folder: Path) -> None:
    wanted = json.loads((folder / "package.json").read_text())
    for version in ({**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert len(locked) > 1
    assert [name for name, entry in locked.items() if name and not entry["integrity"].startswith("sha512-")] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_file_names_no_host(folder: Path) -> None:
    assert re.findall(r'"resolved"|[a-z+]+://', (folder / "package-lock.json").read_text()) == []
