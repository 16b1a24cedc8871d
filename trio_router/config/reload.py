"""What a new config changes in a running router: pure comparison, no swapping.

The composition root does the swap. The rule that keeps this honest: a config is an immutable object (T69); what is in
force after a reload is one new object, ``ReloadPlan.effective``, made here, and never a mixture built in place.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trio_router.config.schema import Config
from trio_router.secret import Secret

LIVE: Final = frozenset(
    {"rules", "shadow_rules", "login", "limits", "log", "login_deadline"}
    | {"listen.origins", "listen.require_origin", "listen.trusted_proxies"}
)
"""What can change while the router runs: for new connections, logins and decisions. The rest waits for a restart."""

_SECTIONS: Final = ("listen",)  # sections that are partly live; the others change as one
_NOT_SETTINGS: Final = frozenset({"base", "source"})


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
        if field.name in _SECTIONS:
            effective[field.name] = _section(field.name, before, after, live, restart)
        elif field.name in LIVE:
            live.append(field.name)
        else:
            restart.append(field.name)
            effective[field.name] = before
    return ReloadPlan(tuple(live), tuple(restart), attrs.evolve(new, **effective))


def _section(section: str, before: Any, after: Any, live: list[str], restart: list[str]) -> Any:
    kept: dict[str, Any] = {}
    for field in attrs.fields(type(after)):
        name = f"{section}.{field.name}"
        old, new = getattr(before, field.name), getattr(after, field.name)
        if _same(old, new):
            continue
        if name in LIVE:
            live.append(name)
        else:
            restart.append(name)
            kept[field.name] = old
    return attrs.evolve(after, **kept)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Secret) or isinstance(other, Secret):
        return isinstance(one, Secret) and one == other
    return bool(one == other)
