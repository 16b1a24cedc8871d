"""What was revoked, until it would have ended by itself: one small interface, memory and SQL twins, one contract suite.

Bounded: every entry has an end, after which nothing it names can be valid any more, and is forgotten then.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol, get_args

import attrs

from trio_router.errors import RouterError
from trio_router.names import InvalidName, check_app_name

Kind = Literal["token", "session", "user", "key", "before"]

KINDS: Final = frozenset(get_args(Kind))
MAX_VALUE: Final = 255


class InvalidRevocation(RouterError):
    """A revocation names nothing that could be revoked; the text says why, without the value."""


@attrs.frozen
class Revocation:
    """One revocation in one app.

    ``kind`` says what ``value`` is: a token id (``jti``), a session id, a user id, a key id; for ``before`` it is "" and everything
    issued before ``at`` is revoked. ``at`` is when it was revoked and ``until`` when it can be forgotten (epoch seconds). For ``user``
    and ``key``, what was issued after ``at`` is not affected. ``for_good``: who is sent away is told not to come back.
    """

    app: str
    kind: Kind
    value: str
    at: float
    until: float
    for_good: bool = False


@attrs.frozen
class News:
    """Revocations in the order they were stored, and the serial to ask with for what comes after them."""

    revocations: tuple[Revocation, ...]
    serial: int


def check_revocation(revocation: Revocation) -> None:
    """Returns if every store can keep ``revocation``: a value of at most ``MAX_VALUE`` printable ASCII characters.

    Raises:
        InvalidRevocation: it cannot be kept.
    """
    value = revocation.value
    try:
        check_app_name(revocation.app)
    except InvalidName as error:
        raise InvalidRevocation(f"app: {error}") from None
    if revocation.kind not in KINDS:
        raise InvalidRevocation(f"kind: expected one of {', '.join(sorted(KINDS))}")
    if len(value) > MAX_VALUE or not (value.isascii() and value.isprintable()):
        raise InvalidRevocation(f"value: expected at most {MAX_VALUE} printable ASCII characters")
    if bool(value) is (revocation.kind == "before"):
        raise InvalidRevocation("value: is for every kind but 'before'")


def merged(before: Revocation, new: Revocation) -> Revocation:
    """Both of the same thing in one: the later of each time, so that neither takes anything back."""
    return attrs.evolve(
        new,
        at=max(before.at, new.at),
        until=max(before.until, new.until),
        for_good=new.for_good if new.at >= before.at else before.for_good,
    )


class RevocationStore(Protocol):
    """Revocations of all apps. Every method may raise ``StorageUnavailable``."""

    async def add(self, revocation: Revocation) -> None:
        """Remember it, :func:`merged` with what there is of the same app, kind and value. Raises ``InvalidRevocation``."""

    async def since(self, serial: int) -> News:
        """What was stored after ``serial``, by anybody; 0 for everything. Cheap if it is nothing.

        A lower serial than one that was given before says that the database is another one: ask for everything.
        """

    async def forget(self, now: float) -> None:
        """Forget what is not in force any more at ``now``."""

    async def check(self) -> None:
        """Connect now instead of on first use. Raises ``ConfigError`` (wrong file mode, schema too new) besides."""

    async def aclose(self) -> None:
        """Give back connections and threads."""
