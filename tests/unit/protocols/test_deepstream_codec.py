"""deepstream packets on the wire: byte for byte what its clients read and write, in both ways, and nothing else gets in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.errors import RemoteProtocolError
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes
from trio_router.protocols.deepstream import binary, deepstream_pb2, jsontext, quick
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import ACTIONS, EventAction, RecordAction, Topic
from trio_router.session.deepstream.wire import payload_of, text_of

FOLDER = Path(binary.__file__).parent
ROOT = Path(__file__).resolve().parents[3]


def body(frame: bytes) -> bytes:
    """The payload of a server's frame."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


BYTES = [
    # (what it is, the packet, the bytes of the frame's payload)
    ("accept", Packet(2, 4), "06 1002 1a02 0804"),
    (
        "a record of version 0: what is 0 is written",
        Packet(5, 4, name="r/1", data="{}", version=0),
        "11 1005 1a0d 0804 1202 7b7d 3203 722f31 6800",
    ),
    ("version -1", Packet(5, 6, name="r", version=-1), "14 1005 1a10 0806 3201 72 68 ffffffffffffffffff01"),
    ("an acknowledgement", Packet(4, 3, correlation_id="7", is_ack=True), "0b 1004 1a07 0803 1a0137 2801"),
    ("a flag that is false", Packet(4, 3, correlation_id="7", is_ack=False), "0b 1004 1a07 0803 1a0137 2800"),
    ("an empty text", Packet(4, 2, name="", data=""), "0a 1004 1a06 0802 1200 3200"),
    ("names of a call: 6, its name: 7", Packet(6, 8, names=["a"], name="b"), "0c 1006 1a08 0808 320161 3a0162"),
    ("names of presence: 9, its name: 8", Packet(7, 10, names=["a"], name="b"), "0c 1007 1a08 080a 420162 4a0161"),
    ("names of an event: 7, its name: 6", Packet(4, 3, names=["a"], name="b"), "0c 1004 1a08 0803 320162 3a0161"),
    (
        "a denial",
        Packet(4, 104, name="a", correlation_id="0", is_error=True, original_action=3),
        "10 1004 1a0c 0868 1a0130 2001 320161 5803",
    ),
    ("a heartbeat", Packet(2, 2), "06 1002 1a02 0802"),
]


@pytest.mark.parametrize(("packet", "text"), [row[1:] for row in BYTES], ids=[row[0] for row in BYTES])
def test_the_bytes_are_those_of_the_protocol(packet: Packet, text: str) -> None:
    wanted = bytes.fromhex(text)
    frame = binary.encode(packet)
    assert frame == bytes((0x82, len(wanted))) + wanted
    assert filled(binary.decode(wanted)) == filled(packet)


PLAIN = [
    Packet(Topic.RPC, 6, name="a/b", correlation_id="k3x", data='{"a":[1,2]}'),
    Packet(Topic.RPC, 1, name="a/b", correlation_id="k3x", data="x" * 300),
    Packet(Topic.RPC, 7, name="a/b", correlation_id="k3x"),
    Packet(Topic.EVENT, EventAction.EMIT, name="a", data='"é"'),
    Packet(Topic.EVENT, 3, correlation_id="7", is_ack=True),
    Packet(Topic.CONNECTION, 2),
]


@pytest.mark.parametrize("packet", PLAIN)
def test_what_comes_all_the_time_goes_the_short_way(packet: Packet) -> None:
    assert quick.decode(binary._QUICK, body(binary.encode(packet))) == packet


@pytest.mark.threat("T06")
@pytest.mark.threat("T16")
@given(
    st.sampled_from([body(binary.encode(packet)) for packet in PLAIN]),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2), st.integers(0, 2)), max_size=4),
)
@settings(max_examples=1000)
def test_the_short_way_reads_as_the_library_does(frame: bytes, changes: list[tuple[int, bytes, int]]) -> None:
    for at, put, taken in changes:
        place = at % (len(frame) + 1)
        frame = frame[:place] + put + frame[place + taken :]
    found = quick.decode(binary._QUICK, frame)
    if found is not None:
        assert found == binary.decode_by_library(frame)


@given(st.sampled_from(list(binary.TOPICS)), st.data())
def test_what_is_put_together_here_is_what_protobuf_writes(topic: Topic, data: st.DataObject) -> None:
    kinds = {"names": st.lists(st.text()), "is_ack": st.booleans(), "is_error": st.booleans()}
    numbers = {"original_action": st.integers(-5, 2**31 - 1), "version": st.integers(-5, 2**31 - 1)}
    numbers |= {"is_write_ack": st.booleans()}
    fields = {snake(field.name) for field in binary.TOPICS[topic].DESCRIPTOR.fields} - {"action", "original_topic"}
    values = {
        name: data.draw(st.none() | (kinds | numbers).get(name, st.text())) for name in sorted(fields - {"versions"})
    }
    packet = Packet(topic, data.draw(st.integers(-5, 2**31 - 1)), **values)
    assert binary.encode(packet) == binary.encode_by_library(packet)
    assert filled(binary.decode(body(binary.encode(packet)))) == filled(packet)


