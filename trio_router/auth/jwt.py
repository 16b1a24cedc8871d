"""Login with a JSON Web Token that somebody else issued.

Owns the way from a login to one of the five answers; what makes a token valid is :mod:`trio_router.tokens`. Of a token
that is not verified it uses one thing: an ``iss`` that is not this strategy's makes it somebody else's, so that several
issuers can stand in one chain. The URL of a key set is the config's, whatever a token says (T40).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from trio_router.auth.claim_paths import parse_path, parse_paths, pick
from trio_router.auth.jwt_options import JwtOptions
from trio_router.auth.services import OutboundError, Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine, Unavailable
from trio_router.auth.token_sources import parse_source
from trio_router.errors import ConfigError, Problem, TokenInvalid
from trio_router.identity import User
from trio_router.names import InvalidName, check_user_id
from trio_router.tokens.claims import Claims, ClaimsPolicy
from trio_router.tokens.compact import UnverifiedToken, parse
from trio_router.tokens.jwks import MAX_SIZE, Fetch, Jwks, KeysUnavailable
from trio_router.tokens.jwt import JoseVerifier, JwtVerifier, Key
from trio_router.tokens.keys import KeyRefused, KeySet, public_key, shared_secret

FindKey = Callable[[str | None], Awaitable[Key]]
"""The key of a ``kid``; raises ``TokenInvalid`` (there is none) or ``KeysUnavailable``."""

MAX_KEY_FILE: Final = 64 * 1024

_TELLING: Final = frozenset({"expired"})
"""Reasons the client is told: it needs a new token. Only said of a token whose signature holds."""


class JwtStrategy:
    """Accepts tokens of one issuer; not mine when there is none in the login."""

    name = "jwt"

    def __init__(self, options: JwtOptions, find_key: FindKey, verifier: JwtVerifier) -> None:
        self._algorithms = frozenset(options.algorithms)
        self._policy = ClaimsPolicy(
            issuer=options.issuer,
            audience=options.audiences,
            leeway=options.leeway,
            max_lifetime=options.max_lifetime,
            token_type=options.token_type,
        )
        self._sources = [parse_source(text) for text in options.token_from]
        self._user_id = parse_path(options.user_id)
        self._user_data = None if options.user_data is None else parse_paths(options.user_data)
        self._client_data = None if options.client_data is None else parse_paths(options.client_data)
        self._find_key = find_key
        self._verifier = verifier

    async def prepare(self) -> None:
        """Asks for the key set now rather than at the first login. That it cannot be had is logged and stops nothing."""
        with suppress(TokenInvalid, KeysUnavailable):
            await self._find_key(None)

    async def start(self, request: LoginRequest) -> Answer:
        try:
            token = self._own_token(request)
            if token is None:
                return NotMine()
            if token.algorithm not in self._algorithms:  # before a key is looked for: such a token is worth no request
                return Denied("algorithm")
            key = await self._find_key(token.kid)
            return self._accept(self._verifier.verify(token, key, self._policy))
        except TokenInvalid as error:
            return Denied(error.reason, {"error": error.reason} if error.reason in _TELLING else None)
        except KeysUnavailable as error:
            return Unavailable(f"keys_{error.reason}")

    def _own_token(self, request: LoginRequest) -> UnverifiedToken | None:
        """The first token of this issuer, or of none, in the configured order of places."""
        for source in self._sources:
            found = source(request)
            if len(found) > 1:
                raise TokenInvalid("ambiguous")
            for text in found:
                token = parse(text)
                if token.unverified_issuer in {None, self._policy.issuer}:
                    return token
        return None

    def _accept(self, claims: Claims) -> Answer:
        user_id = self._user_id.find(claims.values)
        if not isinstance(user_id, str):
            return Denied("bad_user_id")
        try:
            check_user_id(user_id)
        except InvalidName:
            return Denied("bad_user_id")
        data = None if self._user_data is None else pick(self._user_data, claims.values)
        return Accepted(
            User(user_id, data),
            client_data=None if self._client_data is None else pick(self._client_data, claims.values),
            expires_at=claims.expires_at,
            token_id=claims.token_id,
        )


class JwtType:
    """The entry point ``jwt``."""

    interface_version = INTERFACE_VERSION
    Options = JwtOptions

    def build(self, options: JwtOptions, services: Services) -> JwtStrategy:
        """Loads and checks every key now (T47); a key set by URL is fetched by ``prepare`` or at the first login.

        Raises:
            ConfigError: a key cannot be read or is refused.
        """
        if options.jwks_url is not None:
            find_key = _from_url(options.jwks_url, options, services)
        else:
            find_key = _from_config(options)
        return JwtStrategy(options, find_key, JoseVerifier(services.clock))

    def outlives_reload(self, options: JwtOptions) -> bool:
        """It keeps a key set from a URL, which has its own ways to stay fresh; key files are read again."""
        return options.jwks_url is not None

    def unsafe(self, options: JwtOptions) -> list[str]:
        """What ``trio-router check`` says about these options."""
        return options.unsafe()


def _from_url(url: str, options: JwtOptions, services: Services) -> FindKey:
    jwks = Jwks(
        url,
        issuer=options.issuer,
        algorithms=options.algorithms,
        fetch=_fetch(options, services),
        clock=services.clock,
        log=services.log,
        timeout=options.jwks_timeout,
        refresh_after=options.jwks_refresh_after,
        max_age=options.jwks_max_age,
    )
    return jwks.find


def _fetch(options: JwtOptions, services: Services) -> Fetch:
    async def fetch(url: str) -> bytes:
        try:
            answer = await services.outbound.request(
                "GET",
                url,
                headers=(("accept", "application/jwk-set+json, application/json"),),
                timeout=options.jwks_timeout,
                max_body=MAX_SIZE,
            )
        except OutboundError as error:
            raise KeysUnavailable(error.reason) from None
        if answer.status != 200:
            raise KeysUnavailable("status")
        return answer.body

    return fetch


def _from_config(options: JwtOptions) -> FindKey:
    field = "secret" if options.secret is not None else "key_file" if options.key_file is not None else "keys"
    try:
        keys = KeySet(_load(options))
    except KeyRefused as error:
        raise ConfigError(Problem(str(error), field=field)) from None
    idle = [name for name in options.algorithms if not any(name in key.handles for key in keys.keys)]
    if idle:
        raise ConfigError(Problem(f"no key is of use for {', '.join(idle)}", field="algorithms"))

    async def find(kid: str | None) -> Key:
        return keys.find(kid)

    return find


def _load(options: JwtOptions) -> list[Key]:
    if options.secret is not None:
        return [shared_secret(options.secret, options.algorithms, name="secret")]
    if options.key_file is not None:
        return [public_key(_read(options.key_file), options.algorithms, name=str(options.key_file))]
    keys = []
    for entry in options.keys or ():
        name = str(entry.file)
        if entry.algorithm is not None and entry.algorithm not in options.algorithms:
            raise KeyRefused(name, f"algorithm {entry.algorithm!r} is none of the strategy's algorithms")
        algorithms = options.algorithms if entry.algorithm is None else [entry.algorithm]
        keys.append(public_key(_read(entry.file), algorithms, name=name, kid=entry.kid))
    return keys


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise KeyRefused(str(file), f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_KEY_FILE:
        raise KeyRefused(str(file), f"is larger than {MAX_KEY_FILE // 1024} KiB")
    return data
