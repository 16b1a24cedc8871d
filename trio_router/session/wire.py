"""The protocol a session speaks, as the session sees it: frames in, messages out, and back.

A session knows no serializer: which one it speaks is chosen from the link's subprotocol, here. ``key`` is where a delivery
keeps this protocol's frame, so that an event is encoded once however many sessions receive it.
"""

from __future__ import annotations

from typing import Protocol

from trio_router.limits import Limits
from trio_router.payload import Payload
from trio_router.protocols import messages
from trio_router.protocols.native import codec, quick
from trio_router.protocols.native.shapes import SUBPROTOCOL
from trio_router.routing.peer import Delivery


class Wire(Protocol):
    """One protocol."""

    @property
    def key(self) -> object:
        """Names the protocol; the same for every session that speaks it."""

    def decode(self, text: str) -> messages.Request:
        """The message in ``text``. Raises ``RemoteProtocolError``."""

    def frame(self, message: messages.Reply) -> bytes:
        """``message`` as one whole WebSocket frame."""

    def done_frame(self, request_id: str) -> bytes:
        """``messages.Done`` without an end, as a frame."""

    def result_frame(self, request_id: str, data: Payload, more: bool) -> bytes:
        """``messages.Result`` as a frame."""

    def invoke_frame(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: int,
        progress: bool,
        caller: messages.Publisher | None,
    ) -> bytes:
        """``messages.Invoke`` as a frame."""

    def event_frame(self, delivery: Delivery) -> bytes:
        """An event as one whole WebSocket frame."""


class NativeWire:
    """``trio-router.v1+json``."""

    def __init__(self, limits: Limits) -> None:
        self._depth = limits.json_depth

    @property
    def key(self) -> object:
        return SUBPROTOCOL

    def decode(self, text: str) -> messages.Request:
        return quick.decode(text, self._depth) or codec.decode_in_full(text, depth=self._depth)

    def frame(self, message: messages.Reply) -> bytes:
        return codec.frame(message)

    def done_frame(self, request_id: str) -> bytes:
        return quick.done_frame(request_id)

    def result_frame(self, request_id: str, data: Payload, more: bool) -> bytes:
        return quick.result_frame(request_id, data, more)

    def invoke_frame(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: int,
        progress: bool,
        caller: messages.Publisher | None,
    ) -> bytes:
        return quick.invoke_frame(call, procedure, data, timeout, progress, caller)

    def event_frame(self, delivery: Delivery) -> bytes:
        if (
            delivery.publisher is None
            and delivery.subscription is None
            and delivery.source is None
            and delivery.seq is None
        ):  # nearly all are like that
            return codec.plain_event_frame(delivery.channel, delivery.data)
        return codec.event_frame(
            delivery.channel,
            delivery.data,
            delivery.subscription,
            delivery.publisher,
            delivery.source,
            delivery.seq,
        )
