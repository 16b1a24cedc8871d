"""A router of its own for each test, in this process, and official clients in Node."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.conformance.clients import FOLDER, Client, Node, NodeMissing, clients_of, start_node
from tests.integration.conftest import add_users, write_files
from tests.npm import NpmMissing, installed
from trio_router.app import Address, Router
from trio_router.config.load import load

CONFIG = """
rules: rules.yml
login:
  - strategy: open
    allow_username: true
listen: {port: 0}
deepstream: {}
"""

RULES = """
event: {"*": {subscribe: true, publish: true, listen: true}}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: true}}
"""


@attrs.frozen
class Site:
    """A running router, and clients for it. ``url`` is where deepstream clients connect; with ``text`` they speak JSON."""

    router: Router
    address: Address
    folder: Path
    node: Node
    environ: dict[str, str]
    text: bool = False

    @property
    def url(self) -> str:
        return f"{self.address.url.rpartition('/')[0]}/deepstream"

    async def client(self, name: str, **options: Any) -> Client:
        """A client that has connected and not logged in. With ``text`` it speaks JSON."""
        url = self.url
        if options.pop("text", self.text):
            url, options["socketOptions"] = f"{url}-json", {"jsonTransportMode": True}
        return await self.node.open(name, options.pop("url", url), **options)

    async def user(self, name: str, **options: Any) -> Client:
        """A client that has logged in under this name, where the config lets anybody choose one."""
        client = await self.client(name, **options)
        assert await client.login({"username": name}) == (True, None)
        return client

    async def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request of an administrator."""
        headers = {"authorization": f"Bearer {self.environ['ADMIN']}"}
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"{self.address.admin}{path}", headers=headers, **options)

    async def reload(self, rules: str) -> None:
        """Put other rules in force."""
        (self.folder / "rules.yml").write_text(rules)
        await self.router.reload()


Start = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture(scope="session")
def node_process() -> Iterator[subprocess.Popen[bytes]]:
    try:
        installed(FOLDER)
        process = start_node()
    except (NodeMissing, NpmMissing) as missing:
        pytest.skip(str(missing))
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
async def node(node_process: subprocess.Popen[bytes]) -> AsyncIterator[Node]:
    async with clients_of(node_process) as node:
        yield node


@pytest.fixture
def start(tmp_path: Path, node: Node) -> Start:
    """Starts a router: ``start(config, rules, users=(...))``. It ends with the block."""

    @asynccontextmanager
    async def running(
        config: str = CONFIG, rules: str = RULES, users: tuple[str, ...] = (), port: int = 0, **environ: str
    ) -> AsyncIterator[Site]:
        path = write_files(tmp_path, config.replace("port: 0", f"port: {port}", 1), rules)
        if users:
            await add_users(tmp_path, *users)
        environ = {"ADMIN": secrets.token_urlsafe(32), **environ}
        router = Router.load(lambda: load(path, environ=environ))
        async with trio.open_nursery() as nursery:
            address = await nursery.start(router.run)
            yield Site(router, address, tmp_path, node, environ)
            nursery.cancel_scope.cancel()

    return running


@pytest.fixture(params=["protobuf", "json"])
async def site(start: Start, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A router where everybody may do everything under any name, with clients that speak one of the two encodings."""
    async with start() as site:
        yield attrs.evolve(site, text=request.param == "json")
