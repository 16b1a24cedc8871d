"""Where in a login a client may put its token, as a config names it: ``login``, ``cookie:session``, ...

Knows the places and not what a token is. A place that holds two tokens gives two: whoever asks must refuse that, since
another party may have added the second one (a cookie set by a sister domain). The URL is a place only when it is named,
because URLs end up in logs and histories.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from trio_router.auth.strategy import LoginRequest

TokenSource = Callable[[LoginRequest], list[object]]
"""What a login holds in one place: usually nothing or one text, anything else when the client is odd."""

DEFAULT_FIELD: Final = "token"
DEFAULT_PREFIX: Final = "trio-router.jwt."
MAX_QUERY_FIELDS: Final = 100
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110, section 5.6.2


def parse_source(text: str) -> TokenSource:
    """The place that ``text`` names: ``kind`` or ``kind:name``.

    Raises:
        ValueError: there is no such kind, or its name is missing or impossible.
    """
    kind, colon, name = text.partition(":")
    build = _KINDS.get(kind)
    if build is None:
        raise ValueError(f"{text!r} is no place for a token; there are {', '.join(_KINDS)}")
    if colon and not name:
        raise ValueError(f"{text!r} lacks a name after the colon")
    return build(name)


def is_url(text: str) -> bool:
    """Whether the place ``text`` names is part of the URL."""
    return text.partition(":")[0] == "query"


def _login(name: str) -> TokenSource:
    field = name or DEFAULT_FIELD
    return lambda request: [request.auth[field]] if request.auth and field in request.auth else []


def _authorization(name: str) -> TokenSource:
    if name:
        raise ValueError("'authorization' takes no name: the scheme is always Bearer")

    def read(request: LoginRequest) -> list[object]:
        values = [value for key, value in request.headers if key == "authorization"]
        pairs = [value.strip().partition(" ") for value in values]
        return [token.strip() for scheme, _, token in pairs if scheme.lower() == "bearer"]

    return read


def _cookie(name: str) -> TokenSource:
    if not _TOKEN.match(name):
        raise ValueError("'cookie' needs the name of the cookie: cookie:NAME")

    def read(request: LoginRequest) -> list[object]:
        headers = [value for key, value in request.headers if key == "cookie"]
        pairs = [pair.strip().partition("=") for header in headers for pair in header.split(";")]
        return [value for key, equals, value in pairs if equals and key == name]

    return read


def _subprotocol(name: str) -> TokenSource:
    prefix = name or DEFAULT_PREFIX
    if not _TOKEN.match(prefix):
        raise ValueError("'subprotocol' needs a prefix that can stand in Sec-WebSocket-Protocol")
    return lambda request: [text.removeprefix(prefix) for text in request.subprotocols if text.startswith(prefix)]


def _query(name: str) -> TokenSource:
    if not name:
        raise ValueError("'query' needs the name of the parameter: query:NAME")

    def read(request: LoginRequest) -> list[object]:
        try:
            pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        except ValueError:  # too many fields: nobody's token
            return []
        return [value for key, value in pairs if key == name]

    return read


_KINDS: Final[dict[str, Callable[[str], TokenSource]]] = {
    "login": _login,
    "authorization": _authorization,
    "cookie": _cookie,
    "subprotocol": _subprotocol,
    "query": _query,
}
