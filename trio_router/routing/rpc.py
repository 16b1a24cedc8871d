"""Calls: one provider is chosen, one outcome is told, whatever anybody does meanwhile.

A call is known to its caller by the caller's own tag and to its provider by an id made here, which nobody can guess and
which counts only from the session that was chosen (T55, T27). It is closed in one place, :meth:`Rpc._close`,
before anybody is told, so it ends once: by a result, an error, a timeout, a cancellation, or the loss of either side.
A lost provider is reported and the call is not given to another one: it may have been carried out already. A provider that
rejects a call has not carried it out: the next one gets it, under a new id, each at most once (its *attempt*).

A call that ended frees its place at once, also when the provider is still busy with it; it is told to stop, and
an answer that comes later is an unknown call. Rules were asked before; there are no bytes and no waiting here.
"""

from __future__ import annotations

import functools
from typing import Literal, get_args

from trio_router.errors import Refused
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes
from trio_router.routing.call import Call
from trio_router.routing.deadlines import Deadlines
from trio_router.routing.peer import Timers
from trio_router.routing.providers import Offer, Providers, direct_pool
from trio_router.routing.session import Session

Outcome = Literal[
    "result",
    "error",
    "timeout",
    "accept_timeout",
    "cancelled",
    "provider_lost",
    "caller_lost",
    "rejected",
    "no_provider",
    "provider_busy",
]


