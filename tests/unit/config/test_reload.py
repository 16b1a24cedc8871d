"""What a new config changes in a running router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_router.config.reload import LIVE, plan_reload
from trio_router.config.schema import Admin, App, Config, Listen, Log, LoginStep, Storage, Tls
from trio_router.limits import Limits
from trio_router.secret import Secret

OLD = Config(rules=Path("/r/rules.yml"), login=(LoginStep("open"),), admin=Admin(token=Secret("a" * 30)))


def test_nothing_changed() -> None:
    plan = plan_reload(OLD, attrs.evolve(OLD, admin=Admin(token=Secret("a" * 30))))
    assert plan.changed_live == ()
    assert plan.needs_restart == ()
    assert plan.effective == OLD


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rules": Path("/r/other.yml")}, "rules"),
        ({"login": (LoginStep("users"),)}, "login"),
        ({"limits": Limits(connections=5)}, "limits"),
        ({"log": Log(level="debug")}, "log"),
        ({"login_deadline": 3.0}, "login_deadline"),
        ({"listen": Listen(origins=["https://a.example"])}, "listen.origins"),
        ({"listen": Listen(require_origin=True)}, "listen.require_origin"),
    ],
)
def test_what_changes_while_the_router_runs(change: dict[str, Any], field: str) -> None:
    new = attrs.evolve(OLD, **change)
    plan = plan_reload(OLD, new)
    assert plan.changed_live == (field,)
    assert plan.needs_restart == ()
    assert plan.effective == new


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"listen": Listen(port=1)}, "listen.port"),
        ({"listen": Listen(host="::1")}, "listen.host"),
        ({"listen": Listen(path="/ws")}, "listen.path"),
        ({"listen": Listen(tls=Tls(Path("c"), Path("k")))}, "listen.tls"),
        ({"admin": None}, "admin"),
        ({"admin": Admin(token=Secret("b" * 30))}, "admin"),
        ({"storage": Storage(Secret("sqlite:///other.db"))}, "storage"),
    ],
)
@pytest.mark.threat("T69")
def test_what_needs_a_restart_keeps_its_old_value_and_is_named(change: dict[str, Any], field: str) -> None:
    plan = plan_reload(OLD, attrs.evolve(OLD, **change))
    assert plan.needs_restart == (field,)
    assert plan.changed_live == ()
    assert plan.effective == OLD


def test_a_mixed_change_takes_the_live_half_only() -> None:
    new = attrs.evolve(OLD, listen=Listen(port=1, origins=["https://a.example"]), limits=Limits(connections=5))
    plan = plan_reload(OLD, new)
    assert plan.changed_live == ("listen.origins", "limits")
    assert plan.needs_restart == ("listen.port",)
    assert plan.effective.listen == Listen(origins=["https://a.example"])
    assert plan.effective.limits == Limits(connections=5)
    assert OLD.listen == Listen()


def test_of_an_app_everything_changes_but_its_path() -> None:
    app = App(rules=Path("/r/shop.yml"), login=(LoginStep("open"),))
    old = attrs.evolve(OLD, apps={"shop": app, "gone": app})
    changed = attrs.evolve(app, rules=Path("/r/other.yml"), path="/elsewhere", limits=Limits(connections=5))
    plan = plan_reload(old, attrs.evolve(old, apps={"shop": changed, "new": app}))
    assert plan.changed_live == ("apps.shop.rules", "apps.shop.limits")
    assert plan.needs_restart == ("apps.new", "apps.shop.path", "apps.gone")
    assert plan.effective.apps == {"shop": attrs.evolve(changed, path=None), "gone": app}


def test_the_list_of_live_fields_names_real_fields() -> None:
    names = {field.name for field in attrs.fields(Config)} | {f"listen.{f.name}" for f in attrs.fields(Listen)}
    names |= {f"apps.{field.name}" for field in attrs.fields(App)}
    assert names >= LIVE


@pytest.mark.threat("T62")
def test_a_plan_shows_names_and_no_values() -> None:
    plan = plan_reload(OLD, attrs.evolve(OLD, admin=Admin(token=Secret("canary" * 5))))
    assert "canary" not in repr(plan)
