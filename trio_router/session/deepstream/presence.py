"""Presence of one deepstream session: who is online, name by name as the rules let it see (T22).

deepstream counts users, not sessions: it is told of the first session of a user and of the last. Whoever watches a user by name and
everybody besides is told twice, as its client keeps two books.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Literal

import msgspec

from trio_router.errors import Refused
from trio_router.names import InvalidName, check_user_id
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import PresenceAction, Topic
from trio_router.session.deepstream.voice import Actions, Voice, Work

_encode = msgspec.json.Encoder().encode


class Presence:
    """The topic PRESENCE of one session."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._core = voice.core

    def _query_all(self, packet: Packet) -> Work:
        session = self._voice.session
        users: list[str] = []

        def query() -> None:
            self._core.presence_of_everybody(session)
            found, _ = self._core.presence_query(session, None)
            users.extend(user for user in found if user != session.identity.user.id)

        if (yield from self._voice.attempt(query, packet, None)):
            response = PresenceAction.QUERY_ALL_RESPONSE
            self._voice.say(Packet(Topic.PRESENCE, response, names=users, correlation_id=packet.correlation_id))

    def _query(self, packet: Packet) -> Work:
        names = self._users(packet)
        if names is None:
            return
        online: dict[str, bool] = {}
        refused = 0
        for name in names:

            def query(name: str = name) -> None:
                found, denied = self._core.presence_query(self._voice.session, [name])
                _grant(denied)
                online.update((user, sessions > 0) for user, sessions in found.items())

            refused += not (yield from self._one(query, packet, name))
        if online or not refused:
            self._voice.say(
                Packet(
                    Topic.PRESENCE,
                    PresenceAction.QUERY_RESPONSE,
                    correlation_id=packet.correlation_id,
                    data=_encode(online).decode(),
                )
            )

    def _subscribe(self, packet: Packet) -> Work:
        names = self._users(packet)
        if names is None:
            return
        for name in names:

            def subscribe(name: str = name) -> None:
                _grant(self._core.presence_subscribe(self._voice.session, [name]))

            yield from self._one(subscribe, packet, name)
        self._voice.acknowledge(packet)

    def _one(self, do: Callable[[], None], packet: Packet, name: str) -> Generator[Sequence[str], bool, bool]:
        try:
            check_user_id(name)
        except InvalidName as error:
            self._voice.refuse(packet, Refused(codes.INVALID_NAME, f"user: {error}"), name)
            return False
        return (yield from self._voice.attempt(do, packet, name))

    def _unsubscribe(self, packet: Packet) -> None:
        names = self._users(packet)
        if names is None:
            return
        watched = [name for name in names if name in self._voice.session.watches]
        if watched:
            self._core.presence_unsubscribe(self._voice.session, watched)
        self._voice.acknowledge(packet)

    def _subscribe_all(self, packet: Packet) -> Work:
        def subscribe() -> None:
            self._core.presence_of_everybody(self._voice.session)
            self._core.presence_subscribe(self._voice.session, None)

        yield from self._voice.attempt(subscribe, packet, None)
        self._voice.acknowledge(packet)

    def _unsubscribe_all(self, packet: Packet) -> None:
        if self._voice.session.everybody:
            self._core.presence_unsubscribe(self._voice.session, None)
        self._voice.acknowledge(packet)

    def _users(self, packet: Packet) -> Sequence[str] | None:
        return self._voice.names(packet, self._voice.limits.presence_names_per_request)

    # ---- what the core tells ----------------------------------------------------------------------------------

    def changed(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        """A session of a user it watches came or went; ``sessions`` are left."""
        joined = change == "joined"
        if sessions != (1 if joined else 0):
            return
        session = self._voice.session
        if user in session.watches:
            self._say(PresenceAction.PRESENCE_JOIN if joined else PresenceAction.PRESENCE_LEAVE, user)
        if session.everybody:
            self._say(PresenceAction.PRESENCE_JOIN_ALL if joined else PresenceAction.PRESENCE_LEAVE_ALL, user)

    def _say(self, action: PresenceAction, user: str) -> None:
        self._voice.say(Packet(Topic.PRESENCE, action, name=user))

    @classmethod
    def actions(cls) -> Actions:
        return {
            PresenceAction.QUERY_ALL: ("presence_query", cls._query_all),
            PresenceAction.QUERY: ("presence_query", cls._query),
            PresenceAction.SUBSCRIBE: ("presence_subscribe", cls._subscribe),
            PresenceAction.UNSUBSCRIBE: ("presence_unsubscribe", cls._unsubscribe),
            PresenceAction.SUBSCRIBE_ALL: ("presence_subscribe", cls._subscribe_all),
            PresenceAction.UNSUBSCRIBE_ALL: ("presence_unsubscribe", cls._unsubscribe_all),
        }


def _grant(denied: Mapping[str, str]) -> None:
    for decision in denied.values():
        raise Refused(codes.DENIED, decision=decision)
