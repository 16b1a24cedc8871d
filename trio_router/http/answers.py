"""The JSON every HTTP answer is made of, and the fixed texts of its errors.

An error is ``{"error": {"code", "text", "detail"}}``: ``code`` is a slug of the table here with its fixed text, ``detail`` is
written for the client. The rule that keeps this honest: nothing else of an error goes out, never ``str(exception)``,
and no answer is cached or run as anything but what it says it is.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

TEXTS: Final = {
    "app_exists": "there is such an app already",
    "app_of_config": "the app stands in the config, and is changed there",
    "app_unknown": "there is no app with this name",
    "beyond_key": "the key cannot do what the token would say",
    "busy": "too many passwords are being hashed; try again",
    "bad_host": "the Host header does not name this listener",
    "denied": "this is not allowed",
    "http_version": "this version of HTTP is not spoken here",
    "decision_unknown": "there is no decision with this id, or it is no longer kept",
    "forbidden_origin": "requests from web pages are not accepted here",
    "internal_error": "the router failed",
    "invalid_app": "the app is not valid",
    "invalid_body": "the body is not valid",
    "invalid_config": "the configuration is refused; nothing has changed",
    "invalid_name": "the name is not valid",
    "invalid_query": "the query is not valid",
    "invalid_rules": "the rules are refused",
    "invalid_revocation": "the revocation is not valid",
    "invalid_user": "the user is not valid",
    "may_not_issue": "the key may not issue tokens",
    "invalid_key": "the key is not valid",
    "key_exists": "there is a key with this id already",
    "key_unknown": "there is no key with this id",
    "method_not_allowed": "this method does not exist here",
    "no_keys": "nobody logs in to this app by key",
    "no_token": "administration needs a token in the configuration",
    "not_found": "there is nothing here",
    "revocation_not_stored": "the revocation is in force, but not stored: revoke again",
    "rate_limited": "this comes too often",
    "storage_unavailable": "the store does not answer",
    "target_too_long": "the URL is too long",
    "throttled": "too many failures; try again later",
    "too_many_keys": "the app has as many keys as it can have",
    "timeout": "the request took too long",
    "tls_required": "a key's secret is accepted over TLS alone",
    "token_expired": "the token has expired",
    "too_big": "the body is too big",
    "too_many_apps": "there are as many apps as can be made",
    "too_many_headers": "there are too many headers",
    "too_many_revocations": "too many revocations are in force",
    "unauthorized": "valid credentials are required",
    "unsupported_type": "the body must be application/json",
    "user_exists": "there is a user with this id already",
    "user_unknown": "there is no user with this id",
}

_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class HttpError(Exception):
    """Ends a request with an error answer. ``detail`` is for the client's eyes."""

    def __init__(self, status: int, code: str, detail: Any = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None, *, end: bytes = b"") -> Response:
    """``value`` (attrs, msgspec or plain) as JSON, and white space at its ``end``."""
    body = msgspec.json.encode(value) + end
    return Response(body, status, {**_HEADERS, **(headers or {})}, media_type="application/json")


def text(body: bytes, media_type: str) -> Response:
    """``body`` as it is."""
    return Response(body, 200, dict(_HEADERS), media_type=media_type)


def failure(status: int, code: str, detail: Any = "", headers: dict[str, str] | None = None) -> Response:
    """An error answer. The connection is closed where the request may not have been read to its end."""
    close = {"connection": "close"} if status in {408, 413, 414, 431, 500, 505} else {}
    error = {"code": code, "text": TEXTS[code], "detail": detail}
    return json({"error": error}, status, {**close, **(headers or {})})
