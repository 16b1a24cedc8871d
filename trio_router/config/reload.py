"""What a new config changes in a running router: pure comparison, no swapping.

The composition root does the swap. The rule that keeps this honest: a config is an immutable object (T69); what is in
force after a reload is one new object, ``ReloadPlan.effective``, made here, and never a mixture built in place.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trio_router.config.schema import App, Config
from trio_router.secret import Secret

LIVE: Final = frozenset(
    {"rules", "shadow_rules", "login", "limits", "log", "login_deadline", "trust", "new_apps"}
    | {"listen.origins", "listen.require_origin", "listen.trusted_proxies"}
    | {"apps.rules", "apps.shadow_rules", "apps.login", "apps.limits"}
)
"""What can change while the router runs: for new connections, logins and decisions. The rest waits for a restart.

``apps.rules`` stands for the rules of each app; which apps there are, and their paths, are settled at the start.
"""

_SECTIONS: Final = ("listen",)  # sections that are partly live; the others change as one
_NOT_SETTINGS: Final = frozenset({"base", "source", "made"})


@attrs.frozen
class ReloadPlan:
    """What differs between two configs, as dotted fields in file order.

    ``effective`` is the new config with the old values of everything in ``needs_restart``.
    """

    changed_live: tuple[str, ...]
    needs_restart: tuple[str, ...]
    effective: Config = attrs.field(repr=False)


def plan_reload(old: Config, new: Config) -> ReloadPlan:
    """What taking ``new`` in place of ``old`` means. The rules file may differ though its path does not: load it anew always."""
    live: list[str] = []
    restart: list[str] = []
    effective: dict[str, Any] = {}
    for field in attrs.fields(Config):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name in _NOT_SETTINGS or _same(before, after):
            continue
        if field.name == "apps":
            effective[field.name] = _apps(before, after, live, restart)
        elif field.name in _SECTIONS:
            effective[field.name] = _section(field.name, field.name, before, after, live, restart)
        elif field.name in LIVE:
            live.append(field.name)
        else:
            restart.append(field.name)
            effective[field.name] = before
    return ReloadPlan(tuple(live), tuple(restart), attrs.evolve(new, **effective))


def _apps(before: dict[str, App], after: dict[str, App], live: list[str], restart: list[str]) -> dict[str, App]:
    """The apps there were, each with what may change of it."""
    restart += [f"apps.{name}" for name in after if name not in before]
    effective = {}
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            restart.append(f"apps.{name}")
        effective[name] = old if new is None else _section("apps", f"apps.{name}", old, new, live, restart)
    return effective


def _section(section: str, shown: str, before: Any, after: Any, live: list[str], restart: list[str]) -> Any:
    """``section`` is what :data:`LIVE` calls it, ``shown`` what the administrator is told."""
    kept: dict[str, Any] = {}
    for field in attrs.fields(type(after)):
        name = f"{shown}.{field.name}"
        old, new = getattr(before, field.name), getattr(after, field.name)
        if _same(old, new):
            continue
        if f"{section}.{field.name}" in LIVE:
            live.append(name)
        else:
            restart.append(name)
            kept[field.name] = old
    return attrs.evolve(after, **kept)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Secret) or isinstance(other, Secret):
        return isinstance(one, Secret) and one == other
    return bool(one == other)
