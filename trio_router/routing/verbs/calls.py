"""What a session asks for about calls: to provide a procedure, to call one, and what a provider answers.

It asks the door and hands on what was granted to :mod:`rpc <trio_router.routing.rpc>`, which alone knows how far a call has come.
"""

from __future__ import annotations

from typing import Final

from trio_router.errors import Refused
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.routing import standing
from trio_router.routing.door import Door
from trio_router.routing.granting import grant
from trio_router.routing.rates import RateBook
from trio_router.routing.rights import Rights
from trio_router.routing.rpc import Rpc
from trio_router.routing.session import Session
from trio_router.routing.trust import TrustDesk, drop

_REQUEST: Final = Action.RPC_REQUEST


class CallVerbs:
    """See ``routing.core.Core`` for what all verbs raise."""

    def __init__(self, door: Door, rates: RateBook, trust: TrustDesk, rights: Rights, rpc: Rpc) -> None:
        self._door = door
        self._rates = rates
        self._trust = trust
        self._rights = rights
        self._rpc = rpc
        self._home, self._untold = rights.sessions, rights.untold

    def provide(
        self,
        session: Session,
        procedure: str,
        concurrency: int | None = None,
        *,
        direct: bool = False,
        token: str | None = None,
        accept_within: float | None = None,
    ) -> None:
        """Offer to answer calls, ``concurrency`` at a time. ALREADY_PROVIDED, LIMIT_REACHED, INVALID_MESSAGE.

        ``direct``: only calls of server programs that name this session reach it. ``accept_within``: for a provider whose
        protocol acknowledges calls, the seconds it has for :meth:`accept` or any other answer; then the call fails with
        ACCEPT_TIMEOUT and is given to nobody else.
        """
        self._rates.charge(self._rates.subscriptions, session)
        self._rights.check(session)
        word, trust = self._trust.present(session.identity, "provide", procedure, token)
        grant(Action.RPC_PROVIDE, standing.decide(self._door, session, Action.RPC_PROVIDE, procedure, word), session)
        self._rpc.provide(session, procedure, concurrency, direct=direct, accept_within=accept_within)
        self._rights.keep(session, Action.RPC_PROVIDE, procedure, trust)

    def unprovide(self, session: Session, procedure: str) -> None:
        """Withdraw the offer; calls in progress may still be answered. NOT_PROVIDED."""
        self._rights.check(session)
        self._rpc.unprovide(session, procedure)
        drop(session.openings, Action.RPC_PROVIDE, procedure)

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
        token: str | None = None,
    ) -> None:
        """Call ``procedure``; ``timeout`` in seconds. DUPLICATE_ID, LIMIT_REACHED, NO_PROVIDER, PROVIDER_BUSY.

        ``provider``: the direct offer of that session, for server programs (SERVER_ONLY).
        ``disclose``: the provider is told who calls, and (if its protocol has a place for it) the clientData of the caller's login.
        Unless refused here, exactly one of ``peer.result(more=False)`` and ``peer.call_failed`` follows for ``tag``.
        """
        if self._rates.calls:
            self._rates.charge(self._rates.calls, session)
        if self._untold or session.home is not self._home:  # else there is nothing to check
            self._rights.check(session)
        if ":" in procedure:
            word = self._trust.present(session.identity, "call", procedure, token)[0]
            decision = self._door.authorize(session.identity, _REQUEST, procedure, data, trust=word)
        else:
            decision = self._door.authorize(session.identity, _REQUEST, procedure, data)
        if not decision.allowed:  # asked here, it costs the usual case no call
            grant(_REQUEST, decision, session)
        if provider is not None and not session.identity.is_server:
            raise Refused(codes.SERVER_ONLY, "provider")
        self._rpc.call(session, tag, procedure, data, timeout, progress, disclose, provider)

    def cancel(self, session: Session, tag: str) -> None:
        """Give up a call; it fails with CALL_CANCELLED. UNKNOWN_CALL."""
        self._rights.check(session)
        self._rpc.cancel(session, tag)

    def accept(self, session: Session, call: str) -> None:
        """A provider takes a call on, the caller learns it by ``peer.call_accepted``. UNKNOWN_CALL, ALREADY_ACCEPTED."""
        self._rights.check(session)
        self._rpc.accept(session, call)

    def reject(self, session: Session, call: str) -> None:
        """A provider gives a call back. UNKNOWN_CALL; UNEXPECTED_MESSAGE after a partial result.

        The next session that has not had it gets it, under another id; if there is none the call fails with NO_PROVIDER or
        PROVIDER_BUSY.
        """
        self._rights.check(session)
        self._rpc.reject(session, call)

    def result(self, session: Session, call: str, data: Payload, more: bool) -> None:
        """A provider's result. UNKNOWN_CALL; UNEXPECTED_MESSAGE for a partial one nobody asked for."""
        if self._untold or session.home is not self._home:  # else there is nothing to check
            self._rights.check(session)
        self._rpc.result(session, call, data, more)

    def error(self, session: Session, call: str, data: Payload) -> None:
        """A provider's failure. UNKNOWN_CALL."""
        self._rights.check(session)
        self._rpc.error(session, call, data)
