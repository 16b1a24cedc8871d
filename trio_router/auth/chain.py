"""One login from the first strategy to the answer: who is asked, in which order, for how long.

The four answers stay four. *Not mine* asks the next strategy; *accepted*, *denied* and *unavailable* end the search, so a
strategy that cannot answer never passes a login on to a laxer one. If it was nobody's, it is denied as ``not_mine``.

It does not know any strategy, nor what the client is told. The rule that keeps it honest: nothing a strategy raises
gets past here but ``Cancelled``, and none of its exceptions' texts get into the log (T62), because they may quote a password.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import structlog
import trio

from trio_router.auth.strategy import Accepted, Answer, Challenge, Denied, LoginRequest, NotMine, Strategy, Unavailable
from trio_router.errors import Refused
from trio_router.identity import User
from trio_router.metrics import Metrics
from trio_router.routing.rates import RateBook

MAX_CHALLENGES: Final = 8
MAX_REASONS: Final = 64  # label values per chain, so that a plugin cannot grow the metrics without bound
MAX_FRAMES: Final = 12

_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")

Ask = Callable[[str], Awaitable[str]]

Veto = Callable[[Accepted], Denied | Unavailable | None]
"""Judges a login that a strategy accepted; None lets it pass."""


@attrs.frozen
class Outcome:
    """How a login ended: the answer, and the name of the strategy that gave it ("" if it was nobody's)."""

    strategy: str
    answer: Accepted | Denied | Unavailable

    @property
    def kind(self) -> str:
        """``accepted``, ``denied`` or ``unavailable``."""
        return type(self.answer).__name__.lower()

    @property
    def reason(self) -> str:
        """The slug of a login that was not accepted, else ""."""
        return "" if isinstance(self.answer, Accepted) else self.answer.reason


class Chain:
    """The strategies of one app in the configured order, with one ``deadline`` (seconds) over all of them.

    ``rates`` bound how often logins are judged; one that comes too often is unavailable, and told when to come back.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        deadline: float,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
        veto: Veto | None = None,
        rates: RateBook | None = None,
    ) -> None:
        self._rates = rates
        self._veto = veto
        self._strategies = tuple(zip(_distinct_names(strategies), strategies, strict=True))
        self._deadline = deadline
        self._metrics = metrics
        self._log = log
        self._reasons: set[str] = set()

    async def login(self, request: LoginRequest, ask: Ask) -> Outcome:
        """Judge ``request``; ``ask`` hands a challenge to the client and gives its reply.

        Always ends within the deadline. Raises nothing of its own; what ``ask`` raises (the client left) passes through.
        """
        began = trio.current_time()
        try:
            outcome = await self._search(request, ask, began + self._deadline)
        finally:
            self._metrics.login_seconds.observe(trio.current_time() - began)
        self._record(request, outcome)
        return outcome

    async def _search(self, request: LoginRequest, ask: Ask, deadline: float) -> Outcome:
        if self._rates is not None:
            try:
                self._rates.take_login(request.session_id, request.remote_address)
            except Refused as too_often:
                return Outcome("", Unavailable("rate_limited", too_often.retry_after))
        for name, strategy in self._strategies:
            answer = await self._dialogue(name, strategy, request, ask, deadline)
            if isinstance(answer, Accepted) and self._veto is not None and (refusal := self._veto(answer)) is not None:
                return Outcome(name, refusal)
            if isinstance(answer, Accepted) and self._rates is not None and answer.user.is_authenticated:
                try:
                    self._rates.take_login_of(answer.user.id)
                except Refused as too_often:
                    return Outcome(name, Unavailable("rate_limited", too_often.retry_after))
            if not isinstance(answer, NotMine):
                return Outcome(name, answer)
        return Outcome("", Denied("not_mine"))

    async def _dialogue(
        self, name: str, strategy: Strategy, request: LoginRequest, ask: Ask, deadline: float
    ) -> Accepted | Denied | Unavailable | NotMine:
        answer = await self._step(name, request, lambda: strategy.start(request), deadline)
        if isinstance(answer, NotMine):
            return answer
        rounds = 0
        while isinstance(answer, Challenge):
            rounds += 1
            if rounds > MAX_CHALLENGES:
                return self._fault(name, request, "asks the client back without end")
            challenge, reply = answer, None
            with trio.CancelScope(deadline=deadline):
                reply = await ask(challenge.text)
            if reply is None:  # the client's silence, not the strategy's: denied, not unavailable
                return Denied("challenge_timeout")
            answer = await self._step(name, request, _later(challenge, reply), deadline)
        if isinstance(answer, NotMine):
            return self._fault(name, request, "answers a reply to its own challenge with not mine")
        return answer

    async def _step(
        self, name: str, request: LoginRequest, call: Callable[[], Awaitable[Answer]], deadline: float
    ) -> Answer:
        answer: object = None
        try:
            with trio.CancelScope(deadline=deadline) as scope:
                answer = await call()
        except Exception as error:  # noqa: BLE001 - the edge of a strategy: its faults end one login, not the session's task
            self._log.error("login_strategy_failed", strategy=name, session=request.session_id, **where(error))
            return Unavailable("error")
        if scope.cancelled_caught:
            return Unavailable("timeout")
        if isinstance(answer, Accepted) and isinstance(answer.user, User):
            return answer
        if isinstance(answer, Denied | Unavailable) and isinstance(answer.reason, str):
            return answer
        if isinstance(answer, NotMine | Challenge):
            return answer
        return self._fault(name, request, "gives no answer of the interface")

    def _fault(self, name: str, request: LoginRequest, fault: str) -> Unavailable:
        self._log.error("login_strategy_failed", strategy=name, session=request.session_id, error=fault)
        return Unavailable("error")

    def _record(self, request: LoginRequest, outcome: Outcome) -> None:
        reason = self._label(outcome.reason)
        self._metrics.logins.labels(outcome.strategy, outcome.kind, reason).inc()
        fields = {"session": request.session_id, "strategy": outcome.strategy}
        if isinstance(outcome.answer, Accepted):
            self._log.info("login_accepted", user=outcome.answer.user.id, **fields)
        elif isinstance(outcome.answer, Denied):
            self._log.info("login_denied", reason=reason, **fields)
        else:
            self._log.warning("login_unavailable", reason=reason, **fields)

    def _label(self, reason: str) -> str:
        if not reason or reason in self._reasons:
            return reason
        if len(self._reasons) >= MAX_REASONS or not _SLUG.match(reason):
            return "other"
        self._reasons.add(reason)
        return reason


def where(error: BaseException) -> dict[str, object]:
    """The types of ``error`` and what is in it, and the places it went through: a traceback without any text or value."""
    frames = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    ]
    name = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        inner = where(error.exceptions[0])
        return {"error": f"{name} of {inner['error']}", "traceback": inner["traceback"] or frames}
    return {"error": name, "traceback": frames}


def _later(challenge: Challenge, reply: str) -> Callable[[], Awaitable[Answer]]:
    return lambda: challenge.answer(reply)


def _distinct_names(strategies: Sequence[Strategy]) -> list[str]:
    """Their names; the second ``webhook`` of a config is ``webhook-2`` in log and metrics."""
    names: list[str] = []
    for strategy in strategies:
        name, number = strategy.name, 1
        while name in names:
            number += 1
            name = f"{strategy.name}-{number}"
        names.append(name)
    return names