class Rpc:
    """The procedures and calls of one app."""

    def __init__(self, timers: Timers, limits: Limits, metrics: Metrics) -> None:
        self._timers = timers
        self.limits = limits
        self._metrics = metrics
        self._outcomes = {outcome: metrics.calls.labels(outcome) for outcome in get_args(Outcome)}
        self._procedures: dict[str, Providers] = {}
        self._usual = Deadlines(timers, limits.call_timeout, self._time_out)

    def __len__(self) -> int:
        """How many procedures somebody provides."""
        return len(self._procedures)

    # ---- providing ------------------------------------------------------------------------------------------

    def provide(
        self,
        session: Session,
        procedure: str,
        concurrency: int | None,
        *,
        direct: bool = False,
        accept_within: float | None = None,
    ) -> None:
        """Offer ``procedure``; ``concurrency`` calls at a time, at most ``invocations_per_provider`` (also for None).

        ``direct``: only calls that name this session reach it. ``accept_within``: seconds in which it accepts a call or
        rejects it; else the call ends.

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
        offer = session.offers[procedure] = Offer(
            session, procedure, capacity, direct=direct, accept_within=accept_within
        )
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
        """End an offer that is not allowed any more: calls in progress fail, no late answer counts (T33).

        Those of an offer that ``session`` has withdrawn before are among them.
        """
        offer = session.offers.pop(procedure, None)
        if offer is not None:
            self._withdraw(offer)
        calls = [call for call in session.invocations.values() if call.offer.procedure == procedure]
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
        timeout: float | None = None,
        progress: bool = False,
        disclose: bool = False,
        provider: str | None = None,
    ) -> None:
        """Give a call to a provider (the session ``provider``, by its direct offer, if that is given); its outcome comes through ``peer.result`` or ``peer.call_failed`` with ``tag``.

        ``timeout`` is seconds to the final result, at most ``call_timeout_max``; None is ``call_timeout``.

        Raises:
            Refused: DUPLICATE_ID, LIMIT_REACHED (``calls_per_session``), NO_PROVIDER or PROVIDER_BUSY.
        """
        calls, limits = session.calls, self.limits
        if tag in calls:
            raise Refused(codes.DUPLICATE_ID)
        if len(calls) >= limits.calls_per_session:
            raise Refused(codes.LIMIT_REACHED, f"at most {limits.calls_per_session} open calls per session")
        pool = procedure if provider is None else direct_pool(provider, procedure)
        providers = self._procedures.get(pool)
        if providers is None:
            self._count("no_provider")
            raise Refused(codes.NO_PROVIDER)
        offer = providers.take()
        if offer is None:
            self._count("provider_busy")
            raise Refused(codes.PROVIDER_BUSY)
        seconds = limits.call_timeout if timeout is None else max(0.0, timeout)
        if seconds > limits.call_timeout_max:
            seconds = limits.call_timeout_max
        now = self._timers.now()
        size = 0 if data is ABSENT else len(data.written or data.json)
        kept: Payload | None = data
        if size and session.kept + size > limits.call_data_size:
            kept, size = None, 0
        call = Call(session, tag, offer, kept, size, now + seconds, progress, disclose)
        calls[tag] = call
        session.kept += size
        if timeout is None:
            usual = self._usual
            if usual.seconds != seconds:  # the limits have changed: what waits already has its own
                usual = self._usual = Deadlines(self._timers, seconds, self._time_out)
            call.among = usual
            usual.add(call, now)
        else:
            call.timer = self._timers.after(seconds, functools.partial(self._time_out, call))
        self._attempt(call, data, seconds)

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

    def result(self, session: Session, call_id: str, data: Payload, more: bool) -> None:
        """A provider's result, the last one unless ``more``.

        Raises:
            Refused: UNKNOWN_CALL, this session was not chosen for such a call, or it has ended; UNEXPECTED_MESSAGE, a
                partial result the caller did not ask for (the call goes on).
        """
        call = self._invocation(session, call_id)
        if more:
            if not call.progress:
                raise Refused(codes.UNEXPECTED_MESSAGE, "more: the caller did not ask for partial results")
            call.begun = True
            self._stop_waiting(call)
        else:
            self._close(call, "result")
        call.caller.peer.result(call.tag, data, more)

    def error(self, session: Session, call_id: str, data: Payload) -> None:
        """A provider's failure; ``data`` reaches the caller as it is.

        Raises:
            Refused: UNKNOWN_CALL, as for a result.
        """
        call = self._invocation(session, call_id)
        self._close(call, "error")
        call.caller.peer.call_failed(call.tag, codes.PROVIDER_ERROR, data=data)

    def accept(self, session: Session, call_id: str) -> None:
        """A provider takes a call on; its caller is told. Whoever answers need not have accepted.

        Raises:
            Refused: UNKNOWN_CALL, as for a result; ALREADY_ACCEPTED.
        """
        call = self._invocation(session, call_id)
        if call.accepted:
            raise Refused(codes.ALREADY_ACCEPTED)
        call.accepted = True
        self._stop_waiting(call)
        call.caller.peer.call_accepted(call.tag)

    def reject(self, session: Session, call_id: str) -> None:
        """A provider gives a call back, accepted or not: another session gets it that has not had it yet.

        If there is none the call fails with NO_PROVIDER, or PROVIDER_BUSY if those left are at their limit. So does a
        call whose data found no room (``call_data_size``) to be kept for another attempt. The time the caller gave runs on.

        Raises:
            Refused: UNKNOWN_CALL, as for a result; UNEXPECTED_MESSAGE after a partial result (the call goes on).
        """
        call = self._invocation(session, call_id)
        if call.begun:
            raise Refused(codes.UNEXPECTED_MESSAGE, "call: it has partial results already")
        self._metrics.rejected_calls.inc()
        call.tried |= {session}
        providers = self._procedures.get(call.offer.pool) if call.data is not None else None
        offer = providers.take(call.tried) if providers is not None else None
        if offer is None or call.data is None:
            is_busy = providers is not None and providers.has_other(call.tried)
            self._close(call, "provider_busy" if is_busy else "rejected")
            call.caller.peer.call_failed(call.tag, codes.PROVIDER_BUSY if is_busy else codes.NO_PROVIDER)
            return
        self._part(call)
        call.turn_to(offer)
        self._attempt(call, call.data, max(0.0, call.deadline - self._timers.now()))

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

    def _attempt(self, call: Call, data: Payload, seconds: float) -> None:
        """Give ``call`` to its provider, who has ``seconds`` for it."""
        offer, caller = call.offer, call.caller
        offer.session.invocations[call.id] = call
        if offer.accept_within is not None:
            late = functools.partial(self._not_accepted, call, call.id)
            call.accept_timer = self._timers.after(offer.accept_within, late)
        offer.session.peer.invoke(
            call.id,
            offer.procedure,
            data,
            seconds,
            call.progress,
            caller.publisher if call.disclose else None,
            caller.client_data if call.disclose else None,
        )

    def _part(self, call: Call) -> None:
        """Take the present attempt out of the provider's books."""
        del call.offer.session.invocations[call.id]
        if call.accept_timer is not None:
            self._stop_waiting(call)
        providers = self._procedures.get(call.offer.pool)
        if providers is not None:
            providers.release(call.offer)

    def _stop_waiting(self, call: Call) -> None:
        """Whether the provider accepts is settled."""
        if call.accept_timer is not None:
            call.accept_timer.cancel()
            call.accept_timer = None

    def _invocation(self, session: Session, call_id: str) -> Call:
        call = session.invocations.get(call_id)
        if call is None:
            raise Refused(codes.UNKNOWN_CALL)
        return call

    def _time_out(self, call: Call) -> None:
        if call.id in call.provider.invocations:  # a timer that fires although it was cancelled ends nothing twice
            self._give_up(call, "timeout", codes.CALL_TIMEOUT)

    def _not_accepted(self, call: Call, attempt: str) -> None:
        if attempt in call.provider.invocations:
            self._close(call, "accept_timeout")
            call.provider.peer.interrupt(call.id, "timeout")
            call.caller.peer.call_failed(call.tag, codes.ACCEPT_TIMEOUT)

    def _give_up(self, call: Call, reason: Literal["cancelled", "timeout"], code: int) -> None:
        self._close(call, reason)
        call.provider.peer.interrupt(call.id, reason)
        call.caller.peer.call_failed(call.tag, code)

    def _close(self, call: Call, outcome: Outcome) -> None:
        """Take a call out of all books. Nobody is told here."""
        caller = call.caller
        del caller.calls[call.tag]
        caller.kept -= call.kept
        if call.among is not None:
            call.among.remove(call)
        elif call.timer is not None:
            call.timer.cancel()
        self._part(call)
        self._count(outcome)

    def _withdraw(self, offer: Offer) -> None:
        providers = self._procedures[offer.pool]
        providers.remove(offer)
        if not len(providers):
            del self._procedures[offer.pool]

    def _count(self, outcome: Outcome) -> None:
        self._outcomes[outcome].count += 1
