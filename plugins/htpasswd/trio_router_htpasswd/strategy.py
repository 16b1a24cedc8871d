"""The strategy ``htpasswd``: ``{"username", "password"}`` against a file that may change while the router runs.

Hashing runs in threads of its own, few at a time, with a bounded queue. The file is read again when it has changed.

The rule that keeps it honest: the file as it is now decides. While it is missing or broken nobody of it is let in, and
nobody is told that their password is wrong: the answer is unavailable.
"""

from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Final

import attrs
import trio

from trio_router.auth.services import Services
from trio_router.auth.strategy import (
    INTERFACE_VERSION,
    Accepted,
    Answer,
    Denied,
    LoginRequest,
    NotMine,
    Unavailable,
)
from trio_router.errors import ConfigError, Problem
from trio_router.identity import User
from trio_router_htpasswd.passwords import Passwords, parse

THREADS: Final = 2
QUEUE: Final = 500

DENIED: Final = Denied("credentials")


@attrs.frozen
class HtpasswdOptions:
    """``path`` is the file; a relative one counts from the config file's folder."""

    path: Path


class HtpasswdStrategy:
    """Mine: logins with a user name and a password, both texts."""

    name = "htpasswd"

    def __init__(self, file: PasswordFile, services: Services) -> None:
        self._file = file
        self._log = services.log
        self._threads = trio.CapacityLimiter(THREADS)

    async def start(self, request: LoginRequest) -> Answer:
        auth = request.auth or {}
        username, password = auth.get("username"), auth.get("password")
        if not isinstance(username, str) or not isinstance(password, str):
            return NotMine()
        if self._threads.statistics().tasks_waiting >= QUEUE:
            return Unavailable("busy")
        try:
            matches = await trio.to_thread.run_sync(self._match, username, password, limiter=self._threads)
        except ConfigError as error:
            self._log.error("htpasswd_file", problems=[str(problem) for problem in error.problems])
            return Unavailable("file")
        return Accepted(User(username)) if matches else DENIED

    def _match(self, username: str, password: str) -> bool:
        return self._file.current().match(username, password)


class PasswordFile:
    """A file's users, read again whenever the file is another one than last time. For use from threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, ...], Passwords] | None = None

    def current(self) -> Passwords:
        """The users as of now. Raises ``ConfigError``."""
        with self._lock:
            try:
                found = self._path.stat()
                version = (found.st_ino, found.st_mtime_ns, found.st_size)
                if self._read is None or self._read[0] != version:
                    self._read = None
                    self._read = (version, parse(self._path.read_text("utf-8"), str(self._path)))
                return self._read[1]
            except OSError as error:
                raise ConfigError(Problem(f"cannot be read: {error.strerror}", str(self._path))) from None
            except UnicodeDecodeError:
                raise ConfigError(Problem("is not UTF-8", str(self._path))) from None


class HtpasswdType:
    """The entry point ``htpasswd``."""

    interface_version = INTERFACE_VERSION
    Options = HtpasswdOptions

    def build(self, options: HtpasswdOptions, services: Services) -> HtpasswdStrategy:
        """Reads the file once, so that a router does not start with one it cannot use. Raises ``ConfigError``."""
        file = PasswordFile(services.base / options.path)
        file.current()
        return HtpasswdStrategy(file, services)

    def unsafe(self, options: HtpasswdOptions) -> list[str]:
        """What ``trio-router check`` says about these options."""
        try:
            mode = options.path.stat().st_mode
        except OSError:
            return []  # build() says so
        return [f"htpasswd: {options.path} can be read by everybody on this machine"] if mode & stat.S_IROTH else []
