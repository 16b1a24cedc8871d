"""The administration listener as OpenAPI.

A test compares it with the routes there are, and another one tries all of it on a running router.
"""

from __future__ import annotations

from typing import Final, get_args

from trio_router.http import apps, decisions, revocations, rules, users
from trio_router.http.openapi.grammar import ACTION, APP_NAME, NAME, PAGE, USER_ID
from trio_router.http.openapi.parts import (
    ANY,
    BOOLEAN,
    COUNT,
    NUMBER,
    OBJECT,
    STRING,
    TEXT,
    Body,
    Json,
    Operation,
    a_list,
    an_object,
    document,
    optional,
)
from trio_router.storage.revocations import Kind

_GATE: Final = (401, 403)

_USER: Final[Json] = an_object(
    id=STRING,
    data=optional(OBJECT),
    client_data=ANY,
    disabled=BOOLEAN,
    has_password=BOOLEAN,
    created_at=NUMBER,
    updated_at=NUMBER,
)
_KEY: Final[Json] = an_object(
    key={"type": "string", "description": "Its name: `<app>.<id>`."},
    app=STRING,
    id=STRING,
    label=STRING,
    grants=a_list(STRING),
    disabled=BOOLEAN,
    created_at=NUMBER,
    secrets={"type": "integer", "description": "How many are live: two for a while after a rotation."},
    expires_old=optional(NUMBER),
)
_APP: Final[Json] = an_object(
    app=STRING,
    path={"type": "string", "description": "Where its clients connect."},
    keys={"type": "boolean", "description": "Whether one can log in by an app key."},
    users={"type": "boolean", "description": "Whether it has built-in users."},
    made={"type": "boolean", "description": "Whether it was made at run time, and does not stand in the config."},
    served=BOOLEAN,
    disabled=BOOLEAN,
)
_ISSUED: Final[Json] = {
    **_KEY,
    "required": [*_KEY["required"], "secret"],
    "properties": {**_KEY["properties"], "secret": {"type": "string", "description": "Shown here and never again."}},
}
_DECISION: Final[Json] = an_object(
    id=STRING,
    time=NUMBER,
    app=STRING,
    session=ANY,
    user=ANY,
    action=ACTION,
    name=ANY,
    allowed=BOOLEAN,
    reason=STRING,
    rule=optional(STRING),
    rules=STRING,
)
_REVOCATION: Final[Json] = an_object(
    app=STRING,
    kind={"type": "string", "enum": list(get_args(Kind))},
    value=STRING,
    at=NUMBER,
    until=NUMBER,
    for_good=BOOLEAN,
)


def _user_operations(base: str, missing: tuple[int, ...]) -> tuple[Operation, ...]:
    one = f"{base}/{{user_id}}"
    return (
        Operation(
            "GET",
            base,
            "Built-in users, in pages",
            {200: an_object(users=a_list(_USER), next=optional(STRING))},
            (*_GATE, 400, 422, 503, *missing),
            query={"after": USER_ID, "limit": PAGE},
            description="`next` is what to give as `after` for the next page.",
        ),
        Operation(
            "POST",
            base,
            "Add a user",
            {201: _USER},
            (*_GATE, 400, 409, 422, 503, *missing),
            Body(users.NewUser, {"id": "ann", "password": "correct horse"}),
        ),
        Operation("GET", one, "One user", {200: _USER}, (*_GATE, 404, 422, 503)),
        Operation(
            "PATCH",
            one,
            "Change a user; what is left out stays",
            {200: _USER},
            (*_GATE, 400, 404, 422, 503),
            Body(users.UserChange, {"disabled": True}),
            description="The sessions of a user who is disabled end.",
        ),
        Operation("DELETE", one, "Remove a user, and end the sessions he has", {204: None}, (*_GATE, 404, 422, 503)),
        Operation(
            "POST",
            f"{one}/password",
            "Set a password",
            {204: None},
            (*_GATE, 400, 404, 422, 503),
            Body(users.NewPassword, {"password": "battery staple"}),
        ),
    )


_ONE_KEY: Final = "/admin/apps/{app}/keys/{key_id}"

