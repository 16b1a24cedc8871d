"""What the router stands on has floors, those with an advisory above it, and what is installed here is not below them (T67)."""

from __future__ import annotations

import configparser
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]

FIXED = {
    "ecdsa": "0.19.2",  # CVE-2026-33936
    "h11": "0.16",  # CVE-2025-43859
    "pyasn1": "0.6.4",  # CVE-2026-23490, CVE-2026-30922, CVE-2026-59885, CVE-2026-59886
    "python-jose": "3.4",  # CVE-2024-33663, CVE-2024-33664
    "PyYAML": "5.4",  # CVE-2020-14343
}
"""The first version without the advisories published about a dependency, direct or not."""


def required() -> dict[str, Requirement]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["options"]["install_requires"].splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.strip().startswith("#")]
    return {requirement.name: requirement for requirement in found}


def floor(requirement: Requirement) -> Version | None:
    floors = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    return max(floors, default=None)


@pytest.mark.threat("T67")
@pytest.mark.parametrize("name", sorted(required()))
def test_every_dependency_has_a_floor_and_is_not_below_it(name: str) -> None:
    least = floor(required()[name])
    assert least is not None
    assert Version(version(name)) >= least


@pytest.mark.threat("T67")
@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_floor_is_above_the_last_advisory(name: str) -> None:
    least = floor(required()[name])
    assert least is not None
    assert least >= Version(FIXED[name])


@pytest.mark.threat("T67")
def test_tokens_are_verified_by_the_maintained_backend_alone() -> None:
    """python-jose brings in two more; with ``cryptography`` there, neither is chosen."""
    from jose import backends

    chosen = {backends.RSAKey.__module__, backends.ECKey.__module__, backends.HMACKey.__module__}
    assert chosen == {"jose.backends.cryptography_backend"}
