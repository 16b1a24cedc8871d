"""App keys: one small interface, a memory twin and an SQL twin behind it, one contract suite over both.

A key belongs to one app and is named ``<app>.<key id>``. Its secrets can sign, so they are kept encrypted (the twin's business) and
leave the store only as ``Secret``. Two secrets may be live at once while a key is rotated: the newest signs, both verify.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from trio_router.grants import Grants
from trio_router.names import InvalidName, check_app_name, check_key_id
from trio_router.secret import Secret


@attrs.frozen
class KeyRecord:
    """One app key. ``secrets`` are newest first, one or two. ``expires_old`` is when the older one ends (epoch seconds)."""

    app: str
    id: str
    secrets: tuple[Secret, ...] = attrs.field(repr=False)
    grants: Grants = attrs.field(factory=Grants)
    label: str = ""
    disabled: bool = False
    created_at: float = 0.0
    expires_old: float | None = None

    @property
    def name(self) -> str:
        """``<app>.<key id>``, as clients and tokens write it."""
        return f"{self.app}.{self.id}"

    def live_secrets(self, now: float) -> tuple[Secret, ...]:
        """The secrets that verify at ``now`` (epoch seconds), newest first; none of a disabled key."""
        if self.disabled:
            return ()
        old_has_ended = self.expires_old is not None and now >= self.expires_old
        return self.secrets[:1] if old_has_ended else self.secrets


def could_be_key(app: str, key_id: str) -> bool:
    """Whether a key of this name can exist at all."""
    try:
        check_app_name(app)
        check_key_id(key_id)
    except InvalidName:
        return False
    return True


class KeyExists(Exception):
    """A key with this id is already there."""


class KeyUnknown(Exception):
    """There is no key with this id."""


Alter = Callable[[KeyRecord], KeyRecord]
"""Makes of a key what is to be in its place, with the same app and id. Called in a thread, with the key as it is at that moment."""


class KeyStore(Protocol):
    """Keys of all apps; ``app`` is part of every look-up (T66). Every method may raise ``StorageUnavailable``."""

    async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:
        """The key, or None. ``fresh``: whoever remembers keys is to ask again all the same."""

    async def add(self, key: KeyRecord) -> None:
        """Store a new key. Raises ``KeyExists``."""

    async def change(self, app: str, key_id: str, alter: Alter) -> KeyRecord:
        """Put ``alter(key)`` in place of the key and give it, in one step: of two changes neither undoes the other.

        Raises ``KeyUnknown``, and what ``alter`` raises; nothing has changed then.
        """

    async def remove(self, app: str, key_id: str) -> None:
        """Forget the key. Raises ``KeyUnknown``."""

    async def list(self, app: str) -> list[KeyRecord]:
        """All keys of the app, in order of id."""

    async def serial(self) -> int:
        """A number that is another one after every change to any key, whoever made it."""

    async def check(self) -> None:
        """Connect now instead of on first use. Raises ``ConfigError`` (wrong file mode, schema too new) besides."""

    async def aclose(self) -> None:
        """Give back connections and threads."""
