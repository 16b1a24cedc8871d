"""From the name in the config to the type of strategy it means (nothing else is ever imported).

A name is an entry point of the group ``trio_router.auth``, or a dotted path ``package.module:Class``. Built-in strategies
are entry points like any other. This module does not know the options or what a strategy does.

The rule that keeps it honest: whatever is wrong with a plugin (missing, broken, claimed twice, made for another
interface) is a ``ConfigError`` that names it; a router never starts with a strategy it did not understand.
"""

from __future__ import annotations

import difflib
import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import attrs

from trio_router.auth.strategy import INTERFACE_VERSION, StrategyType
from trio_router.errors import ConfigError, Problem

GROUP: Final = "trio_router.auth"


def known() -> list[str]:
    """The names of all installed strategies, in order. Imports none of them."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load(name: str) -> StrategyType:
    """The type of strategy called ``name`` in the config; imports its module.

    Raises:
        ConfigError: there is none, or it cannot be used; the text says which and why.
    """
    if ":" in name:
        module, _, path = name.partition(":")
        found, origin = _import(module, path, f"the strategy {name!r}"), ""
    else:
        point = _entry_point(name)
        origin = _distribution(point)
        found = _import(point.module, point.attr, f"the strategy {name!r} of {origin}")
    return _checked(found, f"the strategy {name!r}" + (f" of {origin}" if origin else ""))


def unsafe(strategy_type: StrategyType, options: Any) -> list[str]:
    """What the strategy itself says is unsafe about ``options``: its optional method ``unsafe(options)``."""
    method = getattr(strategy_type, "unsafe", None)
    return [] if method is None else [str(line) for line in method(options)]


def outlives_reload(strategy_type: StrategyType, options: Any) -> bool:
    """Whether a strategy with unchanged options may go on over a reload: its optional method of this name.

    One that says so read nothing at its start that could have changed since; it keeps what it learned meanwhile, such as
    a key set, failed attempts or that its service is down. Without the method it is built anew.
    """
    method = getattr(strategy_type, "outlives_reload", None)
    return method is not None and bool(method(options))


def _entry_point(name: str) -> EntryPoint:
    points = {(_distribution(point), point.value): point for point in entry_points(group=GROUP, name=name)}
    if not points:
        close = difflib.get_close_matches(name, known(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        dotted = "; a class of your own is written package.module:Class" if "." in name else ""
        raise _refuse(f"there is no strategy {name!r}{hint} (installed: {', '.join(known())}){dotted}")
    if len(points) > 1:
        owners = " and ".join(sorted(origin for origin, _ in points))
        raise _refuse(f"the strategy {name!r} is claimed by {owners}: write package.module:Class to choose one")
    return next(iter(points.values()))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown distribution"


def _import(module: str, path: str, subject: str) -> Any:
    if not module or not path:
        raise _refuse(f"{subject} is not of the form package.module:Class")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        return found() if isinstance(found, type) else found
    except Exception as error:
        raise _refuse(f"{subject} cannot be loaded: {type(error).__name__}: {error}") from error


def _checked(found: Any, subject: str) -> StrategyType:
    version = getattr(found, "interface_version", None)
    if version is None:
        raise _refuse(f"{subject} is no type of strategy: it has no interface_version")
    if version != INTERFACE_VERSION:
        raise _refuse(
            f"{subject} is made for version {version} of the interface, this router has version {INTERFACE_VERSION}: "
            "install a release of it that fits this router"
        )
    if not (isinstance(getattr(found, "Options", None), type) and attrs.has(found.Options)):
        raise _refuse(f"{subject} has no attrs class Options")
    if not isinstance(found, StrategyType):
        raise _refuse(f"{subject} has no method build(options, services)")
    return found


def _refuse(message: str) -> ConfigError:
    return ConfigError(Problem(message, field="strategy"))
