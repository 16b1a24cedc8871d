"""A token's text, taken apart: strict, bounded, and by our own code.

Owns the compact form (``header.payload.signature``) and nothing about keys or time. Exactly one text stands for
one token (T46): canonical base64url without padding, JSON without duplicate names, and whatever steers a verifier
from inside the token (embedded keys, URLs, critical extensions, compression) is refused before anything looks at it
(T40, T41, T42). The rule that keeps it honest: what :func:`parse` returns is called *unverified* wherever it is
written, and the only exception that leaves is ``TokenInvalid``, for input of any type (T43).
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, Final, NoReturn

import attrs

from trio_router.errors import TokenInvalid

MAX_TOKEN: Final = 8 * 1024
MAX_KID: Final = 128
MAX_DEPTH: Final = 16

REFUSED_HEADERS: Final = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c", "zip", "enc"})
"""Header members (RFC 7515, RFC 7797, RFC 7516) that let a token choose its own key, meaning or size."""


@attrs.frozen(eq=False)
class UnverifiedToken:
    """A well-formed token of which nothing is proven.

    ``body`` is the payload's JSON text, ``unverified_payload`` the object it holds. ``kid`` and ``typ`` are None when
    the header has none.
    """

    text: str = attrs.field(repr=False)
    algorithm: str
    kid: str | None
    typ: str | None
    body: bytes = attrs.field(repr=False)
    unverified_payload: dict[str, Any] = attrs.field(repr=False)

    @property
    def unverified_issuer(self) -> str | None:
        """The ``iss`` it claims, if that is a text. Good for one thing: leaving the token to somebody else."""
        issuer = self.unverified_payload.get("iss")
        return issuer if isinstance(issuer, str) else None


def parse(token: object) -> UnverifiedToken:
    """``token`` taken apart.

    Raises:
        TokenInvalid: ``malformed`` (not a text, more than 8 KiB, not three canonical parts, not two JSON objects) or
            ``header`` (a refused member, or one of the wrong type).
    """
    if type(token) is not str or len(token) > MAX_TOKEN or not token.isascii() or token.count(".") != 2:
        raise TokenInvalid("malformed")
    head, middle, signature = token.split(".")
    header = decode_object(decode_part(head))
    body = decode_part(middle)
    payload = decode_object(body)
    decode_part(signature)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or not REFUSED_HEADERS.isdisjoint(header):
        raise TokenInvalid("header")
    kid = header.get("kid")
    if "kid" in header and not is_kid(kid):
        raise TokenInvalid("header")
    typ = header.get("typ")
    if "typ" in header and not isinstance(typ, str):
        raise TokenInvalid("header")
    return UnverifiedToken(token, algorithm, kid, typ, body, payload)


def is_kid(kid: object) -> bool:
    """Whether ``kid`` can name a key: 1 to 128 printable ASCII characters."""
    return isinstance(kid, str) and 0 < len(kid) <= MAX_KID and kid.isascii() and kid.isprintable()


def decode_part(part: str) -> bytes:
    """The bytes that ``part`` spells in canonical base64url: no padding, no junk, unused bits zero.

    Raises:
        TokenInvalid: ``malformed``: it is empty, or these bytes have another spelling.
    """
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        canonical = base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
    except ValueError:
        raise TokenInvalid("malformed") from None
    if not data or canonical != part:
        raise TokenInvalid("malformed")
    return data


def decode_object(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``: UTF-8, no duplicate names, finite numbers, no lone surrogates, at most 16 deep.

    Raises:
        TokenInvalid: ``malformed``: it is something else.
    """
    try:
        text = data.decode("utf-8")
        if text.count("{") + text.count("[") > MAX_DEPTH:
            _check_depth(text)
        value = _DECODER.decode(text)
        if "\\u" in text:  # an escape can spell half a surrogate pair, which nobody could ever be sent
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):  # UnicodeError and JSONDecodeError are ValueErrors
        raise TokenInvalid("malformed") from None
    if not isinstance(value, dict):
        raise TokenInvalid("malformed")
    return value


def _check_depth(text: str) -> None:
    """Counts brackets outside of strings before the parser recurses into them (T15)."""
    depth = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == '"':
                quoted = False
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError
        elif letter in "}]":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _refuse(_: str) -> NoReturn:
    raise ValueError


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
