"""Everything that can be known about a config before it is served: what is wrong, and what is unsafe.

Goes further than loading: the rules file, the certificate and its key, the store's URL and the strategies themselves. It
opens no socket and asks no service. The rule that keeps it honest: *wrong* stops a start, *unsafe* does not but is named,
here, at every start and on the administration side (T31); no finding repeats a secret (T62).
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from trio_router.audit.writer import WHAT as DECISION_LOG
from trio_router.auth import registry
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.service_urls import is_loopback
from trio_router.auth.services import Services
from trio_router.clock import Clock, SystemClock
from trio_router.config.load import Located, Strategies, load_located, read_text
from trio_router.config.references import exposure
from trio_router.config.schema import Config, Listen, Space, Tls
from trio_router.errors import ConfigError, Problem, ProblemsError
from trio_router.identity import Identity, User, new_session_id
from trio_router.permissions.decision import Action, Ruleset
from trio_router.permissions.loader import NO_RECORDS, load_rules
from trio_router.permissions.records import Records
from trio_router.storage.files import check_private
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.opening import open_key_store, open_user_store

MAX_RULES: Final = 16 * 1024 * 1024
_KEYED: Final = frozenset({"key", "access"})  # strategies that need the store of app keys
_STORING: Final = frozenset({"users"}) | _KEYED

RulesLoader = Callable[..., Ruleset]


@attrs.frozen
class Report:
    """``problems`` stop a start; ``unsafe`` is allowed and named."""

    problems: tuple[Problem, ...] = ()
    unsafe: tuple[Problem, ...] = ()


def check(
    path: Path | str,
    *,
    environ: Mapping[str, str] | None = None,
    strategies: Strategies = registry.load,
    clock: Clock | None = None,
) -> Report:
    """Judges the config file ``path`` and every file it names. Raises nothing about them: it is all in the report."""
    clock = clock or SystemClock()
    try:
        located = load_located(path, environ=environ, strategies=strategies)
    except ConfigError as error:
        return Report(error.problems)
    config = located.config
    problems: list[Problem] = []
    rules: dict[str, Ruleset] = {}
    for space in (*config.spaces(), *config.pattern()):
        try:
            rules[space.name] = read_rules(space, clock)
        except ProblemsError as error:
            problems += error.problems
        try:
            read_shadow_rules(space, clock)
        except ProblemsError as error:
            problems += error.problems
    problems += _storage_problems(located)
    problems += _decision_log_problems(config)
    if config.listen.tls:
        problems += _tls_problems(located, config.listen.tls, clock)
    problems += _strategy_problems(located, strategies, clock)
    return Report(tuple(problems), unsafe(located, rules, strategies=strategies))


def read_rules(config: Config | Space, clock: Clock, records: Records = NO_RECORDS) -> Ruleset:
    """The compiled rules of ``config``; ``records`` is what they read of records.

    Raises:
        ConfigError: the file cannot be read.
        RuleError: it is refused; nothing of it is in force.
    """
    return load_rules(read_text(config.rules, MAX_RULES), str(config.rules), clock=clock, records=records)


def read_shadow_rules(config: Config | Space, clock: Clock, records: Records = NO_RECORDS) -> Ruleset | None:
    """The compiled shadow rules of ``config``; None if it has none. Raises as :func:`read_rules`."""
    if config.shadow_rules is None:
        return None
    return load_rules(read_text(config.shadow_rules, MAX_RULES), str(config.shadow_rules), clock=clock, records=records)


def unsafe(
    config: Config | Located,
    rules: Mapping[str, Ruleset] | None = None,
    *,
    strategies: Strategies = registry.load,
) -> tuple[Problem, ...]:
    """Everything about a valid config that an administrator should have decided on purpose.

    ``rules`` are those of each app. With a bare ``Config`` the findings have no lines.
    """
    located = config if isinstance(config, Located) else None
    settings = located.config if located else config
    assert isinstance(settings, Config)  # noqa: S101 - for the type checker: either of the two above

    def finding(message: str, *path: str | int) -> Problem:
        if located:
            return located.problem(message, *path)
        return Problem(message, settings.source, field=".".join(map(str, path)))

    found = [finding(message, *path) for path, message in _listener_findings(settings)]
    spaces = (*settings.spaces(), *settings.pattern())
    for space in spaces:
        for index, step in enumerate(space.login):
            found += [
                finding(message, *space.at, "login", index)
                for message in registry.unsafe(strategies(step.strategy), step.options)
            ]
    found += _file_findings(settings, located, finding)
    for space in spaces:
        if rules is not None and space.name in rules:
            found += _rule_findings(space, rules[space.name])
    return tuple(found)


def _listener_findings(config: Config) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    listen: Listen = config.listen
    if "*" in listen.origins:
        found.append((("listen", "origins"), "every web site may connect with its visitors' cookies ('*')"))
    if listen.tls is None and not is_loopback(listen.host):
        found.append((("listen", "host"), "clients beyond this machine connect without TLS"))
    if any(ipaddress.ip_network(address).prefixlen == 0 for address in listen.trusted_proxies):
        found.append((("listen", "trusted_proxies"), "every client may claim any address"))
    if config.rest is not None and config.rest.plain_basic:
        found.append((("rest", "plain_basic"), "the secrets of app keys are accepted without TLS"))
    admin = config.admin
    if admin is None:
        return found
    if admin.token is None:
        found.append((("admin",), "has no token: whoever reaches the port reads health and metrics"))
    if not is_loopback(admin.host):
        found.append((("admin", "host"), "administration is reachable from other machines, without TLS"))
    return found


def _file_findings(config: Config, located: Located | None, finding: Callable[..., Problem]) -> list[Problem]:
    found = []
    if config.listen.tls and (fault := _exposed(config.listen.tls.key)):
        found.append(finding(f"the key {fault}", "listen", "tls", "key"))
    if located and located.inline_secrets and (fault := _exposed(Path(config.source))):
        found.append(Problem(f"the config holds secrets and {fault}, or use ${{file:path}}", config.source))
    return found


def _exposed(path: Path) -> str:
    try:
        return exposure(path.stat(), path.parent)
    except OSError:
        return ""  # that it is missing is said elsewhere


def _rule_findings(space: Space, rules: Ruleset) -> list[Problem]:
    """Asks the rules themselves about names nobody can have thought of, as somebody nobody knows."""
    stranger = Identity(space.name, new_session_id(), User(f"check-{new_session_id()}", is_authenticated=False))
    name = f"check-{new_session_id()}/{new_session_id()}"
    found = []
    for action in Action:
        decision = rules.decide(stranger, action, stranger.user.id if action is Action.PRESENCE_ALLOW else name)
        if decision.allowed:
            message = f"everybody may {action.section}.{action.verb} under any name, even without a login"
            where = decision.rule
            line, column = (where.line, where.column) if where else (0, 0)
            found.append(Problem(message, where.source if where else str(space.rules), line, column))
    return found


def _storage_problems(located: Located) -> list[Problem]:
    """Opening a store connects to nothing, but knows its URL and looks at the modes of its files (T70)."""
    config = located.config
    used = {step.strategy for space in (*config.spaces(), *config.pattern()) for step in space.login}
    if "storage" not in located.document.value and not used & _STORING and config.new_apps is None:
        return []  # no database is ever opened
    try:
        open_user_store(config.storage.url, config.base)
        if used & _KEYED:
            open_key_store(config.storage.url, config.base, config.storage.encryption_key)
    except ConfigError as error:
        return [
            located.problem(": ".join(filter(None, (p.source, p.message))), *(p.field or "storage.url").split("."))
            for p in error.problems
        ]
    return []


def _decision_log_problems(config: Config) -> tuple[Problem, ...]:
    if config.decisions.log is None:
        return ()
    try:
        check_private(config.decisions.log, DECISION_LOG)
    except ConfigError as error:
        return error.problems
    return ()


def _tls_problems(located: Located, tls: Tls, clock: Clock) -> list[Problem]:
    def problem(message: str, field: str) -> Problem:
        return located.problem(message, "listen", "tls", field)

    problems = []
    chain: list[x509.Certificate] = []
    try:
        chain = x509.load_pem_x509_certificates(tls.certificate.read_bytes())
    except OSError as error:
        problems.append(problem(f"cannot be read: {error.strerror}", "certificate"))
    except ValueError:
        problems.append(problem("is not a certificate in PEM", "certificate"))
    key: Any = None
    try:
        key = load_pem_private_key(tls.key.read_bytes(), password=None)
    except OSError as error:
        problems.append(problem(f"cannot be read: {error.strerror}", "key"))
    except TypeError:
        problems.append(problem("is encrypted: the router cannot ask for a password", "key"))
    except (ValueError, UnsupportedAlgorithm):
        problems.append(problem("is not a private key in PEM", "key"))
    if not chain or key is None:
        return problems
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if chain[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        return [problem("does not belong to the certificate", "key")]
    now = datetime.fromtimestamp(clock.wall(), UTC)
    if now > chain[0].not_valid_after_utc:
        problems.append(problem(f"expired on {chain[0].not_valid_after_utc:%Y-%m-%d}", "certificate"))
    elif now < chain[0].not_valid_before_utc:
        problems.append(problem(f"is valid from {chain[0].not_valid_before_utc:%Y-%m-%d} only", "certificate"))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError):
        problems.append(problem("certificate and key are refused by OpenSSL", "certificate"))
    return problems


def _strategy_problems(located: Located, strategies: Strategies, clock: Clock) -> list[Problem]:
    """Builds every strategy as a start would (T47: weak keys are refused here), and throws it away."""
    problems = []
    for space in (*located.config.spaces(), *located.config.pattern()):
        services = Services(space.name, clock, HttpOutbound(), MemoryUserStore, located.config.base, _silent())
        for index, step in enumerate(space.login):
            at: tuple[str | int, ...] = (*space.at, "login", index)
            try:
                strategies(step.strategy).build(step.options, services)
            except ProblemsError as error:
                for problem in error.problems:
                    path = (*at, problem.field) if problem.field else at
                    problems.append(problem if problem.line else located.problem(problem.message, *path))
            except Exception as error:  # noqa: BLE001 - a plugin's fault must not hide what is wrong elsewhere
                problems.append(located.problem(f"the strategy cannot be built: {type(error).__name__}", *at))
    return problems


def _silent() -> Any:
    def drop(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    return structlog.wrap_logger(structlog.PrintLogger(), processors=[drop], wrapper_class=structlog.stdlib.BoundLogger)
