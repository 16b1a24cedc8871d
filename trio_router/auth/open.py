"""The strategy that asks nobody: a connection that presents no credentials is let in, not authenticated.

Everybody it lets in has ``is_authenticated`` False, and that is not configurable. It says loudly at start that it is on.

The rule that keeps it honest: it stands last in a chain and takes only those who did not try to log in. Credentials
that no strategy before it recognised are not its business, so a mistyped key never turns into an anonymous session that
looks like a login. ``ignore_credentials`` switches that off for a router that is open to all.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trio_router.auth.services import Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine
from trio_router.identity import OPEN_USER_ID, User
from trio_router.names import InvalidName, check_user_id

USERNAME: Final = "username"  # a name without a secret is no credential


@attrs.frozen
class OpenOptions:
    """``user_data`` is what rules see as ``user.data`` of everybody let in here.

    ``allow_username`` takes the id from the login's ``username``, as deepstream does: a client then chooses its own id.
    ``ignore_credentials`` lets in those too who presented credentials that nobody recognised.
    """

    allow_username: bool = False
    ignore_credentials: bool = False
    user_data: dict[str, Any] | None = attrs.field(default=None, repr=False)


class OpenStrategy:
    """Accepts with the id ``open``, or the ``username`` where that is allowed."""

    name = "open"

    def __init__(self, options: OpenOptions) -> None:
        self._options = options

    async def start(self, request: LoginRequest) -> Answer:
        if not self._options.ignore_credentials and presents_credentials(request):
            return NotMine()
        user_id: object = OPEN_USER_ID
        if self._options.allow_username and request.auth is not None:
            user_id = request.auth.get(USERNAME, OPEN_USER_ID)
        if not isinstance(user_id, str):
            return Denied("invalid_username", {"error": "username: expected a string"})
        try:
            check_user_id(user_id)
        except InvalidName as error:
            return Denied("invalid_username", {"error": f"username: {error}"})
        return Accepted(User(user_id, self._options.user_data, is_authenticated=False))


class OpenType:
    """The entry point ``open``."""

    interface_version = INTERFACE_VERSION
    Options = OpenOptions

    def build(self, options: OpenOptions, services: Services) -> OpenStrategy:
        """Says at once that connections are let in unasked."""
        services.log.warning("open_login", effect="connections are let in without being asked who they are")
        return OpenStrategy(options)

    def unsafe(self, options: OpenOptions) -> list[str]:
        """What ``trio-router check`` says about these options."""
        found = ["open: connections are let in without being asked who they are"]
        if options.allow_username:
            found.append("open: allow_username: a client chooses its own user id, also one that belongs to a real user")
        if options.ignore_credentials:
            found.append("open: ignore_credentials: a login that nobody recognised becomes an anonymous session")
        return found


def presents_credentials(request: LoginRequest) -> bool:
    """Whether somebody tried to log in: anything in the login message but a bare name, or an Authorization header.

    Cookies do not count: browsers send them along unasked.
    """
    return bool(set(request.auth or ()) - {USERNAME}) or request.header("authorization") is not None
