"""Who somebody is, once a strategy has accepted them.

These objects are made in one place (the session that logged in) and are never changed: a new role is a new
login. Nothing a client sends is ever copied into them by name (T28, T61).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import attrs

from trio_router.grants import Grants
from trio_router.names import check_user_id
from trio_router.scope import Scope

SESSION_ID_BYTES: Final = 18  # 144 random bits: at least 128 (T54), and 24 characters without padding

OPEN_USER_ID: Final = "open"


def new_session_id() -> str:
    """A new session id: 144 bits from the operating system, in 24 URL-safe characters."""
    return secrets.token_urlsafe(SESSION_ID_BYTES)


def _valid_user_id(_: object, __: object, value: str) -> None:
    check_user_id(value)


@attrs.frozen
class User:
    """Who logged in.

    ``id`` obeys :func:`trio_router.names.check_user_id` (else ``InvalidName``). ``data`` is the private
    *serverData*, which rules read as ``user.data``; None when the strategy gave none. ``is_authenticated``
    is False only for those the open strategy let in without asking who they are.
    """

    id: str = attrs.field(validator=_valid_user_id)
    data: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    is_authenticated: bool = True


@attrs.frozen
class Identity:
    """One logged-in session as the rules see it. Times are seconds since the epoch, or None.

    ``key`` is the id of the app key that opened the session, "" if none did; ``grants`` is what that key may do at most
    (None: no key, no such bound). ``is_server`` holds for a program that proved the key's secret. ``token_id`` and
    ``issued_at`` are those of the token it logged in with, for revocation; ``scope`` is what that token lets it ask for (None:
    no access token, no such bound).
    """

    app: str
    session_id: str
    user: User
    strategy: str = ""
    remote_address: str = ""
    expires_at: float | None = None
    key: str = ""
    grants: Grants | None = None
    is_server: bool = False
    token_id: str | None = None
    issued_at: float | None = None
    scope: Scope | None = None
