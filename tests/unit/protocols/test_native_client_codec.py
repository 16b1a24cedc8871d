"""The two codecs together: what one side says is what the other hears. And the client is lenient where it should be."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.protocols.test_native_codec import MINIMAL, TOLD
from trio_router.errors import RemoteProtocolError
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages
from trio_router.protocols.native.client_codec import ToldClosing, ToldFailed, decode_reply, encode_request
from trio_router.protocols.native.codec import decode, encode

NESTED = [1, {"a": None}]


def plain(message: messages.Message) -> dict[str, Any]:
    """The fields of a message, payloads by value."""
    return {
        name: ("absent" if value is ABSENT else value.value) if isinstance(value, Payload) else value
        for name, value in msgspec.structs.asdict(message).items()
    }


@pytest.mark.parametrize("message", [message for _, message in MINIMAL], ids=lambda message: type(message).__name__)
def test_what_a_client_says_is_what_the_router_hears(message: messages.Request) -> None:
    assert plain(decode(encode_request(message))) == plain(message)


@pytest.mark.parametrize("data", [ABSENT, Payload(None), Payload(0), Payload(""), Payload(NESTED)])
def test_data_arrives_as_it_was(data: Payload) -> None:
    for message in (messages.Publish("a", data), messages.Call("1", "p", data), messages.ProviderResult("c", data)):
        assert plain(decode(encode_request(message))) == plain(message)
    for reply in (messages.Event("a", data), messages.Result("1", data), messages.Failed(415, "1", data=data)):
        assert plain(reply).items() <= plain(decode_reply(encode(reply))).items()


@pytest.mark.parametrize("message", [message for message, _ in TOLD], ids=lambda message: type(message).__name__)
def test_what_the_router_says_is_what_a_client_hears(message: messages.Reply) -> None:
    heard = decode_reply(encode(message))
    assert isinstance(heard, type(message))
    assert plain(message).items() <= plain(heard).items()


def test_the_deepest_data_a_client_may_send_can_be_heard() -> None:
    deepest: Any = 1
    for _ in range(31):
        deepest = [deepest]
    message = decode(json.dumps({"type": "publish", "channel": "a", "data": deepest}))
    assert isinstance(message, messages.Publish)
    heard = decode_reply(encode(messages.Event("a", message.data)))
    assert plain(heard)["data"] == deepest


def test_what_a_newer_router_adds_is_passed_over() -> None:
    reply = decode_reply('{"type":"done","id":"1","sequence":7,"more":{"x":[]}}')
    assert reply == messages.Done("1")
    with pytest.raises(RemoteProtocolError) as caught:
        decode_reply('{"type":"weather","id":"1"}')
    assert caught.value.code == codes.UNKNOWN_TYPE


def test_codes_of_a_newer_router_explain_themselves() -> None:
    failed = decode_reply('{"type":"error","id":"1","code":499,"error":"new","text":"new here","temporary":true}')
    assert failed == ToldFailed(499, "1", error="new", text="new here", temporary=True)
    closing = decode_reply('{"type":"closing","code":4999,"close":"new","text":"gone","advice":"stop"}')
    assert closing == ToldClosing(4999, close="new", text="gone", advice="stop")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        '{"type":3}',
        '{"type":"done"}',
        '{"type":"done","id":1}',
        '{"type":"interrupt","call":"c","reason":"x"}',
        '{"type"',
    ],
)
def test_a_router_that_talks_nonsense_is_not_believed(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_reply(text)


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["type", "id", "code"]), st.sampled_from(["error", 1, None])).map(json.dumps)
)
def test_any_bytes_give_a_reply_or_one_kind_of_error(text: bytes | str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_reply(text)
