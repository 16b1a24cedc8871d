"""A config file in, a :class:`Config` or every problem of the file out.

Owns the order of the steps (read, references, structure, cross-checks) and the way from a field path to its line. Knows
no socket and opens nothing but the file and what its ``${file:...}`` references name. A file is taken whole or
refused whole: an empty, broken or unreadable one never becomes defaults (T31).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from trio_router.auth import registry
from trio_router.auth.strategy import StrategyType
from trio_router.config.references import FieldPath, Resolver, dotted
from trio_router.config.schema import APP, App, Config, LoginStep, Space
from trio_router.config.structure import Check, Mismatch, StructureFailed, Structurer, describe
from trio_router.documents import DocumentError, Node, read
from trio_router.errors import ConfigError, Problem, ProblemsError
from trio_router.limits import Limits, Rates

MAX_SIZE: Final = 4 * 1024 * 1024

Strategies = Callable[[str], StrategyType]

_ROUTE: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")

NOT_KEYS: Final[dict[type, frozenset[str]]] = {Config: frozenset({"base", "source", "made"})}
MAY_BE_ZERO: Final = frozenset({"drain_window", "expiry_grace", "overload_delay", "returns_per_second"})


@attrs.frozen
class Located:
    """A config with the tree it was made from, for messages that point into the file."""

    config: Config
    document: Node
    inline_secrets: int = 0

    def problem(self, message: str, *path: str | int) -> Problem:
        """A problem at the field ``path`` (or the nearest one above it that the file has)."""
        return _problem(self.config.source, self.document, path, message)


def load(
    path: Path | str, *, environ: Mapping[str, str] | None = None, strategies: Strategies = registry.load
) -> Config:
    """The config in the file ``path``. ``environ`` is the process's environment unless given.

    Raises:
        ConfigError: with every problem of the file.
    """
    return load_located(path, environ=environ, strategies=strategies).config


def load_located(
    path: Path | str, *, environ: Mapping[str, str] | None = None, strategies: Strategies = registry.load
) -> Located:
    """Like :func:`load`, with the positions."""
    path = Path(path)
    text = read_text(path)
    return _load(text, path.parent, str(path), os.environ if environ is None else environ, strategies)


def load_text(
    text: str,
    *,
    base: Path,
    source: str = "config.yml",
    environ: Mapping[str, str] | None = None,
    strategies: Strategies = registry.load,
) -> Config:
    """The config in ``text``; ``base`` is the folder that relative paths count from.

    Raises:
        ConfigError: with every problem of the text.
    """
    return _load(text, base, source, os.environ if environ is None else environ, strategies).config


def read_text(path: Path, limit: int = MAX_SIZE) -> str:
    """The text of the file ``path``, at most ``limit`` bytes of UTF-8. Raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(Problem(f"cannot be read: {error.strerror}", str(path))) from None
    if len(data) > limit:
        raise ConfigError(Problem(f"is larger than {limit} bytes", str(path)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(Problem("is not UTF-8 text", str(path), line)) from None


def _load(text: str, base: Path, source: str, environ: Mapping[str, str], strategies: Strategies) -> Located:
    try:
        document = read(text, source)
    except DocumentError as error:
        raise ConfigError(error.problems) from None
    if document.value is None:
        raise ConfigError(Problem("the file is empty", source))
    if not isinstance(document.value, dict):
        raise ConfigError(Problem("expected a mapping of sections", source, document.line, document.column))
    value, unresolved = Resolver(base, environ, source).resolve(document)
    problems = list(unresolved.values())
    structurer = Structurer(base, omit=NOT_KEYS, checks={Limits: _limit_checks(), Rates: _rate_checks()})
    structurer.converter.register_structure_hook(LoginStep, _login_step(structurer, strategies))
    config = None
    try:
        config = structurer.structure(value, Config)
    except StructureFailed as failed:
        problems += [
            _problem(source, document, fault.path, fault.message, at_key=fault.at_key)
            for fault in failed.faults
            if fault.path not in unresolved
        ]
    if config is not None and not problems:
        config = attrs.evolve(config, base=base, source=source)
        problems += [_problem(source, document, path, message) for path, message in contradictions(config)]
    if problems or config is None:
        raise ConfigError(sorted(problems, key=lambda problem: (problem.line, problem.column, problem.message)))
    return Located(config, document, structurer.inline_secrets)


def contradictions(config: Config) -> list[tuple[FieldPath, str]]:
    """Values that are fine alone and wrong together: (field path, message)."""
    found: list[tuple[FieldPath, str]] = []
    taken: dict[str, str] = {}
    for space in (*config.spaces(), *config.pattern()):
        found += [((*space.at, *path), message) for path, message in _space_contradictions(space)]
        other = taken.setdefault(space.path, space.name)
        if other != space.name:
            found.append(((*space.at, "path"), f"{space.path} is the path of the app {other!r} too"))
        if space.limits.message_size > config.limits.message_size:
            found.append(
                ((*space.at, "limits", "message_size"), "is larger than that of the top level, which frames obey")
            )
    found += _deepstream_contradictions(config)
    found += _http_api_contradictions(config)
    if config.admin and config.admin.port and config.admin.port == config.listen.port:
        found.append((("admin", "port"), "is the clients' port too: administration has a listener of its own"))
    return found


def _deepstream_contradictions(config: Config) -> list[tuple[FieldPath, str]]:
    """Paths that two apps, or two protocols of one, would share."""
    section = config.deepstream
    if section is None:
        return []
    found: list[tuple[FieldPath, str]] = []
    if not (section.paths or section.json_paths):
        found.append((("deepstream", "paths"), "names no path: nobody could connect"))
    taken = {space.path: space.name for space in config.spaces()}
    for space in config.spaces():
        base = "" if not space.at else space.path.rstrip("/")
        for field, paths in (("paths", section.paths), ("json_paths", section.json_paths)):
            for index, path in enumerate(paths):
                other = taken.setdefault(f"{base}{path}", f"{space.name} {field} {index}")
                if other != f"{space.name} {field} {index}":
                    found.append((("deepstream", field, index), f"{base}{path} is the path of another endpoint too"))
    return found


def _http_api_contradictions(config: Config) -> list[tuple[FieldPath, str]]:
    """Paths of the HTTP API that are something else's too, or that no route can have."""
    api = config.http_api
    if api is None:
        return []
    found: list[tuple[FieldPath, str]] = []
    taken: dict[str, str] = {"/health": "of the health check"}
    for space in config.spaces():
        for field, path in zip(("path", "auth_path"), api.paths(space), strict=True):
            if path is None:
                continue
            if not _ROUTE.fullmatch(path):
                problem = f"{path} cannot be a path of the HTTP API: segments of letters, digits and . _ ~ - only"
            elif path == "/v1" or path.startswith("/v1/"):
                problem = f"{path} belongs to the REST interface"
            elif path in taken:
                problem = f"{path} is a path {taken[path]} too"
            else:
                taken[path] = f"of the HTTP API of the app {space.name!r}"
                continue
            found.append((("http_api", field) if not space.at else (*space.at, "path"), problem))
    return found


def with_made(config: Config, apps: Iterable[tuple[str, str]]) -> tuple[Config, dict[str, str]]:
    """``config`` with the apps (name, path) that were made at run time, and of each that it cannot serve, why."""
    config = config.of_file()
    sockets: dict[str, str] = {}
    routes: dict[str, str] = {}
    for space in config.spaces():
        sockets |= dict.fromkeys(config.endpoints(space), space.name)
        routes |= dict.fromkeys(_http_paths(config, space), space.name)
    made: dict[str, App] = {}
    faults = {}
    for name, path in apps:
        fault = ""
        if config.new_apps is None:
            fault = "the config has no section new_apps, which says how new apps are served"
        elif name in config.apps or name == APP:
            fault = f"the config has an app {name!r} of its own"
        else:
            alone = config.with_app(name, path)
            space = alone.spaces()[-1]
            ours, asked = config.endpoints(space), _http_paths(config, space)
            taken = sorted([each for each in ours if each in sockets] + [each for each in asked if each in routes])
            if not taken:
                sockets |= dict.fromkeys(ours, name)
                routes |= dict.fromkeys(asked, name)
                made[name] = alone.apps[name]
                continue
            fault = f"{taken[0]} is a path of another app"
        faults[name] = fault
    return attrs.evolve(config, apps={**config.apps, **made}, made=frozenset(made)), faults


def _http_paths(config: Config, space: Space) -> list[str]:
    return [] if config.http_api is None else [path for path in config.http_api.paths(space) if path is not None]


def _space_contradictions(space: Space) -> list[tuple[FieldPath, str]]:
    limits = space.limits
    found: list[tuple[FieldPath, str]] = []
    if not space.login:
        found.append((("login",), "names no strategy: nobody could log in"))
    if limits.call_timeout > limits.call_timeout_max:
        found.append((("limits", "call_timeout"), "is larger than call_timeout_max"))
    if limits.outbox_size < limits.message_size:
        found.append((("limits", "outbox_size"), "is smaller than message_size: one message would not fit"))
    if limits.login_message_size > limits.message_size:
        found.append((("limits", "login_message_size"), "is larger than message_size"))
    return found


def _limit_checks() -> dict[str, Check]:
    def positive(value: float) -> None:
        if not value > 0:
            raise ValueError("must be greater than 0")

    def not_negative(value: float) -> None:
        if value < 0:
            raise ValueError("must not be negative")

    return {
        f.name: not_negative if f.name in MAY_BE_ZERO else positive for f in attrs.fields(Limits) if f.name != "rates"
    }


def _rate_checks() -> dict[str, Check]:
    def rate(value: float) -> None:
        if not (0 <= value < math.inf):
            raise ValueError("must be 0 or more times per second")

    def seconds(value: float) -> None:
        if not (0 <= value < math.inf):
            raise ValueError("must be 0 or more seconds")

    return {f.name: seconds if f.name == "burst" else rate for f in attrs.fields(Rates)}


def _login_step(structurer: Structurer, strategies: Strategies) -> Callable[[Any, Any], LoginStep]:
    def hook(value: Any, _: Any) -> LoginStep:
        if not isinstance(value, dict):
            raise Mismatch(f"expected a mapping with the key 'strategy', got {describe(value)}")
        if "strategy" not in value:
            raise Mismatch("the key 'strategy' is missing")
        name = value["strategy"]
        if not isinstance(name, str):
            raise Mismatch(f"expected the name of a strategy, got {describe(name)}", ("strategy",))
        try:
            kind = strategies(name)
        except ProblemsError as error:
            message = "; ".join(problem.message for problem in error.problems)
            raise Mismatch(message, ("strategy",)) from None
        options = {key: item for key, item in value.items() if key != "strategy"}
        return LoginStep(strategy=name, options=structurer.structure(options, kind.Options))

    return hook


def _problem(source: str, document: Node, path: FieldPath, message: str, *, at_key: bool = False) -> Problem:
    node, key = document, None
    for step in path:
        if isinstance(node.value, dict) and step in node.value:
            entry = node.value[step]
            node, key = entry.value, entry.key
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node, key = node.value[step], None
        else:
            break
    place = key if key is not None and (at_key or node.value is None or node.kind in {"mapping", "list"}) else node
    return Problem(message, source, place.line, place.column, dotted(path))
