"""How a session comes to its end: one reason, the first one, whoever gives it.

A session's own task raises ``SessionEnd``. Everybody else (the core, a timer, the drain) calls :meth:`Ending.end`, which
returns at once: it notes the reason and cancels the session's scope. It knows no link and no protocol.
"""

from __future__ import annotations

import trio

from trio_router.protocols.codes import CloseCode


class SessionEnd(Exception):
    """Raised in a session's task: end it with ``code``."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.slug)
        self.code = code


class Ending:
    """``scope`` is around all a session does; ``code`` and ``retry_after`` (seconds) say why it was cancelled."""

    __slots__ = ("code", "retry_after", "scope")

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.code: CloseCode | None = None
        self.retry_after: float | None = None

    def end(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """End the session; only the first call counts."""
        if self.code is None:
            self.code = code
            self.retry_after = retry_after
            self.scope.cancel()
