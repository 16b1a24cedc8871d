"""The options of the jwt strategy: their defaults, their bounds, and the reasons why a value is refused.

It knows how the options hang together, not what a key or a token is made of. Faults are ``ValueError``s, which the
config's loader reports with file, line and key. Nothing here has a default that decides whom to trust: issuer,
audience, algorithms and keys are always written down.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from trio_router.auth.claim_paths import PathOptions, parse_path, parse_paths
from trio_router.auth.service_urls import is_in_the_clear, service_url
from trio_router.auth.token_sources import is_url, parse_source
from trio_router.secret import Secret
from trio_router.tokens.claims import MAX_LEEWAY
from trio_router.tokens.compact import is_kid
from trio_router.tokens.jwt import ALGORITHMS

DAY: Final = 86_400.0
LONG_LIFETIME: Final = 7 * DAY

_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _between(low: float, high: float) -> _Validator:
    def check(_: Any, __: attrs.Attribute[Any], value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"must be between {low:g} and {high:g} seconds")

    return check


def _texts(_: Any, __: attrs.Attribute[Any], value: str | list[str] | None) -> None:
    if value is not None and (not value or "" in ([value] if isinstance(value, str) else value)):
        raise ValueError("must not be empty")


def _algorithms(_: Any, __: attrs.Attribute[Any], value: list[str]) -> None:
    for algorithm in value:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"there is no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}")
    if not value or len(set(value)) != len(value):
        raise ValueError("must name at least one algorithm, and each once")


def _kid(_: Any, __: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not is_kid(value):
        raise ValueError("must be 1 to 128 printable ASCII characters")


def _sources(_: Any, __: attrs.Attribute[Any], value: list[str]) -> None:
    for text in value:
        parse_source(text)
    if not value or len(set(value)) != len(value):
        raise ValueError("must name at least one place for the token, and each once")


def _path(_: Any, __: attrs.Attribute[Any], value: str) -> None:
    parse_path(value)


def _paths(_: Any, __: attrs.Attribute[Any], value: PathOptions | None) -> None:
    if value is not None:
        parse_paths(value)


@attrs.frozen
class KeyFile:
    """One public key in PEM. ``kid`` is the name tokens call it by; ``algorithm`` narrows what it is used for."""

    file: Path
    kid: str | None = attrs.field(default=None, validator=_kid)
    algorithm: str | None = None


@attrs.frozen(kw_only=True)
class JwtOptions:
    """Times are seconds. docs/reference/login-jwt.md describes each option for users."""

    issuer: str = attrs.field(validator=_texts)
    audience: str | list[str] = attrs.field(validator=_texts)
    algorithms: list[str] = attrs.field(validator=_algorithms)

    secret: Secret | None = None
    key_file: Path | None = None
    keys: list[KeyFile] | None = attrs.field(default=None, validator=_texts)
    jwks_url: str | None = attrs.field(default=None, validator=service_url)
    jwks_allow_http: bool = False
    jwks_timeout: float = attrs.field(default=3.0, validator=_between(0.1, 10))
    jwks_refresh_after: float = attrs.field(default=300.0, validator=_between(60, DAY))
    jwks_max_age: float = attrs.field(default=21_600.0, validator=_between(60, 7 * DAY))

    leeway: float = attrs.field(default=5.0, validator=_between(0, MAX_LEEWAY))
    max_lifetime: float = attrs.field(default=DAY, validator=_between(1, 3_650 * DAY))
    token_type: str | None = attrs.field(default=None, validator=_texts)
    token_from: list[str] = attrs.field(factory=lambda: ["login", "authorization"], validator=_sources)

    user_id: str = attrs.field(default="sub", validator=_path)
    user_data: PathOptions | None = attrs.field(default=None, validator=_paths)
    client_data: PathOptions | None = attrs.field(default=None, validator=_paths)

    def __attrs_post_init__(self) -> None:
        sources = (self.secret, self.key_file, self.keys, self.jwks_url)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("needs exactly one of secret, key_file, keys and jwks_url")
        for algorithm in self.algorithms:
            shared = ALGORITHMS[algorithm] == "secret"
            if shared and self.secret is None:
                raise ValueError(f"algorithms: {algorithm} takes a shared secret, and public keys are configured (T38)")
            if not shared and self.secret is not None:
                raise ValueError(f"algorithms: {algorithm} takes a public key, and a secret is configured (T38)")
        if self.jwks_url is not None and self.in_the_clear and not self.jwks_allow_http:
            raise ValueError("jwks_url: must be https (or set jwks_allow_http: whoever is on the way chooses the keys)")
        if self.jwks_refresh_after > self.jwks_max_age:
            raise ValueError("jwks_refresh_after must not be more than jwks_max_age")

    @property
    def audiences(self) -> frozenset[str]:
        """The accepted audiences as a set."""
        return frozenset([self.audience] if isinstance(self.audience, str) else self.audience)

    @property
    def in_the_clear(self) -> bool:
        """Whether keys would cross a network unprotected."""
        return is_in_the_clear(self.jwks_url or "")

    def unsafe(self) -> list[str]:
        """What an administrator should have decided on purpose."""
        found = [
            f"jwt: token_from {text}: URLs, and the tokens in them, end up in logs and histories"
            for text in self.token_from
            if is_url(text)
        ]
        if self.in_the_clear:
            found.append("jwt: jwks_url is not encrypted: whoever is on the way can choose the keys and log in")
        if self.max_lifetime > LONG_LIFETIME:
            found.append(f"jwt: max_lifetime: a stolen token may be good for {self.max_lifetime / DAY:.0f} days")
        return found
