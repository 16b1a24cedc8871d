"""Who makes a request over REST: a program with an app key (Basic) or somebody with an access token (Bearer).

Every route of ``/v1`` asks here and nowhere else. Failures are counted by key and address, as failed passwords are, and too
many of them wait (T57). A key's secret travels over TLS or stays on this machine, unless the config says otherwise. The rule
that keeps it honest: what is wrong with a credential is for the log; a stranger is told that it is, after the same work.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import attrs
from starlette.requests import Request

from trio_router import log
from trio_router.auth.access_tokens import AccessTokens, credential_of
from trio_router.auth.revocations import Revocations
from trio_router.auth.throttle import Throttle
from trio_router.clock import Clock
from trio_router.errors import TokenInvalid
from trio_router.http.answers import HttpError
from trio_router.identity import Identity, User, new_session_id
from trio_router.names import InvalidName, split_key
from trio_router.payload import Payload
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord, KeyStore
from trio_router.tokens.access import AccessToken, claimed_key
from trio_router.tokens.compact import UnverifiedToken, parse

MAX_HEADER: Final = 9 * 1024
SERVER_USER: Final = "key:"
"""What the user id of a program is, before the id of its key."""

_BEARER: Final = ""  # no key has this name: failures with tokens count for the address
_NOBODY: Final = Secret("nobody has this secret: it stands in for keys that do not exist")
_log = log.get("rest")


@attrs.frozen
class RestApp:
    """One app as REST sees it. ``publish`` raises ``Refused``; everything it needs to know of a caller is the identity."""

    name: str
    keys: Callable[[], KeyStore]
    tokens: AccessTokens
    publish: Callable[[Identity, str, Payload], None]


@attrs.frozen
class Caller:
    """Who asks. ``token`` is None for a program that showed its key's secret."""

    app: RestApp
    key: KeyRecord
    remote: str
    token: AccessToken | None = None

    def identity(self) -> Identity:
        """The caller as the door knows it; the same as that of a session with these credentials."""
        if self.token is None:
            user = User(f"{SERVER_USER}{self.key.id}", {"key": self.key.id, "label": self.key.label, "isServer": True})
        else:
            user = User(self.token.client_id)
        return Identity(
            app=self.app.name,
            session_id=new_session_id(),
            user=user,
            strategy="key" if self.token is None else "access",
            remote_address=self.remote,
            key=self.key.id,
            grants=self.key.grants,
            is_server=self.token is None,
            expires_at=None if self.token is None else self.token.expires_at,
            token_id=None if self.token is None else self.token.token_id,
            issued_at=None if self.token is None else self.token.issued_at,
            scope=None if self.token is None else self.token.scope,
        )


class Callers:
    """Decides who a caller is. ``plain_basic``: a key's secret may come without TLS, from anywhere."""

    def __init__(
        self,
        apps: Callable[[str], RestApp | None],
        revocations: Revocations,
        clock: Clock,
        *,
        plain_basic: bool,
        throttle: Throttle | None = None,
    ) -> None:
        self._apps = apps
        self._revocations = revocations
        self._clock = clock
        self._plain_basic = plain_basic
        self._throttle = Throttle(clock) if throttle is None else throttle

    async def by_key(self, request: Request) -> Caller:
        """The program behind ``Authorization: Basic``. Raises ``HttpError`` 401, 403 or 429, and ``StorageUnavailable``."""
        return await self._program(request, _credentials(request, "basic"))

    async def by_token(self, request: Request) -> Caller:
        """The holder of ``Authorization: Bearer``. Raises ``HttpError`` 401 or 429, and ``StorageUnavailable``."""
        return await self._holder(request, _credentials(request, "bearer"))

    async def by_either(self, request: Request) -> Caller:
        """Whoever asks. Raises as :meth:`by_key` does."""
        scheme = _scheme(request)
        return await (self.by_key(request) if scheme == "basic" else self.by_token(request))

    async def _program(self, request: Request, encoded: str) -> Caller:
        if not (self._plain_basic or request.url.scheme == "https" or _is_loopback(_remote(request))):
            raise HttpError(403, "tls_required")
        try:
            name, _, given = base64.b64decode(encoded, validate=True).decode().partition(":")
            app_name, key_id = split_key(name)
        except (binascii.Error, ValueError, InvalidName):
            raise self._failed("", _BEARER, request, "malformed") from None
        self._wait(app_name, key_id, request)
        app = self._apps(app_name)
        key = None if app is None else await app.keys().get(app_name, key_id)
        matches = self._matches(key, given)
        if app is not None and key is not None and not matches:  # it may have been rotated elsewhere just now
            key = await app.keys().get(app_name, key_id, fresh=True)
            matches = self._matches(key, given)
        self._wait(app_name, key_id, request)  # others of its kind may have failed while the store was asked
        if app is None or key is None or not matches:
            raise self._failed(app_name, key_id, request, "key")
        self._throttle.succeeded(app_name, key_id, _remote(request))
        return Caller(app, key, _remote(request))

    def _matches(self, key: KeyRecord | None, given: str) -> bool:
        secrets = (_NOBODY,) if key is None else key.live_secrets(self._clock.wall()) or (_NOBODY,)
        return max([secret.matches(given) for secret in secrets])  # all of them, whichever it is (T53)

    async def _holder(self, request: Request, text: str) -> Caller:
        app_name = ""
        self._wait(app_name, _BEARER, request)
        try:
            unverified = parse(text)
            app = self._app_of(unverified)
            token, key = await app.tokens.check(unverified)
        except TokenInvalid as error:
            failure = self._failed(app_name, _BEARER, request, error.reason)
            raise HttpError(401, "token_expired") if error.reason == "expired" else failure from None
        if self._revocations.refuses(credential_of(token)):
            raise self._failed(app_name, _BEARER, request, "revoked")
        return Caller(app, key, _remote(request), token)

    def _app_of(self, token: UnverifiedToken) -> RestApp:
        claimed = claimed_key(token)
        app = None if claimed is None else self._apps(claimed[0])
        if app is None:
            raise TokenInvalid("app")
        return app

    def _wait(self, app: str, key_id: str, request: Request) -> None:
        seconds = self._throttle.wait(app, key_id, _remote(request))
        if seconds > 0:
            raise HttpError(429, "throttled", headers={"retry-after": str(math.ceil(seconds))})

    def _failed(self, app: str, key_id: str, request: Request, reason: str) -> HttpError:
        self._throttle.failed(app, key_id, _remote(request))
        _log.info("rest_refused", reason=reason, remote=_remote(request))
        return HttpError(401, "unauthorized")


def _scheme(request: Request) -> str:
    return request.headers.get("authorization", "").partition(" ")[0].lower()


def _credentials(request: Request, wanted: str) -> str:
    values = request.headers.getlist("authorization")
    scheme, _, given = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != wanted or not given or len(given) > MAX_HEADER:
        raise HttpError(401, "unauthorized")
    return given


def _remote(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
