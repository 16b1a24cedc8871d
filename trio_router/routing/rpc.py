"""Calls: one provider is chosen, one outcome is told, whatever anybody does meanwhile.

A call is known to its caller by the caller's own tag and to its provider by an id made here, which nobody can guess and
which counts only from the session that was chosen (T55, T27). It is closed in one place, :meth:`Rpc._close`,
before anybody is told, so it ends once: by a result, an error, a timeout, a cancellation, or the loss of either side.
A lost provider is reported and the call is not given to another one: it may have been carried out already.

A call that ended frees its place at once, also when the provider is still busy with it; it is told to stop, and
an answer that comes later is an unknown call. Rules were asked before; there are no bytes and no waiting here.
"""

from __future__ import annotations

import functools
import secrets
from typing import Final, Literal, get_args

from trio_router.errors import Refused
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.routing.peer import Timer, Timers
from trio_router.routing.providers import Offer, Providers, direct_pool
from trio_router.routing.session import Session

CALL_ID_BYTES: Final = 16  # 128 random bits, 22 characters

Outcome = Literal[
    "result", "error", "timeout", "cancelled", "provider_lost", "caller_lost", "no_provider", "provider_busy"
]


class Call:
    """One call in progress."""

    __slots__ = ("caller", "id", "offer", "progress", "tag", "timer")

    def __init__(self, caller: Session, tag: str, offer: Offer, *, progress: bool) -> None:
        self.id = secrets.token_urlsafe(CALL_ID_BYTES)
        self.caller = caller
        self.tag = tag
        self.offer = offer
        self.progress = progress
        self.timer: Timer | None = None

    @property
    def provider(self) -> Session:
        """The session that was chosen."""
        return self.offer.session


