"""The short way of the native codec: whatever it reads or writes, the codec proper reads and writes the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_router.errors import RemoteProtocolError
from trio_router.names import NAME_CHARACTERS, REQUEST_ID_CHARACTERS
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import messages
from trio_router.protocols.native import codec, quick

DEPTH = 4


def fields(message: Any) -> dict[str, Any]:
    """A message with its payload as what receivers get of it."""
    found = msgspec.structs.asdict(message)
    if "data" in found:
        found["data"] = None if found["data"] is ABSENT else found["data"].json
    return {"class": type(message), **found}


def hold_together(text: str) -> bool:
    """Whether the short way took it; then the long way must say the same."""
    plain = quick.decode(text, DEPTH)
    if plain is None:
        return False
    assert fields(plain) == fields(codec.decode_in_full(text, depth=DEPTH))
    if isinstance(plain, messages.Publish | messages.Call) and plain.data is not ABSENT:
        assert plain.data.value == json.loads(text)["data"]
    return True


words = st.sampled_from(
    ["a", "room/1", "pvt:a", "1:2", "a.b-c_d", "x" * 64, "x" * 65, "", "a b", "ä", 'q"', "back\\slash", "a*"]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | words
    | st.sampled_from([2**53, -(2**53), 2**53 - 1]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
requests = st.fixed_dictionaries(
    {"type": st.sampled_from(["publish", "call", "result", "subscribe", "ping"])},
    optional={
        "id": words | values,
        "channel": words,
        "procedure": words,
        "call": words,
        "data": values,
        "echo": st.booleans() | values,
        "disclose": st.booleans(),
        "timeout": st.sampled_from([0, 1, 5.0, 2**31 - 1, 2**31, None]) | values,
        "progress": st.booleans(),
        "more": st.booleans(),
        "to": words,
        "unknown": values,
    },
)


@settings(max_examples=500)
@given(requests, st.booleans(), st.booleans())
def test_what_it_reads_the_codec_reads_the_same(request: dict[str, Any], spaced: bool, ascii_only: bool) -> None:
    hold_together(json.dumps(request, separators=None if spaced else (",", ":"), ensure_ascii=ascii_only))


@settings(max_examples=500)
@given(requests, st.integers(0, 200), st.text(st.sampled_from('{}[]",:\\u0041d8 type'), max_size=12))
@example({"type": "publish", "channel": "a"}, 17, '"channel":"b",')
@example({"type": "publish", "channel": "a", "data": ":"}, 17, '"channel":"b",')
@example({"type": "call", "id": "1", "procedure": "p"}, 14, '"id":"2",')
def test_nor_does_it_read_otherwise_what_was_tampered_with(request: dict[str, Any], at: int, inserted: str) -> None:
    text = json.dumps(request, separators=(",", ":"), ensure_ascii=False)
    hold_together(text[:at] + inserted + text[at:])


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"publish","channel":"room/a","data":"xxx"}',
        '{"type": "publish", "channel": "room/a", "data": {"a": [1, 2.5, null, "b:c"]}}',
        '{"data":1,"id":"7","channel":"pvt:a","type":"publish"}',
        '{"type":"publish","channel":"a","echo":false,"disclose":true}',
        '{"type":"call","id":"a:1","procedure":"add","data":"x:y","timeout":100}',
        '{"type":"result","call":"0123","data":null}',
        '{"type":"result","call":"0123"}',
    ],
)
def test_what_is_sent_all_the_time_goes_the_short_way(text: str) -> None:
    assert hold_together(text)


@pytest.mark.threat("T16")
@pytest.mark.threat("T15")
@pytest.mark.parametrize(
    "text",
    [
        '{"type":"publish","channel":"a","channel":"b"}',
        '{"type":"publish","channel":"a","data":{"b":1,"b":2}}',
        '{"type":"publish","channel":"a","data":"\\u003a","data":"b"}',
        '{"type":"publish","channel":"a","data":"\\ud800"}',
        '{"type":"publish","channel":"a","data":9007199254740993}',
        '{"type":"publish","channel":"a","data":[[[[[1]]]]]}',
        '{"type":"publish","channel":"a","data":' + "[" * 5000 + "]" * 5000 + "}",
        '{"type":"call","id":"1","procedure":"a","data":' + '{"b":' * 5000 + "1" + "}" * 5001,
        '{"type":' + "[" * 5000,
        '{"type":"publish","channel":"a","data":NaN}',
        '{"type":"publish","channel":"a","data":1e999}',
        '{"type":"call","id":"1","procedure":"a","timeout":0}',
        '{"type":"call","id":"a b","procedure":"a"}',
        '{"type":"result","call":""}',
    ],
)
def test_what_the_codec_refuses_never_goes_the_short_way(text: str) -> None:
    assert quick.decode(text, DEPTH) is None
    with pytest.raises(RemoteProtocolError):
        codec.decode_in_full(text, depth=DEPTH)


ids = st.text(sorted(REQUEST_ID_CHARACTERS), min_size=1)
procedures = st.text(sorted(NAME_CHARACTERS), min_size=1)


def test_what_is_written_as_it_stands_is_nothing_that_json_escapes() -> None:
    text = "".join(sorted(REQUEST_ID_CHARACTERS | NAME_CHARACTERS))
    assert msgspec.json.encode(text) == f'"{text}"'.encode()


@given(
    ids,
    procedures,
    values.filter(lambda value: value == value),
    st.booleans(),
    st.sampled_from([None, messages.Publisher("s", "u")]),
)
def test_what_it_writes_the_codec_writes_the_same(
    text: str, procedure: str, value: Any, flag: bool, caller: messages.Publisher | None
) -> None:
    try:
        data = Payload(value)
        assert data.json
    except (ValueError, OverflowError, TypeError):
        data = ABSENT
    for payload in (data, ABSENT):
        assert quick.result_frame(text, payload, more=flag) == codec.frame(messages.Result(text, payload, flag))
        assert quick.invoke_frame(text, procedure, payload, 5, progress=flag, caller=caller) == codec.frame(
            messages.Invoke(text, procedure, payload, 5, flag, caller)
        )
    assert quick.done_frame(text) == codec.frame(messages.Done(text))
