"""Which modes a file that holds secrets may have (T70).

A database of users or a users file is its owner's alone: mode 0600, in a folder that nobody else may write to (who may
write to the folder can replace the file). It must not know what is inside. The rule: a file is refused, never repaired in
silence, because whoever could read it so far may have done so; the message says which command repairs it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from trio_router.errors import ConfigError, Problem

_OTHERS_READ_OR_WRITE = 0o077
_OTHERS_WRITE = 0o022


def check_private(path: Path, what: str, *, readable: bool = False) -> None:
    """Returns if ``path`` (a file that may not exist yet) and its folder are out of reach for other users of the machine.

    ``what`` names the file in messages, such as "the users file". With ``readable``, others may read it but not write.

    Raises:
        ConfigError: the folder does not exist or others may write to it; the file is no plain file or others may
            use it.
    """
    folder = path.parent
    mode = _mode(folder)
    if mode is None or not stat.S_ISDIR(mode):
        raise ConfigError(Problem(f"the folder of {what} does not exist: create it with mode 0700", str(folder)))
    if mode & _OTHERS_WRITE:
        message = (
            f"the folder of {what} is writable by others (mode {stat.S_IMODE(mode):04o}):"
            f" run `chmod go-w {folder}` or keep the file elsewhere"
        )
        raise ConfigError(Problem(message, str(folder)))
    mode = _mode(path)
    if mode is None:
        return
    if not stat.S_ISREG(mode):
        raise ConfigError(Problem(f"{what} is not a plain file", str(path)))
    if mode & (_OTHERS_WRITE if readable else _OTHERS_READ_OR_WRITE):
        verb = "writable" if mode & _OTHERS_WRITE else "readable"
        message = f"{what} is {verb} by others (mode {stat.S_IMODE(mode):04o}): run `chmod 600 {path}`"
        raise ConfigError(Problem(message, str(path)))


def create_private(path: Path) -> None:
    """Creates ``path`` empty with mode 0600 whatever the umask allows; an existing file stays as it is. May raise ``OSError``."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = Problem(f"cannot be looked at: {error.strerror}", str(path))
    raise ConfigError(problem)
