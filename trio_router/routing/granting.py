"""From a decision of the door to what becomes of a request: granted, refused, or asked for once more.

It knows decisions and sessions and routes nothing. The rule that keeps it honest: what is asked for once more, because records had to be
loaded first, counts once against how often it may be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trio_router.errors import RecordsNeeded
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.routing.door import refusal
from trio_router.routing.session import Session


def grant(action: Action, decision: Decision, session: Session | None = None) -> None:
    """Returns if ``decision`` allows it. Raises ``Refused``; ``RecordsNeeded``: load them, and ask again for ``session``."""
    if not decision.allowed:
        if decision.reason is Reason.RECORDS_NEEDED:
            if session is not None:
                session.paid = True
            raise RecordsNeeded(decision.records, lambda: refusal(action, decision))
        raise refusal(action, decision)


@contextmanager
def counted_once(session: Session) -> Iterator[None]:
    """What is done in the block may raise ``RecordsNeeded`` and be asked for again."""
    try:
        yield
    except RecordsNeeded:
        session.paid = True
        raise
