"""The router's codec: what a client may say, to the field, and what it is told when it may not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.errors import RemoteProtocolError
from trio_router.names import NAME_CHARACTERS
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages
from trio_router.protocols.native import codec, shapes
from trio_router.protocols.native.codec import decode, encode, encode_event, event_frame, plain_event_frame


def refusal(message: Any, **options: int) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(message if isinstance(message, (str, bytes)) else json.dumps(message), **options)
    return caught.value


MINIMAL: list[tuple[dict[str, Any], messages.Message]] = [
    ({"type": "login", "id": "1"}, messages.Login("1")),
    (
        {"type": "login", "id": "1", "auth": {"token": "t", "deep": [1]}},
        messages.Login("1", {"token": "t", "deep": [1]}),
    ),
    ({"type": "answer", "id": "1", "data": "x"}, messages.Answer("1", "x")),
    ({"type": "subscribe", "id": "1", "channel": "news/*"}, messages.Subscribe("1", "news/*")),
    ({"type": "unsubscribe", "id": "1", "channel": "news/*"}, messages.Unsubscribe("1", "news/*")),
    ({"type": "subscribe", "id": "1", "channel": "pvt:a", "token": "t"}, messages.Subscribe("1", "pvt:a", "t")),
    ({"type": "connect", "id": "1", "channel": "prs:a", "token": "t"}, messages.Connect("1", "prs:a", "t")),
    ({"type": "disconnect", "id": "1", "channel": "prs:a"}, messages.Disconnect("1", "prs:a")),
    ({"type": "participants", "id": "1", "channel": "prs:a"}, messages.Participants("1", "prs:a")),
    (
        {"type": "publish", "channel": "a", "to": "s-1", "exclude": ["s-2"]},
        messages.Publish("a", to="s-1", exclude=("s-2",)),
    ),
    (
        {"type": "provide", "id": "1", "procedure": "pvt:p", "direct": True, "token": "t"},
        messages.Provide("1", "pvt:p", direct=True, token="t"),
    ),
    (
        {"type": "call", "id": "1", "procedure": "pvt:p", "provider": "s-1", "token": "t"},
        messages.Call("1", "pvt:p", provider="s-1", token="t"),
    ),
    ({"type": "publish", "channel": "pvt:a"}, messages.Publish("pvt:a")),
    (
        {"type": "publish", "channel": "a", "id": "x", "echo": False, "disclose": True},
        messages.Publish("a", id="x", echo=False, disclose=True),
    ),
    ({"type": "listen", "id": "1", "pattern": "^a/(b|ü)$"}, messages.Listen("1", "^a/(b|ü)$")),
    ({"type": "unlisten", "id": "1", "pattern": "a"}, messages.Unlisten("1", "a")),
    ({"type": "listen_accept", "pattern": "^a/", "channel": "a/b"}, messages.ListenAccept("^a/", "a/b")),
    ({"type": "listen_reject", "pattern": "^a/", "channel": "a/b"}, messages.ListenReject("^a/", "a/b")),
    ({"type": "provide", "id": "1", "procedure": "p"}, messages.Provide("1", "p")),
    ({"type": "provide", "id": "1", "procedure": "p", "concurrency": 3}, messages.Provide("1", "p", 3)),
    ({"type": "unprovide", "id": "1", "procedure": "p"}, messages.Unprovide("1", "p")),
    ({"type": "call", "id": "1", "procedure": "p"}, messages.Call("1", "p")),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": 5, "progress": True, "disclose": True},
        messages.Call("1", "p", timeout=5, progress=True, disclose=True),
    ),
    ({"type": "cancel", "id": "1"}, messages.Cancel("1")),
    ({"type": "result", "call": "c", "more": True}, messages.ProviderResult("c", more=True)),
    ({"type": "error", "call": "c"}, messages.ProviderError("c")),
    ({"type": "reject", "call": "c"}, messages.ProviderReject("c")),
    ({"type": "presence_query", "id": "1"}, messages.PresenceQuery("1")),
    ({"type": "presence_query", "id": "1", "users": ["a", "b|c"]}, messages.PresenceQuery("1", ("a", "b|c"))),
    ({"type": "presence_query", "id": "1", "users": []}, messages.PresenceQuery("1", ())),
    ({"type": "presence_subscribe", "id": "1", "users": None}, messages.PresenceSubscribe("1")),
    ({"type": "presence_unsubscribe", "id": "1", "users": ["a"]}, messages.PresenceUnsubscribe("1", ("a",))),
    ({"type": "refresh", "id": "1", "token": "t"}, messages.Refresh("1", "t")),
    ({"type": "ping"}, messages.Ping()),
    ({"type": "ping", "id": "p"}, messages.Ping("p")),
]


@pytest.mark.parametrize(
    ("wire", "message"), MINIMAL, ids=lambda value: value["type"] if isinstance(value, dict) else ""
)
def test_what_a_client_may_say(wire: dict[str, Any], message: messages.Message) -> None:
    assert decode(json.dumps(wire)) == message
    assert decode(json.dumps(wire).encode()) == message


def test_every_verb_is_tried_above() -> None:
    assert {wire["type"] for wire, _ in MINIMAL} == set(shapes.REQUEST_BY_VERB)


def test_absent_data_is_not_null() -> None:
    absent = decode('{"type":"publish","channel":"a"}')
    null = decode('{"type":"publish","channel":"a","data":null}')
    assert isinstance(absent, messages.Publish)
    assert isinstance(null, messages.Publish)
    assert absent.data is ABSENT
    assert not null.data.is_absent
    assert null.data.value is None


WRONG: list[tuple[Any, int, str]] = [
    ([], codes.INVALID_MESSAGE, "expected an object with a type"),
    ('"ping"', codes.INVALID_MESSAGE, "expected an object with a type"),
    (None, codes.INVALID_MESSAGE, "expected an object with a type"),
    ({}, codes.INVALID_MESSAGE, "type: is missing"),
    ({"type": None}, codes.INVALID_MESSAGE, "type: is missing"),
    ({"type": 3}, codes.INVALID_MESSAGE, "type: expected a string"),
    ({"type": ["publish"]}, codes.INVALID_MESSAGE, "type: expected a string"),
    ({"type": "publsih"}, codes.UNKNOWN_TYPE, "type: unknown; did you mean publish?"),
    ({"type": "Publish"}, codes.UNKNOWN_TYPE, "type: unknown; did you mean publish?"),
    ({"type": "zzz"}, codes.UNKNOWN_TYPE, "type: unknown; known are answer, call,"),
    ({"type": "<script>"}, codes.UNKNOWN_TYPE, "type: unknown; known are answer, call,"),
    ({"type": "welcome", "id": "1"}, codes.UNKNOWN_TYPE, "type: unknown"),
    ({"type": "publish"}, codes.INVALID_MESSAGE, "channel: is missing"),
    ({"type": "publish", "channel": 1}, codes.INVALID_MESSAGE, "channel: expected a string, got an integer"),
    (
        {"type": "publish", "channel": "a", "echo": 1},
        codes.INVALID_MESSAGE,
        "echo: expected true or false, got an integer",
    ),
    (
        {"type": "publish", "chanel": "a"},
        codes.INVALID_MESSAGE,
        "chanel: publish has no such field; did you mean channel?",
    ),
    ({"type": "login", "id": "1", "auth": []}, codes.INVALID_MESSAGE, "auth: expected an object or null, got an array"),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": True},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer",
    ),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": 1.5},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer",
    ),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": "5"},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer",
    ),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": 0},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer from 1 to",
    ),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": -1},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer from 1",
    ),
    (
        {"type": "call", "id": "1", "procedure": "p", "timeout": 2**31},
        codes.INVALID_MESSAGE,
        "timeout: expected an integer from",
    ),
    (
        {"type": "provide", "id": "1", "procedure": "p", "concurrency": 0},
        codes.INVALID_MESSAGE,
        "concurrency: expected an",
    ),
    ({"type": "presence_query", "id": "1", "users": "ann"}, codes.INVALID_MESSAGE, "users: expected an array or null"),
    ({"type": "presence_query", "id": "1", "users": ["a", 2]}, codes.INVALID_MESSAGE, "users[1]: expected a string"),
    ({"type": "presence_query", "id": "1", "users": ["a", "*"]}, codes.INVALID_NAME, "users[1]: holds a character"),
    ({"type": "subscribe", "id": "1", "channel": "a//b"}, codes.INVALID_NAME, "channel: has an empty segment"),
    ({"type": "publish", "channel": "a/*"}, codes.INVALID_NAME, "channel: holds a character"),
    ({"type": "call", "id": "1", "procedure": "sys:p"}, codes.INVALID_NAME, "procedure: has a kind"),
    ({"type": "provide", "id": "1", "procedure": "p*"}, codes.INVALID_NAME, "procedure: holds a character"),
    ({"type": "ping", "id": ""}, codes.INVALID_MESSAGE, "id: is empty"),
    ({"type": "cancel", "id": "x" * 65}, codes.INVALID_MESSAGE, "id: is longer than 64"),
    ({"type": "cancel", "id": "é"}, codes.INVALID_MESSAGE, "id: holds a character"),
    ({"type": "cancel", "id": 7}, codes.INVALID_MESSAGE, "id: expected a string, got an integer"),
    ({"type": "result", "call": "a b"}, codes.INVALID_MESSAGE, "call: holds a character"),
    ({"type": "listen", "id": "1"}, codes.INVALID_MESSAGE, "pattern: is missing"),
    ({"type": "listen_accept", "pattern": "a", "channel": "a*"}, codes.INVALID_NAME, "channel: holds a character"),
    ({"type": "reject", "call": ""}, codes.INVALID_MESSAGE, "call: is empty"),
]


@pytest.mark.parametrize(("wire", "code", "detail"), WRONG)
def test_what_is_wrong_is_named(wire: Any, code: int, detail: str) -> None:
    error = refusal(wire)
    assert error.code == code
    assert error.detail.startswith(detail)


def test_the_id_comes_back_whenever_it_can_be_read() -> None:
    assert refusal({"type": "nope", "id": "a-1"}).request_id == "a-1"
    assert refusal({"type": "subscribe", "id": "a-1"}).request_id == "a-1"
    assert refusal({"type": "subscribe", "id": "a-1", "channel": "//"}).request_id == "a-1"
    assert refusal({"type": "subscribe", "id": "a-1", "channel": "a", "x": 1}).request_id == "a-1"
    assert refusal({"id": "a-1"}).request_id == "a-1"
    assert refusal({"type": "cancel", "id": "a b"}).request_id is None
    assert refusal({"type": "nope", "id": 3}).request_id is None
    assert refusal('{"type":"cancel","id":"a"').request_id is None


def test_what_was_sent_is_not_repeated() -> None:
    secret = "hunter2-" + "x" * 3000
    for message in (
        {"type": secret},
        {"type": "ping", secret: 1},
        {"type": "publish", "channel": secret},
        {"type": "login", "id": "1", "auth": secret},
        {"type": "login", "id": secret},
    ):
        error = refusal(message)
        assert "hunter2" not in error.detail
        assert len(error.detail) < 300


@pytest.mark.threat("T15")
def test_nesting_is_bounded_by_the_caller() -> None:
    deep: Any = 1
    for _ in range(5):
        deep = [deep]
    message = {"type": "publish", "channel": "a", "data": deep}
    decode(json.dumps(message), depth=6)
    assert "nested more than 5 deep" in refusal(message, depth=5).detail


FORGED = [
    "publisher", "Publisher", "PUBLISHER", "session", "Session", "user", "User", "user_id", "caller", "expires", "subscription",
    "__class__", "__proto__", "constructor", "cls", "self", "verb", "Type", "type ", "\u0442ype", "",
]  # fmt: skip


@pytest.mark.threat("T28")
@pytest.mark.threat("T18")
@pytest.mark.parametrize("field", FORGED)
@pytest.mark.parametrize("wire", [wire for wire, _ in MINIMAL], ids=lambda wire: wire["type"])
def test_only_the_fields_of_a_message_are_taken(wire: dict[str, Any], field: str) -> None:
    error = refusal(wire | {field: {"session": "s", "user": "admin"}})
    assert error.code == codes.INVALID_MESSAGE
    assert "has no such field" in error.detail


@pytest.mark.threat("T28")
def test_a_forged_field_in_data_stays_data() -> None:
    inner = {"publisher": {"user": "admin"}, "type": "welcome", "__proto__": {"user": "admin"}}
    message = decode(json.dumps({"type": "publish", "channel": "a", "data": inner}))
    assert isinstance(message, messages.Publish)
    assert message.data.value == inner
    told = json.loads(encode_event(message.channel, message.data))
    assert told == {"type": "event", "channel": "a", "data": inner}


@pytest.mark.threat("T28")
@pytest.mark.threat("T16")
@pytest.mark.parametrize("twice", ["channel", "type", "id", "data"])
def test_a_field_given_twice_is_refused(twice: str) -> None:
    values = {"type": '"publish"', "channel": '"a"', "id": '"1"', "data": "1"}
    text = "{" + ",".join(f'"{k}":{v}' for k, v in values.items()) + f',"{twice}":"b"' + "}"
    assert "second time" in refusal(text).detail


NOT_CANONICAL = [
    "", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "a.", "a./b", "a b", "a\u00a0b", " a", "a ", "a\x00", "a\n", "caf\u00e9", "cafe\u0301",
    "\uff41", "a\u200bb", "a\u202eb", "%2e%2e", "a%2fb", "a\\b", "x:y", "pvt:", "\u0430", "a" * 256, "a?b", "a#b", "a&b", "$a",
]  # fmt: skip


@pytest.mark.threat("T25")
@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_a_name_is_refused_rather_than_rewritten(name: str) -> None:
    for wire in (
        {"type": "publish", "channel": name},
        {"type": "subscribe", "id": "1", "channel": name},
        {"type": "unsubscribe", "id": "1", "channel": name},
        {"type": "call", "id": "1", "procedure": name},
        {"type": "provide", "id": "1", "procedure": name},
        {"type": "unprovide", "id": "1", "procedure": name},
    ):
        assert refusal(wire).code == codes.INVALID_NAME


@pytest.mark.threat("T25")
@settings(deadline=None)
@given(st.text(st.sampled_from("aB1._:/@+~=-*% "), min_size=1, max_size=12))
def test_an_accepted_name_is_what_was_sent(name: str) -> None:
    try:
        message = decode(json.dumps({"type": "subscribe", "id": "1", "channel": name}))
    except RemoteProtocolError as error:
        assert error.code == codes.INVALID_NAME
    else:
        assert isinstance(message, messages.Subscribe)
        assert message.channel == name


@pytest.mark.threat("T17")
@pytest.mark.threat("M9")
def test_a_hundred_thousand_crafted_ids_cost_what_any_others_cost() -> None:
    """Integers that are multiples of 2**61 - 1 have one hash. As ids they are refused; as text they are like any other."""
    count, modulus = 100_000, 2**61 - 1

    def seconds(texts: list[bytes]) -> float:
        start, kept = time.thread_time(), {}
        for text in texts:
            try:
                message = decode(text)
            except RemoteProtocolError:
                continue
            assert isinstance(message, messages.Cancel)
            kept[message.id] = None  # what a session does with an id
        assert len(kept) in {0, len(texts)}
        return time.thread_time() - start

    plain = seconds([b'{"type":"cancel","id":"%d"}' % n for n in range(count)])
    crafted = seconds([b'{"type":"cancel","id":"%d"}' % (n * modulus) for n in range(count)])
    refused = seconds([b'{"type":"cancel","id":%d}' % (n * modulus) for n in range(1, count // 10)])
    assert crafted < 10 * plain + 1
    assert refused < 10 * plain + 1


fuzz = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([*shapes.REQUEST_BY_VERB, "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "id", "channel", "users", "data", "call"]), inner)
    ),
    max_leaves=10,
)


@pytest.mark.threat("T15")
@pytest.mark.threat("T16")
@settings(deadline=None, max_examples=500)
@given(fuzz.map(json.dumps) | st.binary(max_size=80))
def test_whatever_comes_is_a_message_or_one_kind_of_error(frame: str | bytes) -> None:
    try:
        message = decode(frame)
    except RemoteProtocolError as error:
        assert error.code in {codes.INVALID_MESSAGE, codes.UNKNOWN_TYPE, codes.INVALID_NAME}
        assert error.detail
    else:
        assert type(message) in {shape.cls for shape in shapes.REQUESTS}


# ---- to a client ----------------------------------------------------------------------------------------

PUBLISHER = messages.Publisher("s1", "ann")

TOLD: list[tuple[messages.Reply, dict[str, Any]]] = [
    (
        messages.Hello("s1", 15_000, 1024, 25_000),
        {
            "type": "hello",
            "protocol": "trio-router.v1+json",
            "session": "s1",
            "login_timeout": 15_000,
            "message_size": 1024,
            "ping_interval": 25_000,
        },
    ),
    (messages.Challenge("1", "nonce"), {"type": "challenge", "id": "1", "data": "nonce"}),
    (messages.Welcome("1", "s1", "ann"), {"type": "welcome", "id": "1", "session": "s1", "user": "ann"}),
    (
        messages.Welcome("1", "s1", "ann", {"a": [1]}, 12.5),
        {"type": "welcome", "id": "1", "session": "s1", "user": "ann", "client_data": {"a": [1]}, "expires": 12.5},
    ),
    (messages.Done("1"), {"type": "done", "id": "1"}),
    (
        messages.Failed(codes.DENIED, "1", "why", "publish", "a"),
        {
            "type": "error",
            "code": 300,
            "id": "1",
            "detail": "why",
            "verb": "publish",
            "name": "a",
            "error": "denied",
            "text": "the rules do not allow this",
            "temporary": False,
        },
    ),
    (
        messages.Failed(codes.PROVIDER_ERROR, data=Payload(None)),
        {
            "type": "error",
            "code": 415,
            "data": None,
            "error": "provider_error",
            "text": "the provider answered with an error",
            "temporary": False,
        },
    ),
    (messages.Event("a"), {"type": "event", "channel": "a"}),
    (messages.Event("a", Payload(None)), {"type": "event", "channel": "a", "data": None}),
    (
        messages.Event("a/b", Payload(False), "a/*", PUBLISHER),
        {
            "type": "event",
            "channel": "a/b",
            "data": False,
            "subscription": "a/*",
            "publisher": {"session": "s1", "user": "ann"},
        },
    ),
    (messages.Invoke("c", "p"), {"type": "invoke", "call": "c", "procedure": "p"}),
    (
        messages.Invoke("c", "p", Payload([1]), 500, progress=True, caller=PUBLISHER),
        {
            "type": "invoke",
            "call": "c",
            "procedure": "p",
            "data": [1],
            "timeout": 500,
            "progress": True,
            "caller": {"session": "s1", "user": "ann"},
        },
    ),
    (messages.Interrupt("c", "timeout"), {"type": "interrupt", "call": "c", "reason": "timeout"}),
    (messages.Result("1"), {"type": "result", "id": "1"}),
    (messages.Result("1", Payload(0), more=True), {"type": "result", "id": "1", "data": 0, "more": True}),
    (messages.PresenceState("1", {}), {"type": "presence", "id": "1", "users": {}}),
    (
        messages.PresenceState("1", {"a": 2, "b": 0}, ("c",)),
        {"type": "presence", "id": "1", "users": {"a": 2, "b": 0}, "denied": ["c"]},
    ),
    (
        messages.PresenceState("1", {}, ("c",), {"c": "Zk1_9-aXq0Lm"}),
        {"type": "presence", "id": "1", "users": {}, "denied": ["c"], "decisions": {"c": "Zk1_9-aXq0Lm"}},
    ),
    (
        messages.PresenceChange("a", "left", 0),
        {"type": "presence_change", "user": "a", "change": "left", "sessions": 0},
    ),
    (
        messages.ParticipantList("1", "prs:a", (messages.Participant("s-1", "ada", {"age": 36}),)),
        {
            "type": "participants",
            "id": "1",
            "channel": "prs:a",
            "participants": [{"session": "s-1", "sysid": "ada", "sysinfo": {"age": 36}}],
        },
    ),
    (
        messages.ParticipantChange("sys:a", "joined", messages.Participant("s-1", "ada"), "sys:*"),
        {
            "type": "participant_change",
            "channel": "sys:a",
            "change": "joined",
            "participant": {"session": "s-1", "sysid": "ada", "sysinfo": {}},
            "subscription": "sys:*",
        },
    ),
    (
        messages.ListenFound("^a/", "a/b"),
        {"type": "listen_found", "pattern": "^a/", "channel": "a/b"},
    ),
    (
        messages.ListenTimeout("^a/", "a/b"),
        {"type": "listen_timeout", "pattern": "^a/", "channel": "a/b"},
    ),
    (
        messages.ListenRemoved("^a/", "a/b"),
        {"type": "listen_removed", "pattern": "^a/", "channel": "a/b"},
    ),
    (
        messages.Revoked("subscribe", "a", codes.DENIED),
        {
            "type": "revoked",
            "verb": "subscribe",
            "name": "a",
            "code": 300,
            "error": "denied",
            "text": "the rules do not allow this",
        },
    ),
    (messages.Expiring(1_700_000_000.5), {"type": "expiring", "expires": 1_700_000_000.5}),
    (messages.Pong(), {"type": "pong"}),
    (messages.Pong("1"), {"type": "pong", "id": "1"}),
    (
        messages.Closing(1012, 500),
        {
            "type": "closing",
            "code": 1012,
            "close": "restart",
            "text": "the router restarts",
            "advice": "reconnect",
            "retry_after": 500,
        },
    ),
]


@pytest.mark.parametrize(("message", "wire"), TOLD, ids=lambda value: type(value).__name__)
def test_what_a_client_is_told(message: messages.Reply, wire: dict[str, Any]) -> None:
    assert json.loads(encode(message)) == wire


def test_every_reply_is_tried_above() -> None:
    assert {type(message) for message, _ in TOLD} == {shape.cls for shape in shapes.REPLIES}


@settings(deadline=None)
@given(
    st.text(sorted(NAME_CHARACTERS)),
    st.one_of(st.just(ABSENT), st.builds(Payload, st.text() | st.lists(st.integers(-9, 9)))),
    st.none() | st.text(),
    st.none() | st.builds(messages.Publisher, st.text(), st.text()),
    st.none() | st.builds(messages.Source, st.text(), st.text()),
    st.none() | st.integers(0, 2**53 - 1),
)
def test_the_fast_way_to_write_an_event_writes_the_same(
    channel: str,
    data: Payload,
    subscription: str | None,
    publisher: messages.Publisher | None,
    source: messages.Source | None,
    seq: int | None,
) -> None:
    parts = (channel, data, subscription, publisher, source, seq)
    by_hand = encode_event(*parts)
    assert json.loads(by_hand) == json.loads(encode(messages.Event(*parts)))
    assert event_frame(*parts).endswith(by_hand)
    assert plain_event_frame(channel, data) == event_frame(channel, data)


@pytest.mark.parametrize("seq", ["-1", "9007199254740992", "1.5", '"1"', "true", "[]"])
def test_a_count_is_an_integer_that_every_client_can_count_to(seq: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(b'{"type":"publish","channel":"a","seq":' + seq.encode() + b"}")
    good = decode(b'{"type":"publish","channel":"a","seq":9007199254740991}')
    assert isinstance(good, messages.Publish)
    assert good.seq == 2**53 - 1


@pytest.mark.threat("T16")
@settings(deadline=None)
@given(fuzz.map(json.dumps) | st.binary(max_size=40).map(lambda raw: b'"' + raw + b'"'))
def test_what_one_client_says_can_be_told_to_every_other(data: str | bytes) -> None:
    raw = data.encode() if isinstance(data, str) else data
    try:
        message = decode(b'{"type":"publish","channel":"a","data":' + raw + b"}")
    except RemoteProtocolError:
        return
    assert isinstance(message, messages.Publish)
    told = encode_event("a", message.data)
    assert codec.strictjson.decode(told)["data"] == message.data.value
