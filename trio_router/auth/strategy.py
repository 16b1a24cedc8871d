"""The interface every way to log in implements, built in or plugged in.

A login is a short dialogue. The chain asks each strategy in the configured order; the first answer other than
``NotMine`` decides. ``Denied`` and ``Unavailable`` are different answers all the way to the wire, the log and
the metrics, and neither lets anyone in.

A strategy never raises on bad input: an exception that escapes :meth:`Strategy.start` is a fault of the strategy and
is answered as unavailable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import attrs

from trio_router.grants import Grants
from trio_router.identity import Identity, User
from trio_router.scope import Scope

INTERFACE_VERSION: Final = 1


@attrs.frozen
class LoginRequest:
    """What is known when a client asks to log in.

    ``headers`` are those of the upgrade request, names in lower case, in their order, repeated ones repeated.
    ``subprotocols`` are the values offered in Sec-WebSocket-Protocol. ``query`` is the raw query string of the
    URL. ``auth`` is what the client put into its login message (None if nothing). None of it is trusted.
    ``secure``: the connection came over this router's own TLS.
    """

    app: str
    session_id: str
    remote_address: str
    auth: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    subprotocols: tuple[str, ...] = attrs.field(default=(), repr=False)
    query: str = attrs.field(default="", repr=False)
    secure: bool = False

    def header(self, name: str) -> str | None:
        """The first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


@attrs.frozen
class Accepted:
    """Logged in. ``client_data`` goes to the client; ``expires_at`` (seconds since the epoch) ends the session.

    ``token_id`` names the credential for revocation (a JWT's ``jti``), where there is one, and ``issued_at`` is when it was
    issued. ``key`` is the id of the app key that was used, ``grants`` its upper bound, and ``is_server`` says that the
    client proved the key's secret. ``scope`` bounds what it may ask for, where a token does.

    ``token`` is one that the client may log in with from now on: it is handed to those who try credentials over HTTP, and
    means nothing to the router.
    """

    user: User
    client_data: Any = attrs.field(default=None, repr=False)
    expires_at: float | None = None
    token_id: str | None = None
    issued_at: float | None = None
    key: str = ""
    grants: Grants | None = None
    is_server: bool = False
    scope: Scope | None = None
    token: str | None = attrs.field(default=None, repr=False)

    def identity(self, request: LoginRequest, strategy: str) -> Identity:
        """Who that makes the session of ``request``; ``strategy`` is the name of the one that answered."""
        return Identity(
            app=request.app,
            session_id=request.session_id,
            user=self.user,
            strategy=strategy,
            remote_address=request.remote_address,
            expires_at=self.expires_at,
            key=self.key,
            grants=self.grants,
            is_server=self.is_server,
            token_id=self.token_id,
            issued_at=self.issued_at,
            scope=self.scope,
        )


@attrs.frozen
class Denied:
    """This login is mine and is refused.

    ``reason`` is a fixed slug for log and metrics; ``client_data`` is what the client is told besides (None: only that it was denied).
    """

    reason: str
    client_data: Any = attrs.field(default=None, repr=False)


@attrs.frozen
class Unavailable:
    """This login is mine but cannot be checked now. ``reason`` is a fixed slug for log and metrics.

    ``retry_after``: the seconds until it can be, where that is known.
    """

    reason: str
    retry_after: float | None = None


@attrs.frozen
class NotMine:
    """This login is not for me: ask the next strategy."""


@attrs.frozen
class Challenge:
    """Ask the client back: it gets ``text``, its reply goes to ``answer``, whose result is again any answer but ``NotMine``."""

    text: str
    answer: Callable[[str], Awaitable[Answer]] = attrs.field(repr=False)


Answer = Accepted | Denied | Unavailable | NotMine | Challenge


@runtime_checkable
class Strategy(Protocol):
    """One way to log in. Instances are shared by all logins and keep no state per client."""

    name: str

    async def start(self, request: LoginRequest) -> Answer:
        """Judge ``request``. May wait (the chain sets the deadline), must not block the thread."""


@runtime_checkable
class Prepares(Strategy, Protocol):
    """A strategy that has something to do before the first login, such as connecting to a database.

    The composition root awaits it before the router listens, so that faults are seen at start; a strategy must cope with
    it not having been called.
    """

    async def prepare(self) -> None:
        """Get ready. May raise ``ConfigError`` or ``StorageUnavailable``, and may be called again."""


@runtime_checkable
class StrategyType(Protocol):
    """What an entry point of the group ``trio_router.auth`` (or a dotted path) names.

    ``Options`` is an attrs class; the config's options for this strategy are structured into it, and unknown or
    ill-typed keys are refused with file and line before :meth:`build` runs. :meth:`build` may raise
    ``ConfigError``.
    """

    interface_version: int
    Options: type[Any]

    def build(self, options: Any, services: Any) -> Strategy:
        """A strategy with these options. ``services`` is :class:`trio_router.auth.services.Services`."""
