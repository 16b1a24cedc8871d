"""``trio-router init``: a folder with a router that runs.

Owns which files there are and their modes; their content is in ``templates``. The rule that keeps it honest: what it writes
passes ``check`` with nothing unsafe, secrets are born with mode 0600 in a folder of mode 0700 whatever the umask (T70),
and the password it prints is stored nowhere but as a hash.
"""

from __future__ import annotations

import os
import secrets
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from trio_router.auth.accounts import AccountError, Accounts
from trio_router.cli.output import Failure, json_option, line, problems_failure, safe_json
from trio_router.cli.passwords import generated
from trio_router.cli.users import with_accounts
from trio_router.errors import ConfigError
from trio_router.secret import Secret
from trio_router.storage.files import check_private
from trio_router.storage.users import UserRecord

ADMIN: Final = "admin"
SECRETS: Final = "secrets"
STORAGE_KEY: Final = "storage-key"
TOKEN_BYTES: Final = 32

_TEMPLATES: Final = {"config.yml": "config.yml", "rules.yml": "rules.yml", ".gitignore": "gitignore"}
_PORT = click.IntRange(0, 65535)


@click.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--port", default=7000, show_default=True, type=_PORT, help="Where clients connect.")
@click.option("--admin-port", default=7001, show_default=True, type=_PORT, help="Where administrators connect.")
@click.option("--force", is_flag=True, help="Write over what is there; the admin gets a new password and token.")
@json_option
def init(*, folder: Path, port: int, admin_port: int, force: bool, as_json: bool) -> None:
    """Write a working router into FOLDER: config, rules, an admin user and an admin token.

    The password of the user `admin` is printed once and stored only as a hash.
    """
    targets = [folder / name for name in _TEMPLATES] + [folder / SECRETS / "admin-token", folder / "router.db"]
    there = [path for path in targets if path.exists() and path.name != ".gitignore"]
    if there and not force:
        names = ", ".join(str(path) for path in there)
        raise Failure(f"already there: {names}; --force writes over them", code="exists")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(folder / "router.db", "the database")
        _write(folder, {"@port@": str(port), "@admin_port@": str(admin_port)})
    except ConfigError as error:
        raise problems_failure(error) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", code="cannot_write") from None
    password = generated()
    with_accounts(str(folder / "config.yml"), lambda accounts: _administrator(accounts, password))
    if as_json:
        line(safe_json({"folder": str(folder), "user": ADMIN, "password": password.reveal()}))
        return
    line(f"A router is ready in {folder}:")
    line("  config.yml, rules.yml   what it does and who may do what")
    line("  secrets/admin-token     for its administration over HTTP")
    line("  secrets/storage-key     what the secrets of app keys are encrypted with")
    line(f"  user {ADMIN}, password (shown this once): {password.reveal()}")
    line(f"Start it with: trio-router serve --config {folder / 'config.yml'}")


def _write(folder: Path, values: dict[str, str]) -> None:
    private = folder / SECRETS
    private.mkdir(mode=0o700, exist_ok=True)
    private.chmod(0o700)
    _write_file(private / "admin-token", secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    if not (private / STORAGE_KEY).exists():  # what is stored under the one there is would be lost with it
        _write_file(private / STORAGE_KEY, secrets.token_urlsafe(TOKEN_BYTES) + "\n")
    for name, template in _TEMPLATES.items():
        target = folder / name
        if name == ".gitignore" and target.exists():
            continue
        text = (files("trio_router.cli") / "templates" / template).read_text("utf-8")
        for mark, value in values.items():
            text = text.replace(mark, value)
        _write_file(target, text)


def _write_file(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, from its first byte on; an old one is replaced whole."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)


async def _administrator(accounts: Accounts, password: Secret) -> UserRecord:
    try:
        return await accounts.add(ADMIN, password, data={"role": "admin"})
    except AccountError as error:
        if error.slug != "exists":
            raise
        return await accounts.set_password(ADMIN, password)
