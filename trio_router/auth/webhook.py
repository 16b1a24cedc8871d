"""The strategy that asks an HTTP service of yours; docs/reference/login-webhook.md is its contract.

It owns when the service is asked: how often, how many at once, until when, and what to do while it is down (T59, T60).
What is sent is in ``webhook_request``, what an answer means in ``webhook_answer``.

The rule that keeps it honest: one login has one deadline over retries and the body of the last answer, from its turn on (until then the chain's
deadline holds), and everything that is not a clear yes or no of the service is *unavailable*.
"""

from __future__ import annotations

import random
import secrets
from typing import Final

import trio

from trio_router.auth.breaker import Breaker, Permit
from trio_router.auth.services import HttpAnswer, OutboundError, Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine, Unavailable
from trio_router.auth.webhook_answer import Unusable, judge
from trio_router.auth.webhook_cache import AnswerCache
from trio_router.auth.webhook_options import WebhookOptions
from trio_router.auth.webhook_request import Unsendable, WebhookRequest, prepare, sign

# Signs that the service, or the way to it, is down. Anything else was answered by a living service: a login that makes it
# fail (500) must not be able to shut everybody else out by opening the breaker.
DOWN_REASONS: Final = frozenset({"timeout", "connect", "tls", "protocol"})
DOWN_STATUSES: Final = frozenset({429, 502, 503, 504})
PACE: Final = 0.05  # what one login counts for in the measure of how long they take
RETRIED: Final = frozenset({"connect", "tls", "protocol"})  # not a timeout, which leaves no time


class WebhookStrategy:
    """Asks one service. Accepts, denies, or is unavailable; not mine only where ``when`` says so."""

    name = "webhook"

    def __init__(self, options: WebhookOptions, services: Services) -> None:
        self._options = options
        self._outbound = services.outbound
        self._clock = services.clock
        self._metrics = services.metrics
        self._log = services.log
        self._slots = trio.CapacityLimiter(options.concurrency)
        self._breaker = Breaker(services.clock, failures=options.breaker_failures, seconds=options.breaker_seconds)
        self._cache = AnswerCache(services.clock, seconds=options.cache_seconds, size=options.cache_size)
        self._cache_key = secrets.token_bytes(32)
        self._pace = 0.0  # seconds that one login takes, lately

    async def start(self, request: LoginRequest) -> Answer:
        if not all(key in (request.auth or {}) for key in self._options.when):
            return NotMine()
        try:
            prepared = prepare(self._options, request)
        except Unsendable as error:
            return Denied(error.reason, {"error": error.detail})
        if not self._options.cache_seconds:
            return (await self._login(prepared))[0]
        key = prepared.digest(self._cache_key)
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        answer, source = await self._login(prepared)
        if isinstance(answer, Accepted) and source is not None:
            self._cache.put(key, answer, source.headers)
        return answer

    async def _login(self, request: WebhookRequest) -> tuple[Answer, HttpAnswer | None]:
        try:
            answer = await self._in_turn(request)
            return judge(self._options, answer), answer
        except OutboundError as error:
            return Unavailable(error.reason, self._retry_after(error.reason)), None
        except Unusable as error:
            self._log.warning("webhook_answer", service=self._options.host, reason=error.reason, detail=error.detail)
            return Unavailable(error.reason), None

    async def _in_turn(self, request: WebhookRequest) -> HttpAnswer:
        """Wait for a turn, and ask."""
        if self._slots.statistics().tasks_waiting >= self._options.queue and not self._slots.available_tokens:
            raise OutboundError("busy")
        async with self._slots:
            began = trio.current_time()
            try:
                return await self._ask(request, began + self._options.timeout)
            finally:
                self._pace += PACE * (trio.current_time() - began - self._pace)

    def _retry_after(self, reason: str) -> float | None:
        """Those who find too many waiting may come again when these have had their turn, and not all together (T14)."""
        if reason != "busy":
            return None
        waits = self._slots.statistics().tasks_waiting * self._pace / self._options.concurrency
        return random.uniform(1.0, 2.0) * max(1.0, waits)  # noqa: S311 - it spreads, it hides nothing

    async def _ask(self, request: WebhookRequest, deadline: float) -> HttpAnswer:
        """The service's answer, after as many attempts as the options and the deadline allow."""
        left = self._options.retry_attempts
        while True:
            result: HttpAnswer | OutboundError
            try:
                result = await self._guarded(request, deadline)
                again = result.status in self._options.retry_statuses
            except OutboundError as error:
                result = error
                again = error.reason in RETRIED
            if not again or left <= 0 or trio.current_time() + self._options.retry_interval >= deadline:
                break
            left -= 1
            await trio.sleep(self._options.retry_interval)
        if isinstance(result, OutboundError):
            raise result
        return result

    async def _guarded(self, request: WebhookRequest, deadline: float) -> HttpAnswer:
        """One request, if the breaker lets it pass, and what it says about the service."""
        permit = self._breaker.begin()
        if permit is None:
            raise OutboundError("breaker_open")
        try:
            answer = await self._send(request, deadline)
        except OutboundError as error:
            self._report(permit, down=error.reason in DOWN_REASONS)
            raise
        except BaseException:
            self._breaker.abandoned(permit)
            raise
        self._report(permit, down=answer.status in DOWN_STATUSES)
        return answer

    def _report(self, permit: Permit, *, down: bool) -> None:
        was_open = self._breaker.is_open
        (self._breaker.failed if down else self._breaker.succeeded)(permit)
        if self._breaker.is_open != was_open:
            state = "closed" if was_open else "open"
            self._log.warning("webhook_breaker", service=self._options.host, state=state)

    async def _send(self, request: WebhookRequest, deadline: float) -> HttpAnswer:
        began = trio.current_time()
        try:
            return await self._outbound.request(
                "POST",
                self._options.url,
                headers=sign(self._options, request, self._clock.wall()),
                body=request.body,
                timeout=max(0.0, deadline - began),
                max_body=self._options.max_body,
            )
        finally:
            self._metrics.webhook_seconds.observe(trio.current_time() - began)


class WebhookType:
    """The entry point ``webhook``."""

    interface_version = INTERFACE_VERSION
    Options = WebhookOptions

    def build(self, options: WebhookOptions, services: Services) -> WebhookStrategy:
        return WebhookStrategy(options, services)

    def outlives_reload(self, options: WebhookOptions) -> bool:  # noqa: ARG002 - the interface
        """It keeps its breaker and its cache."""
        return True

    def unsafe(self, options: WebhookOptions) -> list[str]:
        """What ``trio-router check`` says about these options."""
        if options.in_the_clear:
            return [f"webhook: http://{options.host} is not encrypted: credentials cross the network in the clear"]
        return []
