"""Judging one login of a connection, whichever protocol it speaks: what the strategies are told, and who listens meanwhile.

The rule that keeps it honest: the client is read while its login is judged, so that nobody is judged, or let in, who has left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from trio_router.auth.strategy import LoginRequest
from trio_router.session.ending import SessionEnd
from trio_router.session.link import LinkClosed, Upgrade

T = TypeVar("T")


def login_request(upgrade: Upgrade, *, app: str, session_id: str, auth: dict[str, Any] | None) -> LoginRequest:
    """What the strategies are told of an attempt: ``auth`` is what the client presented, the rest comes from its upgrade."""
    return LoginRequest(
        app=app,
        session_id=session_id,
        remote_address=upgrade.remote_address,
        auth=auth,
        headers=upgrade.headers,
        subprotocols=upgrade.subprotocols,
        query=upgrade.query,
        secure=upgrade.secure,
    )


async def judged(judge: Callable[[], Awaitable[T]], listen: Callable[[], Awaitable[object]]) -> T:
    """What ``judge`` comes to, while ``listen`` takes one message of the client after the other.

    Raises:
        SessionEnd, LinkClosed: from ``listen``; then ``judge`` was given up.
    """
    ended: list[Exception] = []
    outcome: list[T] = []

    async def listening(scope: trio.CancelScope) -> None:
        try:
            while True:
                await listen()
        except (LinkClosed, SessionEnd) as reason:
            ended.append(reason)
            scope.cancel()  # nobody is there to be logged in

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listening, nursery.cancel_scope)
        outcome.append(await judge())
        nursery.cancel_scope.cancel()
    if ended or not outcome:
        raise ended[0]
    return outcome[0]
