"""Presence: how many sessions each user has, and who is told when that changes.

Every name that anybody learns has been decided for that asker by the door (T22): named users when they are asked
for, and for those who watch everybody each user at each change and each query. A user nobody may see does not even
appear among the denied of such a query.

Everybody who is logged in is counted, the asker included. Users let in without saying who they are share the id
``open`` and are one user with many sessions; whether anybody may see it is for the rules, as for any other name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from trio_router.errors import RecordsNeeded, Refused
from trio_router.limits import Limits
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.protocols import codes
from trio_router.routing.door import Door, refusal
from trio_router.routing.session import Session
from trio_router.routing.subscriptions import Subscriptions


class Presence:
    """Who is online in one app."""

    def __init__(self, door: Door, limits: Limits) -> None:
        self._door = door
        self.limits = limits
        self._counts: dict[str, int] = {}
        self._named = Subscriptions()
        self._everybody: dict[Session, None] = {}

    def __len__(self) -> int:
        """How many users are online."""
        return len(self._counts)

    @property
    def watched(self) -> int:
        """How many users are watched by name, plus how many sessions watch everybody."""
        return len(self._named) + len(self._everybody)

    # ---- sessions come and go -------------------------------------------------------------------------------

    def join(self, session: Session) -> None:
        """A session has logged in."""
        user = session.identity.user.id
        count = self._counts[user] = self._counts.get(user, 0) + 1
        self._announce(user, "joined", count)

    def leave(self, session: Session) -> None:
        """A session that joined has gone: its watches end, the others are told."""
        self.forget(session)
        user = session.identity.user.id
        count = self._counts.pop(user) - 1
        if count:
            self._counts[user] = count
        self._announce(user, "left", count)

    def forget(self, session: Session) -> None:
        """End the watches of a session."""
        self._forget(session, list(session.watches))
        self._everybody.pop(session, None)
        session.everybody = False

    # ---- asking ---------------------------------------------------------------------------------------------

    def query(self, session: Session, users: Sequence[str] | None) -> tuple[dict[str, int], dict[str, str]]:
        """Sessions per user (0 when offline), and the named users that are denied, each with the id of the decision ("" without a book).

        None asks for everybody online; who may not be seen is left out without a word.

        Raises:
            Refused: INVALID_NAME or LIMIT_REACHED (``presence_names_per_request``), for the request as a whole.
        """
        if users is None:
            return self._visible(session), {}
        allowed, denied = self._decide(session, users)
        return {user: self._counts.get(user, 0) for user in allowed}, denied

    def subscribe(self, session: Session, users: Sequence[str] | None) -> dict[str, str]:
        """Watch the named ``users``, or everybody (None). Returns the denied names as ``query`` does; the others are watched.

        A name that is watched already stays so. Naming a user and watching everybody as well tells a change once.

        Raises:
            Refused: ALREADY_SUBSCRIBED if the request changes nothing; INVALID_NAME; LIMIT_REACHED
                (``presence_names_per_request``, and ``subscriptions_per_session`` for all names watched).
        """
        if users is None:
            if session.everybody:
                raise Refused(codes.ALREADY_SUBSCRIBED)
            session.everybody = True
            self._everybody[session] = None
            return {}
        allowed, denied = self._decide(session, users)
        new = [user for user in allowed if user not in session.watches]
        if allowed and not new and not denied:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        limit = self.limits.subscriptions_per_session
        if len(session.watches) + len(new) > limit:
            raise Refused(codes.LIMIT_REACHED, f"at most {limit} watched users per session")
        for user in new:
            session.watches[user] = self._named.join(user, session)
        return denied

    def check_everybody(self, session: Session) -> None:
        """Returns unless the rules deny everybody to ``session``: it may see some, or that depends on whom.

        The rules are asked about the wildcard ``*``. What they cannot prove about it is decided user by user.

        Raises:
            Refused: DENIED, RULE_FAILED, KEY_GRANT.
            RecordsNeeded: load them and ask again.
        """
        decision = self._door.authorize_pattern(session.identity, Action.PRESENCE_ALLOW, "*")
        if decision.reason is Reason.RECORDS_NEEDED:
            _check_decided([decision])
        if not decision.allowed and decision.reason is not Reason.NOT_PROVABLE:
            raise refusal(Action.PRESENCE_ALLOW, decision)

    def unsubscribe(self, session: Session, users: Sequence[str] | None) -> None:
        """Stop watching the named ``users`` (those that are watched), or everybody (None).

        Raises:
            Refused: NOT_SUBSCRIBED, nothing of it was watched; LIMIT_REACHED (``presence_names_per_request``).
        """
        if users is None:
            if not session.everybody:
                raise Refused(codes.NOT_SUBSCRIBED)
            session.everybody = False
            del self._everybody[session]
            return
        self._check_length(users)
        watched = [user for user in dict.fromkeys(users) if user in session.watches]
        if users and not watched:
            raise Refused(codes.NOT_SUBSCRIBED)
        self._forget(session, watched)

    def revoke(self, session: Session, user: str) -> None:
        """End the watch of one named user that is not allowed any more (T33)."""
        self._forget(session, [user])

    # ---- inside ---------------------------------------------------------------------------------------------

    def _announce(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        named = self._named.get(user)
        peers = list(named.peers) if named is not None else []
        peers += [
            watcher.peer for watcher in self._everybody if user not in watcher.watches and self._may_see(watcher, user)
        ]
        for peer in peers:
            peer.presence(user, change, sessions)

    def _visible(self, session: Session) -> dict[str, int]:
        seen: dict[str, int] = {}
        undecided: list[Decision] = []
        for user, count in self._counts.items():
            decision = self._door.authorize(session.identity, Action.PRESENCE_ALLOW, user, told=False)
            if decision.reason is Reason.RECORDS_NEEDED:
                undecided.append(decision)
            elif decision.allowed:
                seen[user] = count
        _check_decided(undecided)
        return seen

    def _may_see(self, session: Session, user: str) -> bool:
        return self._door.authorize(session.identity, Action.PRESENCE_ALLOW, user, told=False).allowed

    def _decide(self, session: Session, users: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The names that are allowed and those that are denied; each name is decided once, however often it stands there."""
        self._check_length(users)
        allowed = []
        denied = {}
        undecided: list[Decision] = []
        for user in dict.fromkeys(users):
            decision = self._door.authorize(session.identity, Action.PRESENCE_ALLOW, user)
            if decision.reason is Reason.RECORDS_NEEDED:
                undecided.append(decision)
            elif decision.allowed:
                allowed.append(user)
            elif decision.reason is Reason.INVALID_NAME:
                raise refusal(Action.PRESENCE_ALLOW, decision)
            else:
                denied[user] = refusal(Action.PRESENCE_ALLOW, decision).decision
        _check_decided(undecided)
        return allowed, denied

    def _check_length(self, users: Sequence[str]) -> None:
        limit = self.limits.presence_names_per_request
        if len(users) > limit:
            raise Refused(codes.LIMIT_REACHED, f"users: at most {limit} names per request")

    def _forget(self, session: Session, users: Sequence[str]) -> None:
        for user in users:
            self._named.leave(session.watches.pop(user), session)


def _check_decided(undecided: Sequence[Decision]) -> None:
    """Raises ``RecordsNeeded`` for all of them, if there are any; given up is the request as a whole, by the first."""
    if undecided:
        names = dict.fromkeys(name for decision in undecided for name in decision.records)
        raise RecordsNeeded(tuple(names), lambda: refusal(Action.PRESENCE_ALLOW, undecided[0]))
