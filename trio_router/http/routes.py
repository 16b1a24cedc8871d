"""How an application of ours is made of routes: strict paths, typed errors, strict JSON bodies.

Owns what every route shares and no route. The rule that keeps it honest: a handler raises ``HttpError`` for what is the
client's doing; whatever else it raises is for :mod:`trio_router.http.serve` to log and to answer without a word of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from trio_router.auth.accounts import AccountError
from trio_router.auth.apps import AppRefused
from trio_router.auth.keys import KeyRefused
from trio_router.errors import ProblemsError, RemoteProtocolError, StorageUnavailable
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.protocols import strictjson

T = TypeVar("T", bound=msgspec.Struct)

_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
_ACCOUNTS: Final = {
    "invalid": (422, "invalid_user"),
    "exists": (409, "user_exists"),
    "unknown": (404, "user_unknown"),
    "busy": (503, "busy"),
}
_KEYS: Final = {
    "invalid": (422, "invalid_key"),
    "exists": (409, "key_exists"),
    "unknown": (404, "key_unknown"),
    "too_many": (409, "too_many_keys"),
}

_APPS: Final = {
    "invalid": (422, "invalid_app"),
    "exists": (409, "app_exists"),
    "unknown": (404, "app_unknown"),
    "too_many": (409, "too_many_apps"),
    "of_config": (409, "app_of_config"),
}


def application(routes: Sequence[BaseRoute]) -> Starlette:
    """An application of ``routes`` alone: no redirects to other spellings of a path, no pages of the framework."""
    app = Starlette(
        routes=list(routes),
        exception_handlers={
            HTTPException: _framework,
            HttpError: _http_error,
            AccountError: _account,
            KeyRefused: _key,
            AppRefused: _app,
            ProblemsError: _problems,
            StorageUnavailable: _storage,
            Exception: _unexpected,
        },
    )
    app.router.redirect_slashes = False  # a redirect would be built from the client's Host header
    return app


async def body(request: Request, kind: type[T]) -> T:
    """The request's JSON body as a ``kind``, whose unknown fields are forbidden.

    Raises:
        HttpError: 415 or 400; ``detail`` names the field that is wrong.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HttpError(415, "unsupported_type")
    try:
        return msgspec.convert(strictjson.decode(await request.body()), kind)
    except RemoteProtocolError as error:
        raise HttpError(400, "invalid_body", error.detail) from None
    except msgspec.ValidationError as error:
        raise HttpError(400, "invalid_body", str(error)) from None  # names fields and types, never values


async def _framework(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return answers.failure(status, _STATUS.get(status, "invalid_query"), headers=headers)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)  # noqa: S101 - registered for this class
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    return answers.failure(error.status, error.code, error.detail, {**headers, **error.headers})


async def _problems(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemsError)  # noqa: S101 - registered for this class
    detail: list[dict[str, Any]] = [
        {"source": p.source, "line": p.line, "column": p.column, "field": p.field, "message": p.message}
        for p in error.problems
    ]
    return answers.failure(422, "invalid_config", detail)


async def _account(_: Request, error: Exception) -> Response:
    assert isinstance(error, AccountError)  # noqa: S101 - registered for this class
    status, code = _ACCOUNTS[error.slug]
    return answers.failure(status, code, str(error) if error.slug == "invalid" else "")


async def _key(_: Request, error: Exception) -> Response:
    assert isinstance(error, KeyRefused)  # noqa: S101 - registered for this class
    status, code = _KEYS[error.slug]
    return answers.failure(status, code, str(error) if error.slug == "invalid" else "")


async def _app(_: Request, error: Exception) -> Response:
    assert isinstance(error, AppRefused)  # noqa: S101 - registered for this class
    status, code = _APPS[error.slug]
    return answers.failure(status, code, str(error) if error.slug in {"invalid", "exists"} else "")


async def _storage(_: Request, __: Exception) -> Response:
    return answers.failure(503, "storage_unavailable")


async def _unexpected(_: Request, __: Exception) -> Response:
    return answers.failure(500, "internal_error")  # the framework raises it again afterwards, and the server logs it
