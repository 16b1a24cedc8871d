"""Passwords in, argon2id hashes out, in a few threads and never more than a few.

A hash is made to be expensive, which makes it a weapon (T57): this module owns how many run at once, how many may wait, and
says *busy* beyond that. It also owns what makes an unknown user cost what a known one costs (T56): a hash of the same
parameters that no password matches. It must not know users, stores or strategies.

Parameters: argon2id, 19 MiB, 2 passes, 1 lane: the first of the settings that the OWASP Password Storage Cheat Sheet gives as
its minimum; 16 bytes of salt and 32 of hash. About 17 ms each on the class of machine this is measured on.

The rule that keeps it honest: one *turn* is one attempt. Whoever has to decide whether an attempt may still be made
decides inside its turn, when the outcomes of all but the other running turns are known.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import argon2
import trio
from argon2.exceptions import HashingError, VerificationError, VerifyMismatchError

from trio_router.errors import RouterError
from trio_router.secret import Secret

T = TypeVar("T")

MAX_PASSWORD: Final = 1024  # bytes: beyond any real password, and nothing to hash at length

PARAMETERS: Final = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=2, memory_cost=19 * 1024, parallelism=1
)
QUEUE: Final = 1000

# What an imported hash may cost: one login must not take seconds or most of the memory.
MAX_MEMORY: Final = 256 * 1024  # KiB
MAX_PASSES: Final = 16
MAX_LANES: Final = 16
_HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,6}),t=([1-9][0-9]?),p=([1-9][0-9]?)"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})\Z"
)


class InvalidPassword(RouterError):
    """This can be nobody's password; the text says why and does not repeat it."""


class InvalidHash(RouterError):
    """This is not a password hash the router takes; the text says why and does not repeat it."""


class HashingBusy(RouterError):
    """No password can be checked now: too many attempts are waiting, or there is no memory for one more."""


def check_password(password: Secret) -> bytes:
    """The bytes of ``password`` (UTF-8, 1 to ``MAX_PASSWORD``, not normalised).

    Raises:
        InvalidPassword: it is empty, too long, or not Unicode.
    """
    try:
        encoded = password.reveal_bytes()
    except UnicodeEncodeError:
        encoded = None
    if encoded is None:
        raise InvalidPassword("holds something that is not a character")
    if not encoded:
        raise InvalidPassword("is empty")
    if len(encoded) > MAX_PASSWORD:
        raise InvalidPassword(f"is longer than {MAX_PASSWORD} bytes")
    return encoded


def check_hash(text: str) -> None:
    """Returns if ``text`` is an argon2id hash (``$argon2id$v=19$m=..,t=..,p=..$salt$hash``) that costs a bearable amount.

    Raises:
        InvalidHash: it is not.
    """
    match = _HASH.match(text)
    if match is None:
        raise InvalidHash("is not an argon2id hash of the form $argon2id$v=19$m=..,t=..,p=..$salt$hash")
    memory, passes, lanes = (int(group) for group in match.groups()[:3])
    if memory > MAX_MEMORY or passes > MAX_PASSES or lanes > MAX_LANES:
        raise InvalidHash(f"costs too much: at most m={MAX_MEMORY}, t={MAX_PASSES}, p={MAX_LANES}")
    if memory < 8 * lanes:
        raise InvalidHash("is not valid: argon2 needs at least 8 KiB of memory for each lane")
    if not all(_is_canonical(group) for group in match.groups()[3:]):
        raise InvalidHash("is damaged: its salt or its digest is cut off or not base64")


class Turn:
    """The right to use one of the hashing threads, until the ``async with`` it came from ends."""

    def __init__(self, hasher: argon2.PasswordHasher, dummy: str, threads: ThreadPoolExecutor) -> None:
        self._hasher = hasher
        self._dummy = dummy
        self._threads = threads

    async def verify(self, stored: str | None, password: Secret) -> bool:
        """Whether ``password`` is the one that ``stored`` was made from.

        With None, or with something that is no hash, the answer is False after the same work (T56). The comparison
        is argon2's own, in constant time (T53). Not cancelled half way: an attempt that ran has its outcome counted.

        Raises:
            InvalidPassword: see :func:`check_password`.
            HashingBusy: argon2 got no memory; nothing is known about the password.
        """
        encoded = check_password(password)
        known = stored is not None and _is_hash(stored)
        target = stored if known and stored is not None else self._dummy
        return await self._run(lambda: self._verify(target, encoded)) and known

    async def hash(self, password: Secret) -> str:
        """A new hash of ``password``, with a new salt. Raises ``InvalidPassword`` and ``HashingBusy``."""
        encoded = check_password(password)
        return await self._run(lambda: self._hasher.hash(encoded))

    def needs_rehash(self, stored: str) -> bool:
        """Whether ``stored`` was made with other parameters than the router's own.

        Stronger ones count too: one cost for all is what keeps users apart from nobodies by no clock (T56).
        """
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, target: str, encoded: bytes) -> bool:
        try:
            return self._hasher.verify(target, encoded)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        """What ``work`` gives in one of our threads. Not cancelled half way."""
        await trio.lowlevel.checkpoint_if_cancelled()
        done, token = trio.Event(), trio.lowlevel.current_trio_token()
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: token.run_sync_soon(done.set))
        with trio.CancelScope(shield=True):
            await done.wait()
        try:
            return future.result()
        except (VerificationError, HashingError):
            problem = HashingBusy("argon2 could not get its memory")
        raise problem


class PasswordHasher:
    """``threads`` hashes at once (default: one per usable core) and at most ``queue`` callers waiting for one.

    Memory for hashing is at most ``threads`` times ``memory_cost``; argon2 runs without the interpreter's lock. The threads
    start when they are first needed and end with this object.
    """

    def __init__(
        self, *, threads: int | None = None, queue: int = QUEUE, parameters: argon2.Parameters = PARAMETERS
    ) -> None:
        self.threads = threads or usable_cores()
        self._room = self.threads + queue
        self._taken = 0
        self._limiter = trio.CapacityLimiter(self.threads)
        self._hasher = argon2.PasswordHasher.from_parameters(parameters)
        # Threads of our own: memory a thread has hashed with stays with it, so only these few may do it.
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="password")
        self._turn = Turn(self._hasher, _nobodys_hash(parameters), pool)

    @property
    def waiting(self) -> int:
        """How many callers wait for a turn."""
        return self._taken - int(self._limiter.borrowed_tokens)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Waits for a turn, first come, first served.

        Raises:
            HashingBusy: too many wait already; nothing was done.
        """
        if self._taken >= self._room:
            raise HashingBusy("too many attempts are waiting")
        self._taken += 1
        try:
            async with self._limiter:
                yield self._turn
        finally:
            self._taken -= 1


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_canonical(text: str) -> bool:
    """Whether argon2 will decode this unpadded base64: as long as it can be, and no bits left over."""
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return base64.b64encode(decoded).decode().rstrip("=") == text


def _is_hash(text: str) -> bool:
    try:
        check_hash(text)
    except InvalidHash:
        return False
    return True


def _nobodys_hash(parameters: argon2.Parameters) -> str:
    """A hash of the same cost whose digest is random, so that there is no password to it."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (parameters.salt_len, parameters.hash_len)
    )
    cost = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${cost}${salt}${digest}"
