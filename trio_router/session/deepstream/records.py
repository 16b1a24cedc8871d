"""What a deepstream client is told that asks for records: that there are none yet, for each name it asked for.

Every request gets an answer, so that nobody waits for one in vain; an acknowledgement where its client counts on it.
"""

from __future__ import annotations

from typing import Final

from trio_router.errors import Refused
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import RecordAction
from trio_router.session.deepstream.voice import Actions, Voice

ACKNOWLEDGED: Final = frozenset({
    RecordAction.SUBSCRIBE,
    RecordAction.UNSUBSCRIBE,
    RecordAction.SUBSCRIBEANDHEAD,
    RecordAction.SUBSCRIBEANDREAD,
    RecordAction.SUBSCRIBECREATEANDREAD,
    RecordAction.SUBSCRIBECREATEANDUPDATE,
    RecordAction.NOTIFY,
    RecordAction.LISTEN,
    RecordAction.UNLISTEN,
})  # fmt: skip
HARMLESS: Final = frozenset({RecordAction.UNSUBSCRIBE, RecordAction.UNLISTEN})
REFUSED: Final = ACKNOWLEDGED - HARMLESS | {
    RecordAction.READ,
    RecordAction.HEAD,
    RecordAction.HEAD_BULK,
    RecordAction.DELETE,
    RecordAction.DELETE_BULK,
    RecordAction.CREATE,
    RecordAction.CREATEANDUPDATE,
    RecordAction.CREATEANDPATCH,
    RecordAction.UPDATE,
    RecordAction.PATCH,
    RecordAction.ERASE,
    RecordAction.PATCH_MULTI,
    RecordAction.LISTEN_ACCEPT,
    RecordAction.LISTEN_REJECT,
}

_NONE_YET: Final = "this router keeps no records"
_DENIED: Final = '"MESSAGE_DENIED"'


class Records:
    """The topic RECORD of one session."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def _refuse(self, packet: Packet) -> None:
        names = self._voice.names(packet, self._voice.limits.subscriptions_per_session)
        if names is None:
            return
        if packet.action not in HARMLESS:
            for name in names or (packet.name,):
                self._voice.refuse(packet, Refused(codes.NOT_SUPPORTED, _NONE_YET), name)
        if (
            packet.action == RecordAction.NOTIFY
        ):  # whose client takes its acknowledgement for success unless it carries data
            correlation_id = packet.correlation_id
            self._voice.say(
                Packet(packet.topic, packet.action, correlation_id=correlation_id, is_ack=True, data=_DENIED)
            )
        elif packet.action in ACKNOWLEDGED:
            self._voice.acknowledge(packet, packet.name)

    @classmethod
    def actions(cls) -> Actions:
        return dict.fromkeys(REFUSED | HARMLESS, ("record", cls._refuse))
