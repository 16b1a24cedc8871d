"""The options of the webhook strategy: their defaults, their bounds, and the reasons why a value is refused.

It knows how the options hang together, not how a login is asked. Faults are ``ValueError``s, which the config's loader
reports with file, line and key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs

from trio_router.auth.outbound import is_header
from trio_router.auth.service_urls import is_in_the_clear, service_url
from trio_router.limits import KIB, MIB
from trio_router.secret import Secret

TIMESTAMP_HEADER: Final = "x-trio-router-timestamp"
SIGNATURE_HEADER: Final = "x-trio-router-signature"

# A body with a stack trace in it is not for clients, and "I failed" is not "no": such statuses are unavailable.
UNAVAILABLE_STATUSES: Final = (408, 429, *range(500, 600))

_OWN_HEADERS: Final = frozenset({"content-type", TIMESTAMP_HEADER, SIGNATURE_HEADER})

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _between(low: float, high: float) -> _Validator:
    def check(_: Any, __: attrs.Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"must be between {low:g} and {high:g}")

    return check


def _statuses(_: Any, __: attrs.Attribute[Any], value: list[int]) -> None:
    if any(not 200 <= status <= 599 or 300 <= status <= 399 for status in value):
        raise ValueError("must be statuses from 200 to 599, without redirects (3xx)")


def _header_names(_: Any, __: attrs.Attribute[Any], value: list[str] | dict[str, Secret]) -> None:
    for name in value:
        if not is_header(name, "") or name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name!r} cannot be set as a header of the request")


def _header_values(_: Any, __: attrs.Attribute[Any], value: dict[str, Secret]) -> None:
    for name, secret in value.items():
        if not is_header(name, secret.reveal()):
            raise ValueError(f"the value of {name!r} cannot be sent in a header")


def _not_empty(_: Any, __: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not value:
        raise ValueError("must not be empty")


@attrs.frozen
class WebhookOptions:
    """Times are seconds, sizes bytes. docs/reference/login-webhook.md describes each option for users."""

    url: str = attrs.field(validator=service_url, repr=False)
    timeout: float = attrs.field(default=2.0, validator=_between(0.01, 60))
    when: list[str] = attrs.field(factory=list)

    forward_headers: list[str] = attrs.field(factory=lambda: ["cookie", "authorization"])
    promote_to_header: list[str] = attrs.field(factory=list, validator=_header_names)
    headers: dict[str, Secret] = attrs.field(factory=dict, validator=[_header_names, _header_values])
    secret: Secret | None = attrs.field(default=None, validator=_not_empty)

    permitted_statuses: list[int] = attrs.field(factory=lambda: [200], validator=[_statuses, _not_empty])
    unavailable_statuses: list[int] = attrs.field(factory=lambda: list(UNAVAILABLE_STATUSES), validator=_statuses)
    retry_statuses: list[int] = attrs.field(factory=list, validator=_statuses)
    retry_attempts: int = attrs.field(default=0, validator=_between(0, 10))
    retry_interval: float = attrs.field(default=0.2, validator=_between(0, 60))

    max_body: int = attrs.field(default=64 * KIB, validator=_between(0, MIB))
    concurrency: int = attrs.field(default=32, validator=_between(1, 150))
    queue: int = attrs.field(default=2_000, validator=_between(0, 100_000))
    breaker_failures: int = attrs.field(default=5, validator=_between(0, 1_000))
    breaker_seconds: float = attrs.field(default=2.0, validator=_between(0.01, 600))

    cache_seconds: float = attrs.field(default=0.0, validator=_between(0, 3_600))
    cache_size: int = attrs.field(default=10_000, validator=_between(1, 1_000_000))

    def __attrs_post_init__(self) -> None:
        permitted = set(self.permitted_statuses)
        if both := permitted & set(self.retry_statuses):
            raise ValueError(f"status {min(both)} is in permitted_statuses and in retry_statuses")
        if self.retry_statuses and not self.retry_attempts:
            raise ValueError("retry_statuses without retry_attempts: nothing would be retried")
        if self.retry_attempts and self.retry_attempts * self.retry_interval >= self.timeout:
            raise ValueError(
                "retry_attempts times retry_interval must be less than timeout, which bounds the whole login"
            )
        promoted = {name.lower() for name in self.promote_to_header}
        if twice := promoted & {name.lower() for name in self.headers}:
            raise ValueError(
                f"header {min(twice)!r} is in headers and in promote_to_header: a client could not be told apart"
            )

    @property
    def host(self) -> str:
        """Host and port of the service, for the log; the rest of the URL may hold secrets (T62)."""
        parts: SplitResult = urlsplit(self.url)
        return parts.hostname or "" if parts.port is None else f"{parts.hostname}:{parts.port}"

    @property
    def in_the_clear(self) -> bool:
        """Whether credentials would cross a network unencrypted."""
        return is_in_the_clear(self.url)
