"""The strategy that knows app keys: client programs by key alone, server programs by a proof of its secret.

``{"key": "<app>.<id>"}`` is a client program: a key's name is no secret, so it is let in without being authenticated, for
public names. ``{"key", "timestamp", "nonce", "proof"}`` is a server program: an HMAC over these and the session id
(:mod:`trio_router.protocols.keyproof`) in which the secret does not travel. Where the config allows it, a server program
may send ``Authorization: Basic`` with key and secret in the upgrade request, over this router's own TLS only.

It must not know sessions. The rule that keeps it honest: a wrong proof, a key that is disabled, of another app (T66) or not
there, a stale timestamp and a used nonce get one answer after the same work; only the log says which. Who guesses at a secret
is slowed down per key and address (T57), and whether an attempt may be judged is asked in the step in which it is judged.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import structlog

from trio_router.auth.nonces import Nonces, TooManyNonces
from trio_router.auth.services import Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine, Unavailable
from trio_router.auth.throttle import Throttle, throttled
from trio_router.clock import Clock
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.identity import User
from trio_router.names import KEY_CHARACTERS, InvalidName, check_user_id, split_key
from trio_router.protocols.keyproof import MAX_NONCE, MAX_TIMESTAMP, MIN_NONCE, key_proof
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord, KeyStore

KEY: Final = "key"
_PROVEN: Final = frozenset({KEY, "timestamp", "nonce", "proof"})
_NOBODY: Final = Secret("nobody has this secret: it stands in for keys that do not exist")
_MAX_SKEW: Final = 300.0
_MAX_BASIC: Final = 1024  # characters of an Authorization header
_COUNT: Final = attrs.validators.ge(1)
_SECONDS: Final = attrs.validators.gt(0.0)

Matches = Callable[[Secret, KeyRecord | None], bool]


def _skew(_: object, __: object, value: float) -> None:
    if not 1 <= value <= _MAX_SKEW:
        raise ValueError(f"must be from 1 to {_MAX_SKEW:g} seconds")


def _prefix(_: object, __: object, value: str) -> None:
    try:
        check_user_id(f"{value}k")
    except InvalidName as error:
        raise ValueError(str(error)) from None


@attrs.frozen
class KeyOptions:
    """``client_programs``: a key alone is enough to be let in, unauthenticated. ``basic``: key and secret in a header, over TLS.

    ``skew``: seconds a proof's timestamp may be off. ``user_prefix``: the user id is this and the key's id. ``user_data`` is
    what rules see as ``user.data`` besides ``key``, ``label`` and ``isServer``.
    ``key_failures`` and ``address_failures`` failed proofs are free for a key from one address and for an address; each further
    one makes it wait 1, 2, 4 ... ``longest_delay`` seconds. ``failure_window`` seconds without failure forget them.
    """

    client_programs: bool = True
    basic: bool = False
    skew: float = attrs.field(default=30.0, validator=_skew)
    user_prefix: str = attrs.field(default="key:", validator=_prefix)
    user_data: dict[str, Any] | None = attrs.field(default=None, repr=False)
    key_failures: int = attrs.field(default=5, validator=_COUNT)
    address_failures: int = attrs.field(default=20, validator=_COUNT)
    failure_window: float = attrs.field(default=900.0, validator=_SECONDS)
    longest_delay: float = attrs.field(default=60.0, validator=_SECONDS)


@attrs.frozen
class _Proof:
    """A well-formed proof."""

    timestamp: int
    nonce: str
    proof: str = attrs.field(repr=False)


class KeyStrategy:
    """See the module. One instance serves one app and keeps the nonces that were used."""

    name = "key"

    def __init__(
        self,
        options: KeyOptions,
        keys: KeyStore,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        nonces: Nonces,
        throttle: Throttle | None = None,
    ) -> None:
        self._throttle = Throttle(clock) if throttle is None else throttle
        self._options = options
        self._keys = keys
        self._clock = clock
        self._log = log
        self._nonces = nonces

    async def prepare(self) -> None:
        """Connects to the store. Raises ``ConfigError`` or ``StorageUnavailable``."""
        await self._keys.check()

    async def start(self, request: LoginRequest) -> Answer:
        """Accepted, denied, unavailable or not mine; see the module."""
        auth = request.auth or {}
        try:
            if KEY in auth:
                return await self._by_message(request, auth)
            basic = None if auth else _basic(request.header("authorization"))
            if basic is not None and self._options.basic:
                return await self._by_header(request, *basic)
        except (StorageUnavailable, ConfigError) as error:
            self._log.error("keys_unavailable", problem=str(error))
            return Unavailable("storage")
        return NotMine()

    async def _by_message(self, request: LoginRequest, auth: Mapping[str, Any]) -> Answer:
        name = auth[KEY]
        if set(auth) == {KEY}:
            key = await self._find(request.app, name)
            if not self._options.client_programs:
                return Denied("proof_needed")
            return Denied("unknown_key") if key is None else self._accepted(key, is_server=False)
        proof = _proof(auth)
        if proof is None or not isinstance(name, str):
            return Denied("malformed")
        return await self._by_proof(request, name, proof)

    async def _by_proof(self, request: LoginRequest, name: str, given: _Proof) -> Answer:
        def matches(secret: Secret, key: KeyRecord | None) -> bool:
            signed = (
                key.name if key is not None else f"{request.app}.unknown"
            )  # what is no key is not signed over at length
            expected = key_proof(signed, given.timestamp, given.nonce, request.session_id, secret)
            return hmac.compare_digest(expected, given.proof)

        key = await self._proven(request, name, matches, "wrong_proof")
        if isinstance(key, Denied):
            return key
        now = self._clock.wall()
        if abs(now - given.timestamp) > self._options.skew:
            return Denied("wrong_time")
        try:
            fresh = self._nonces.use(key.name, given.nonce, until=given.timestamp + self._options.skew, now=now)
        except TooManyNonces:
            return Unavailable("too_many_nonces")
        return self._accepted(key, is_server=True) if fresh else Denied("replayed")

    async def _by_header(self, request: LoginRequest, name: str, given: str) -> Answer:
        if not request.secure:
            return Denied("basic_without_tls")
        key = await self._proven(request, name, lambda secret, _: secret.matches(given), "wrong_secret")
        return key if isinstance(key, Denied) else self._accepted(key, is_server=True)

    async def _proven(self, request: LoginRequest, name: str, matches: Matches, wrong: str) -> KeyRecord | Denied:
        """The key whose secret the client has shown that it knows; ``matches`` compares one secret with what it showed."""
        known = name if _is_name(name) else ""  # what is no key's name is nobody's, and is not remembered at length
        who = (request.app, known, request.remote_address)
        if (wait := self._throttle.wait(*who)) > 0:
            return throttled(wait)
        key = await self._find(request.app, name)
        if not (proven := self._any(matches, key)) and key is not None:  # it may have been rotated elsewhere just now
            key = await self._find(request.app, name, fresh=True)
            proven = self._any(matches, key)
        if (wait := self._throttle.wait(*who)) > 0:  # others of its kind failed while the store was asked
            return throttled(wait)
        if key is None or not proven:
            self._throttle.failed(*who)
            return Denied("unknown_key" if key is None else wrong)
        self._throttle.succeeded(*who)
        return key

    def _any(self, matches: Matches, key: KeyRecord | None) -> bool:
        """Whether a live secret of ``key`` matches; all of them are compared, whichever it is (T53)."""
        return max([matches(secret, key) for secret in _secrets(key, self._clock.wall())], default=False)

    async def _find(self, app: str, name: object, *, fresh: bool = False) -> KeyRecord | None:
        """The key of this name, if it is one of this app and not disabled; the store is asked in any case."""
        key_id = ""
        if isinstance(name, str):
            try:
                owner, found = split_key(name)
            except InvalidName:
                pass
            else:
                key_id = found if owner == app else ""
        key = await self._keys.get(app, key_id or "unknown", fresh=fresh)
        return None if key is None or not key_id or key.disabled else key

    def _accepted(self, key: KeyRecord, *, is_server: bool) -> Accepted:
        data = {**(self._options.user_data or {}), "key": key.id, "label": key.label, "isServer": is_server}
        return Accepted(
            User(f"{self._options.user_prefix}{key.id}", data, is_authenticated=is_server),
            issued_at=self._clock.wall(),
            key=key.id,
            grants=key.grants,
            is_server=is_server,
        )


class KeyType:
    """The entry point ``key``."""

    interface_version = INTERFACE_VERSION
    Options = KeyOptions

    def outlives_reload(self, options: KeyOptions) -> bool:  # noqa: ARG002 - interface
        """It keeps the nonces that were used, and its count of failed proofs."""
        return True

    def unsafe(self, options: KeyOptions) -> list[str]:
        """What ``trio-router check`` says about ``options``."""
        return ["key: basic: the secret of a server program travels with each connection"] if options.basic else []

    def build(self, options: KeyOptions, services: Services) -> KeyStrategy:
        """Opens the store of keys. Raises ``ConfigError``: keys cannot be kept as the storage is configured."""
        throttle = Throttle(
            services.clock,
            user_failures=options.key_failures,
            address_failures=options.address_failures,
            window=options.failure_window,
            longest_delay=options.longest_delay,
        )
        return KeyStrategy(options, services.keys(), services.clock, services.log, Nonces(), throttle)


def _is_name(name: str) -> bool:
    """Whether a key can have this name."""
    try:
        split_key(name)
    except InvalidName:
        return False
    return True


def _secrets(key: KeyRecord | None, now: float) -> tuple[Secret, ...]:
    """What to compare with: of nobody, something that takes as long and never matches (T53)."""
    return (_NOBODY,) if key is None else key.live_secrets(now)


def _proof(auth: Mapping[str, Any]) -> _Proof | None:
    timestamp, nonce, proof = auth.get("timestamp"), auth.get("nonce"), auth.get("proof")
    if set(auth) != _PROVEN or not isinstance(nonce, str) or not isinstance(proof, str) or not proof.isascii():
        return None
    if isinstance(timestamp, bool) or not isinstance(timestamp, int) or not 0 <= timestamp <= MAX_TIMESTAMP:
        return None
    if not (MIN_NONCE <= len(nonce) <= MAX_NONCE and KEY_CHARACTERS.issuperset(nonce)):
        return None
    return _Proof(timestamp, nonce, proof)


def _basic(header: str | None) -> tuple[str, str] | None:
    """(key, secret) of an Authorization header of ours; None if there is none or it is somebody else's."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_BASIC:
        return None
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        split_key(name)
    except (binascii.Error, ValueError, InvalidName):
        return None
    return (name, secret) if colon else None
