"""Log in with a user name and a password of the router's own users.

The login message ``{"username": ..., "password": ...}`` with two texts is mine, everything else is not. Unknown user,
wrong password, disabled user and user without a password look the same to the client and cost the same (T56); the slug in
log and metrics tells them apart. Who guesses is slowed down per user and address (T57).

The rule that keeps it honest: whether an attempt may be judged is asked again inside its hashing turn, so that a thousand
attempts sent at once are slowed down like a thousand sent one by one; and who got in is looked at again afterwards, so
that no login outruns an administrator who has just disabled the user.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import attrs
import structlog
import trio

from trio_router.auth import userfile
from trio_router.auth.accounts import AccountError, Accounts
from trio_router.auth.passwords import QUEUE, HashingBusy, InvalidPassword, PasswordHasher, check_password
from trio_router.auth.services import Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine, Unavailable
from trio_router.auth.throttle import Throttle, throttled
from trio_router.auth.userfile import FileUser
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.identity import User
from trio_router.secret import Secret
from trio_router.storage.users import UserRecord, UserStore, could_exist

_COUNT: Final = attrs.validators.ge(1)
_SECONDS: Final = attrs.validators.gt(0.0)


@attrs.frozen
class UsersOptions:
    """Options of the strategy ``users``.

    ``file`` is a users file imported at start: with ``file_mode`` ``add``, users who are missing are added and all others
    left as they are; with ``update``, the file wins over what was changed elsewhere. ``file_readable`` lets others on
    the machine read it (unsafe).
    ``hash_threads`` passwords are checked at once (default: one per core), ``hash_queue`` more may wait.
    ``user_failures`` and ``address_failures`` failed attempts are free for a user from one address and for an address; each
    further one makes it wait 1, 2, 4 ... ``longest_delay`` seconds. ``failure_window`` seconds without failure forget them.
    """

    file: Path | None = None
    file_mode: Literal["add", "update"] = "add"
    file_readable: bool = False
    hash_threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_COUNT))
    hash_queue: int = attrs.field(default=QUEUE, validator=attrs.validators.ge(0))
    user_failures: int = attrs.field(default=5, validator=_COUNT)
    address_failures: int = attrs.field(default=20, validator=_COUNT)
    failure_window: float = attrs.field(default=900.0, validator=_SECONDS)
    longest_delay: float = attrs.field(default=60.0, validator=_SECONDS)


class UsersStrategy:
    """See the module. ``seed`` are users of a file that :meth:`prepare`, or else the first login, imports."""

    name = "users"

    def __init__(
        self,
        store: UserStore,
        hasher: PasswordHasher,
        throttle: Throttle,
        accounts: Accounts,
        log: structlog.stdlib.BoundLogger,
        *,
        seed: tuple[FileUser, ...] = (),
        update: bool = False,
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._throttle = throttle
        self._log = log
        self._accounts = accounts
        self._seed = seed
        self._update = update
        self._prepared = False
        self._preparing = trio.Lock()

    async def prepare(self) -> None:
        """Connects to the store and imports the users file.

        The router calls it before it listens, so that a fault is seen at start. Where nobody did, or the store was
        away, the next login does it.

        Raises:
            ConfigError, StorageUnavailable: it could not be done; call it again.
        """
        async with self._preparing:
            if self._prepared:
                return
            await self._store.check()
            if self._seed:
                await self._import()
            self._prepared = True

    async def _import(self) -> None:
        try:
            outcome = await self._accounts.import_users(self._seed, update=self._update)
        except AccountError as error:  # no memory to hash, or somebody removed a user at this moment
            problem = StorageUnavailable(f"the users file was not imported: {error}")
        else:
            self._log.info("users_imported", **{name: len(ids) for name, ids in attrs.asdict(outcome).items()})
            return
        raise problem

    async def start(self, request: LoginRequest) -> Answer:
        """Accepted, denied, unavailable or not mine; see the module."""
        auth = request.auth or {}
        username, password = auth.get("username"), auth.get("password")
        if not isinstance(username, str) or not isinstance(password, str):
            return NotMine()
        try:
            if not self._prepared:
                await self.prepare()
            return await self._judge(request, username, Secret(password))
        except (StorageUnavailable, ConfigError) as error:
            self._log.error("users_unavailable", problem=str(error))
            return Unavailable("storage")
        except HashingBusy:
            return Unavailable("busy")

    async def _judge(self, request: LoginRequest, username: str, password: Secret) -> Answer:
        known = username if could_exist(username) else ""  # what is no id is nobody, and is not remembered at length
        who = (request.app, known, request.remote_address)
        if (wait := self._throttle.wait(*who)) > 0:
            return throttled(wait)
        try:
            check_password(password)
        except InvalidPassword:  # nobody's password: told without a hash, since that tells nothing about the user
            self._throttle.failed(*who)
            return Denied("invalid_password")
        record = await self._store.get(request.app, known)
        while True:  # once, and again only if the hash was replaced while this one was being verified
            old, new = (record.password_hash if record else None), None
            async with self._hasher.turn() as turn:
                if (wait := self._throttle.wait(*who)) > 0:
                    return throttled(wait)
                matches = await turn.verify(old, password)
                if record is None or record.disabled or old is None or not matches:
                    self._throttle.failed(*who)
                    return Denied(_reason(record))
                self._throttle.succeeded(*who)
                if turn.needs_rehash(old):
                    new = await turn.hash(password)
            record = await self._store.get(request.app, known)
            if record is None or record.disabled:
                return Denied(_reason(record))
            if record.password_hash == old:
                break
        if new is not None:
            await self._rehash(request.app, known, old, new)
        return Accepted(User(record.id, record.data), record.client_data)

    async def _rehash(self, app: str, user_id: str, old: str, new: str) -> None:
        try:
            await self._store.rehash(app, user_id, old, new)
        except StorageUnavailable as error:  # the login itself is settled; the next one tries again
            self._log.warning("rehash_failed", user=user_id, problem=str(error))


class UsersType:
    """The strategy type ``users``."""

    interface_version = INTERFACE_VERSION
    Options = UsersOptions

    def outlives_reload(self, options: UsersOptions) -> bool:
        """It keeps its count of failed attempts; a users file is imported again."""
        return options.file is None

    def unsafe(self, options: UsersOptions) -> list[str]:
        """What ``trio-router check`` says about ``options``."""
        return ["file_readable: others on the machine may read the users file"] if options.file_readable else []

    def build(self, options: UsersOptions, services: Services) -> UsersStrategy:
        """Reads the users file, if there is one. Raises ``ConfigError``: it or the storage settings are refused."""
        seed: tuple[FileUser, ...] = ()
        if options.file is not None:
            path = services.base / options.file
            seed = userfile.load(path, readable=options.file_readable)
            plain = sum(user.password is not None for user in seed)
            if plain:
                services.log.warning("users_file_holds_plain_passwords", file=str(path), users=plain)
        store = services.users()
        hasher = PasswordHasher(threads=options.hash_threads, queue=options.hash_queue)
        throttle = Throttle(
            services.clock,
            user_failures=options.user_failures,
            address_failures=options.address_failures,
            window=options.failure_window,
            longest_delay=options.longest_delay,
        )
        return UsersStrategy(
            store,
            hasher,
            throttle,
            Accounts(store, services.app, hasher, services.clock),
            services.log,
            seed=seed,
            update=options.file_mode == "update",
        )


def _reason(record: UserRecord | None) -> str:
    if record is None:
        return "unknown_user"
    if record.disabled:
        return "disabled"
    return "no_password" if record.password_hash is None else "wrong_password"
