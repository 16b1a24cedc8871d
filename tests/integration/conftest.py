"""A whole router of a config file, in this process, on free loopback ports."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from trio_router.app import Address, Router
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.config.schema import APP
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store

RULES = """
event:
  "room/$room":
    subscribe: "user.isAuthenticated"
    publish: "user.isAuthenticated"
  "desk/$id":
    subscribe: "user.id === $id"
    publish: "user.data.role === 'boss'"
rpc:
  "$name":
    provide: "user.isAuthenticated"
    request: "user.isAuthenticated"
presence:
  "*":
    allow: "user.isAuthenticated"
"""

USERS_CONFIG = """
rules: rules.yml
login:
  - strategy: users
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "sqlite:///users.db"}
"""


@attrs.frozen
class Site:
    """A running router with the folder its files are in."""

    router: Router
    address: Address
    folder: Path
    admin_token: str

    def login(self, name: str) -> dict[str, str]:
        """The credentials of a user made by the fixture."""
        return {"username": name, "password": f"password of {name}"}

    async def admin(self, method: str, path: str, **options: object) -> httpx.Response:
        """One request of an administrator."""
        headers = {"authorization": f"Bearer {self.admin_token}"}
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"{self.address.admin}{path}", headers=headers, **options)  # type: ignore[arg-type]


Start = Callable[..., AbstractAsyncContextManager[Site]]


def write_files(folder: Path, config: str = USERS_CONFIG, rules: str = RULES) -> Path:
    folder.chmod(0o700)
    (folder / "rules.yml").write_text(rules)
    (folder / "config.yml").write_text(config)
    return folder / "config.yml"


async def add_users(folder: Path, *names: str, url: str = "sqlite:///users.db") -> None:
    store = open_user_store(Secret(url), folder)
    accounts = Accounts(store, APP, PasswordHasher(), SystemClock())
    for name in names:
        await accounts.add(name, password=Secret(f"password of {name}"), data={"role": name})
    await store.aclose()


@pytest.fixture
def start(tmp_path: Path) -> Start:
    @asynccontextmanager
    async def running(
        config: str = USERS_CONFIG,
        rules: str = RULES,
        users: tuple[str, ...] = ("egon", "rosa", "boss"),
        **environ: str,
    ) -> AsyncIterator[Site]:
        path = write_files(tmp_path, config, rules)
        token = secrets.token_urlsafe(32)
        await add_users(tmp_path, *users)
        router = Router.load(lambda: load(path, environ={"ADMIN": token, **environ}))
        async with trio.open_nursery() as nursery:
            address = await nursery.start(router.run)
            yield Site(router, address, tmp_path, token)
            router.stop()

    return running
