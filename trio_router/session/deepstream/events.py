"""Events and listening of one deepstream session: what it asks goes to the core, name by name (T35).

A name is never a pattern here, whatever stands in it: deepstream subscribes names. What a client publishes it does not get back.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

from trio_router.errors import RecordsNeeded, Refused
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import EventAction, Topic
from trio_router.routing.events import is_pattern
from trio_router.session.deepstream.tokens import Tokens
from trio_router.session.deepstream.voice import Actions, Voice, Work

_NO_PATTERNS: Final = "channel: holds a character that names do not have"


class Events:
    """The topic EVENT of one session."""

    def __init__(self, voice: Voice, tokens: Tokens) -> None:
        self._voice = voice
        self._core = voice.core
        self._tokens = tokens

    def _emit(self, packet: Packet) -> Work | None:
        name, data = packet.name, self._voice.payload(packet)
        if data is None:
            return None
        if name is None:
            self._voice.misfit(packet, "name: is missing")
            return None
        try:
            self._core.publish(self._voice.session, name, data, echo=False)
        except Refused as refused:
            self._voice.refuse(packet, refused, name)
        except RecordsNeeded:
            return self._emit_with_records(packet, name, data)
        return None

    def _emit_with_records(self, packet: Packet, name: str, data: Payload) -> Work:
        publish = partial(self._core.publish, self._voice.session, name, data, echo=False)
        yield from self._voice.attempt(publish, packet, name)

    def _subscribe(self, packet: Packet) -> Work:
        names = self._voice.names(packet, self._voice.limits.subscriptions_per_session)
        if names is None:
            return
        session = self._voice.session
        for name in names:
            if is_pattern(name):
                self._voice.refuse(packet, Refused(codes.INVALID_NAME, _NO_PATTERNS), name)
            else:
                subscribe = partial(self._core.subscribe, session, name, self._tokens.of(name))
                yield from self._voice.attempt(subscribe, packet, name)
        self._voice.acknowledge(packet)

    def _unsubscribe(self, packet: Packet) -> None:
        names = self._voice.names(packet, self._voice.limits.subscriptions_per_session)
        if names is None:
            return
        for name in names:
            if name in self._voice.session.subscriptions:  # what it had not is not worth a word
                self._core.unsubscribe(self._voice.session, name)
        self._voice.acknowledge(packet)

    # ---- listening --------------------------------------------------------------------------------------------

    def _listen(self, packet: Packet) -> Work:
        pattern = self._pattern(packet)
        if pattern is not None:
            listen = partial(self._core.listen, self._voice.session, pattern)
            yield from self._voice.attempt(listen, packet, pattern)
            self._voice.acknowledge(packet, pattern)

    def _unlisten(self, packet: Packet) -> None:
        pattern = self._pattern(packet)
        if pattern is None:
            return
        try:
            self._core.unlisten(self._voice.session, pattern)
        except Refused as refused:
            self._voice.refuse(packet, refused, pattern)
        self._voice.acknowledge(packet, pattern)

    def _accept(self, packet: Packet) -> None:
        pattern, channel = packet.name, packet.subscription
        if pattern is None or channel is None:
            self._voice.misfit(packet, "name and subscription: expected both")
            return
        try:
            self._core.listen_accept(self._voice.session, pattern, channel)
        except Refused:
            listen = self._voice.session.listens.get(pattern)
            if listen is None or channel not in listen.provided:
                self.removed(
                    pattern, channel
                )  # it takes its acceptance for granted, and somebody else may be asked by now

    def _reject(self, packet: Packet) -> None:
        pattern, channel = packet.name, packet.subscription
        if pattern is None or channel is None:
            self._voice.misfit(packet, "name and subscription: expected both")
            return
        with suppress(Refused):  # too late, which changes nothing
            self._core.listen_reject(self._voice.session, pattern, channel)

    def _pattern(self, packet: Packet) -> str | None:
        if packet.name is None:
            self._voice.misfit(packet, "name: expected a pattern")
        return packet.name

    # ---- what the core tells ----------------------------------------------------------------------------------

    def found(self, pattern: str, channel: str) -> None:
        """It is asked whether it provides ``channel``."""
        self._about(EventAction.SUBSCRIPTION_FOR_PATTERN_FOUND, pattern, channel)

    def timed_out(self, pattern: str, channel: str) -> None:
        """It did not answer in time."""
        self._about(EventAction.LISTEN_RESPONSE_TIMEOUT, pattern, channel)

    def removed(self, pattern: str, channel: str) -> None:
        """It does not provide ``channel`` (any more)."""
        self._about(EventAction.SUBSCRIPTION_FOR_PATTERN_REMOVED, pattern, channel)

    def _about(self, action: EventAction, pattern: str, channel: str) -> None:
        self._voice.say(Packet(Topic.EVENT, action, name=pattern, subscription=channel))

    @classmethod
    def actions(cls) -> Actions:
        return {
            EventAction.EMIT: ("publish", cls._emit),
            EventAction.SUBSCRIBE: ("subscribe", cls._subscribe),
            EventAction.UNSUBSCRIBE: ("unsubscribe", cls._unsubscribe),
            EventAction.LISTEN: ("listen", cls._listen),
            EventAction.UNLISTEN: ("unlisten", cls._unlisten),
            EventAction.LISTEN_ACCEPT: ("listen_accept", cls._accept),
            EventAction.LISTEN_REJECT: ("listen_reject", cls._reject),
        }
