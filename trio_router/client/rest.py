"""What a server program does without a connection: get tokens for its users, publish.

It speaks the shapes of ``/v1`` and nothing else. The rule that keeps it honest: the secret of a key goes into one header, and
into no text, repr or URL.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from trio_router.client.http import TIMEOUT, HttpFailed, post_json
from trio_router.client.token_auth import TokenAuth
from trio_router.secret import Secret


@attrs.frozen
class Token:
    """An access token. ``expires`` is seconds since the epoch; ``answer`` is the router's, to be passed on as it is."""

    text: str = attrs.field(repr=False)
    expires: float
    answer: dict[str, Any] = attrs.field(repr=False)


class Rest:
    """The REST interface of the router at ``url`` (``http://`` or ``https://``).

    ``key`` is ``<app>.<key id>:<secret>``. A client program uses ``token`` in its place: a text, or the :class:`TokenAuth`
    that its connections use too. Every method raises ``HttpFailed``.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | Secret | None = None,
        token: str | TokenAuth | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        if (key is None) == (token is None):
            msg = "Rest needs either a key or a token"
            raise ValueError(msg)
        if urlsplit(url).scheme not in {"http", "https"}:
            msg = "the URL must begin with http:// or https://"
            raise ValueError(msg)
        self._url = url.rstrip("/")
        self._key = Secret(key) if isinstance(key, str) else key
        self._token = Secret(token) if isinstance(token, str) else token
        self._tls = tls
        self._timeout = timeout

    async def generate_token(
        self,
        client_id: str,
        *,
        permissions: Sequence[str] | None = None,
        restrictions: Sequence[str] | None = None,
        lifetime: int | None = None,
    ) -> Token:
        """A new token for the user ``client_id``. ``lifetime`` is in seconds."""
        body: dict[str, Any] = {"clientId": client_id}
        if permissions is not None:
            body["permissions"] = list(permissions)
        if restrictions is not None:
            body["restrictions"] = list(restrictions)
        if lifetime is not None:
            body["lifetime"] = lifetime
        return _token(await self._post("/v1/keys/tokens", body))

    async def refresh_token(self, token: str) -> Token:
        """A new token of the same user, scope and lifetime as ``token``."""
        return _token(await self._post("/v1/keys/tokens/refresh", {}, bearer=token))

    async def revoke_token(self, token: str) -> None:
        """End ``token``, and every connection that depends on it."""
        await self._post("/v1/keys/tokens/revoke", {}, bearer=token)

    async def publish(self, channel: str, data: Any) -> None:
        """Publish ``data``, any JSON value, to ``channel``."""
        await self._post(f"/v1/channels/{quote(channel, safe='/:@+~=')}/messages", {"data": data})

    async def _post(self, path: str, body: Any, *, bearer: str | None = None) -> Any:
        authorization = f"Bearer {bearer}" if bearer is not None else await self._authorization()
        reply = await post_json(
            self._url + path, body, headers=[("Authorization", authorization)], tls=self._tls, timeout=self._timeout
        )
        return reply.json() if reply.body else None

    async def _authorization(self) -> str:
        if self._key is not None:
            return f"Basic {base64.b64encode(self._key.reveal_bytes()).decode()}"
        if isinstance(self._token, TokenAuth):
            return f"Bearer {await self._token.token()}"
        return f"Bearer {self._token.reveal()}" if self._token is not None else ""


def _token(value: Any) -> Token:
    try:
        return Token(str(value["data"]["token"]), float(value["data"]["expires_in"]), value)
    except (TypeError, KeyError, ValueError):
        raise HttpFailed("the answer holds no token") from None
