"""The section ``new_apps``: judged before there is such an app, and what keeps one from being served."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_router.config.check import check
from trio_router.config.load import load, with_made
from trio_router.errors import ConfigError

CONFIG = """
rules: rules.yml
login: [{strategy: open}]
http_api: {}
deepstream: {}
storage: {url: "memory://"}
apps:
  fixed: {rules: rules.yml, login: [{strategy: open}]}
new_apps:
  rules: new.yml
  login: [{strategy: users}]
  limits: {call_timeout: 5}
"""
RULES = "event: {a: {publish: false}}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    for name in ("rules.yml", "new.yml"):
        (tmp_path / name).write_text(RULES)
    (tmp_path / "config.yml").write_text(CONFIG)
    return tmp_path / "config.yml"


def test_how_they_are_served_is_checked_before_there_is_one(path: Path) -> None:
    assert check(path).problems == ()
    (path.parent / "new.yml").write_text("event: {a: {publish: nonsense}}\n")
    (problem,) = check(path).problems
    assert (Path(problem.source).name, problem.line) == ("new.yml", 1)


def test_what_is_unsafe_of_them_is_named(path: Path) -> None:
    path.write_text(CONFIG.replace("login: [{strategy: users}]", "login: [{strategy: open}]"))
    assert any("new_apps.login" in each.field for each in check(path).unsafe)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("{call_timeout: 5}", "{call_timeout: 5000}", "new_apps.limits.call_timeout"),
        ("login: [{strategy: users}]", "login: []", "new_apps.login"),
        ("rules: new.yml", "rulez: new.yml", "new_apps"),
        ("limits: {call_timeout: 5}", "path: /x", "new_apps"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(path: Path, old: str, new: str, field: str) -> None:
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert any(problem.field.startswith(field) and problem.line > 8 for problem in caught.value.problems)


@pytest.mark.threat("T66")
def test_no_two_apps_share_a_name_or_a_path_of_any_kind(path: Path) -> None:
    config, faults = with_made(
        load(path),
        [
            ("shop", "/shop"),
            ("fixed", "/other"),
            ("default", "/other"),
            ("two", "/shop"),
            ("three", "/fixed"),
            ("four", "/deepstream"),
            ("five", "/shop/deepstream"),
            ("zoo", "/zoo"),
        ],
    )
    assert sorted(config.made) == ["shop", "zoo"]
    assert sorted(faults) == ["default", "five", "fixed", "four", "three", "two"]
    assert [space.name for space in config.spaces()] == ["default", "fixed", "shop", "zoo"]
    assert config.spaces()[-1].limits.call_timeout == 5
    assert [space.name for space in config.of_file().spaces()] == ["default", "fixed"]
    assert with_made(config, [("zoo", "/zoo")])[0].made == {"zoo"}


def test_without_the_section_there_is_none(path: Path) -> None:
    path.write_text(CONFIG[: CONFIG.index("new_apps")])
    config, faults = with_made(load(path), [("shop", "/shop")])
    assert (config.made, "new_apps" in faults["shop"]) == (frozenset(), True)
