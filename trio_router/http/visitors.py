"""Who makes a request of the HTTP API: one login through the chain that WebSocket sessions log in through.

Owns the bounds around such a login: its size, how many wait at the same time, and how soon an address that failed too often is heard
again (T57). The rule that keeps it honest: the four answers of a strategy stay apart. Denied is 401, unavailable 503, and
neither lets anybody in; what a strategy would ask back cannot be asked here, and is denied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import msgspec
import trio
from starlette.requests import Request

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, Denied, LoginRequest, Unavailable
from trio_router.auth.throttle import Throttle
from trio_router.clock import Clock
from trio_router.identity import Identity, new_session_id
from trio_router.limits import Limits

FAILURES: Final = 20
"""Failed logins an address has free; each further one doubles the wait, up to a minute."""

RETRY_AFTER: Final = 2
"""Seconds after which a login that could not be checked may be tried again."""

MAX_TEXT: Final = 1_000
_NOBODY: Final = ""  # failures count for the address, whoever it claims to be


class Rejected(Exception):
    """Ends a request of the HTTP API: a status and a plain text for its client."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class Logins(Protocol):
    """What decides about logins now; a reload changes both."""

    chain: Chain
    limits: Limits


@attrs.frozen
class Visitor:
    """Who was let in, and what the strategy has for the client."""

    identity: Identity
    client_data: Any = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)


class Visitors:
    """Lets the callers of one app in. ``revoked`` says whether a login was revoked since it was accepted."""

    def __init__(self, app: str, logins: Logins, revoked: Callable[[Identity], bool], clock: Clock) -> None:
        self._app = app
        self._logins = logins
        self._revoked = revoked
        self._throttle = Throttle(clock, user_failures=FAILURES, address_failures=FAILURES)
        self._waiting = 0

    async def admit(self, request: Request, auth: Mapping[str, Any] | None, *, denied: str) -> Visitor:
        """Log in with ``auth``, or with what the headers of ``request`` hold.

        ``denied`` is the text for a login that is not accepted, where the strategy has none.

        Raises:
            Rejected: 401, 413, 429 or 503.
        """
        limits = self._logins.limits
        if auth is None:
            auth = _bearer(request)
        if auth is not None and len(msgspec.json.encode(auth)) > limits.login_message_size:
            raise Rejected(413, "The authentication data is too big.")
        login = _login(self._app, request, auth)
        self._wait(login.remote_address)
        if self._waiting >= limits.unauthenticated_connections:
            raise Rejected(503, "Too many logins are waiting.", {"retry-after": str(RETRY_AFTER)})
        self._waiting += 1
        try:
            outcome = await self._logins.chain.login(login, _ask)
        except _AskedBack:
            raise self._denied(login, "This login needs a WebSocket: it asks back.") from None
        finally:
            self._waiting -= 1
        answer = outcome.answer
        if isinstance(answer, Denied):
            if answer.reason == "throttled":
                raise _throttled(_seconds(answer.client_data))
            raise self._denied(login, _text(answer.client_data) or denied)
        if isinstance(answer, Unavailable) and answer.retry_after is not None:
            raise Rejected(429, "Too many logins.", {"retry-after": str(max(1, math.ceil(answer.retry_after)))})
        if not isinstance(answer, Accepted):
            raise Rejected(503, "Logins cannot be checked at the moment.", {"retry-after": str(RETRY_AFTER)})
        self._wait(login.remote_address)  # others may have failed meanwhile: a burst of guesses is no way around it
        identity = answer.identity(login, outcome.strategy)
        if self._revoked(identity):
            raise self._denied(login, denied)
        self._throttle.succeeded(self._app, _NOBODY, login.remote_address)
        return Visitor(identity, answer.client_data, answer.token)

    def _wait(self, remote: str) -> None:
        seconds = self._throttle.wait(self._app, _NOBODY, remote)
        if seconds > 0:
            raise _throttled(seconds)

    def _denied(self, login: LoginRequest, text: str) -> Rejected:
        self._throttle.failed(self._app, _NOBODY, login.remote_address)
        return Rejected(401, text, {"www-authenticate": "Bearer"})


class _AskedBack(Exception):
    """A strategy wants to ask the client back, which one request cannot answer."""


async def _ask(_: str) -> str:
    await trio.lowlevel.checkpoint()
    raise _AskedBack


def _login(app: str, request: Request, auth: Mapping[str, Any] | None) -> LoginRequest:
    return LoginRequest(
        app=app,
        session_id=new_session_id(),
        remote_address=request.client.host if request.client else "",
        auth=auth,
        headers=tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw),
        query=request.url.query,
        secure=request.scope["scheme"] == "https",
    )


def _bearer(request: Request) -> dict[str, Any] | None:
    values = request.headers.getlist("authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return {"token": token.strip()} if scheme.lower() == "bearer" and token.strip() else None


def _throttled(seconds: float) -> Rejected:
    return Rejected(429, "Too many failed logins.", {"retry-after": str(max(1, math.ceil(seconds)))})


def _seconds(client_data: Any) -> float:
    seconds = client_data.get("retry_after") if isinstance(client_data, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 1.0


def _text(client_data: Any) -> str:
    return client_data[:MAX_TEXT] if isinstance(client_data, str) else ""
