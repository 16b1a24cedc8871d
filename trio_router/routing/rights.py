"""The standing rights of one app's sessions: kept while their trust-token lasts, decided again, ended and told.

It asks the door about what stands, when rules or identities change; what is asked for anew is the verbs' business. The rule that keeps it
honest: a right that ends stops at once, and its session is told before anything else that it asks for happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from trio_router.errors import LocalProtocolError
from trio_router.identity import Identity
from trio_router.permissions.decision import Action, Ruleset
from trio_router.protocols import codes
from trio_router.routing import standing
from trio_router.routing.books import Books
from trio_router.routing.door import Door, refusal
from trio_router.routing.session import Session
from trio_router.routing.standing import Loss, Reconsideration
from trio_router.routing.trust import REVOKED, TrustDesk
from trio_router.tokens.trust import Trust


class Rights:
    """What stands for ``sessions`` (a live view of those that are attached, by id)."""

    def __init__(self, sessions: Mapping[str, Session], door: Door, trust: TrustDesk, books: Books) -> None:
        self.sessions = sessions
        self._door = door
        self._trust = trust
        self._books = books
        self._reconsideration: Reconsideration | None = None
        self.untold: dict[Session, list[Loss]] = {}
        """What sessions have lost and not been told yet. The busiest verbs call :meth:`check` only if there is any, or the session is elsewhere."""

    # ---- what the verbs ask of it ---------------------------------------------------------------------------

    def check(self, session: Session) -> None:
        """Before anything that ``session`` asks for. Raises ``LocalProtocolError``: it is not attached here."""
        if self.untold:  # what it lost comes before what it gets
            self._tell_losses_of(session)
        if session.home is not self.sessions:
            raise LocalProtocolError("this session is not attached here")

    def gained(self, session: Session) -> None:
        """``session`` has a right more than before, which is decided by the rules to come as well."""
        if self._reconsideration is not None:
            self._reconsideration.again(session)

    def keep(self, session: Session, action: Action, name: str, trust: Trust | None) -> None:
        """Remember what a trust-token opened, until it expires (T48)."""
        self._trust.keep(session.openings, action, name, trust, lambda: self._expire(session, action, name))
        self.gained(session)

    def _expire(self, session: Session, action: Action, name: str) -> None:
        if standing.holds(session, action, name):
            self._books.close(session, action, name)
            session.peer.revoked(standing.VERBS[action], name, codes.TOKEN_EXPIRED)

    # ---- decided again --------------------------------------------------------------------------------------

    def reconsider(self) -> int:
        """Decide every standing right again, after the rules changed; returns how many ended.

        When it returns, nothing reaches a session that the rules in force do not let through (T33). A session is
        told what it lost by ``peer.revoked``, with the code of the decision. Calls in progress at an offer that ended
        fail with PROVIDER_LOST; calls a session has made were granted one by one and are left to finish.
        """
        ended = sum(self.reconsider_session(session) for session in tuple(self.sessions.values()))
        self._books.listens.try_again()
        return ended

    def reconsider_session(self, session: Session) -> int:
        """Decide the rights of one session again; returns how many ended."""
        ended = self._end(standing.losses(self._door, session))
        for loss in ended:
            _tell(loss)
        return len(ended)

    @contextmanager
    def reconsidering(self, rules: Ruleset) -> Iterator[Reconsideration]:
        """Decide every standing right by ``rules`` before they are in force, in slices, then :meth:`adopt` them.

        Within the block, new rights are noticed. So the moment of the change costs what the ended rights and those
        that came during it cost, however many stand.
        """
        self._reconsideration = reconsideration = Reconsideration(rules, self.sessions.values())
        try:
            yield reconsideration
        finally:
            self._reconsideration = None

    def adopt(self, reconsideration: Reconsideration) -> int:
        """Put its rules in force and end what they do not allow, in one step; returns how many rights ended.

        The guarantee of :meth:`reconsider` holds from the moment it returns. Each ending is counted, recorded and told
        by :meth:`tell_losses`, at the latest before the next thing that its session asks for.
        """
        found = reconsideration.finish()
        self._door.replace_rules(reconsideration.rules)
        ended = 0
        for lost in map(self._end, found):
            if lost:
                self.untold.setdefault(lost[0].session, []).extend(lost)
                ended += len(lost)
        self._books.listens.try_again()
        return ended

    def tell_losses(self, count: int) -> bool:
        """Tell of about so many rights that :meth:`adopt` has ended (a session of all it lost); False when nothing is left."""
        while self.untold and count > 0:
            count -= self._tell_losses_of(next(iter(self.untold)))
        return bool(self.untold)

    def end_openings(self, judge: Callable[[Identity, Trust], bool]) -> int:
        """End what stands because of the trust-tokens that ``judge`` names; returns how many rights that were.

        Their sessions stay, and are told: TOKEN_REFUSED, ``revoked``.
        """
        ended = 0
        for session in tuple(self.sessions.values()):
            found = [place for place, opening in session.openings.items() if judge(session.identity, opening.trust)]
            for action, name in found:
                if standing.holds(session, action, name):
                    self._books.close(session, action, name)
                    session.peer.revoked(standing.VERBS[action], name, codes.TOKEN_REFUSED, REVOKED)
                    ended += 1
        return ended

    def forget(self, session: Session) -> None:
        """``session`` leaves: nothing of it is decided or told any more."""
        if self._reconsideration is not None:
            self._reconsideration.forget(session)
        self.untold.pop(session, None)

    # ---- inside ---------------------------------------------------------------------------------------------

    def _tell_losses_of(self, session: Session) -> int:
        lost = self.untold.pop(session, [])
        for loss in lost:
            _tell(attrs.evolve(loss, decision=standing.conclude(self._door, loss)))
        return len(lost)

    def _end(self, lost: Sequence[Loss]) -> list[Loss]:
        """End rights; returns those that stood until now. A session that leaves meanwhile has nothing left to end."""
        ended = []
        for loss in lost:
            if standing.stands(loss):
                if loss.pattern is not None:
                    self._books.listens.withdraw(loss.session, loss.pattern, loss.name)
                else:
                    self._books.close(loss.session, loss.action, loss.name)
                ended.append(loss)
        return ended


def _tell(loss: Loss) -> None:
    if loss.pattern is None:  # else it was told before others were asked
        refused = refusal(loss.action, loss.decision)
        loss.session.peer.revoked(loss.verb, loss.name, refused.code, refused.detail, refused.decision)
