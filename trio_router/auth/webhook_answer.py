"""What an answer of a login webhook means: an HTTP answer in, one of the interface's answers out.

Pure. It knows statuses and bodies, not how they came. The rule that keeps it honest: an answer sets the user's id and the
serverData, and nothing else of a session (T61); clientData and token are for the client. Whatever does not fit exactly lets
nobody in.
"""

from __future__ import annotations

from typing import Any, Final

from trio_router.auth.services import HttpAnswer
from trio_router.auth.strategy import Accepted, Denied
from trio_router.auth.webhook_options import WebhookOptions
from trio_router.errors import RemoteProtocolError
from trio_router.identity import OPEN_USER_ID, User
from trio_router.names import InvalidName, check_user_id
from trio_router.protocols import strictjson

MAX_REFUSAL: Final = 1_024  # characters of a text told to a client that is refused

MAX_TOKEN: Final = 8_192

REFUSED: Final = "refused"


class Unusable(Exception):
    """Neither yes nor no. ``reason`` is a slug; ``detail`` says for the log what is wrong, without the answer's text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def judge(options: WebhookOptions, answer: HttpAnswer) -> Accepted | Denied:
    """The meaning of ``answer``.

    Raises:
        Unusable: the service gave no usable yes or no.
    """
    if answer.status in options.permitted_statuses:
        return _permitted(answer)
    if answer.status < 200 or 300 <= answer.status <= 399:
        raise Unusable("redirect" if answer.status >= 300 else "protocol", f"status {answer.status}")
    if answer.status in options.retry_statuses:
        raise Unusable("retries", f"status {answer.status}")
    if answer.status in options.unavailable_statuses:
        raise Unusable("status", f"status {answer.status}")
    return Denied(REFUSED, _refusal(answer))


def _permitted(answer: HttpAnswer) -> Accepted | Denied:
    body = answer.body.strip()
    if not body:
        return Accepted(_user(OPEN_USER_ID, None))
    if not _is_json(answer):
        return Accepted(_user(_text(body), None))
    try:
        value = strictjson.decode(body)
    except RemoteProtocolError as error:
        raise Unusable("bad_answer", error.detail) from None
    if isinstance(value, str):
        return Accepted(_user(value, None))
    if not isinstance(value, dict):
        raise Unusable("bad_answer", "the JSON is neither an object nor a string")
    # A service written for deepstream may refuse in this way. It can only ever take a login away.
    if value.get("isValid", True) is not True:
        return Denied(REFUSED, value.get("clientData"))
    user_id = value.get("id", value.get("username", OPEN_USER_ID))
    return Accepted(_user(user_id, value.get("serverData")), value.get("clientData"), token=_token(value.get("token")))


def _token(value: Any) -> str | None:
    """A token of the service's own, for the client; whatever else stands there is none."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TOKEN else None


def _user(user_id: Any, data: Any) -> User:
    if not isinstance(user_id, str):
        raise Unusable("bad_answer", "id: expected a string")
    if data is not None and not isinstance(data, dict):
        raise Unusable("bad_answer", "serverData: expected an object")
    try:
        check_user_id(user_id)
    except InvalidName as error:
        raise Unusable("bad_answer", f"id: {error}") from None
    return User(user_id, data, is_authenticated=user_id != OPEN_USER_ID)


def _refusal(answer: HttpAnswer) -> Any:
    """What a refused client is told: an object as it is, a text as ``{"error": text}``, nothing if neither can be read."""
    body = answer.body.strip()
    value: Any = None
    try:
        value = strictjson.decode(body) if body and _is_json(answer) else _text(body)
    except (RemoteProtocolError, Unusable):
        return None
    if isinstance(value, dict):
        return value
    return {"error": value[:MAX_REFUSAL]} if isinstance(value, str) and value else None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Unusable("bad_answer", "the text is not UTF-8") from None


def _is_json(answer: HttpAnswer) -> bool:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
