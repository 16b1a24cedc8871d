"""What a login webhook is sent: the body, the headers and the signature, as a function of the login and the options.

The body is ``{"connectionData": {"remoteAddress", "headers"}, "authData"}``, as deepstream's. Pure; it does not know how
requests travel. The rule that keeps it honest: of the upgrade request only listed headers leave the router, and a value
that a client chose becomes a header of ours only after it was checked (T58).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from trio_router.auth.outbound import is_header
from trio_router.auth.strategy import LoginRequest
from trio_router.auth.webhook_options import SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookOptions

EVERY_HEADER: Final = "*"

_encode: Final = msgspec.json.Encoder().encode


class Unsendable(Exception):
    """The login cannot be put into a request. ``reason`` is a slug, ``detail`` is for the client."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@attrs.frozen
class WebhookRequest:
    """One request, before it is signed: every attempt signs anew, with its own time."""

    body: bytes = attrs.field(repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)

    def digest(self, key: bytes) -> bytes:
        """A keyed digest of everything the service decides on; 32 bytes."""
        digest = hashlib.blake2b(self.body, key=key, digest_size=32)
        digest.update(b"\0" + _encode(self.headers))
        return digest.digest()


def prepare(options: WebhookOptions, request: LoginRequest) -> WebhookRequest:
    """The request for this login.

    Raises:
        Unsendable: a value to be promoted cannot be a header, or the login data cannot be written as JSON.
    """
    fixed = (("content-type", "application/json"), ("accept", "application/json, text/plain;q=0.9"))
    configured = tuple((name.lower(), secret.reveal()) for name, secret in options.headers.items())
    promoted = _promoted(options.promote_to_header, request.auth)
    message = {
        "connectionData": {
            "remoteAddress": request.remote_address,
            "headers": _forwarded(options.forward_headers, request.headers),
        },
        "authData": request.auth,
    }
    try:
        body = _encode(message)
    except (TypeError, ValueError, RecursionError):  # a caller's own objects or lone surrogates, not our codec's values
        raise Unsendable("invalid_data", "the login data cannot be written as JSON") from None
    return WebhookRequest(body, fixed + configured + promoted)


def sign(options: WebhookOptions, request: WebhookRequest, now: float) -> tuple[tuple[str, str], ...]:
    """All headers of one attempt; with a secret, signed over the time (whole seconds since the epoch), a dot and the body."""
    if options.secret is None:
        return request.headers
    timestamp = str(int(now))
    mac = hmac.new(options.secret.reveal_bytes(), f"{timestamp}.".encode() + request.body, hashlib.sha256)
    return (*request.headers, (TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, f"v1={mac.hexdigest()}"))


def _forwarded(listed: list[str], headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Listed headers by lower-case name; repeated ones joined as Node.js does, which deepstream services expect."""
    wanted = {name.lower() for name in listed}
    joined: dict[str, str] = {}
    for name, value in headers:
        if name in wanted or EVERY_HEADER in wanted:
            separator = "; " if name == "cookie" else ", "
            joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _promoted(names: list[str], auth: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    found = []
    for name in names:
        value = (auth or {}).get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not is_header(name, value):
            raise Unsendable("invalid_header", f"{name}: cannot be sent in a header")
        found.append((name.lower(), value))
    return tuple(found)
