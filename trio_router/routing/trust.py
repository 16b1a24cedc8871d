"""Names that are opened by a trust-token: what was presented, what it opened, and when that ends.

A ``pvt:``, ``prs:`` or ``sys:`` name is closed to everybody but the app's server programs until a token opens it, for
one session and one use (T26, T50). This module judges what a session presents and keeps what stands open because of it. The door
is told the outcome and weighs it against grants and rules: a token only lifts the bar that the kind of the name is.

The rule that keeps it honest: what stands open is looked up by session, use and name, and ends by the wall clock's word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

import attrs

from trio_router.errors import TokenInvalid
from trio_router.identity import Identity
from trio_router.names import SYSTEM, kind_of
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.routing.peer import Timer
from trio_router.tokens.trust import Trust, TrustAction, TrustVerifier

OPEN: Final = Decision(allowed=True, reason=Reason.ALLOWED)
CLOSED: Final = Decision(allowed=False, reason=Reason.TOKEN_NEEDED)
NOT_OPEN: Final = Decision(allowed=False, reason=Reason.NOT_OPEN)
RECEIVE_ONLY: Final = Decision(
    allowed=False, reason=Reason.NOT_OPEN, reason_text="the trust-token does not let this session publish here"
)
REVOKED: Final = "revoked"
"""What is told of a token that was revoked: one that is presented, and one that opened what stands."""

_TAKEN_BACK: Final = Decision(allowed=False, reason=Reason.TOKEN_REFUSED, reason_text=REVOKED)
NOT_HERE: Final = Decision(allowed=False, reason=Reason.TOKEN_REFUSED, reason_text="not_supported")

Use = Literal["subscribe", "connect", "provide", "call"]
ACTIONS: Final[dict[Use, TrustAction]] = {
    "subscribe": "channel.subscribe",
    "connect": "channel.connect",
    "provide": "rpc.register",
    "call": "rpc.connect",
}


class Wakes(Protocol):
    """Calls back at a time of the wall clock."""

    def at(self, wall: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once the wall clock shows ``wall`` (seconds since the epoch) or later."""


@attrs.frozen
class Opening:
    """What one trust-token opened and is standing."""

    trust: Trust
    timer: Timer


Openings = dict[tuple[Action, str], Opening]
"""What one session has standing because of trust-tokens, by the action it stands for and the name."""


class TrustDesk:
    """Judges trust-tokens for one app. Without a ``verifier`` none holds. ``revoked`` says which were taken back.

    ``verifier`` may be replaced at any time; what stands open stays so until its token ends.
    """

    def __init__(
        self,
        verifier: TrustVerifier | None = None,
        wakes: Wakes | None = None,
        *,
        revoked: Callable[[Identity, Trust], bool] = lambda _, __: False,
    ) -> None:
        self.verifier = verifier
        self._wakes = wakes
        self._revoked = revoked

    def present(self, identity: Identity, use: Use, name: str, token: str | None) -> tuple[Decision, Trust | None]:
        """What to tell the door about the kind of ``name``, and what the token opens. Public names need none and open none."""
        kind = kind_of(name)
        if not kind or identity.is_server or token is None or not identity.key or "*" in name:
            return CLOSED, None
        if self.verifier is None or self._wakes is None:
            return NOT_HERE, None
        action = "system_channel.subscribe" if kind == SYSTEM and use == "subscribe" else ACTIONS[use]
        try:
            trust = self.verifier.verify(token, session=identity.session_id, name=name, action=action, key=identity.key)
        except TokenInvalid as error:
            return Decision(allowed=False, reason=Reason.TOKEN_REFUSED, reason_text=error.reason), None
        return (_TAKEN_BACK, None) if self._revoked(identity, trust) else (OPEN, trust)

    def keep(
        self, openings: Openings, action: Action, name: str, trust: Trust | None, ended: Callable[[], None]
    ) -> None:
        """Note what ``trust`` has opened; ``ended`` is called when it expires, unless :func:`drop` came first."""
        if trust is None or self._wakes is None:
            return

        def expire() -> None:
            if openings.pop((action, name), None) is not None:
                ended()

        openings[action, name] = Opening(trust, self._wakes.at(trust.expires_at, expire))


def drop(openings: Openings, action: Action, name: str) -> None:
    """It does not stand any more."""
    opening = openings.pop((action, name), None)
    if opening is not None:
        opening.timer.cancel()


def drop_all(openings: Openings) -> None:
    """Nothing stands any more."""
    for opening in openings.values():
        opening.timer.cancel()
    openings.clear()


def standing_word(openings: Openings, action: Action, name: str) -> Decision:
    """What to tell the door about a right that stands."""
    return OPEN if (action, name) in openings else CLOSED


def publishing_word(openings: Openings, channel: str) -> Decision:
    """What to tell the door about publishing to ``channel``: one that is open, by a token that lets its holder send."""
    word = NOT_OPEN
    for action in (Action.EVENT_SUBSCRIBE, Action.EVENT_PUBLISH):
        opening = openings.get((action, channel))
        if opening is not None:
            if opening.trust.publish:
                return OPEN
            word = RECEIVE_ONLY
    return word
