"""The config file's shape: attrs classes, one per section. Loading, ${...} references and errors are in ``load``.

Every default here is the safe one; what is unsafe has to be written down and is named by ``trio-router check``.
"""

from __future__ import annotations

import ipaddress
import math
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from trio_router.limits import Limits
from trio_router.names import InvalidName, check_app_name
from trio_router.permissions.redaction import check_path
from trio_router.protocols.deepstream.words import PROTOCOL, PROTOCOL_JSON
from trio_router.secret import Secret
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.protocol import NATIVE
from trio_router.tokens.claims import MAX_LEEWAY
from trio_router.tokens.trust import LONGEST_LIFETIME, MAX_LIFETIME

MIN_ADMIN_TOKEN: Final = 24
MIN_ENCRYPTION_KEY: Final = 32
MIN_POLL: Final = 0.05
MAX_POLL: Final = 60.0
APP: Final = "default"
"""The app of the top level of a config file."""

PATTERN: Final = "*"
"""What stands for the name of an app that is yet to be made; no app has it."""

_MAX_PORT: Final = 65_535
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _port(_: object, __: object, value: int) -> None:
    if not 0 <= value <= _MAX_PORT:
        raise ValueError(f"must be from 0 to {_MAX_PORT}")


def _positive(_: object, __: object, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError("must be greater than 0")


def _host(_: object, __: object, value: str) -> None:
    if not value or not value.isprintable() or any(letter in value for letter in " /"):
        raise ValueError("must be a host name or an address")


def _url_path(_: object, __: object, value: str) -> None:
    if not value.startswith("/") or not value.isascii() or not value.isprintable() or set(value) & set("?# "):
        raise ValueError("must be the path of a URL, beginning with /")


def check_origin(value: str) -> None:
    """Returns if ``value`` is a browser's spelling of an origin, or ``"*"``.

    An entry that no browser ever sends would look like protection and refuse everybody (T01).

    Raises:
        ValueError: it is not; the text says why.
    """
    if value == "*":
        return
    parts = urlsplit(value)
    if "*" in value:
        raise ValueError("an origin holds no wildcard; only '*' alone means every origin")
    if parts.scheme not in {"http", "https"} or not parts.netloc or not value.isascii():
        raise ValueError("an origin is scheme://host or scheme://host:port, in ASCII")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or value.endswith(("/", "?", "#")):
        raise ValueError("an origin has no path, query or user: scheme://host[:port]")
    if value != value.lower():
        raise ValueError("browsers send origins in lower case")
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        raise ValueError("browsers leave out the default port of an origin")


def _origins(_: object, __: object, value: list[str]) -> None:
    for number, origin in enumerate(value, 1):
        try:
            check_origin(origin)
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None


def _addresses(_: object, __: object, value: list[str]) -> None:
    for number, address in enumerate(value, 1):
        try:
            ipaddress.ip_network(address, strict=True)
        except ValueError:
            raise ValueError(f"entry {number} is not an IP address or network") from None


def _admin_token(_: object, __: object, value: Secret | None) -> None:
    if value is not None and len(value.reveal()) < MIN_ADMIN_TOKEN:
        raise ValueError(f"must have at least {MIN_ADMIN_TOKEN} characters")
    if value is not None and not (
        value.reveal().isascii() and value.reveal().isprintable() and " " not in value.reveal()
    ):
        raise ValueError("must be printable ASCII without spaces: it travels in a header")


@attrs.frozen
class Tls:
    """Files in PEM. ``certificate`` holds the chain, leaf first."""

    certificate: Path
    key: Path


@attrs.frozen
class Listen:
    """Where clients connect. Port 0 takes a free one.

    ``origins`` is the exact list of browser origins (scheme://host[:port]) that may connect; a request without
    an Origin header is not from a browser and passes unless ``require_origin``. ``"*"`` allows every origin (unsafe).
    ``trusted_proxies``: addresses whose X-Forwarded-For is believed. ``fast_lane``: off, trio-websocket does all that the fast
    lane does, more slowly.
    """

    host: str = attrs.field(default="127.0.0.1", validator=_host)
    port: int = attrs.field(default=7000, validator=_port)
    path: str = attrs.field(default="/", validator=_url_path)
    tls: Tls | None = None
    origins: list[str] = attrs.field(factory=list, validator=_origins)
    require_origin: bool = False
    trusted_proxies: list[str] = attrs.field(factory=list, validator=_addresses)
    backlog: int = attrs.field(default=1024, validator=_positive)
    fast_lane: bool = True


@attrs.frozen
class Admin:
    """The administration listener (``/admin``, ``/metrics``), apart from the clients' port. None: there is none."""

    host: str = attrs.field(default="127.0.0.1", validator=_host)
    port: int = attrs.field(default=7001, validator=_port)
    token: Secret | None = attrs.field(default=None, validator=_admin_token)
    metrics: bool = True


def _encryption_key(_: object, __: object, value: Secret | None) -> None:
    if value is not None and len(value.reveal()) < MIN_ENCRYPTION_KEY:
        raise ValueError(f"must have at least {MIN_ENCRYPTION_KEY} characters")


def _base_url(_: object, __: object, value: str | None) -> None:
    parts = urlsplit(value or "")
    if value is not None and (
        parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or "@" in parts.netloc
    ):
        raise ValueError("must be the http(s) URL clients reach this router at")


@attrs.frozen
class RestSection:
    """The REST interface on the clients' port (``/v1``): access tokens and publishing. None: there is none.

    ``url``: where clients reach this port, for the tokens' ``iss``; None makes one of ``listen``. ``plain_basic`` accepts
    the secret of a key without TLS from other machines too (unsafe).
    """

    url: str | None = attrs.field(default=None, validator=_base_url)
    plain_basic: bool = False


def _count_from_one(_: object, __: object, value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


def _optional_path(_: object, __: object, value: str | None) -> None:
    if value is not None:
        _url_path(_, __, value)


@attrs.frozen
class HttpApi:
    """The HTTP API on the clients' port: events, calls and presence by POST, as deepstream's HTTP clients send them. None: there is none.

    ``path`` and ``auth_path`` are those of the app ``default``; those of a further app stand behind the app's own path.
    ``auth_path`` None: credentials cannot be tried without a message. ``messages``: in one request.
    """

    path: str = attrs.field(default="/api", validator=_url_path)
    auth_path: str | None = attrs.field(default="/api/auth", validator=_optional_path)
    allow_auth_data: bool = True
    request_timeout: float = attrs.field(default=20.0, validator=_positive)
    messages: int = attrs.field(default=100, validator=_count_from_one)

    def paths(self, space: Space) -> tuple[str, str | None]:
        """``path`` and ``auth_path`` of ``space``."""
        base = "" if space.name == APP else space.path.rstrip("/")
        return f"{base}{self.path}", None if self.auth_path is None else f"{base}{self.auth_path}"


def _url_paths(_: object, __: object, value: list[str]) -> None:
    for number, path in enumerate(value, 1):
        try:
            _url_path(_, __, path)
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None


@attrs.frozen
class Deepstream(DeepstreamOptions):
    """Clients that speak the deepstream protocol. None: there are none.

    ``paths``: where it is spoken in protobuf, ``json_paths`` in JSON. Both are those of the app ``default``; those of a further
    app stand behind the app's own path.
    """

    paths: list[str] = attrs.field(factory=lambda: ["/deepstream"], validator=_url_paths)
    json_paths: list[str] = attrs.field(factory=lambda: ["/deepstream-json"], validator=_url_paths)


def _poll_interval(_: object, __: object, value: float) -> None:
    if not MIN_POLL <= value <= MAX_POLL:
        raise ValueError(f"must be from {MIN_POLL:g} to {MAX_POLL:g} seconds")


@attrs.frozen
class Storage:
    """Where users, app keys and revocations are kept: an SQLAlchemy URL; a relative SQLite path counts from the config's folder.

    ``encryption_key``: the secrets of app keys rest sealed under it. Without one no app key can be kept in a database.
    ``poll_interval``: so many seconds after another router or a command has stored it, what was revoked or changed is in force here.
    """

    url: Secret = attrs.field(factory=lambda: Secret("sqlite:///router.db"))
    encryption_key: Secret | None = attrs.field(default=None, validator=_encryption_key)
    poll_interval: float = attrs.field(default=0.5, validator=_poll_interval)


def _trust_lifetime(_: object, __: object, value: float) -> None:
    if not 1 <= value <= LONGEST_LIFETIME:
        raise ValueError(f"must be from 1 to {LONGEST_LIFETIME:.0f} seconds")


def _leeway(_: object, __: object, value: float) -> None:
    if not 0 <= value <= MAX_LEEWAY:
        raise ValueError(f"must be from 0 to {MAX_LEEWAY:.0f} seconds")


@attrs.frozen
class TrustSection:
    """What is asked of trust-tokens, in seconds: how long one may be good for, and how far off the clock of whoever signs may be."""

    max_lifetime: float = attrs.field(default=MAX_LIFETIME, validator=_trust_lifetime)
    leeway: float = attrs.field(default=5.0, validator=_leeway)


@attrs.frozen
class LoginStep:
    """One entry of ``login:``. ``strategy`` is an entry point of the group ``trio_router.auth`` or ``package.module:Class``.

    In the file the strategy's options stand beside ``strategy``. ``options`` holds them already structured into the strategy's
    ``Options`` class.
    """

    strategy: str
    options: Any = None


@attrs.frozen
class Log:
    """``format`` is json (one object a line) or text; ``level`` is debug, info, warning or error."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


def _paths(_: object, __: object, value: list[str]) -> None:
    for number, path in enumerate(value, 1):
        try:
            check_path(path)
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}") from None


def _count(_: object, __: object, value: int) -> None:
    if value < 0:
        raise ValueError("must not be negative")


@attrs.frozen
class Decisions:
    """What is remembered of decisions, for administrators to ask why; and the decision log.

    ``keep``: so many refused decisions (and as many allowed ones with ``log_allowed``), in at most ``memory`` bytes of data.
    ``log``: the file of the decision log, None for none. ``redact``: dotted paths of values nobody is shown.
    """

    keep: int = attrs.field(default=1_000, validator=_count)
    memory: int = attrs.field(default=16 * 1024 * 1024, validator=_count)
    log: Path | None = None
    log_allowed: bool = False
    redact: list[str] = attrs.field(factory=list, validator=_paths)


def _app_path(_: object, __: object, value: str | None) -> None:
    if value is not None:
        _url_path(_, __, value)


@attrs.frozen
class App:
    """A further app: a space of users, keys, sessions, names, rules and limits of its own, reached by its own ``path``.

    ``path``: None is ``/`` and the app's name. ``limits``: None takes those of the top level.
    """

    rules: Path
    login: tuple[LoginStep, ...]
    shadow_rules: Path | None = None
    path: str | None = attrs.field(default=None, validator=_app_path)
    limits: Limits | None = None


@attrs.frozen
class NewApps:
    """How apps are served that are made while the router runs, by command or over REST. None: none can be made.

    ``limits``: None takes those of the top level.
    """

    rules: Path
    login: tuple[LoginStep, ...]
    shadow_rules: Path | None = None
    limits: Limits | None = None


@attrs.frozen
class Space:
    """One app as it is served, whichever way the file spells it. ``at`` is the field path of its settings in the file."""

    name: str
    path: str
    rules: Path
    login: tuple[LoginStep, ...]
    shadow_rules: Path | None
    limits: Limits
    at: tuple[str, ...] = ()


def _app_names(_: object, __: object, value: dict[str, App]) -> None:
    for name in value:
        try:
            check_app_name(name)
        except InvalidName as error:
            raise ValueError(f"the name of an app {error}") from None
        if name == APP:
            raise ValueError(f"the app {APP!r} is the top level of this file")


@attrs.frozen
class Config:
    """One router. ``base`` is the folder of the config file; ``rules`` is the rules file.

    ``shadow_rules``: a second rules file that decides beside the first; differences are counted, nothing is enforced.
    ``apps`` are further apps by their name; the top level is the app ``default``. ``made`` are the names of those among them
    that do not stand in the file: they were made at run time, after ``new_apps``.
    """

    rules: Path
    login: tuple[LoginStep, ...]
    shadow_rules: Path | None = None
    listen: Listen = attrs.field(factory=Listen)
    admin: Admin | None = None
    rest: RestSection | None = None
    http_api: HttpApi | None = None
    deepstream: Deepstream | None = None
    storage: Storage = attrs.field(factory=Storage)
    trust: TrustSection = attrs.field(factory=TrustSection)
    limits: Limits = attrs.field(factory=Limits)
    log: Log = attrs.field(factory=Log)
    decisions: Decisions = attrs.field(factory=Decisions)
    login_deadline: float = attrs.field(
        default=10.0, validator=_positive
    )  # seconds one login may take over all strategies
    apps: dict[str, App] = attrs.field(factory=dict, validator=_app_names)
    new_apps: NewApps | None = None
    made: frozenset[str] = frozenset()
    base: Path = attrs.field(factory=Path)
    source: str = ""

    def of_file(self) -> Config:
        """Without the apps that were made at run time."""
        return attrs.evolve(self, apps={n: app for n, app in self.apps.items() if n not in self.made}, made=frozenset())

    def with_app(self, name: str, path: str) -> Config:
        """With one more app that was made at run time. Raises ``ValueError``: there is no section ``new_apps``."""
        if self.new_apps is None:
            raise ValueError("there is no section new_apps")
        app = App(path=path, **attrs.asdict(self.new_apps, recurse=False))
        return attrs.evolve(self, apps={**self.apps, name: app}, made=self.made | {name})

    def pattern(self) -> tuple[Space, ...]:
        """How an app that is made at run time would be served, for judging it before there is one; () if none can be made."""
        if self.new_apps is None:
            return ()
        new = self.new_apps
        limits = new.limits or self.limits
        return (Space(PATTERN, "", new.rules, new.login, new.shadow_rules, limits, ("new_apps",)),)

    def names_of_file(self) -> frozenset[str]:
        """The names of the apps that stand in the file."""
        return frozenset(self.apps) - self.made | {APP}

    def spaces(self) -> tuple[Space, ...]:
        """Every app: the one of the top level first, then those of ``apps`` in the order of the file."""
        first = Space(APP, self.listen.path, self.rules, self.login, self.shadow_rules, self.limits)
        further = (
            Space(
                name,
                f"/{name}" if app.path is None else app.path,
                app.rules,
                app.login,
                app.shadow_rules,
                app.limits or self.limits,
                ("apps", name),
            )
            for name, app in self.apps.items()
        )
        return (first, *further)

    def endpoints(self, space: Space) -> dict[str, str]:
        """The paths of WebSockets of ``space``, each with the protocol that is spoken there; the app's own first."""
        found = {space.path: NATIVE}
        if self.deepstream is not None:
            base = "" if space.name == APP else space.path.rstrip("/")
            for protocol, paths in ((PROTOCOL, self.deepstream.paths), (PROTOCOL_JSON, self.deepstream.json_paths)):
                for path in paths:
                    found.setdefault(f"{base}{path}", protocol)
        return found
