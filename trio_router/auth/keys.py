"""Administration of the app keys of one app: what the commands and the REST interface are made of.

It makes ids and secrets and asks the store; it must not know who is asking. The rule that keeps it honest: a secret goes
out once, in the answer to what made it (``Issued``); nothing else that goes out holds one (T62). Every change is made to the
key as it is at that moment, so that of two administrators neither undoes what the other did.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

from trio_router.clock import Clock
from trio_router.errors import RouterError
from trio_router.grants import GRANTS, Grants
from trio_router.names import InvalidName, check_key_id
from trio_router.secret import Secret
from trio_router.storage.keys import Alter, KeyExists, KeyRecord, KeyStore, KeyUnknown

SECRET_BYTES: Final = 32  # 256 bits: as long as HS256's hash (RFC 7518, 3.2)
ID_BYTES: Final = 6
MAX_LABEL: Final = 200
MAX_KEYS: Final = 1_000  # of one app
GRACE: Final = 86_400.0  # seconds the older secret verifies after a rotation
MAX_GRACE: Final = 365 * 86_400.0

Slug = Literal["invalid", "exists", "unknown", "too_many"]


class KeyRefused(RouterError):
    """A request about a key was not carried out; nothing has changed.

    ``slug`` is ``invalid``, ``exists``, ``unknown`` or ``too_many``; ``field`` names what is invalid ("" otherwise). The
    text is written for whoever asked and holds no secret.
    """

    def __init__(self, slug: Slug, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.slug = slug
        self.field = field


@attrs.frozen
class Issued:
    """A key with the secret that was just made for it, which nobody is shown again."""

    key: KeyRecord
    secret: Secret = attrs.field(repr=False)


def public(key: KeyRecord) -> dict[str, Any]:
    """What may be shown of a key, as JSON: everything but its secrets."""
    return {
        "key": key.name,
        "app": key.app,
        "id": key.id,
        "label": key.label,
        "grants": list(key.grants.names()),
        "disabled": key.disabled,
        "created_at": key.created_at,
        "secrets": len(key.secrets),
        "expires_old": key.expires_old,
    }


class Keys:
    """The keys of ``app``. Every method may raise ``KeyRefused`` and ``StorageUnavailable``."""

    def __init__(self, store: KeyStore, app: str, clock: Clock) -> None:
        self._store = store
        self._app = app
        self._clock = clock

    async def create(
        self, key_id: str | None = None, *, label: str = "", grants: Iterable[str] | None = None
    ) -> Issued:
        """A new key. ``key_id``: None for one that is made here. ``grants``: names of :data:`GRANTS`, None for all of them."""
        key_id = secrets.token_hex(ID_BYTES) if key_id is None else _key_id(key_id)
        _check_label(label)
        if len(await self._store.list(self._app)) >= MAX_KEYS:
            raise KeyRefused("too_many", f"an app has at most {MAX_KEYS} keys")
        secret = _new_secret()
        granted = Grants() if grants is None else _grants(grants)
        key = KeyRecord(self._app, key_id, (secret,), granted, label, created_at=self._clock.wall())
        try:
            await self._store.add(key)
        except KeyExists:
            raise KeyRefused("exists", f"there is a key {key.name} already") from None
        return Issued(key, secret)

    async def list(self) -> list[KeyRecord]:
        """All keys in order of id."""
        return await self._store.list(self._app)

    async def get(self, key_id: str) -> KeyRecord:
        key = await self._store.get(self._app, key_id)
        if key is None:
            raise _unknown()
        return key

    async def disable(self, key_id: str) -> KeyRecord:
        """Nothing is opened or verified with the key any more."""
        return await self.change(key_id, disabled=True)

    async def enable(self, key_id: str) -> KeyRecord:
        """The key works again."""
        return await self.change(key_id, disabled=False)

    async def grant(self, key_id: str, grants: Iterable[str]) -> KeyRecord:
        """From now on the key may do at most this."""
        return await self.change(key_id, grants=grants)

    async def change(
        self, key_id: str, *, disabled: bool | None = None, grants: Iterable[str] | None = None
    ) -> KeyRecord:
        """Change what is given, all of it in one step; the rest stays as it is."""
        fields: dict[str, Any] = {}
        if disabled is not None:
            fields["disabled"] = disabled
        if grants is not None:
            fields["grants"] = _grants(grants)
        return await self._change(key_id, lambda key: attrs.evolve(key, **fields)) if fields else await self.get(key_id)

    async def rotate(self, key_id: str, *, grace: float = GRACE) -> Issued:
        """A new secret, which signs from now on. The one before verifies ``grace`` seconds longer; older ones end at once."""
        if not 0 <= grace <= MAX_GRACE:
            raise KeyRefused("invalid", f"expected 0 to {MAX_GRACE:g} seconds", "grace")
        secret = _new_secret()
        ends = self._clock.wall() + grace if grace else None

        def rotated(key: KeyRecord) -> KeyRecord:
            kept = key.secrets[:1] if grace else ()
            return attrs.evolve(key, secrets=(secret, *kept), expires_old=ends)

        return Issued(await self._change(key_id, rotated), secret)

    async def remove(self, key_id: str) -> None:
        """Forget the key; what it signed verifies no more."""
        try:
            await self._store.remove(self._app, key_id)
        except KeyUnknown:
            raise _unknown() from None

    async def _change(self, key_id: str, alter: Alter) -> KeyRecord:
        try:
            return await self._store.change(self._app, key_id, alter)
        except KeyUnknown:
            raise _unknown() from None


def _new_secret() -> Secret:
    return Secret(secrets.token_urlsafe(SECRET_BYTES))


def _key_id(key_id: str) -> str:
    try:
        check_key_id(key_id)
    except InvalidName as error:
        raise KeyRefused("invalid", str(error), "id") from None
    return key_id


def _check_label(label: str) -> None:
    if len(label) > MAX_LABEL or not label.isprintable():
        raise KeyRefused("invalid", f"expected at most {MAX_LABEL} printable characters", "label")


def _grants(names: Iterable[str]) -> Grants:
    try:
        return Grants.only(names)
    except ValueError:
        raise KeyRefused("invalid", f"expected some of {', '.join(GRANTS)}", "grants") from None


def _unknown() -> KeyRefused:
    return KeyRefused("unknown", "there is no such key")
