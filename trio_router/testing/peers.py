"""A peer that remembers what it was told, for tests of the core and of whatever drives it.

It implements ``routing.peer.Peer`` and nothing more: no protocol, no connection. Each telling is one tuple of the
callback's name and its arguments, in the order they came.
"""

from __future__ import annotations

from typing import Any, Literal

from trio_router.payload import ABSENT, Payload
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.messages import Participant, Publisher
from trio_router.routing.peer import Delivery


class RecordingPeer:
    """``told`` holds everything, ``events`` the deliveries alone."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.events: list[Delivery] = []

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        """What was told by the callbacks of these names."""
        return [entry for entry in self.told if entry[0] in kinds]

    def event(self, delivery: Delivery) -> None:
        self.events.append(delivery)
        self.told.append(("event", delivery.channel, delivery.subscription, delivery.data))

    def invoke(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: float,
        progress: bool,
        caller: Publisher | None,
        caller_data: Any = None,
    ) -> None:
        known = [] if caller_data is None else [caller_data]
        self.told.append(("invoke", call, procedure, data, timeout, progress, caller, *known))

    def interrupt(self, call: str, reason: Literal["cancelled", "timeout", "caller_lost"]) -> None:
        self.told.append(("interrupt", call, reason))

    def call_accepted(self, tag: str) -> None:
        self.told.append(("call_accepted", tag))

    def result(self, tag: str, data: Payload, more: bool) -> None:
        self.told.append(("result", tag, data, more))

    def call_failed(self, tag: str, code: int, detail: str = "", data: Payload = ABSENT) -> None:
        self.told.append(("call_failed", tag, code, detail, data))

    def presence(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        self.told.append(("presence", user, change, sessions))

    def participant(
        self, channel: str, change: Literal["joined", "left"], participant: Participant, subscription: str | None
    ) -> None:
        self.told.append(("participant", channel, change, participant, subscription))

    def listen_found(self, pattern: str, channel: str) -> None:
        self.told.append(("listen_found", pattern, channel))

    def listen_timeout(self, pattern: str, channel: str) -> None:
        self.told.append(("listen_timeout", pattern, channel))

    def listen_removed(self, pattern: str, channel: str) -> None:
        self.told.append(("listen_removed", pattern, channel))

    def revoked(self, verb: str, name: str, code: int, detail: str = "", decision: str = "") -> None:
        self.told.append(("revoked", verb, name, code, detail, *([decision] if decision else [])))

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        self.told.append(("close", code, retry_after))
