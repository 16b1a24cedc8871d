"""The config file's shape: attrs classes, one per section. Loading, ${...} references and errors are in ``load``.

Every default here is the safe one; what is unsafe has to be written down and is named by ``trio-router check``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from trio_router.limits import Limits
from trio_router.secret import Secret


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
    ``trusted_proxies``: addresses whose X-Forwarded-For is believed.
    """

    host: str = "127.0.0.1"
    port: int = 7000
    path: str = "/"
    tls: Tls | None = None
    origins: list[str] = attrs.field(factory=list)
    require_origin: bool = False
    trusted_proxies: list[str] = attrs.field(factory=list)
    backlog: int = 1024


@attrs.frozen
class Admin:
    """The administration listener (``/admin``, ``/metrics``), apart from the clients' port. None: there is none."""

    host: str = "127.0.0.1"
    port: int = 7001
    token: Secret | None = None
    metrics: bool = True


@attrs.frozen
class Storage:
    """Where built-in users are kept: an SQLAlchemy URL. A relative SQLite path counts from the config file's folder."""

    url: Secret = attrs.field(factory=lambda: Secret("sqlite:///router.db"))


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


@attrs.frozen
class Config:
    """One router. ``base`` is the folder of the config file; ``rules`` is the rules file."""

    rules: Path
    login: tuple[LoginStep, ...]
    listen: Listen = attrs.field(factory=Listen)
    admin: Admin | None = None
    storage: Storage = attrs.field(factory=Storage)
    limits: Limits = attrs.field(factory=Limits)
    log: Log = attrs.field(factory=Log)
    login_deadline: float = 10.0  # seconds one login may take over all strategies
    base: Path = attrs.field(factory=Path)
    source: str = ""


APP = "default"
"""The app of a config file that names none."""
