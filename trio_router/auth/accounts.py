"""Administration of the built-in users of one app: what the commands and the REST API are made of.

It checks what comes in, hashes passwords and asks the store; it must not know who is asking. The rule that keeps it
honest: every change is one ``Change`` of the fields concerned, never a read, an edit and a write back, so that two
administrators do not undo each other; and nothing that goes out holds a hash (T62).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from trio_router.auth.passwords import HashingBusy, InvalidPassword, PasswordHasher, check_password
from trio_router.auth.userdata import InvalidData, check_client_data, check_data
from trio_router.auth.userfile import FileUser
from trio_router.clock import Clock
from trio_router.errors import RouterError
from trio_router.names import InvalidName, check_user_id
from trio_router.secret import Secret
from trio_router.storage.users import KEEP, Change, UserExists, UserRecord, UserStore, UserUnknown

MAX_PAGE = 1000

Slug = Literal["invalid", "exists", "unknown", "busy"]


class AccountError(RouterError):
    """A request about a user was not carried out; nothing has changed.

    ``slug`` is ``invalid``, ``exists``, ``unknown`` or ``busy``; ``field`` names what is invalid ("" otherwise). The text
    is written for whoever asked and holds no secret.
    """

    def __init__(self, slug: Slug, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.slug = slug
        self.field = field
        self.message = message


@attrs.frozen
class Imported:
    """What an import did: ids of users, in the order of the file."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def public(user: UserRecord) -> dict[str, Any]:
    """What may be shown of a user, as JSON: everything but the hash."""
    return {
        "id": user.id,
        "data": user.data,
        "client_data": user.client_data,
        "disabled": user.disabled,
        "has_password": user.password_hash is not None,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


class Accounts:
    """The users of ``app``. Every method may raise ``AccountError`` and ``StorageUnavailable``.

    ``on_locked_out`` is told the id of a user who was disabled or removed, so that the sessions he has can be ended.
    """

    def __init__(
        self,
        store: UserStore,
        app: str,
        hasher: PasswordHasher,
        clock: Clock,
        *,
        on_locked_out: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._app = app
        self._hasher = hasher
        self._clock = clock
        self._on_locked_out = on_locked_out

    async def add(
        self,
        user_id: str,
        password: Secret | None = None,
        *,
        data: Mapping[str, Any] | None = None,
        client_data: Any = None,
        disabled: bool = False,
    ) -> UserRecord:
        """A new user. Without a password he cannot log in with one."""
        _check("id", check_user_id, user_id)
        _check("data", check_data, data)
        _check("client_data", check_client_data, client_data)
        password_hash = None if password is None else await self._hash(password)
        now = self._clock.wall()
        user = UserRecord(user_id, password_hash, data, client_data, disabled, created_at=now, updated_at=now)
        try:
            await self._store.add(self._app, user)
        except UserExists:
            raise AccountError("exists", f"there is a user {user_id} already") from None
        return user

    async def get(self, user_id: str) -> UserRecord:
        user = await self._store.get(self._app, user_id)
        if user is None:
            raise _unknown()
        return user

    async def list(self, *, after: str = "", limit: int = 100) -> list[UserRecord]:
        """One page in order of id: ``limit`` users (1 to ``MAX_PAGE``) from the first id greater than ``after``."""
        if after:
            _check("after", check_user_id, after)
        if not 1 <= limit <= MAX_PAGE:
            raise AccountError("invalid", f"must be from 1 to {MAX_PAGE}", "limit")
        return await self._store.list(self._app, after=after, limit=limit)

    async def change(
        self,
        user_id: str,
        *,
        data: Mapping[str, Any] | None = KEEP,
        client_data: Any = KEEP,
        disabled: bool = KEEP,
    ) -> UserRecord:
        """Several fields in one step; what is ``KEEP`` stays as it is."""
        if data is not KEEP:
            _check("data", check_data, data)
        if client_data is not KEEP:
            _check("client_data", check_client_data, client_data)
        change = Change(data=data, client_data=client_data, disabled=disabled)
        if not change.fields():
            return await self.get(user_id)
        user = await self._change(user_id, change)
        if disabled is True:
            self._locked_out(user_id)
        return user

    async def disable(self, user_id: str) -> UserRecord:
        """The user can no longer log in."""
        return await self.change(user_id, disabled=True)

    async def enable(self, user_id: str) -> UserRecord:
        """The user can log in again."""
        return await self.change(user_id, disabled=False)

    async def remove(self, user_id: str) -> None:
        try:
            await self._store.remove(self._app, user_id)
        except UserUnknown:
            raise _unknown() from None
        self._locked_out(user_id)

    async def set_password(self, user_id: str, password: Secret) -> UserRecord:
        await self.get(user_id)  # no work for nobody; the change below still has the last word
        return await self._change(user_id, Change(password_hash=await self._hash(password)))

    async def set_data(self, user_id: str, data: Mapping[str, Any] | None) -> UserRecord:
        """What rules read as ``user.data``; a session sees it from its next login."""
        return await self.change(user_id, data=data)

    async def set_client_data(self, user_id: str, client_data: Any) -> UserRecord:
        """What the client is handed at login."""
        return await self.change(user_id, client_data=client_data)

    async def import_users(self, users: Iterable[FileUser], *, update: bool) -> Imported:
        """Adds the users of a file who are missing; with ``update``, makes the others what the file says.

        Users who are not in the file are left alone. May be repeated: what is already so stays untouched.
        """
        outcome: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
        for user in users:
            outcome[await self._import(user, update=update)].append(user.id)
        return Imported(*(tuple(outcome[key]) for key in ("added", "updated", "unchanged")))

    async def _import(self, user: FileUser, *, update: bool) -> str:
        known = await self._store.get(self._app, user.id)
        if known is None:
            password_hash = user.password_hash
            if user.password is not None:
                password_hash = await self._hash(user.password)
            now = self._clock.wall()
            record = UserRecord(user.id, password_hash, user.data, user.client_data, user.disabled, now, now)
            try:
                await self._store.add(self._app, record)
            except UserExists:  # another router imports the same file: it was the first
                return "unchanged"
            return "added"
        if not update:
            return "unchanged"
        change = Change(
            password_hash=await self._new_hash(known, user),
            data=KEEP if known.data == user.data else user.data,
            client_data=KEEP if known.client_data == user.client_data else user.client_data,
            disabled=KEEP if known.disabled == user.disabled else user.disabled,
        )
        if not change.fields():
            return "unchanged"
        await self._change(user.id, change)
        if user.disabled and not known.disabled:
            self._locked_out(user.id)
        return "updated"

    async def _new_hash(self, known: UserRecord, user: FileUser) -> Any:
        """The hash the file asks for, or ``KEEP`` if the user has this password already."""
        if user.password is None:
            return KEEP if user.password_hash == known.password_hash else user.password_hash
        try:
            async with self._hasher.turn() as turn:
                if await turn.verify(known.password_hash, user.password):
                    return KEEP
                return await turn.hash(user.password)
        except HashingBusy:
            raise _busy() from None

    async def _hash(self, password: Secret) -> str:
        _check("password", check_password, password)
        try:
            async with self._hasher.turn() as turn:
                return await turn.hash(password)
        except HashingBusy:
            raise _busy() from None

    async def _change(self, user_id: str, change: Change) -> UserRecord:
        try:
            return await self._store.change(self._app, user_id, attrs.evolve(change, updated_at=self._clock.wall()))
        except UserUnknown:
            raise _unknown() from None

    def _locked_out(self, user_id: str) -> None:
        if self._on_locked_out is not None:
            self._on_locked_out(user_id)


def _check(field: str, check: Callable[[Any], object], value: Any) -> None:
    try:
        check(value)
    except (InvalidData, InvalidName, InvalidPassword) as error:
        problem = AccountError("invalid", str(error), field)
    else:
        return
    raise problem


def _unknown() -> AccountError:
    return AccountError("unknown", "there is no such user")


def _busy() -> AccountError:
    return AccountError("busy", "too many passwords are being checked at the moment; try again")
