"""What may be delivered: books of its own, kept from what the core granted, and judged against what clients heard.

It knows who subscribed what and which rules are in force, asks a ruleset for each right, and matches wildcards by itself. So
of every published event it says beforehand who hears it, by which subscription, and in which order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import trio

from trio_router.identity import Identity
from trio_router.permissions.decision import Action, Ruleset
from trio_router.routing.core import Core
from trio_router.routing.session import Session


@attrs.define
class Books:
    """One session: what it has subscribed, and what it is to hear: for each event its number and by which subscriptions."""

    identity: Identity
    since: float  # in Trio's time
    subscriptions: set[str] = attrs.field(factory=set)
    expected: list[tuple[int, str, frozenset[str | None]]] = attrs.field(factory=list)
    provided: set[str] = attrs.field(factory=set)
    ended: bool = False


class Oracle:
    def __init__(self, rules: Ruleset) -> None:
        self.rules = rules
        self.books: dict[str, Books] = {}
        self.ended_rights = 0
        self.wrong: list[str] = []

    def claim(self, held: bool, what: str) -> None:
        """Inside a session nothing is raised: it would end that session and no more."""
        if not held:
            self.wrong.append(what)

    def may(self, identity: Identity, action: Action, name: str) -> bool:
        return (self.rules.decide_pattern if "*" in name else self.rules.decide)(identity, action, name).allowed

    def receivers(self, channel: str) -> dict[str, frozenset[str | None]]:
        """Who hears an event of ``channel``, by session, and by which subscriptions (None: by its name)."""
        found = {}
        for session, books in self.books.items():
            if not books.ended:
                by = {None if name == channel else name for name in books.subscriptions if matches(name, channel)}
                if by:
                    found[session] = frozenset(by)
        return found

    def replace(self, rules: Ruleset) -> None:
        """New rules: what they do not give is gone at once."""
        self.rules = rules
        for books in self.books.values():
            if books.ended:
                continue
            for names, action in (
                (books.subscriptions, Action.EVENT_SUBSCRIBE),
                (books.provided, Action.RPC_PROVIDE),
            ):
                lost = {name for name in names if not self.may(books.identity, action, name)}
                names -= lost
                self.ended_rights += len(lost)

    def online(self) -> Counter[str]:
        """How many sessions each user has."""
        return Counter(books.identity.user.id for books in self.books.values() if not books.ended)

    def judge(self, session: str, heard: list[tuple[int, str, str | None]], *, complete: bool) -> None:
        """In order, once, nothing else; and everything, if ``complete``. Otherwise the end may be missing, but no gap."""
        left = list(heard)
        for number, channel, by in self.books[session].expected:
            mine = [left.pop(0) for _ in range(min(len(by), len(left)))]
            assert len(set(mine)) == len(mine), (session, mine)
            assert set(mine) <= {(number, channel, each) for each in by}, (session, mine, number, channel, by)
            if len(mine) < len(by):
                assert not complete, (session, number, channel, by - {each for _, _, each in mine})
                assert not left
                return
        assert left == []


def matches(name: str, channel: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, name.split("*"))), channel) is not None


def watched(oracle: Oracle) -> type[Core]:
    """A core that tells ``oracle`` what it has granted, and nothing of its own books."""

    class WatchedCore(Core):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._watch_events()
            self._watch_calls()

        def attach(self, identity: Identity, *arguments: Any, **options: Any) -> Session:
            session = super().attach(identity, *arguments, **options)
            oracle.books[identity.session_id] = Books(identity, trio.current_time())
            return session

        def detach(self, session: Session) -> None:
            super().detach(session)
            oracle.books[session.id].ended = True

        def _watch_events(self) -> None:
            subscribe, unsubscribe, publish = self.subscribe, self.unsubscribe, self.publish

            def watched_subscribe(session: Session, channel: str, token: str | None = None) -> None:
                before = oracle.may(session.identity, Action.EVENT_SUBSCRIBE, channel)
                subscribe(session, channel, token)
                oracle.claim(before, f"subscribed {channel}")
                oracle.books[session.id].subscriptions.add(channel)

            def watched_unsubscribe(session: Session, channel: str) -> None:
                unsubscribe(session, channel)
                oracle.books[session.id].subscriptions.remove(channel)

            def watched_publish(
                session: Session,
                channel: str,
                data: Any,
                echo: bool = True,
                disclose: bool = False,
                accepted: Callable[[], None] | None = None,
                *arguments: Any,
                **options: Any,
            ) -> None:
                def granted() -> None:
                    for receiver, by in oracle.receivers(channel).items():
                        who = oracle.books[receiver].identity
                        oracle.claim(oracle.may(who, Action.EVENT_SUBSCRIBE, channel), f"delivers {channel}")  # T22
                        if echo or receiver != session.id:
                            oracle.books[receiver].expected.append((data.value, channel, by))
                    if accepted is not None:
                        accepted()

                publish(session, channel, data, echo, disclose, granted, *arguments, **options)

            self.subscribe, self.unsubscribe, self.publish = watched_subscribe, watched_unsubscribe, watched_publish

        def _watch_calls(self) -> None:
            provide = self.provide

            def watched_provide(session: Session, procedure: str, *arguments: Any, **options: Any) -> None:
                provide(session, procedure, *arguments, **options)
                oracle.claim(oracle.may(session.identity, Action.RPC_PROVIDE, procedure), f"provided {procedure}")
                oracle.books[session.id].provided.add(procedure)

            self.provide = watched_provide

    return WatchedCore
