"""Finding strategies: by entry point, by dotted path, and what a config's author is told when that fails."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_router.auth import registry
from trio_router.auth.open import OpenOptions, OpenType
from trio_router.auth.strategy import INTERFACE_VERSION, LoginRequest, NotMine, Strategy
from trio_router.errors import ConfigError

HERE = __name__


@attrs.frozen
class NoOptions:
    pass


class Mine:
    name = "mine"

    async def start(self, request: LoginRequest) -> NotMine:
        return NotMine()


class MineType:
    interface_version = INTERFACE_VERSION
    Options = NoOptions

    def build(self, options: NoOptions, services: Any) -> Strategy:
        return Mine()


class Newer(MineType):
    interface_version = INTERFACE_VERSION + 1


class WithoutOptions(MineType):
    Options = dict


class WithoutBuild:
    interface_version = INTERFACE_VERSION
    Options = NoOptions


class Explosive(MineType):
    def __init__(self) -> None:
        raise RuntimeError("no licence found")


class Holder:
    Inner = MineType


class Acme(Distribution):
    """A distribution that is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        return f"Metadata-Version: 2.1\nName: {self._name}\nVersion: 1.2\n" if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points there are; add to it."""
    points: list[EntryPoint] = [EntryPoint("open", "trio_router.auth.open:OpenType", registry.GROUP)]

    def entry_points(**params: str) -> EntryPoints:
        return EntryPoints(points).select(**params)

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return points


def point(name: str, value: str, owner: str = "acme-auth") -> EntryPoint:
    found = EntryPoint(name, value, registry.GROUP)
    vars(found).update(dist=Acme(owner))
    return found


def refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        registry.load(name)
    (problem,) = caught.value.problems
    assert problem.field == "strategy"
    return problem.message


def test_the_built_in_ones_are_entry_points_like_any_other() -> None:
    assert isinstance(registry.load("open"), OpenType)
    assert {"open", "users", "webhook", "jwt"} <= set(registry.known())


def test_a_dotted_path_names_a_class_of_your_own() -> None:
    assert isinstance(registry.load(f"{HERE}:MineType"), MineType)
    assert isinstance(registry.load(f"{HERE}:Holder.Inner"), MineType)


def test_only_what_is_named_is_imported(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_side_effect.py").write_text("raise SystemExit('imported')\n")
    installed.append(point("acme", "acme_side_effect:Type"))
    assert registry.known() == ["acme", "open"]
    registry.load("open")
    assert "acme_side_effect" not in sys.modules


def test_an_unknown_name_lists_what_is_there_and_suggests(installed: list[EntryPoint]) -> None:
    installed.append(point("ldap", f"{HERE}:MineType"))
    message = refusal("oepn")
    assert "'oepn'" in message
    assert "did you mean 'open'?" in message
    assert "installed: ldap, open" in message


def test_a_path_without_its_colon_gets_a_hint(installed: list[EntryPoint]) -> None:
    assert "package.module:Class" in refusal("my.module.Class")


def test_a_plugin_that_cannot_be_imported_is_named_with_the_reason(
    installed: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_broken.py").write_text("import a_library_that_is_missing\n")
    installed += [
        point("broken", "acme_broken:Type"),
        point("absent", f"{HERE}:Nowhere"),
        point("boom", f"{HERE}:Explosive"),
    ]
    message = refusal("broken")
    assert "acme-auth 1.2" in message
    assert "No module named 'a_library_that_is_missing'" in message
    assert "Nowhere" in refusal("absent")
    assert "RuntimeError: no licence found" in refusal("boom")


def test_a_name_claimed_twice_is_not_guessed(installed: list[EntryPoint]) -> None:
    installed.append(point("open", f"{HERE}:MineType"))
    message = refusal("open")
    assert "acme-auth 1.2" in message
    assert "package.module:Class" in message


def test_the_same_plugin_found_twice_is_one(installed: list[EntryPoint]) -> None:
    installed += [point("mine", f"{HERE}:MineType"), point("mine", f"{HERE}:MineType")]
    assert isinstance(registry.load("mine"), MineType)


def test_a_plugin_for_another_interface_says_so(installed: list[EntryPoint]) -> None:
    installed.append(point("newer", f"{HERE}:Newer"))
    message = refusal("newer")
    assert "acme-auth 1.2" in message
    assert f"version {INTERFACE_VERSION + 1}" in message
    assert f"has version {INTERFACE_VERSION}" in message


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Holder", "interface_version"),
        ("WithoutOptions", "Options"),
        ("WithoutBuild", "build(options, services)"),
        ("", "package.module:Class"),
    ],
)
def test_what_is_no_strategy_type_is_refused(name: str, fault: str) -> None:
    assert fault in refusal(f"{HERE}:{name}")


def test_unsafe_is_optional() -> None:
    assert registry.unsafe(MineType(), NoOptions()) == []
    assert registry.unsafe(OpenType(), OpenOptions()) == OpenType().unsafe(OpenOptions())
