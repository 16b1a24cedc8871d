"""The protocol's reference says what the code does: generated files are fresh, examples and schemas agree with the codec."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from tests.unit.protocols.test_native_codec import MINIMAL, TOLD, WRONG
from trio_router.protocols import codes, messages
from trio_router.protocols.native.client_codec import decode_reply
from trio_router.protocols.native.codec import decode, encode
from trio_router.protocols.native.machine import ServerMachine, State
from trio_router.protocols.native.shapes import REPLY_BY_VERB, REQUEST_BY_VERB

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference" / "protocol"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
ASYNCAPI = yaml.safe_load((FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))

EXAMPLES = [match.groups() for match in re.finditer(r"^(client|router): (\{.*\})$", README, re.MULTILINE)]


def test_generated_files_are_fresh() -> None:
    script = ROOT / "scripts" / "protocol-reference"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; run scripts/protocol-reference"


@pytest.mark.parametrize(("side", "text"), EXAMPLES)
def test_examples_are_what_the_codec_reads_and_writes(side: str, text: str) -> None:
    if side == "client":
        decode(text)
        return
    reply = decode_reply(text)
    shape = REPLY_BY_VERB[json.loads(text)["type"]]
    written = encode(shape.cls(*(value for name, value in fields_of(reply) if name in shape.names)))  # type: ignore[arg-type]
    assert json.loads(written) == json.loads(text)


def fields_of(message: messages.Message) -> list[tuple[str, Any]]:
    return list(msgspec.structs.asdict(message).items())


def test_the_prose_speaks_of_every_message() -> None:
    shown = {(side, json.loads(text)["type"]) for side, text in EXAMPLES}
    words = set(re.findall(r"`([a-z_]+)`", README))
    missing = {verb for verb in REQUEST_BY_VERB if ("client", verb) not in shown and verb not in words}
    missing |= {verb for verb in REPLY_BY_VERB if ("router", verb) not in shown and verb not in words}
    assert missing <= {"unsubscribe", "unprovide", "presence_unsubscribe"}  # they say themselves


def test_the_diagram_is_the_table() -> None:
    """Walk every arrow of the drawing with the machine itself."""
    arrows = re.findall(r"^    (\w+) --> (\w+): (client sends|router decides) (\w+)$", README, re.MULTILINE)
    paths = {
        "quarantine": [],
        "logging_in": ["login"],
        "challenged": ["login", "challenged"],
        "live": ["login", "accepted"],
    }
    assert len(arrows) == len(set(arrows)) >= 9
    for before, after, _, what in arrows:
        machine = ServerMachine()
        for step in [*paths[before], what]:
            if step in REQUEST_BY_VERB:
                machine.receive(REQUEST_BY_VERB[step].cls)
            else:
                {
                    each.__name__: each
                    for each in (machine.challenged, machine.accepted, machine.denied, machine.closing)
                }[step]()
        assert machine.state is State(after)


def test_the_codes_file_has_every_code() -> None:
    listed = json.loads((FOLDER / "codes.json").read_text(encoding="utf-8"))
    assert [each["code"] for each in listed["errors"]] == list(codes.ERRORS)
    assert [each["code"] for each in listed["closes"]] == list(codes.CLOSES)
    assert {each["advice"] for each in listed["closes"]} == {each.value for each in codes.Advice}


# ---- the AsyncAPI file ----------------------------------------------------------------------------------


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = ASYNCAPI
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None),
}  # fmt: skip


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """JSON Schema, as much of it as the file uses; an unknown word is an error of this test."""
    schema = resolve(schema)
    known = {
        "type", "const", "enum", "anyOf", "required", "properties", "additionalProperties", "items", "pattern", "minLength",
        "maxLength", "minimum", "maximum", "default", "description",
    }  # fmt: skip
    assert set(schema) <= known
    if "type" in schema:
        boolean_as_number = isinstance(value, bool) and schema["type"] in {"integer", "number"}
        if boolean_as_number or not isinstance(value, TYPES[schema["type"]]):
            return False
    if "anyOf" in schema and not any(fits(value, each) for each in schema["anyOf"]):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            return False
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return False
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        return all(fits(each, schema.get("items", {})) for each in value)
    if isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties", True)
        if not set(schema.get("required", ())) <= set(value):
            return False
        return all(
            fits(each, properties[key]) if key in properties else extra is True or (extra and fits(each, extra))
            for key, each in value.items()
        )
    return True


def payload_schema(side: str, verb: Any) -> dict[str, Any] | None:
    found = ASYNCAPI["components"]["messages"].get(f"{side}.{verb}")
    return None if found is None else found["payload"]


@pytest.mark.parametrize("wire", [wire for wire, _ in MINIMAL], ids=lambda wire: wire["type"])
def test_what_the_router_takes_fits_its_schema(wire: dict[str, Any]) -> None:
    schema = payload_schema("request", wire["type"])
    assert schema is not None
    assert fits(wire, schema)
    assert not fits(wire | {"publisher": {}}, schema)


@pytest.mark.parametrize("wire", [wire for _, wire in TOLD], ids=lambda wire: wire["type"])
def test_what_the_router_says_fits_its_schema(wire: dict[str, Any]) -> None:
    schema = payload_schema("reply", wire["type"])
    assert schema is not None
    assert fits(wire, schema)
    assert set(wire) <= set(schema["properties"])


@pytest.mark.parametrize(("wire", "code", "detail"), WRONG)
def test_what_the_router_refuses_for_its_shape_does_not_fit(wire: Any, code: int, detail: str) -> None:
    if code == codes.INVALID_NAME:
        return  # the grammar of names is said in prose
    schema = (
        payload_schema("request", wire.get("type"))
        if isinstance(wire, dict) and isinstance(wire.get("type"), str)
        else None
    )
    assert schema is None or not fits(wire, schema)


def test_every_reference_leads_somewhere_and_every_message_has_an_operation() -> None:
    named = set()
    for operation in ASYNCAPI["operations"].values():
        resolve(operation["channel"])
        for each in operation["messages"]:
            message = resolve(each)
            assert message["summary"]
            named.add(each["$ref"].rpartition("/")[2])
    assert named == set(ASYNCAPI["components"]["messages"])
    assert len(named) == len(REQUEST_BY_VERB) + len(REPLY_BY_VERB)
