"""Answering calls: one offer of one procedure, and its handler's runs.

Each call runs the handler in a task of its own, in a nursery that belongs to the ``provide`` block: it cannot outlive the
block. A handler's failure is answered and logged and touches nobody else; the caller learns nothing of it but "handler
failed", unless the handler says more on purpose with ``CallError``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from trio_router.client.errors import CallError, CallRejected, ClientError, ConnectionLost, RequestRefused
from trio_router.client.session import Session
from trio_router.client.values import outgoing, value_of
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import messages

HANDLER_FAILED: Final = "handler failed"
HANDLER_STOPPED: Final = "handler stopped"

logger: Final = logging.getLogger("trio_router.client")


@attrs.frozen
class Invocation:
    """The call a handler is asked to answer.

    ``timeout`` is the seconds that were left when it was made (None if unknown); ``caller`` is who called, if they let
    it be known; ``has_data`` tells null from nothing at all; ``wants_progress``, whether partial results are read.
    """

    procedure: str
    caller: messages.Publisher | None
    timeout: float | None
    has_data: bool
    wants_progress: bool


Handler = Callable[[Any, Invocation], Awaitable[Any] | AsyncIterator[Any]]


class Offer:
    """A procedure this client provides. Yielded by ``Client.provide``; programs may wait for its end."""

    def __init__(self, procedure: str, handler: Handler, nursery: trio.Nursery, concurrency: int | None) -> None:
        self.procedure = procedure
        self.concurrency = concurrency
        self.interruptions = 0
        self.error: ClientError | None = None
        self._handler = handler
        self._nursery = nursery
        self._running: dict[str, tuple[Session, trio.CancelScope]] = {}
        self._begun: set[str] = set()  # calls with partial results
        self._ended = trio.Event()

    async def wait_ended(self) -> ClientError | None:
        """Wait until the offer ends before its block does: the right was taken away, or the client ended."""
        await self._ended.wait()
        return self.error

    def finish(self, error: ClientError | None = None) -> None:
        self.error = error
        self._ended.set()

    def start(self, session: Session, invoke: messages.Invoke) -> None:
        """Run the handler for a call that ``session`` brought."""
        scope = trio.CancelScope()
        self._running[invoke.call] = session, scope
        self._nursery.start_soon(self._run, session, invoke, scope)

    def interrupt(self, call: str) -> bool:
        """Nobody waits for the answer of ``call`` any more; returns whether it was one of ours."""
        found = self._running.get(call)
        if found is not None:
            found[1].cancel()
        return found is not None

    def interrupt_all(self) -> None:
        """The session is gone, and with it everybody who waited."""
        for _, scope in self._running.values():
            scope.cancel()

    def stop(self) -> None:
        """The block ends: answer what is still running, and stop it."""
        for call, (session, scope) in self._running.items():
            answer_error(session, call, HANDLER_STOPPED)
            scope.cancel()

    async def _run(self, session: Session, invoke: messages.Invoke, scope: trio.CancelScope) -> None:
        call = Invocation(
            invoke.procedure,
            invoke.caller,
            invoke.timeout / 1000 if invoke.timeout else None,
            not invoke.data.is_absent,
            invoke.progress,
        )
        try:
            with scope:
                await self._carry_out(session, invoke.call, self._handler(value_of(invoke.data), call), call)
        except ConnectionLost:
            logger.info("a call of %s was answered too late: the connection is gone", invoke.procedure)
        except CallError as exc:
            answer_error(session, invoke.call, exc.value)
        except CallRejected:
            if invoke.call in self._begun:  # too late to leave it to another one
                answer_error(session, invoke.call, HANDLER_FAILED)
            else:
                reject(session, invoke.call)
        except RequestRefused as exc:
            logger.warning("the result of %s cannot be sent: %s", invoke.procedure, exc)
            answer_error(session, invoke.call, HANDLER_FAILED)
        except Exception:
            logger.exception("the handler of %s failed", invoke.procedure)
            answer_error(session, invoke.call, HANDLER_FAILED)
        finally:
            del self._running[invoke.call]
            self._begun.discard(invoke.call)

    async def _carry_out(self, session: Session, call_id: str, made: Any, call: Invocation) -> None:
        last = ABSENT
        if not inspect.isasyncgen(made):
            last = outgoing(await made)
        else:
            try:
                async for part in made:
                    last = outgoing(part)
                    if call.wants_progress:
                        self._begun.add(call_id)
                        await session.send(messages.ProviderResult(call_id, last, more=True))
            finally:
                await made.aclose()
            if call.wants_progress:
                last = ABSENT  # everything was sent; this only ends it
        await session.send(messages.ProviderResult(call_id, last))


def reject(session: Session, call: str) -> None:
    """Give a call back that was not carried out, as far as that is still possible. Never raises."""
    try:
        session.post(messages.ProviderReject(call))
    except ConnectionLost as exc:
        logger.info("a call could not be given back: %s", exc)


def answer_error(session: Session, call: str, value: Any) -> None:
    """Fail a call, as far as that is still possible. Never raises."""
    try:
        data: Payload = outgoing(value)
    except ValueError:
        logger.warning("the value of a CallError is not JSON")
        data = outgoing(HANDLER_FAILED)
    try:
        session.post(messages.ProviderError(call, data))
    except (ConnectionLost, RequestRefused) as exc:
        logger.info("an error could not be sent to the caller: %s", exc)
