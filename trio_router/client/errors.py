"""What goes wrong for a client, as exceptions.

Three kinds, told apart because a program does different things about them: the router said no to one request
(``RequestRefused``), the connection is gone and will or will not come back (``ConnectionLost``, ``ConnectionEnded``),
or this program fell behind (``Lagged``). Codes and texts are the router's own. The module knows no Trio and no socket.
"""

from __future__ import annotations

from typing import Any, TypeVar

from trio_router.errors import RouterError
from trio_router.protocols import messages
from trio_router.protocols.codes import DENIED, LOGIN_UNAVAILABLE, RATE_LIMITED, RULE_FAILED, error
from trio_router.protocols.native.client_codec import ToldFailed, ToldRevoked


class ClientError(RouterError):
    """Base of everything the client library raises on purpose."""


class ConnectFailed(ClientError):
    """No connection to a router could be made; ``permanent`` tells whether trying again is pointless.

    ``status`` is the HTTP status with which the upgrade was refused, if it came to that; ``retry_after`` the seconds the
    router asks to wait before the next attempt.
    """

    def __init__(
        self, text: str, *, status: int | None = None, permanent: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.status = status
        self.permanent = permanent


class ConnectionLost(ClientError):
    """There is no connection at the moment. Whether a request in flight was carried out is unknown."""


class ConnectionEnded(ConnectionLost):
    """There is no connection and this client makes no new one: it was closed, or the router said to stop.

    ``code`` and ``slug`` are the router's close code, if there was one.
    """

    def __init__(self, text: str, *, code: int | None = None, slug: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.slug = slug


class RequestRefused(ClientError):
    """The router did not do what was asked. ``code``, ``slug`` and ``text`` are those of the protocol's error codes.

    ``detail`` says what is wrong and where; ``temporary`` whether the same request may succeed later; ``data`` is what a
    provider (or a login strategy) sent along, or None. ``decision`` is the id by which an administrator finds why the rules
    refused it, ``reason`` what the rules have to say to clients about it ("" if nothing). ``retry_after``: what came too often
    (RATE_LIMITED) may be tried again after so many seconds.
    """

    def __init__(
        self,
        code: int,
        slug: str = "",
        text: str = "",
        detail: str = "",
        *,
        temporary: bool = False,
        verb: str = "",
        name: str = "",
        data: Any = None,
        decision: str = "",
    ) -> None:
        known = error(code)
        self.code = code
        self.slug = slug or known.slug
        self.text = text or known.text
        self.detail = detail
        self.temporary = temporary
        self.verb = verb
        self.name = name
        self.data = data
        self.decision = decision
        super().__init__(f"{self.text} ({self.slug})" + (f": {detail}" if detail else ""))

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the same is tried again; 0.0 where the router says nothing about it."""
        seconds = self.data.get("retry_after") if self.code == RATE_LIMITED and isinstance(self.data, dict) else None
        return float(seconds) if isinstance(seconds, int | float) else 0.0

    @property
    def reason(self) -> str:
        """The text the deciding rule has for clients, or ""."""
        return self.detail if self.code in {DENIED, RULE_FAILED} else ""


class LoginRefused(RequestRefused):
    """There was no login. ``data`` is the clientData the strategy gave, if any."""


class LoginDenied(LoginRefused):
    """The router refused these credentials: the same ones will not do later either."""


class LoginUnavailable(LoginRefused):
    """The router could not check the credentials at the moment."""


class Lagged(ClientError):
    """The program read too slowly: ``missed`` messages were dropped after the last one it got."""

    def __init__(self, missed: int) -> None:
        super().__init__(f"{missed} messages were dropped because they were not read in time")
        self.missed = missed


class CallError(Exception):
    """Raised by a handler on purpose: ``value``, any JSON value, goes to the caller as the error's data."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class CallRejected(Exception):
    """Raised by a handler that has not carried out a call: the router gives it to another provider, if there is one.

    After partial results that cannot be done any more, and the call fails.
    """


def refused(failed: messages.Failed) -> RequestRefused:
    """The exception for an ``error`` message."""
    return _made(RequestRefused, failed)


def login_refused(failed: messages.Failed) -> LoginRefused:
    """The exception for the ``error`` message that answers a login: denied and unavailable stay two things."""
    unavailable = failed.code == LOGIN_UNAVAILABLE or (isinstance(failed, ToldFailed) and failed.temporary)
    return _made(LoginUnavailable if unavailable else LoginDenied, failed)


def right_revoked(revoked: messages.Revoked) -> RequestRefused:
    """The exception for a standing right that was taken away."""
    told = revoked if isinstance(revoked, ToldRevoked) else ToldRevoked(revoked.verb, revoked.name, revoked.code)
    return RequestRefused(
        told.code, told.error, told.text, told.detail, verb=told.verb, name=told.name, decision=revoked.decision
    )


Refusal = TypeVar("Refusal", bound=RequestRefused)


def _made(cls: type[Refusal], failed: messages.Failed) -> Refusal:
    told = failed if isinstance(failed, ToldFailed) else ToldFailed(failed.code)
    return cls(
        failed.code,
        told.error,
        told.text,
        failed.detail,
        temporary=told.temporary,
        verb=failed.verb,
        name=failed.name,
        data=failed.data.value,
        decision=failed.decision,
    )
