"""Trust-tokens for clients whose protocol has no place for one: presented first, by a call of the router itself.

The official client calls ``rpc.make(TRUST_TOKEN, {"name", "token"})`` before it subscribes, publishes to, provides or calls a name
of a kind; from then on that token is presented whenever this session opens that name. ``{"connect": true}`` besides opens a channel
for sending at once. ``rpc.make(SESSION)`` tells the session id that a trust-token has to be made for.

Nothing is judged here: a token is judged by the core, at each use (T50). The rule that keeps it honest: what is kept is bounded,
belongs to this session and ends with it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final

from trio_router.errors import RecordsNeeded, Refused
from trio_router.names import MAX_NAME, ROUTER_PROCEDURES, kind_of
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.protocols import codes
from trio_router.routing.core import Core
from trio_router.routing.session import Session
from trio_router.tokens.compact import MAX_TOKEN

TRUST_TOKEN: Final = f"{ROUTER_PROCEDURES}trust-token"
SESSION: Final = f"{ROUTER_PROCEDURES}session"

MAX_TOKENS: Final = 1_000
"""Names one session may hold tokens for: as many as it may have open."""

Answer = Generator[Sequence[str], bool, Any]
"""Work that ends with the value of a result. Raises ``Refused``."""


class Tokens:
    """What one session has presented."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tokens: dict[str, str] = {}

    def of(self, name: str) -> str | None:
        """The token for ``name``, if one was presented."""
        return self._tokens.get(name) if self._tokens else None

    def answer(self, session: Session, procedure: str, data: Any) -> Answer | None:
        """What the router answers to a call of one of its own procedures; None if ``procedure`` is none."""
        if procedure == TRUST_TOKEN:
            return self._present(session, data)
        if procedure == SESSION:
            return self._who(session)
        return None

    def _who(self, session: Session) -> Answer:
        yield from ()
        return {"session": session.id, "user": session.identity.user.id}

    def _present(self, session: Session, data: Any) -> Answer:
        if not isinstance(data, dict) or data.keys() - {"name", "token", "connect"}:
            raise Refused(codes.INVALID_MESSAGE, "data: expected an object with name and token")
        name, token, connect = data.get("name"), data.get("token"), data.get("connect", False)
        if not isinstance(name, str) or not isinstance(token, str) or not isinstance(connect, bool):
            raise Refused(codes.INVALID_MESSAGE, "data: name and token are texts, connect is true or false")
        if len(name) > MAX_NAME or len(token) > MAX_TOKEN:  # neither could ever be of use, and it would be kept
            raise Refused(
                codes.INVALID_MESSAGE, f"data: at most {MAX_NAME} characters of a name, {MAX_TOKEN} of a token"
            )
        if not kind_of(name):
            raise Refused(codes.INVALID_NAME, "name: a public name needs no token")
        if connect:
            yield from self._connect(session, name, token)
        elif name not in self._tokens and len(self._tokens) >= MAX_TOKENS:
            raise Refused(codes.LIMIT_REACHED, f"at most {MAX_TOKENS} trust-tokens per session")
        else:
            self._tokens[name] = token
        return {"name": name}

    def _connect(self, session: Session, name: str, token: str) -> Generator[Sequence[str], bool, None]:
        for _ in range(MAX_ROUNDS):
            try:
                self._core.connect(session, name, token)
            except RecordsNeeded as needed:
                undecided = needed
                if not (yield needed.names):
                    break
            else:
                return
        raise undecided.given_up()