OPERATIONS: Final = (
    Operation(
        "GET",
        "/health",
        "The state of the router",
        {
            200: an_object(
                status={"type": "string", "enum": ["ok", "draining"]},
                version=STRING,
                rules_version=STRING,
                uptime={"type": "number", "description": "Seconds."},
                connections=COUNT,
                sessions=COUNT,
                draining=BOOLEAN,
                unsafe=a_list(STRING),
            )
        },
        _GATE,
        security=("bearer", ""),
        description="Without `admin.token` in the config this needs none.",
    ),
    Operation(
        "GET",
        "/metrics",
        "Figures for Prometheus",
        {200: STRING},
        _GATE,
        security=("bearer", ""),
        description="Without `admin.token` in the config this needs none; not there with `admin.metrics: false`.",
        media_type=TEXT,
    ),
    Operation(
        "GET",
        "/openapi.json",
        "This document",
        {200: OBJECT},
        _GATE,
    ),
    Operation(
        "GET",
        "/openapi-clients.json",
        "The document of the clients' port",
        {200: OBJECT},
        _GATE,
    ),
    Operation(
        "POST",
        "/admin/reload",
        "Read config and rules anew and put them in force, whole or not at all",
        {200: an_object(rules_version=STRING, changed=a_list(STRING), needs_restart=a_list(STRING))},
        (*_GATE, 422),
        description="422 names every problem, with file, line and column.",
    ),
    Operation(
        "POST",
        "/admin/explain",
        "What would be decided, and why",
        {200: an_object(allowed=BOOLEAN, reason=STRING)},
        (*_GATE, 400, 404, 503),
        Body(decisions.Question, {"user": "egon", "action": "event.publish", "name": "news/today"}),
    ),
    Operation(
        "GET",
        "/admin/decisions",
        "The last decisions that are kept, the newest first",
        {200: an_object(decisions=a_list(_DECISION))},
        (*_GATE, 400),
        query={
            "limit": {**PAGE, "maximum": decisions.MAX_PAGE},
            "denied": {"type": "string", "enum": ["true", "false"]},
        },
    ),
    Operation(
        "GET",
        "/admin/decisions/{number}",
        "One decision, and why it came out so",
        {
            200: {
                **_DECISION,
                "properties": {**_DECISION["properties"], "data_state": STRING, "agrees": BOOLEAN, "explained": OBJECT},
            }
        },
        (*_GATE, 404),
    ),
    Operation(
        "POST",
        "/admin/rules/diff",
        "What other rules would end",
        {200: an_object(rules_version=STRING, sessions=COUNT, ends=a_list(OBJECT), total=COUNT)},
        (*_GATE, 400, 404, 422),
        Body(rules.NewRules, {"rules": 'event: {"*": {subscribe: true}}'}),
    ),
    Operation(
        "GET",
        "/admin/who",
        "Which sessions may do something",
        {200: an_object(rules_version=STRING, sessions=COUNT, who=a_list(OBJECT), total=COUNT)},
        (*_GATE, 400, 404),
        query={"action": ACTION, "name": NAME, "app": APP_NAME},
        required=("action", "name"),
    ),
    Operation(
        "GET",
        "/admin/revocations",
        "What is revoked",
        {200: an_object(revocations=a_list(_REVOCATION))},
        (*_GATE, 400, 503),
        query={"app": APP_NAME},
    ),
    Operation(
        "POST",
        "/admin/revocations",
        "Revoke a token, a session, a user, a key or everything before an instant",
        {200: an_object(ended=COUNT, rights=COUNT)},
        (*_GATE, 400, 422, 503, 507),
        Body(revocations.NewRevocation, {"kind": "user", "value": "John"}),
        description="When it answers 200, nothing is routed to the sessions that it ended.",
    ),
    Operation(
        "GET",
        "/admin/apps",
        "The apps, and what they have",
        {200: an_object(apps=a_list(_APP))},
        (*_GATE, 503),
    ),
    Operation(
        "POST",
        "/admin/apps",
        "Make an app, which is served when the answer comes",
        {201: _APP},
        (*_GATE, 400, 409, 422, 503),
        Body(apps.NewApp, {"name": "shop"}),
        description="Rules and logins are those of `new_apps` in the config.",
    ),
    Operation("GET", "/admin/apps/{app}", "One app", {200: _APP}, (*_GATE, 404, 503)),
    Operation(
        "PATCH",
        "/admin/apps/{app}",
        "Serve an app that was made here no more, and end its sessions; or serve it again",
        {200: _APP},
        (*_GATE, 400, 404, 409, 503),
        Body(apps.AppChange, {"disabled": True}),
    ),
    Operation(
        "DELETE",
        "/admin/apps/{app}",
        "Remove an app that was made here with its users and keys, and end its sessions",
        {204: None},
        (*_GATE, 404, 409, 503),
    ),
    Operation(
        "GET",
        "/admin/apps/{app}/keys",
        "The keys of an app",
        {200: an_object(keys=a_list(_KEY))},
        (*_GATE, 404, 409, 503),
    ),
    Operation(
        "POST",
        "/admin/apps/{app}/keys",
        "Make a key",
        {201: _ISSUED},
        (*_GATE, 400, 404, 409, 422, 503),
        Body(apps.NewKey, {"label": "web server"}),
    ),
    Operation("GET", _ONE_KEY, "One key", {200: _KEY}, (*_GATE, 404, 409, 422, 503)),
    Operation(
        "PATCH",
        _ONE_KEY,
        "Change a key; what is left out stays",
        {200: _KEY},
        (*_GATE, 400, 404, 409, 422, 503),
        Body(apps.KeyChange, {"disabled": True}),
    ),
    Operation(
        "DELETE",
        _ONE_KEY,
        "Remove a key, and end the sessions it opened",
        {204: None},
        (*_GATE, 404, 409, 422, 503),
    ),
    Operation(
        "POST",
        f"{_ONE_KEY}/rotate",
        "A new secret; the old one verifies for `grace` seconds longer",
        {201: _ISSUED},
        (*_GATE, 400, 404, 409, 422, 503),
        Body(apps.Rotation, {"grace": 3600}),
    ),
    *_user_operations("/admin/users", (404,)),
    *_user_operations("/admin/apps/{app}/users", (404,)),
)
"""``/admin/users`` is there if the app ``default`` has built-in users, ``/admin/apps/{app}/users`` if that app has."""


def admin() -> Json:
    """The document."""
    return document(
        "trio_router: administration",
        "The administration listener, apart from the clients' port. Every request needs the token of `admin.token`; requests from"
        " web pages are refused whatever they carry.",
        {"url": "http://localhost:7001"},
        OPERATIONS,
        schemes={"bearer": {"type": "http", "scheme": "bearer", "description": "The token of `admin.token`."}},
        default=("bearer",),
    )