def filled(packet: Packet) -> dict[str, Any]:
    """The fields that are there."""
    return {name: value for name, value in msgspec.structs.asdict(packet).items() if value not in (None, [])}


FIELDS: dict[str, Any] = {
    "name": "n/1",
    "names": ["a", "b"],
    "data": '{"a":1}',
    "correlation_id": "c",
    "is_ack": True,
    "is_error": False,
    "subscription": "s",
    "original_action": 0,
    "requestor_name": "r",
    "requestor_data": "{}",
    "url": "ws://u",
    "protocol_version": "0.1a",
    "sdk_version": "7",
    "sdk_type": "javascript",
    "pattern": "p",
    "path": "a.b[1]",
    "version": 2**31 - 1,
    "versions": {"r": -1},
    "is_write_ack": True,
}


@pytest.mark.parametrize("topic", Topic)
def test_every_field_of_a_topic_travels_both_ways(topic: Topic) -> None:
    names = {snake(field.name) for field in binary.TOPICS[topic].DESCRIPTOR.fields} - {"action", "original_topic"}
    packet = Packet(topic, 1, **{name: FIELDS[name] for name in names})
    assert filled(binary.decode(body(binary.encode(packet)))) == filled(packet)
    assert filled(jsontext.decode(body(jsontext.encode(packet)).decode())) == filled(packet)


def snake(name: str) -> str:
    return re.sub(r"[A-Z]+", lambda found: f"_{found[0].lower()}", name)


def test_json_is_flat_with_the_protocols_names_and_numbers() -> None:
    packet = Packet(4, 3, names=["a"], correlation_id="0", is_ack=True, data='{"a":1}')
    assert msgspec.json.decode(body(jsontext.encode(packet))) == {
        "topic": 4,
        "action": 3,
        "names": ["a"],
        "correlationId": "0",
        "isAck": True,
        "data": '{"a":1}',
    }
    assert jsontext.encode(packet)[0] == 0x81


@pytest.mark.parametrize(("sent", "data"), [('""', '""'), ("0", "0"), ("false", "false"), ("null", "null")])
def test_data_that_a_client_sends_only_parsed(sent: str, data: str) -> None:
    decoded = jsontext.decode(f'{{"topic":4,"action":2,"name":"a","parsedData":{sent}}}')
    assert decoded.data == data
    assert jsontext.decode(f'{{"topic":4,"action":2,"name":"a","data":"1","parsedData":{sent}}}').data == "1"


def test_json_fields_that_only_clients_need_are_passed_over() -> None:
    packet = jsontext.decode(
        '{"topic":4,"action":2,"name":"a","parsedData":{"x":1},"data":"{\\"x\\":1}","isAck":false}'
    )
    assert filled(packet) == {"topic": 4, "action": 2, "name": "a", "data": '{"x":1}', "is_ack": False}


@pytest.mark.parametrize(("data", "text"), [(ABSENT, None), (Payload(None), "null"), (Payload({"ü": 1}), '{"ü":1}')])
def test_an_event_is_what_the_slow_way_makes_of_it(data: Payload, text: str | None) -> None:
    packet = Packet(Topic.EVENT, EventAction.EMIT, name="a/b", data=text)
    assert binary.event_frame("a/b", text_of(data)) == binary.encode(packet)
    assert jsontext.event_frame("a/b", text_of(data)) == jsontext.encode(packet)


@pytest.mark.parametrize("size", [0, 100, 117, 125, 126, 127, 128, 200, 16_383, 16_384, 65_535, 65_536, 200_000])
def test_lengths_at_every_boundary(size: int) -> None:
    packet = Packet(Topic.EVENT, EventAction.EMIT, name="a", data="x" * size)
    assert binary.decode(body(binary.encode(packet))).data == "x" * size


def test_only_the_first_message_of_a_frame_counts() -> None:
    first, second = (body(binary.encode(Packet(2, action))) for action in (2, 5))
    assert binary.decode(first + second).action == 2
    assert binary.decode(first + b"\xff\xff").action == 2


@pytest.mark.threat("T06")
@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x80",
        b"\xff" * 10,
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\x7f" + b"x",
        b"\x7f\x10\x02",
        b"\x06\x10\x02\x1a\x02\x08",
        b"\x06\x10\x02\x1a\x7f\x08\x04",
        b"\x06\x10\x02\x1a\x02\x08\x80",
        b"\x04\x10\x04\x1a\xff",
        bytes.fromhex("0a 10041a06 0802 3204 ffff"),
        bytes.fromhex("0a 1004 1a06 0802 3202 c328"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=bytes.hex,
)
def test_what_is_no_packet_is_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        binary.decode(frame)
    assert caught.value.code in {codes.INVALID_MESSAGE, codes.UNKNOWN_TYPE}


