"""The clients' port as OpenAPI: the health check, the REST interface of ``/v1``, the HTTP API.

A test compares it with the routes there are, and another one tries all of it on a running router.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trio_router.http import batch, rest, trust
from trio_router.http.api import METHODS
from trio_router.http.openapi.parts import (
    ANY,
    BOOLEAN,
    INTEGER,
    OBJECT,
    REFERENCE,
    STRING,
    Body,
    Json,
    Operation,
    a_list,
    an_object,
    document,
)

_V1: Final = (400, 401, 403, 429, 503)
_TOKEN: Final[Json] = an_object(
    data=an_object(
        {"id": {"type": "string", "description": "What a trust-token is revoked by."}},
        token=STRING,
        token_type={"type": "string", "enum": ["Bearer", "Trust"]},
        expires_in={"type": "integer", "description": "When the token ends, in seconds since the epoch."},
    )
)

_ANSWER: Final[Json] = {
    "oneOf": [
        {
            "type": "object",
            "required": ["success"],
            "additionalProperties": False,
            "properties": {
                "success": {"const": True},
                "data": ANY,
                "users": {"oneOf": [a_list(STRING), {"type": "object", "additionalProperties": BOOLEAN}]},
                "denied": a_list(STRING),
            },
        },
        {
            "type": "object",
            "required": ["success", "error", "errorTopic", "errorEvent"],
            "additionalProperties": False,
            "properties": {
                "success": {"const": False},
                "error": STRING,
                "errorTopic": {"type": "string", "enum": ["connection", "event", "presence", "record", "rpc"]},
                "errorEvent": {"oneOf": [INTEGER, STRING]},
                "errorAction": STRING,
                "errorParams": ANY,
                "decision": {"type": "string", "description": "The id by which administrators find out why."},
            },
        },
    ]
}
_RESULT: Final[Json] = an_object(
    result={"type": "string", "enum": ["SUCCESS", "FAILURE", "PARTIAL_SUCCESS"]}, body=a_list(_ANSWER)
)
_API_MEANINGS: Final = {
    401: "The login was denied.",
    403: "A web page whose origin is not in `listen.origins`.",
    429: "Too many failed logins; `Retry-After` says for how many seconds.",
    503: "The login could not be checked. Nobody is let in.",
}
_API_ERRORS: Final = (400, 401, 403, 413, 415, 429, 503)
_CREDENTIALS: Final = ("bearer", "")


def _messages() -> tuple[Json, Json]:
    """The schema of a batch, and the schemas of the messages in it."""
    _, schemas = msgspec.json.schema_components(batch.SHAPES, ref_template=REFERENCE)
    whole: Json = {
        "type": "object",
        "required": ["body"],
        "properties": {
            "token": {"type": "string", "minLength": 1},
            "authData": OBJECT,
            "body": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [{"$ref": REFERENCE.format(name=shape.__name__)} for shape in batch.SHAPES]},
            },
        },
    }
    return whole, schemas


_BATCH, _SCHEMAS = _messages()

OPERATIONS: Final = (
    Operation(
        "GET",
        "/health",
        "Whether the router takes connections",
        {
            200: an_object(status={"const": "ok"}),
            503: an_object(status={"const": "draining"}),
        },
        security=("",),
        meanings={503: "It drains: look elsewhere."},
    ),
    Operation(
        "POST",
        "/v1/keys/tokens",
        "Issue an access token",
        {200: _TOKEN},
        _V1,
        Body(rest.NewToken, {"clientId": "John"}),
        security=("basic",),
        description="Needs the section `rest`. The key must be granted to issue, and the token gets no more than the key has.",
    ),
    Operation(
        "POST",
        "/v1/keys/tokens/refresh",
        "A new access token of the same user, rights and lifetime",
        {200: _TOKEN},
        _V1,
        Body(rest.Nothing, {}),
        security=("bearer",),
    ),
    Operation(
        "POST",
        "/v1/keys/tokens/revoke",
        "End the access token, and every connection that depends on it",
        {204: None},
        _V1,
        Body(rest.Nothing, {}),
        security=("bearer",),
    ),
    Operation(
        "POST",
        "/v1/keys/trust-tokens",
        "Sign a trust-token for one session and one name",
        {200: _TOKEN},
        _V1,
        Body(trust.NewTrustToken, {"session": "cyq0_eVk8_qxsxNXfbUGGJhI", "channel": "pvt:room1"}),
        security=("basic",),
    ),
    Operation(
        "POST",
        "/v1/channels/{channel}/messages",
        "Publish a message",
        {204: None},
        (*_V1, 404),
        Body(rest.NewMessage, {"data": {"text": "hello"}}),
        security=("basic", "bearer"),
        description="`channel` may hold `/`.",
    ),
    *(
        Operation(
            method,
            path,
            summary,
            {200: answer} if method == "POST" else {},
            _API_ERRORS if method == "POST" else (400, 403),
            body if method == "POST" else None,
            security=_CREDENTIALS if method == "POST" else ("",),
            description="Needs the section `http_api`. Further apps have it behind their own path."
            if method == "POST"
            else "",
            plain_errors=_API_ERRORS,
            meanings=_API_MEANINGS,
        )
        for path, about, answer, body in (
            (
                "/api",
                "Events, calls and presence queries, carried out in their order",
                _RESULT,
                Body(_BATCH, {"body": [{"topic": "event", "action": "emit", "eventName": "news/sport", "data": 1}]}),
            ),
            (
                "/api/auth",
                "Try credentials",
                an_object(
                    {
                        "clientData": ANY,
                        "token": {"type": "string", "description": "Of the login service, if it gives one."},
                    }
                ),
                Body(OBJECT, {"username": "ann", "password": "correct horse"}),
            ),
        )
        for method, summary in (("POST", about), ("GET", "Says to use POST"))
    ),
    *(
        Operation(
            "OPTIONS",
            path,
            "What a browser may send from a page of another origin",
            {204: None},
            (403,),
            security=("",),
            plain_errors=(403,),
            meanings=_API_MEANINGS,
        )
        for path in ("/api", "/api/auth")
    ),
)
assert set(METHODS) == {"GET", "OPTIONS", "POST"}  # noqa: S101 - what is described for each path of the HTTP API


def clients() -> Json:
    """The document."""
    made = document(
        "trio_router: the clients' port",
        "What can be asked on the port that clients connect to. Each section of the config opens a part of it: `rest` what is"
        " under `/v1`, `http_api` what is under `/api`, whose paths it may change.",
        {"url": "http://localhost:7000"},
        OPERATIONS,
        schemes={
            "basic": {"type": "http", "scheme": "basic", "description": "`<app>.<key id>` and the key's secret."},
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token; for `/api` any token the app's logins know.",
            },
        },
        default=("",),
    )
    made["components"]["schemas"].update(_SCHEMAS)
    return made
