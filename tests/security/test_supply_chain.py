"""What the router is made of: floors where an advisory was published, and one hashed version of everything for a release (T67)."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security/supply-chain.md").read_text()
LOCK = (ROOT / "release/requirements.txt").read_text()
ADVISED = dict(re.findall(r"^\| (\S+) \| ([0-9.]+) \| [^|]*CVE-\d{4}-\d+[^|]* \|", PAGE, re.MULTILINE))
LOCKED = re.findall(
    r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; [^\\\n]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    LOCK,
    re.MULTILINE,
)
VERSIONS = {name: Version(version) for name, version, _ in LOCKED}


def script() -> Any:
    loader = importlib.machinery.SourceFileLoader("floors", str(ROOT / "scripts" / "floors"))
    spec = importlib.util.spec_from_loader("floors", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


NEEDED: dict[str, str] = script().requirements()


@pytest.mark.threat("T67")
@pytest.mark.parametrize("name", sorted(NEEDED))
def test_every_package_has_a_lowest_version_and_the_release_one_that_is_allowed(name: str) -> None:
    assert Version(script().floors()[name])
    assert VERSIONS[canonicalize_name(name)] in SpecifierSet(NEEDED[name].partition("#")[0])


@pytest.mark.threat("T67")
@pytest.mark.parametrize("name", sorted(ADVISED))
def test_no_version_with_an_advisory_is_allowed_or_released(name: str) -> None:
    lowest = Version(ADVISED[name])
    assert Version(script().floors()[name]) == lowest
    assert VERSIONS[name] >= lowest
    assert Version(importlib.metadata.version(name)) >= lowest


def test_the_page_has_the_floors_that_are_there_for_an_advisory_alone() -> None:
    assert len(ADVISED) >= 11
    text = (ROOT / "setup.cfg").read_text()
    block = text.partition("each one a published advisory")[2].partition("httpx")[0]
    assert set(re.findall(r"^    ([a-z0-9-]+) >=", block, re.MULTILINE)) <= set(ADVISED)


@pytest.mark.threat("T67")
def test_the_release_is_pinned_and_hashed_to_the_last_line() -> None:
    left = LOCK
    for name, version, _ in LOCKED:
        left = re.sub(
            rf"^{re.escape(name)}=={re.escape(version)}[^\n]*\\\n(?:    --hash=[^\n]*\n)+", "", left, flags=re.MULTILINE
        )
    assert [line for line in left.splitlines() if line and not line.lstrip().startswith("#")] == []
    assert "://" not in LOCK
    assert "index" not in LOCK


def test_the_release_has_what_its_packages_need() -> None:
    missing = set()
    for name in {canonicalize_name(name) for name in VERSIONS}:
        try:
            if Version(importlib.metadata.version(name)) < VERSIONS[name]:
                continue  # what an older one needs is not what the release has to have
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        for text in requires:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(requirement.name)} - set(VERSIONS)
    assert missing == set()
