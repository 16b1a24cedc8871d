"""Trust-tokens on the client's side: asked for whenever a name of a kind is about to be opened, and never kept.

A token is for one session, so it is asked for anew after every reconnect. Who gives it is the program's choice: any function,
or :class:`TokenEndpoint`, which asks the application's own authorisation server. Nothing here looks into a token.

The rule that keeps it honest: whatever the program's function does, what comes out is a token or ``RequestRefused``.
"""

from __future__ import annotations

import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal

from trio_router.client.errors import ClientError, ConnectFailed, RequestRefused
from trio_router.client.http import post_json
from trio_router.names import SYSTEM, kind_of
from trio_router.protocols.codes import TOKEN_NEEDED

logger: Final = logging.getLogger("trio_router.client")

Use = Literal["subscribe", "connect", "provide", "call"]
AccessToken = Callable[[str, str, str], str | Awaitable[str | None] | None]
"""``access_token(channel, session_id, action)``, plain or async. None: go without, as server programs do."""

_ACTIONS: Final[Mapping[Use, str]] = {
    "subscribe": "channel.subscribe",
    "connect": "channel.connect",
    "provide": "rpc.register",
    "call": "rpc.connect",
}


class NoToken(RequestRefused):
    """There is no trust-token for this name. ``temporary``: there may be one later; ``detail`` is what who gives them said."""

    def __init__(self, name: str, detail: str = "", *, temporary: bool = False) -> None:
        super().__init__(TOKEN_NEEDED, detail=detail, name=name, temporary=temporary)


class TokenEndpoint:
    """Asks an authorisation server at ``url`` for tokens: an ``access_token=`` for :func:`trio_router.client.connect`.

    It posts ``{"ch", "sid", "dbappkey", "act"}`` with the app key ``key`` and expects ``{"statuscode", "error_message",
    "accesskey"}``, where a ``statuscode`` other than 0 refuses. ``headers`` (for example a cookie of the application) and
    ``tls`` go with each request.
    """

    def __init__(
        self, url: str, *, key: str, headers: Sequence[tuple[str, str]] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        self._url = url
        self._key = key
        self._headers = tuple(headers)
        self._tls = tls

    async def __call__(self, channel: str, session_id: str, action: str) -> str:
        """The token. Raises :class:`NoToken`, ``temporary`` if the server could not be asked."""
        asked = {"ch": channel, "sid": session_id, "dbappkey": self._key, "act": action}
        try:
            reply = await post_json(self._url, asked, headers=self._headers, tls=self._tls)
            answer = reply.json()
        except ConnectFailed as error:
            raise NoToken(channel, str(error), temporary=not error.permanent) from None
        if not isinstance(answer, dict) or type(answer.get("statuscode")) is not int:
            raise NoToken(channel, "the authorisation server gave an answer of another shape")
        token = answer.get("accesskey")
        if answer["statuscode"] != 0 or not isinstance(token, str) or not token:
            message = answer.get("error_message")
            raise NoToken(channel, message if isinstance(message, str) else "")
        return token


async def token_for(ask: AccessToken | None, use: Use, name: str, session_id: str) -> str | None:
    """The token to send along when opening ``name``; None when none is needed or there is nobody to ask.

    Raises:
        RequestRefused: whoever is asked has none.
    """
    kind = kind_of(name)
    if ask is None or not kind or "*" in name:
        return None
    action = "system_channel.subscribe" if kind == SYSTEM and use == "subscribe" else _ACTIONS[use]
    try:
        token = ask(name, session_id, action)
        return await token if inspect.isawaitable(token) else token
    except ClientError:
        raise
    except Exception as error:
        logger.exception("access_token failed for %s", name)
        raise NoToken(name, "access_token failed") from error
