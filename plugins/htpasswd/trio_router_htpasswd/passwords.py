"""An htpasswd file: text in, users with their bcrypt hashes out, every fault named by its line.

It reads and compares; it knows nothing of logins. The rule that keeps it honest: only bcrypt is accepted, because the other
formats of these files (MD5, SHA-1, DES, plain text) can be tried out faster than a password lasts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final

import attrs
import bcrypt

from trio_router.errors import ConfigError, Problem
from trio_router.names import InvalidName, check_user_id

MIN_COST: Final = 4
MAX_COST: Final = 15  # about two seconds of one core per login
DEFAULT_COST: Final = 10
MAX_PASSWORD: Final = 72  # bytes: bcrypt does not look at more, so a longer one would match by its beginning

_HASH: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}\Z")
_OTHERS: Final = (
    ("$apr1$", "MD5 (apr1)"),
    ("$1$", "MD5 (crypt)"),
    ("{SHA}", "SHA-1"),
    ("{SSHA}", "salted SHA-1"),
    ("$5$", "SHA-256 (crypt)"),
    ("$6$", "SHA-512 (crypt)"),
    ("$argon2", "argon2"),
    ("$2", "damaged or unknown bcrypt"),
)


@attrs.frozen
class Passwords:
    """The users of one file. ``decoy`` is a hash nobody knows the password of, as costly as the costliest of the file."""

    hashes: Mapping[str, bytes] = attrs.field(repr=False)
    decoy: bytes = attrs.field(repr=False)

    def match(self, username: str, password: str) -> bool:
        """Whether this is the user's password. Takes as long for a user that does not exist; blocks for a hash's time."""
        known = self.hashes.get(username)
        given = password.encode("utf-8", "surrogatepass")
        same = bcrypt.checkpw(given[:MAX_PASSWORD], known or self.decoy)
        return same and known is not None and len(given) <= MAX_PASSWORD


def parse(text: str, source: str) -> Passwords:
    """The users of a file; ``source`` names it in errors. Blank lines and lines that start with ``#`` are skipped.

    Raises:
        ConfigError: it is no htpasswd file with bcrypt hashes only; all its faults, with their lines.
    """
    hashes: dict[str, bytes] = {}
    costs = []
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        username, _, stored = line.rstrip().partition(":")
        fault = _fault(username, stored)
        if username in hashes:
            fault = f"the user {username!r} is already there"
        if fault:
            problems.append(Problem(fault, source, number))
        else:
            hashes[username] = stored.encode()
            costs.append(int(stored[4:6]))
    if problems:
        raise ConfigError(problems)
    cost = max(costs, default=DEFAULT_COST)
    return Passwords(hashes, bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(cost)))


def _fault(username: str, stored: str) -> str:
    if not stored:
        return "expected a line of the form name:hash"
    try:
        check_user_id(username)
    except InvalidName as error:
        return f"the user name {error}"
    found = _HASH.match(stored)
    if found is None:
        return f"the password of {username!r} is stored as {_format(stored)}: set it again with `htpasswd -B`"
    if not MIN_COST <= int(found[1]) <= MAX_COST:
        return f"the cost of the password of {username!r} is not between {MIN_COST} and {MAX_COST}"
    return ""


def _format(stored: str) -> str:
    return next((name for start, name in _OTHERS if stored.startswith(start)), "DES (crypt) or plain text")
