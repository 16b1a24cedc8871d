"""The list of changes that no test notices is about code that is there, and every batch about modules and tests that are there."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "trio_router" / "permissions"
GROUPS: dict[str, list[str]] = yaml.safe_load((ROOT / "tests" / "mutation" / "survivors.yml").read_text()) or {}


def script() -> Any:
    loader = importlib.machinery.SourceFileLoader("mutation", str(ROOT / "scripts" / "mutation"))
    spec = importlib.util.spec_from_loader("mutation", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_module_is_in_one_batch_and_every_test_file_is_there() -> None:
    batches = script().BATCHES
    modules = [module for named, _ in batches.values() for module in named.split()]
    here = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert sorted(modules) == sorted(here)
    for _, tests in batches.values():
        for name in script().test_files(tests):
            assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("reason", GROUPS)
def test_what_is_explained_is_there_to_be_changed(reason: str) -> None:
    assert len(reason.split()) > 3
    for survivor in GROUPS[reason]:
        place, _, change = survivor.partition(": ")
        removed, arrow, _ = change.partition(" -> ")
        module = place.partition(".")[0]
        assert arrow, survivor
        assert removed in squeezed((PACKAGE / f"{module}.py").read_text()), survivor


def test_a_survivor_is_named_by_what_differs() -> None:
    diff = "--- a\n+++ b\n@@ -1,3 +1,3 @@\n def find(name):\n-    if  a < b:\n+    if a <= b:\n     return 1\n"
    named = script().named("trie", "trio_router.permissions.trie.xǁPatternTrieǁfind__mutmut_3", diff)
    assert named == "trie.PatternTrie.find: if a < b: -> if a <= b:"