@pytest.mark.threat("T16")
@pytest.mark.parametrize("topic", [0, 8, 9, 10, 11, 100, 2**31 - 1, -1])
def test_topics_that_clients_have_no_business_with_are_unknown(topic: int) -> None:
    outer = deepstream_pb2.Message(topic=topic, message=b"\x08\x02").SerializeToString()
    with pytest.raises(RemoteProtocolError) as caught:
        binary.decode(bytes((len(outer),)) + outer)
    assert caught.value.code == codes.UNKNOWN_TYPE
    with pytest.raises(RemoteProtocolError) as caught:
        jsontext.decode(f'{{"topic":{topic},"action":2}}')
    assert caught.value.code == codes.UNKNOWN_TYPE


@pytest.mark.threat("T15", "T16")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"topic":4}',
        '{"topic":"4","action":2}',
        '{"topic":4,"action":true}',
        '{"topic":4,"action":2,"name":7}',
        '{"topic":4,"action":2,"names":"a"}',
        '{"topic":4,"action":2,"data":{"a":1}}',
        '{"topic":4,"action":2,"topic":5}',
        '{"topic":4,"action":2,"name":"\\ud800"}',
        '{"topic":4,"action":2,"x":NaN}',
        '{"topic":4,"action":2,"x":' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        '{"topic":4e400,"action":2}',
        '{"topic":4,"action":99999999999999999999999}',
    ],
    ids=lambda text: text[:40],
)
def test_json_that_is_no_packet_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        jsontext.decode(text)


@pytest.mark.threat("T15", "T16")
@pytest.mark.parametrize(
    "data", ["", "{", "NaN", "1e999", '{"a":1,"a":2}', "[" * 33 + "]" * 33, '"\\ud800"', "1 2", "undefined", "'a'"]
)
def test_data_that_not_everybody_could_read_is_refused(data: str) -> None:
    with pytest.raises(RemoteProtocolError):
        payload_of(Packet(4, 2, name="a", data=data), 32)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
@pytest.mark.threat("T16")
def test_what_is_accepted_goes_on_as_it_came(value: Any) -> None:
    text = msgspec.json.encode(value).decode()
    payload = payload_of(Packet(4, 2, data=f" {text}\n"), 32)
    assert payload.value == value
    assert text_of(payload) == f" {text}\n"
    for codec in (binary, jsontext):
        assert codec.event_frame("a", text_of(payload))


@given(st.binary(max_size=200))
@pytest.mark.threat("T06")
def test_any_bytes_are_a_packet_or_refused(frame: bytes) -> None:
    for start in (
        b"",
        bytes((len(frame) & 0x7F,)),
        bytes((len(frame) & 0x7F, 0x10, 0x04, 0x1A, max(0, len(frame) - 4) & 0x7F)),
    ):
        try:
            packet = binary.decode(start + frame)
        except RemoteProtocolError:
            continue
        assert packet.topic in ACTIONS


def test_the_generated_module_is_what_the_proto_says(tmp_path: Path) -> None:
    made = tmp_path / "descriptor"
    status = protoc.main(["protoc", f"-I{FOLDER}", f"--descriptor_set_out={made}", str(FOLDER / "deepstream.proto")])
    assert status == 0
    compiled = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file[0]
    for message in compiled.message_type:
        for field in [*message.field, *(field for inner in message.nested_type for field in inner.field)]:
            field.ClearField("json_name")  # which the generated module does without
    generated = descriptor_pb2.FileDescriptorProto.FromString(deepstream_pb2.DESCRIPTOR.serialized_pb)
    assert compiled == generated, "run scripts/deepstream-proto"


def test_no_protobuf_is_allowed_that_is_older_than_the_one_that_made_the_module() -> None:
    made = re.search(r"Protobuf Python Version: (\S+)", (FOLDER / "deepstream_pb2.py").read_text())
    floor = re.search(r"^    protobuf >= (\S+)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert made and floor
    oldest, makers = (tuple(map(int, found[1].split("."))) for found in (floor, made))
    assert oldest >= makers


def test_every_scalar_is_optional_so_that_what_is_set_is_written() -> None:
    for kind in [*binary.TOPICS.values(), deepstream_pb2.Message]:
        for field in kind.DESCRIPTOR.fields:
            assert field.is_repeated or field.has_presence, field.full_name


def test_the_parser_is_the_one_in_c() -> None:
    from google.protobuf.internal import api_implementation

    assert api_implementation.Type() == "upb", sys.version


def test_records_have_words_for_all_they_may_say() -> None:
    assert {action for action in RecordAction if action < 100} == set(range(1, 36))
