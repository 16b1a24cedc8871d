"""What the OpenAPI documents are made of: operations, answers, schemas.

Bodies of requests come from the classes that read them, so that a document cannot say anything else. It knows no route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from trio_router.http.answers import TEXTS
from trio_router.http.openapi.grammar import FIELDS, PATH_PARAMETERS

Json = dict[str, Any]

JSON: Final = "application/json"
TEXT: Final = "text/plain"
REFERENCE: Final = "#/components/schemas/{name}"

STRING: Final[Json] = {"type": "string"}
BOOLEAN: Final[Json] = {"type": "boolean"}
INTEGER: Final[Json] = {"type": "integer"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
NUMBER: Final[Json] = {"type": "number"}
ANY: Final[Json] = {"description": "Any JSON value."}
OBJECT: Final[Json] = {"type": "object"}

ERROR: Final[Json] = {
    "type": "object",
    "description": "`code` never changes its meaning; `detail` says more, for whoever wrote the request.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "text", "detail"],
            "additionalProperties": False,
            "properties": {"code": {"type": "string", "enum": sorted(TEXTS)}, "text": STRING, "detail": ANY},
        }
    },
}

BOUNDS: Final[Mapping[int, str]] = {
    408: "The request took too long.",
    413: "The body is larger than `limits.http_body_size`.",
    414: "The URL is too long.",
    431: "The headers are too many, or larger than `limits.request_head_size`.",
}
"""What any request may be answered."""

MEANINGS: Final[Mapping[int, str]] = {
    400: "The request is not as described here; `detail` says where.",
    401: "Credentials are missing or not good.",
    403: "The caller may not do this.",
    404: "There is nothing of this name.",
    409: "It is there already, or cannot be here.",
    415: "The body is not `application/json`.",
    422: "The values are not valid; `detail` says which.",
    429: "Too many failures; `Retry-After` says for how many seconds.",
    503: "It cannot be done now: a store or a service does not answer. Nothing has changed.",
    507: "There is no room for more.",
}


@attrs.frozen
class Body:
    """The JSON of a request: the class that reads it, or its schema."""

    kind: type[msgspec.Struct] | Json
    example: Any = None


@attrs.frozen
class Operation:
    """One method of one path. ``answers`` are successes: their schemas, or None for an empty one. ``errors`` are statuses."""

    method: str
    path: str
    summary: str
    answers: Mapping[int, Json | None]
    errors: Sequence[int] = ()
    body: Body | None = None
    query: Mapping[str, Json] = attrs.field(factory=dict)
    required: Sequence[str] = ()
    security: Sequence[str] | None = None
    description: str = ""
    plain_errors: Sequence[int] = ()
    media_type: str = JSON
    headers: Mapping[int, Mapping[str, str]] = attrs.field(factory=dict)
    meanings: Mapping[int, str] = attrs.field(factory=dict)


def optional(schema: Json) -> Json:
    """``schema``, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def a_list(schema: Json) -> Json:
    """A list of these."""
    return {"type": "array", "items": schema}


def an_object(more: Mapping[str, Json] | None = None, /, **required: Json) -> Json:
    """An object that has ``required``, and may have ``more``."""
    return {"type": "object", "required": list(required), "properties": {**required, **(more or {})}}


def document(
    title: str,
    description: str,
    server: Json,
    operations: Sequence[Operation],
    *,
    schemes: Json,
    default: Sequence[str],
) -> Json:
    """The whole. ``default``: the security schemes, one of which an operation wants that names none."""
    kinds = [o.body.kind for o in operations if o.body is not None and isinstance(o.body.kind, type)]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for name, fields in FIELDS.items():
        if name in schemas:
            schemas[name]["properties"].update(fields)
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, default)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [server],
        "paths": paths,
        "components": {"schemas": {"Error": ERROR, **schemas}, "securitySchemes": schemes},
    }


def _operation(operation: Operation, default: Sequence[str]) -> Json:
    made: Json = {"operationId": _id(operation), "summary": operation.summary}
    if operation.description:
        made["description"] = operation.description
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name]}
        for name in _placeholders(operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": name in operation.required, "schema": schema}
        for name, schema in operation.query.items()
    ]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        kind = operation.body.kind
        schema = kind if isinstance(kind, dict) else {"$ref": REFERENCE.format(name=kind.__name__)}
        content: Json = {"schema": schema}
        if operation.body.example is not None:
            content["example"] = operation.body.example
        made["requestBody"] = {"required": True, "content": {JSON: content}}
    made["responses"] = {str(status): answer for status, answer in sorted(_answers(operation).items())}
    wanted = default if operation.security is None else operation.security
    made["security"] = [{} if name == "" else {name: []} for name in wanted]
    return made


def _answers(operation: Operation) -> dict[int, Json]:
    found: dict[int, Json] = {}
    for status, schema in operation.answers.items():
        found[status] = {"description": operation.meanings.get(status, "Done.")}
        if schema is not None:
            found[status]["content"] = {operation.media_type: {"schema": schema}}
        if status in operation.headers:
            found[status]["headers"] = {
                name: {"description": text, "schema": STRING} for name, text in operation.headers[status].items()
            }
    more = {415} if operation.body is not None else set()
    for status in {*operation.errors, *BOUNDS, *more}:
        content: Json = {}
        if status not in operation.plain_errors or status in BOUNDS:
            content[JSON] = {"schema": {"$ref": REFERENCE.format(name="Error")}}
        if status in operation.plain_errors:
            content[TEXT] = {"schema": STRING}
        text = operation.meanings.get(status) or BOUNDS.get(status) or MEANINGS[status]
        found[status] = {"description": text, "content": content}
    return found


def _placeholders(path: str) -> list[str]:
    return [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]


def _id(operation: Operation) -> str:
    words = [piece.strip("{}") for piece in operation.path.split("/") if piece]
    return "_".join([operation.method.lower(), *words]).replace("-", "_").replace(".", "_")
