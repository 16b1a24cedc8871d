"""Listening: sessions that would provide the events of channels are asked to when somebody subscribes one.

A session listens with patterns. Of each channel that somebody has subscribed by its name, those whose pattern matches are
asked one after another, until one accepts: the channel's *provider*, the only one. It is told when the last subscriber has gone;
when it goes itself, the others are asked. A wildcard subscription names no channel and counts for nothing here.

Whoever is asked learns a name, so each question is decided by the door for the pattern and for that name (T22); so is the
acceptance. Nobody is asked about a name that the rules keep from them, and nothing says that there is one.

The rule that keeps it honest: a channel is either provided, or one session is asked, or it is idle; an answer counts only
from the one that is asked, while it is. Work that grows with the number of channels is done in slices, and a session has a bounded
number of open questions, so that one that listens to everything delays nobody and is not flooded.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, get_args

import attrs

from trio_router.errors import Refused
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.routing.door import Door
from trio_router.routing.events import Events
from trio_router.routing.listen_patterns import ListenPattern
from trio_router.routing.peer import Timer, Timers
from trio_router.routing.searches import Answer, Group, Listen, Search
from trio_router.routing.session import Session
from trio_router.routing.slices import Slices
from trio_router.routing.trust import CLOSED

SLICE: Final = 100
"""Channels looked at before others get a turn."""

QUESTIONS: Final = 500
"""Open questions of one session; those beyond are asked when it has answered."""


@attrs.frozen
class ListenOptions:
    """How providers are looked for. Times are seconds.

    ``response_timeout``: for one session to answer. ``shuffle_providers``: ask in random order; else in the order in which the
    patterns, and for one pattern the sessions, came. A channel nobody took is tried again every ``rematch_interval``,
    unless it was tried less than ``match_cooldown`` ago.
    """

    response_timeout: float = 0.5
    shuffle_providers: bool = True
    rematch_interval: float = 60.0
    match_cooldown: float = 10.0


class Listens:
    """Who listens and who provides in one app."""

    def __init__(
        self,
        door: Door,
        events: Events,
        timers: Timers,
        limits: Limits,
        metrics: Metrics,
        shuffle: Callable[[list[Listen]], None] = random.shuffle,
    ) -> None:
        self._door = door
        self._events = events
        self._timers = timers
        self.limits = limits
        self.options = ListenOptions()
        self._answers = {answer: metrics.listen_answers.labels(answer) for answer in get_args(Answer)}
        self._provided = metrics.provided_channels
        self._shuffle = shuffle
        self._groups: dict[str, Group] = {}  # by pattern
        self._searches: dict[str, Search] = {}
        self._idle: dict[Search, float] = {}  # nobody took it, since when
        self._rematch: Timer | None = None
        self._slices = Slices(timers, SLICE)

    def __len__(self) -> int:
        """How many patterns somebody listens with, plus channels that were looked at for a provider."""
        return len(self._groups) + len(self._searches)

    @property
    def is_busy(self) -> bool:
        """Whether there is work left for a later turn."""
        return self._slices.is_busy

    @property
    def idle(self) -> int:
        """How many subscribed channels nobody took."""
        return len(self._idle)

    # ---- listening --------------------------------------------------------------------------------------------

    def listen(self, session: Session, pattern: ListenPattern, accepted: Callable[[], None] | None = None) -> None:
        """From now on ``session`` is asked about the channels ``pattern`` matches, those subscribed already included.

        Raises:
            Refused: ALREADY_LISTENING, LIMIT_REACHED (``listens_per_session``).
        """
        if pattern.source in session.listens:
            raise Refused(codes.ALREADY_LISTENING)
        if len(session.listens) >= self.limits.listens_per_session:
            raise Refused(codes.LIMIT_REACHED, f"at most {self.limits.listens_per_session} patterns per session")
        listen = session.listens[pattern.source] = Listen(session, pattern)
        group = self._groups.get(pattern.source)
        if group is None:
            group = self._groups[pattern.source] = Group(pattern)
        group.listens[listen] = None
        if accepted is not None:
            accepted()
        self._slices.do(self._scan(listen))

    def unlisten(self, session: Session, source: str) -> None:
        """Stop; what it provides by this pattern goes to others.

        Raises:
            Refused: NOT_LISTENING.
        """
        listen = session.listens.get(source)
        if listen is None:
            raise Refused(codes.NOT_LISTENING)
        self._slices.do(self._go_on(self._end(listen)))
        self._relieve(session)

    def accept(self, session: Session, source: str, channel: str) -> None:
        """Provide ``channel``.

        Raises:
            Refused: NOT_ASKED, also when the rules have changed their mind.
        """
        search, listen = self._asked(session, source, channel)
        self._answered(search, listen, "accepted")
        is_allowed = self._may(listen, channel)
        if is_allowed:
            search.provider = listen
            search.queue.clear()
            search.seen.clear()
            listen.provided[channel] = search
            self._provided.inc()
        else:
            self._next(search)
        self._relieve(session)
        if not is_allowed:
            raise Refused(codes.NOT_ASKED)

    def reject(self, session: Session, source: str, channel: str) -> None:
        """Leave ``channel`` to others, also if ``session`` provides it.

        Raises:
            Refused: NOT_ASKED.
        """
        given_up = session.listens[source].provided.pop(channel, None) if source in session.listens else None
        if given_up is not None:
            self._give_up(given_up, session.listens[source])
            return
        search, listen = self._asked(session, source, channel)
        self._answered(search, listen, "rejected")
        self._next(search)
        self._relieve(session)

    def withdraw(self, session: Session, source: str, channel: str) -> None:
        """Take away what the rules do not allow any more: ``session`` provides ``channel``, by this pattern (T33)."""
        search = session.listens[source].provided.pop(channel)
        self._unprovided(search)
        session.peer.listen_removed(source, channel)
        self._slices.do(self._go_on([search]))

    def _give_up(self, search: Search, listen: Listen) -> None:
        """A round without who provided it."""
        self._unprovided(search)
        others = [other for other in self._candidates(search.channel) if other is not listen]
        search.queue = deque(others)
        search.seen = {listen, *others}
        self._next(search)

    def try_again(self) -> None:
        """The rules have changed: who was passed over may be asked now."""
        self._slices.do(self._reopen([search for search in self._searches.values() if search.provider is None]))

    # ---- subscribers and those who listen come and go ----------------------------------------------------------------

    def opened(self, channel: str) -> None:
        """``channel`` has its first subscriber."""
        if self._groups and channel not in self._searches:
            candidates = self._candidates(channel)
            if candidates:
                search = self._searches[channel] = Search(channel)
                self._begin(search, candidates)

    def closed(self, channel: str) -> None:
        """``channel`` has lost its last subscriber."""
        search = self._searches.get(channel)
        if search is None:
            return
        self._drop(search)
        told, search.waiting = search.provider or search.asked, None
        if search.provider is not None:
            del search.provider.provided[channel]
            self._unprovided(search)
        elif search.asked is not None:
            self._answered(search, search.asked, "withdrawn")
        if told is not None:
            told.session.peer.listen_removed(told.pattern.source, channel)
            self._relieve(told.session)

    def leave(self, session: Session, closed: Iterable[str]) -> None:
        """``session`` has gone, and with it the last subscriber of each channel that is ``closed``."""
        orphans = [search for listen in tuple(session.listens.values()) for search in self._end(listen)]
        waiting, session.waiting = session.waiting, None
        for search, listen in waiting or ():
            if search.waiting is listen:
                search.waiting = None
                orphans.append(search)
        for channel in closed:
            self.closed(channel)
        self._slices.do(self._go_on(orphans))

    # ---- asking -----------------------------------------------------------------------------------------------

    def _candidates(self, channel: str) -> list[Listen]:
        """Everybody whose pattern matches, in the order they are to be asked."""
        found: list[Listen] = []
        for group in self._groups.values():
            if group.literal in channel and group.pattern.matches(channel):
                found += group.listens
        if self.options.shuffle_providers:
            self._shuffle(found)
        return found

    def _may(self, listen: Listen, channel: str) -> bool:
        """Whether the rules let ``listen`` know ``channel``, now."""
        identity, pattern = listen.session.identity, listen.pattern
        return (
            self._door.authorize_listen(identity, pattern.asked, pattern.kind, told=False).allowed
            and self._door.authorize(identity, Action.EVENT_LISTEN, channel, told=False, trust=CLOSED).allowed
        )

    def _begin(self, search: Search, candidates: list[Listen]) -> None:
        """A new round: everybody may be asked again."""
        self._not_idle(search)
        search.queue = deque(candidates)
        search.seen = set(candidates)
        self._next(search)

    def _next(self, search: Search) -> None:
        """Ask the next one, if nobody provides the channel and nobody is being asked."""
        if self._searches.get(search.channel) is not search or search.provider or search.asked or search.waiting:
            return
        while search.queue:
            listen = search.queue.popleft()
            if not listen.is_on:
                continue
            session = listen.session
            if session.asks >= QUESTIONS:
                search.waiting = listen
                if session.waiting is None:
                    session.waiting = deque()
                session.waiting.append((search, listen))
                return
            if self._may(listen, search.channel):
                self._ask(search, listen)
                return
            search.seen.discard(listen)
        self._idle[search] = self._timers.now()
        if self._rematch is None:
            self._rematch = self._timers.after(self.options.rematch_interval, self._rematch_idle)

    def _ask(self, search: Search, listen: Listen) -> None:
        search.asked = listen
        listen.asked[search.channel] = search
        listen.session.asks += 1
        search.timer = self._timers.after(self.options.response_timeout, lambda: self._time_out(search, listen))
        listen.session.peer.listen_found(listen.pattern.source, search.channel)

    def _asked(self, session: Session, source: str, channel: str) -> tuple[Search, Listen]:
        listen = session.listens.get(source)
        search = listen.asked.get(channel) if listen is not None else None
        if listen is None or search is None:
            raise Refused(codes.NOT_ASKED)
        return search, listen

    def _answered(self, search: Search, listen: Listen, answer: Answer) -> None:
        """The question is no longer open."""
        del listen.asked[search.channel]
        listen.session.asks -= 1
        search.asked = None
        if search.timer is not None:
            search.timer.cancel()
            search.timer = None
        self._answers[answer].inc()

    def _time_out(self, search: Search, listen: Listen) -> None:
        if search.asked is not listen or listen.asked.get(search.channel) is not search:
            return  # a timer that fires although it was cancelled ends nothing twice
        self._answered(search, listen, "timeout")
        listen.session.peer.listen_timeout(listen.pattern.source, search.channel)
        self._next(search)
        self._relieve(listen.session)

    def _relieve(self, session: Session) -> None:
        """Ask ``session`` what has been waiting for one of its answers."""
        while session.waiting and session.asks < QUESTIONS:
            search, listen = session.waiting.popleft()
            if search.waiting is listen:
                search.waiting = None
                search.queue.appendleft(listen)
                self._next(search)

    # ---- work in slices ---------------------------------------------------------------------------------------

    def _scan(self, listen: Listen) -> Iterator[None]:
        """Offer ``listen`` what is subscribed already."""
        for channel in self._events.channels():
            if not listen.is_on:
                return
            if listen.pattern.matches(channel) and self._events.has(channel):
                search = self._searches.get(channel)
                if search is None:
                    search = self._searches[channel] = Search(channel)
                if search.provider is None and not search.seen:
                    self._restart(search)
                elif search.provider is None and listen not in search.seen:
                    self._not_idle(search)
                    search.seen.add(listen)
                    search.queue.append(listen)
                    self._next(search)
            yield

    def _go_on(self, searches: Iterable[Search]) -> Iterator[None]:
        """Look on for those that lost whoever provided them or was asked."""
        for search in searches:
            if self._searches.get(search.channel) is search and search.provider is None:
                if search.seen:
                    self._next(search)
                else:
                    self._restart(search)
            yield

    def _rematch_idle(self) -> None:
        """A new round for what nobody took."""
        self._rematch = None
        latest = self._timers.now() - self.options.match_cooldown
        self._slices.do(self._rounds([search for search, since in self._idle.items() if since <= latest]))
        if self._idle and self._rematch is None:
            self._rematch = self._timers.after(self.options.rematch_interval, self._rematch_idle)

    def _rounds(self, searches: Iterable[Search]) -> Iterator[None]:
        for search in searches:
            if search in self._idle:
                self._restart(search)
            yield

    def _reopen(self, searches: Iterable[Search]) -> Iterator[None]:
        for search in searches:
            if search in self._idle:
                self._restart(search)
            elif self._searches.get(search.channel) is search and search.provider is None:
                passed_over = [listen for listen in self._candidates(search.channel) if listen not in search.seen]
                search.queue += passed_over
                search.seen.update(passed_over)
            yield

    def _restart(self, search: Search) -> None:
        candidates = self._candidates(search.channel)
        if candidates:
            self._begin(search, candidates)
        else:
            self._drop(search)

    # ---- the books --------------------------------------------------------------------------------------------

    def _end(self, listen: Listen) -> list[Search]:
        """Take ``listen`` out of all books; returns the searches that must go on without it. Nobody is told here."""
        source = listen.pattern.source
        del listen.session.listens[source]
        group = self._groups[source]
        del group.listens[listen]
        if not group.listens:
            del self._groups[source]
        orphans = [*listen.asked.values(), *listen.provided.values()]
        for search in tuple(listen.asked.values()):
            self._answered(search, listen, "withdrawn")
        for search in listen.provided.values():
            self._unprovided(search)
        listen.provided.clear()
        if not self._groups:
            for search in tuple(self._searches.values()):
                self._drop(search)
        return orphans

    def _unprovided(self, search: Search) -> None:
        search.provider = None
        self._provided.dec()

    def _drop(self, search: Search) -> None:
        """There is nothing to search for any more."""
        del self._searches[search.channel]
        self._not_idle(search)

    def _not_idle(self, search: Search) -> None:
        self._idle.pop(search, None)
        if not self._idle and self._rematch is not None:
            self._rematch.cancel()
            self._rematch = None
