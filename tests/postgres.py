"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, reached through a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PostgresMissing(Exception):
    """What is missing to run PostgreSQL here."""


def find_programs() -> Path:
    """The folder that holds initdb, postgres and pg_ctl. Raises ``PostgresMissing``."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise PostgresMissing("initdb is neither on the PATH nor in /usr/lib/postgresql/*/bin (package postgresql)")
    return versions[-1].parent


class Postgres:
    """A running server. ``url(name)`` names one of its databases; ``stop`` and ``start`` take it away and back."""

    def __init__(self, programs: Path, folder: Path, as_user: list[str]) -> None:
        self._programs = programs
        self.folder = folder
        self._as_user = as_user
        self._count = 0

    def run(self, program: str, *arguments: str) -> str:
        command = [*self._as_user, str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        # -F: no fsync, the cluster is thrown away; no TCP at all; output to a file, so that no pipe stays open
        options = f"-F -c listen_addresses= -c unix_socket_directories={self.folder} -c max_connections=40"
        self.run(
            "pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options
        )

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.folder / "data"))

    def new_database(self) -> str:
        """The URL of a new, empty database, whose own order of text is a dictionary's and not that of code points."""
        self._count += 1
        name = f"test{self._count}"
        self.psql(f"CREATE DATABASE {name} LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://router:swordfish@/{name}?host={self.folder}"

    def psql(self, sql: str, name: str = "postgres") -> str:
        return self.run("psql", "-X", "-A", "-t", "-h", str(self.folder), "-U", "router", "-d", name, "-c", sql)


def _other_user() -> list[str]:
    """How to start programs as user postgres when we are root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresMissing("there is no user postgres, and PostgreSQL does not run as root") from None
    for program, arguments in (
        ("runuser", ["-u", "postgres", "--"]),
        ("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups"]),
    ):
        found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if found:
            return [found, *arguments]
    raise PostgresMissing("neither runuser nor setpriv is there to start PostgreSQL as another user than root")


@contextmanager
def cluster() -> Iterator[Postgres]:
    """A new cluster, started; stopped and removed afterwards. Raises ``PostgresMissing``."""
    programs = find_programs()
    as_user = _other_user()
    # Directly under /tmp: the path of a Unix socket is at most 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="trio-router-pg-", dir="/tmp"))
    try:
        if as_user:
            shutil.chown(folder, "postgres")
        server = Postgres(programs, folder, as_user)
        data = str(folder / "data")
        server.run("initdb", "-D", data, "-U", "router", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
