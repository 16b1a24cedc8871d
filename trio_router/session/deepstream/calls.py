"""Calls of one deepstream session, as caller and as provider.

A caller's correlation id is its tag in the core. A provider is shown the router's own id of the call in its place, so that an
answer counts only from the session that was chosen (T55); no client looks into it. The router's own procedures are answered here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from trio_router.errors import Refused
from trio_router.names import InvalidName, check_request_id
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import RpcAction, Topic
from trio_router.protocols.messages import Publisher
from trio_router.routing.session import Session
from trio_router.session.deepstream.replies import call_failure
from trio_router.session.deepstream.tokens import Answer, Tokens
from trio_router.session.deepstream.voice import Actions, Voice, Work
from trio_router.session.deepstream.wire import text_of

_encode = msgspec.json.Encoder().encode


class Calls:
    """The topic RPC of one session."""

    def __init__(self, voice: Voice, tokens: Tokens) -> None:
        self._voice = voice
        self._core = voice.core
        self._tokens = tokens
        self._procedures: dict[str, str] = {}  # of the calls it has made, by its own correlation id

    # ---- providing --------------------------------------------------------------------------------------------

    def _provide(self, packet: Packet) -> Work:
        names = self._voice.names(packet, self._voice.limits.procedures_per_session)
        if names is None:
            return
        within = self._voice.options.rpc_accept_timeout
        for name in names:
            token = self._tokens.of(name)
            provide = partial(self._core.provide, self._voice.session, name, token=token, accept_within=within)
            yield from self._voice.attempt(provide, packet, name)
        self._voice.acknowledge(packet)

    def _unprovide(self, packet: Packet) -> None:
        names = self._voice.names(packet, self._voice.limits.procedures_per_session)
        if names is None:
            return
        for name in names:
            if name in self._voice.session.offers:  # what it had not is not worth a word
                self._core.unprovide(self._voice.session, name)
        self._voice.acknowledge(packet)

    # ---- calling ----------------------------------------------------------------------------------------------

    def _request(self, packet: Packet) -> Work:
        voice, name, tag = self._voice, packet.name, packet.correlation_id
        if name is None or tag is None:
            voice.misfit(packet, "name and correlationId: expected both")
            return
        try:
            check_request_id(tag)
        except InvalidName:
            packet.correlation_id = None
            voice.misfit(packet, "correlationId: is not an id")
            return
        data = voice.payload(packet)
        if data is None:
            return
        answer = self._tokens.answer(voice.session, name, data.value)
        if answer is not None:
            yield from self._answer_ourselves(name, tag, answer)
            return
        if tag in voice.session.calls:
            voice.refuse(packet, Refused(codes.DUPLICATE_ID), name)
            return
        self._procedures[tag] = name
        options = voice.options
        call = partial(
            self._core.call,
            voice.session,
            tag,
            name,
            data,
            timeout=options.rpc_response_timeout,
            progress=False,
            disclose=options.requestor_name or options.requestor_data,
            token=self._tokens.of(name),
        )
        if not (yield from voice.attempt(call, packet, name)):
            self._procedures.pop(tag, None)

    def _answer_ourselves(self, name: str, tag: str, answer: Answer) -> Work:
        """A call of one of the router's own procedures."""
        try:
            value = yield from answer
        except Refused as refused:
            error: dict[str, Any] = {"error": codes.error(refused.code).slug, "detail": refused.detail}
            if refused.decision:
                error["decision"] = refused.decision
            self._tell_caller(RpcAction.REQUEST_ERROR, name, tag, _encode(error).decode())
        else:
            self._tell_caller(RpcAction.RESPONSE, name, tag, _encode(value).decode())

    # ---- answering --------------------------------------------------------------------------------------------

    def _answer(self, packet: Packet, do: Callable[[Session, str, Payload], None]) -> None:
        call = packet.correlation_id
        if call is None or packet.name is None:
            self._voice.misfit(packet, "name and correlationId: expected both")
            return
        data = self._voice.payload(packet)
        if data is None:
            return
        try:
            do(self._voice.session, call, data)
        except Refused as refused:
            self._voice.refuse(packet, refused, packet.name)

    def _accept(self, packet: Packet) -> None:
        self._answer(packet, lambda session, call, _: self._core.accept(session, call))

    def _response(self, packet: Packet) -> None:
        self._answer(packet, lambda session, call, data: self._core.result(session, call, data, more=False))

    def _reject(self, packet: Packet) -> None:
        self._answer(packet, lambda session, call, _: self._core.reject(session, call))

    def _request_error(self, packet: Packet) -> None:
        self._answer(packet, self._core.error)

    # ---- what the core tells ----------------------------------------------------------------------------------

    def invoke(self, call: str, procedure: str, data: Payload, caller: Publisher | None, caller_data: Any) -> None:
        """It was chosen to answer a call."""
        options = self._voice.options
        packet = Packet(Topic.RPC, RpcAction.REQUEST, name=procedure, correlation_id=call, data=text_of(data))
        if caller is not None and options.requestor_name:
            packet.requestor_name = caller.user
        if caller is not None and options.requestor_data and caller_data is not None:
            packet.requestor_data = _encode(caller_data).decode()
        self._voice.say(packet)

    def accepted(self, tag: str) -> None:
        """A provider took on the call it made."""
        procedure = self._procedures.get(tag)
        if procedure is not None:
            self._tell_caller(RpcAction.ACCEPT, procedure, tag)

    def result(self, tag: str, data: Payload) -> None:
        """The result of the call it made."""
        self._end(tag, RpcAction.RESPONSE, data)

    def failed(self, tag: str, code: int, data: Payload) -> None:
        """The call it made has come to nothing."""
        if code == codes.PROVIDER_ERROR:
            self._end(tag, RpcAction.REQUEST_ERROR, data)
        else:
            self._end(tag, call_failure(code), ABSENT)

    def _end(self, tag: str, action: int, data: Payload) -> None:
        procedure = self._procedures.pop(tag, None)
        if procedure is not None:
            self._tell_caller(action, procedure, tag, text_of(data))

    def _tell_caller(self, action: int, procedure: str, tag: str, data: str | None = None) -> None:
        self._voice.say(Packet(Topic.RPC, action, name=procedure, correlation_id=tag, data=data))

    @classmethod
    def actions(cls) -> Actions:
        return {
            RpcAction.REQUEST: ("call", cls._request),
            RpcAction.ACCEPT: ("accept", cls._accept),
            RpcAction.RESPONSE: ("result", cls._response),
            RpcAction.REJECT: ("reject", cls._reject),
            RpcAction.REQUEST_ERROR: ("error", cls._request_error),
            RpcAction.PROVIDE: ("provide", cls._provide),
            RpcAction.UNPROVIDE: ("unprovide", cls._unprovide),
        }
