"""An issuer's key set by URL: fetched rarely, kept for a bounded time, never led by a token.

The URL and the issuer come from the config (T40); each :class:`Jwks` belongs to one pair of them and shares nothing
(T39). Knows no HTTP: ``fetch`` is lent to it. Ages are monotonic, so that no jump of the wall clock makes an old set
fresh. The rule that keeps it honest: *this key does not exist* (``TokenInvalid``) is said only on the word of a set
that was fetched; when the set cannot be had it is :class:`KeysUnavailable`, which is nobody's fault but ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
import structlog
import trio

from trio_router.clock import Clock
from trio_router.errors import RouterError, TokenInvalid
from trio_router.tokens.compact import decode_object, is_kid
from trio_router.tokens.jwt import Key
from trio_router.tokens.keys import KeyRefused, KeySet, public_jwk

MAX_SIZE: Final = 256 * 1024
MAX_KEYS: Final = 50
UNKNOWN_KID_PAUSE: Final = 60.0
"""Seconds between two requests while a usable set is at hand, however many tokens name keys that it does not have."""

NO_KEYS_PAUSE: Final = 5.0
"""Seconds between two requests while there is no usable set and nobody can log in."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets the body at a URL, at most ``MAX_SIZE`` bytes; raises :class:`KeysUnavailable` when there is no good answer."""


class KeysUnavailable(RouterError):
    """The keys cannot be had now. ``reason`` is a fixed slug, e.g. ``"timeout"`` or ``"not_a_key_set"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen
class ParsedKeys:
    """A key set and what was left out of it: (the key's ``kid`` or place, why)."""

    keys: KeySet
    skipped: tuple[tuple[str, str], ...]


def parse_key_set(body: bytes, algorithms: Sequence[str]) -> ParsedKeys:
    """The usable keys of a JWK set (RFC 7517, section 5). A key that is not usable is skipped, with the reason.

    Keys that share a ``kid`` are all skipped, because a token could not say which one it means; so is a key without
    one beside others.

    Raises:
        KeysUnavailable: ``too_big``, ``too_many_keys`` or ``not_a_key_set``.
    """
    if len(body) > MAX_SIZE:
        raise KeysUnavailable("too_big")
    try:
        entries = decode_object(body).get("keys")
    except TokenInvalid:
        raise KeysUnavailable("not_a_key_set") from None
    if not isinstance(entries, list):
        raise KeysUnavailable("not_a_key_set")
    if len(entries) > MAX_KEYS:
        raise KeysUnavailable("too_many_keys")
    usable: list[Key] = []
    skipped: list[tuple[str, str]] = []
    for place, entry in enumerate(entries, start=1):
        name = _name(entry, place)
        try:
            if not isinstance(entry, dict):
                raise KeyRefused(name, "is not an object")
            usable.append(public_jwk(entry, algorithms, name=name))
        except KeyRefused as error:
            skipped.append((name, error.fault))
    times = Counter(key.kid for key in usable)
    alone = len(usable) == 1
    kept = [key for key in usable if times[key.kid] == 1 and (key.kid is not None or alone)]
    dropped = [key for key in usable if key not in kept]
    skipped.extend(
        (key.name, "has no kid beside other keys" if key.kid is None else "shares its kid") for key in dropped
    )
    return ParsedKeys(KeySet(kept), tuple(skipped))


class Jwks:
    """The keys at ``url`` for tokens of ``issuer``, usable with ``algorithms``. One instance serves all logins.

    ``timeout`` bounds one request. A set older than ``refresh_after`` is fetched anew by the next login that needs it,
    while others go on with the old one; past ``max_age`` the old one is no longer used. All in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        issuer: str,
        algorithms: Sequence[str],
        fetch: Fetch,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        timeout: float = 3.0,
        refresh_after: float = 300.0,
        max_age: float = 21_600.0,
    ) -> None:
        self.url = url
        self.issuer = issuer
        self._algorithms = tuple(algorithms)
        self._fetch = fetch
        self._clock = clock
        self._log: Any = log.bind(issuer=issuer)
        self._timeout = timeout
        self._refresh_after = refresh_after
        self._max_age = max_age
        self._lock = trio.Lock()
        self._parsed: ParsedKeys | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._generation = 0
        self._failure: str | None = None

    async def find(self, kid: str | None) -> Key:
        """The key called ``kid`` in this issuer's set.

        Raises:
            TokenInvalid: ``key``: a fresh enough set has no such key.
            KeysUnavailable: there is no usable set, or the request that might bring the key has failed.
        """
        keys = self._usable()
        if keys is None:
            await self._refresh(NO_KEYS_PAUSE)
            keys = self._require()
        elif self._age() > self._refresh_after and not self._lock.locked():
            await self._refresh(UNKNOWN_KID_PAUSE)
            keys = self._require()
        try:
            return keys.find(kid)
        except TokenInvalid:
            if not await self._refresh(UNKNOWN_KID_PAUSE):
                if self._failure is not None:
                    raise KeysUnavailable(self._failure) from None
                raise
        return self._require().find(kid)

    def _age(self) -> float:
        return self._clock.monotonic() - self._fetched_at

    def _usable(self) -> KeySet | None:
        if self._parsed is None or not len(self._parsed.keys) or self._age() > self._max_age:
            return None
        return self._parsed.keys

    def _require(self) -> KeySet:
        keys = self._usable()
        if keys is None:
            raise KeysUnavailable(self._failure or "no_keys")
        return keys

    async def _refresh(self, pause: float) -> bool:
        """Fetches the set unless that was tried within ``pause`` seconds; whether a newer one is there than before.

        Logins that come meanwhile wait for the one request and share its result. The request outlives the login that
        began it, for ``timeout`` seconds at most: clients that come and go can neither multiply requests nor prevent
        one from ending well.
        """
        before = self._generation
        async with self._lock:
            recent = self._tried_at is not None and self._clock.monotonic() - self._tried_at < pause
            if not recent:  # a login that waited here finds the attempt it waited for to be recent
                try:
                    with trio.move_on_after(self._timeout, shield=True) as scope:
                        await self._load()
                    if scope.cancelled_caught:
                        self._fail("timeout")
                finally:
                    self._tried_at = self._clock.monotonic()
        return self._generation != before

    async def _load(self) -> None:
        started = self._clock.monotonic()
        try:
            parsed = parse_key_set(await self._fetch(self.url), self._algorithms)
        except KeysUnavailable as error:
            self._fail(error.reason)
            return
        if self._parsed is None or parsed.skipped != self._parsed.skipped:
            for key, fault in parsed.skipped:
                self._log.warning("jwks_key_skipped", key=key, fault=fault)
        self._parsed = parsed
        self._fetched_at = started
        self._generation += 1
        self._failure = None

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._log.warning("jwks_not_fetched", reason=reason)


def _name(entry: object, place: int) -> str:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return f"key {kid!r}" if is_kid(kid) else f"key {place}"