class Rpc:
    """The procedures and calls of one app."""

    def __init__(self, timers: Timers, limits: Limits, metrics: Metrics) -> None:
        self._timers = timers
        self.limits = limits
        self._outcomes = {outcome: metrics.calls.labels(outcome) for outcome in get_args(Outcome)}
        self._procedures: dict[str, Providers] = {}

    def __len__(self) -> int:
        """How many procedures somebody provides."""
        return len(self._procedures)

    # ---- providing ------------------------------------------------------------------------------------------

    def provide(self, session: Session, procedure: str, concurrency: int | None, *, direct: bool = False) -> None:
        """Offer ``procedure``; ``concurrency`` calls at a time, at most ``invocations_per_provider`` (also for None).

        ``direct``: only calls that name this session reach it.

        Raises:
            Refused: ALREADY_PROVIDED, LIMIT_REACHED (``procedures_per_session``), INVALID_MESSAGE for less than one.
        """
        if procedure in session.offers:
            raise Refused(codes.ALREADY_PROVIDED)
        if len(session.offers) >= self.limits.procedures_per_session:
            raise Refused(codes.LIMIT_REACHED, f"at most {self.limits.procedures_per_session} procedures per session")
        capacity = self.limits.invocations_per_provider
        if concurrency is not None:
            if concurrency < 1:
                raise Refused(codes.INVALID_MESSAGE, "concurrency: expected 1 or more")
            capacity = min(capacity, concurrency)
        offer = session.offers[procedure] = Offer(session, procedure, capacity, direct=direct)
        self._procedures.setdefault(offer.pool, Providers()).add(offer)

    def unprovide(self, session: Session, procedure: str) -> None:
        """Withdraw an offer; calls in progress may still be answered.

        Raises:
            Refused: NOT_PROVIDED.
        """
        if procedure not in session.offers:
            raise Refused(codes.NOT_PROVIDED)
        self._withdraw(session.offers.pop(procedure))

    def revoke(self, session: Session, procedure: str) -> None:
        """End an offer that is not allowed any more: its calls in progress fail, no late answer counts (T33)."""
        offer = session.offers.pop(procedure)
        self._withdraw(offer)
        calls = [call for call in session.invocations.values() if call.offer is offer]
        for call in calls:
            self._close(call, "provider_lost")
        for call in calls:
            session.peer.interrupt(call.id, "cancelled")
            call.caller.peer.call_failed(call.tag, codes.PROVIDER_LOST)

    # ---- calling --------------------------------------------------------------------------------------------

    def call(
        self,
        session: Session,
        tag: str,
        procedure: str,
        data: Payload,
        *,
        timeout: float | None,
        progress: bool,
        disclose: bool,
        provider: str | None = None,
    ) -> None:
        """Give a call to a provider (the session ``provider``, by its direct offer, if that is given); its outcome comes through ``peer.result`` or ``peer.call_failed`` with ``tag``.

        ``timeout`` is seconds to the final result, at most ``call_timeout_max``; None is ``call_timeout``.

        Raises:
            Refused: DUPLICATE_ID, LIMIT_REACHED (``calls_per_session``), NO_PROVIDER or PROVIDER_BUSY.
        """
        if tag in session.calls:
            raise Refused(codes.DUPLICATE_ID)
        if len(session.calls) >= self.limits.calls_per_session:
            raise Refused(codes.LIMIT_REACHED, f"at most {self.limits.calls_per_session} open calls per session")
        pool = procedure if provider is None else direct_pool(provider, procedure)
        providers = self._procedures.get(pool)
        if providers is None:
            self._count("no_provider")
            raise Refused(codes.NO_PROVIDER)
        offer = providers.take()
        if offer is None:
            self._count("provider_busy")
            raise Refused(codes.PROVIDER_BUSY)
        seconds = self.limits.call_timeout if timeout is None else max(0.0, timeout)
        seconds = min(seconds, self.limits.call_timeout_max)
        call = Call(session, tag, offer, progress=progress)
        session.calls[tag] = offer.session.invocations[call.id] = call
        call.timer = self._timers.after(seconds, functools.partial(self._time_out, call))
        caller = session.publisher if disclose else None
        offer.session.peer.invoke(call.id, procedure, data, timeout=seconds, progress=progress, caller=caller)

    def cancel(self, session: Session, tag: str) -> None:
        """Give up a call: it fails with CALL_CANCELLED and the provider is interrupted.

        Raises:
            Refused: UNKNOWN_CALL, the session has no open call of this tag.
        """
        call = session.calls.get(tag)
        if call is None:
            raise Refused(codes.UNKNOWN_CALL)
        self._give_up(call, "cancelled", codes.CALL_CANCELLED)

    # ---- answering ------------------------------------------------------------------------------------------

    def result(self, session: Session, call_id: str, data: Payload, *, more: bool) -> None:
        """A provider's result, the last one unless ``more``.

        Raises:
            Refused: UNKNOWN_CALL, this session was not chosen for such a call, or it has ended; UNEXPECTED_MESSAGE, a
                partial result the caller did not ask for (the call goes on).
        """
        call = self._invocation(session, call_id)
        if more:
            if not call.progress:
                raise Refused(codes.UNEXPECTED_MESSAGE, "more: the caller did not ask for partial results")
        else:
            self._close(call, "result")
        call.caller.peer.result(call.tag, data, more=more)

    def error(self, session: Session, call_id: str, data: Payload) -> None:
        """A provider's failure; ``data`` reaches the caller as it is.

        Raises:
            Refused: UNKNOWN_CALL, as for a result.
        """
        call = self._invocation(session, call_id)
        self._close(call, "error")
        call.caller.peer.call_failed(call.tag, codes.PROVIDER_ERROR, data=data)

    # ---- leaving --------------------------------------------------------------------------------------------

    def leave(self, session: Session) -> None:
        """End all offers of ``session``, what it was answering and what it had called."""
        made = list(session.calls.values())
        answering = [call for call in session.invocations.values() if call.caller is not session]
        for offer in session.offers.values():
            self._withdraw(offer)
        session.offers.clear()
        for call in made:
            self._close(call, "caller_lost")
        for call in answering:
            self._close(call, "provider_lost")
        for call in made:
            if call.provider is not session:
                call.provider.peer.interrupt(call.id, "caller_lost")
        for call in answering:
            call.caller.peer.call_failed(call.tag, codes.PROVIDER_LOST)

    # ---- the books ------------------------------------------------------------------------------------------

    def _invocation(self, session: Session, call_id: str) -> Call:
        call = session.invocations.get(call_id)
        if call is None:
            raise Refused(codes.UNKNOWN_CALL)
        return call

    def _time_out(self, call: Call) -> None:
        if call.id in call.provider.invocations:  # a timer that fires although it was cancelled ends nothing twice
            self._give_up(call, "timeout", codes.CALL_TIMEOUT)

    def _give_up(self, call: Call, reason: Literal["cancelled", "timeout"], code: int) -> None:
        self._close(call, reason)
        call.provider.peer.interrupt(call.id, reason)
        call.caller.peer.call_failed(call.tag, code)

    def _close(self, call: Call, outcome: Outcome) -> None:
        """Take a call out of all books. Nobody is told here."""
        del call.caller.calls[call.tag]
        del call.provider.invocations[call.id]
        if call.timer is not None:
            call.timer.cancel()
        providers = self._procedures.get(call.offer.pool)
        if providers is not None:
            providers.release(call.offer)
        self._count(outcome)

    def _withdraw(self, offer: Offer) -> None:
        providers = self._procedures[offer.pool]
        providers.remove(offer)
        if not len(providers):
            del self._procedures[offer.pool]

    def _count(self, outcome: Outcome) -> None:
        self._outcomes[outcome].inc()
