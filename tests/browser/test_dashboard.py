"""The page of examples/dashboard in a real browser: employees of six levels, each of whom sees that level's figures."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs

from examples.dashboard.run import EMPLOYEES, HERE, new_key
from tests.browser.chromium import Visitor
from trio_router.client import Client, KeyAuth, connect
from trio_router.testing.process import RouterProcess, free_port, router_process, service_process

Visit = Callable[[str], Visitor]


@attrs.frozen
class Company:
    """The example, running: where its page is, the password of everybody, and the data source."""

    page: str
    password: str
    source: Client
    router: RouterProcess
    again: Callable[[], AbstractAsyncContextManager[RouterProcess]]
    """Starts the router once more, where it was."""


@asynccontextmanager
async def company(folder: Path) -> AsyncIterator[Company]:
    """The example's own files, on ports that are free."""
    port, password = free_port(), secrets.token_urlsafe(9)
    environ = {"DASHBOARD_STORAGE_KEY": secrets.token_urlsafe(32), "DASHBOARD_ADMIN_TOKEN": secrets.token_urlsafe(32)}
    config = folder / "config.yml"
    text = (
        (HERE / "config.yml").read_text().replace("port: 7000", f"port: {free_port()}").replace("port: 7001", "port: 0")
    )
    text += "limits: {drain_window: 0}\n"  # nobody has to be spared a rush when the test ends
    config.write_text(text.replace("localhost:5000", f"localhost:{port}"))
    (folder / "rules.yml").write_text((HERE / "rules.yml").read_text())
    made = await new_key(config, environ)
    start = partial(router_process, config, environ=environ.copy())
    async with start() as router:
        environ |= {"DASHBOARD_KEY": made["key"], "DASHBOARD_SECRET": made["secret"], "DASHBOARD_PASSWORD": password}
        environ |= {"PORT": str(port), "ROUTER_URL": router.url}
        async with (
            service_process(HERE / "auth_server.py", environ),
            connect(router.url, KeyAuth(made["key"], made["secret"])) as source,
        ):
            yield Company(f"http://localhost:{port}/", password, source, router, start)


async def log_in(visitor: Visitor, page: str, name: str, password: str) -> None:
    await visitor.open(page)
    await visitor.fill("#name", name)
    await visitor.fill("#password", password)
    await visitor.click("#login button")


async def test_employees_see_the_figures_of_their_level_and_no_others(tmp_path: Path, visit: Visit) -> None:
    async with company(tmp_path) as running:
        people = {name: visit(name) for name in EMPLOYEES}
        for name, level in EMPLOYEES.items():
            await log_in(people[name], running.page, name, running.password)
            await people[name].sees("#state", f"showing pvt:{level}")
        for orders in (41, 42):
            for level in EMPLOYEES.values():
                await running.source.publish(f"pvt:{level}", {"level": level, "orders": orders})
        for name, level in EMPLOYEES.items():
            await people[name].sees("#figures", f'{{"level":"{level}","orders":42}}')
            shown = await people[name].texts("#figures li")
            assert shown == [f'{{"level":"{level}","orders":{orders}}}' for orders in (42, 41)]
            await people[name].picture("dashboard")


async def test_a_wrong_password_opens_nothing(tmp_path: Path, visit: Visit) -> None:
    async with company(tmp_path) as running:
        visitor = visit("ceo")
        await log_in(visitor, running.page, "ceo", "wrong")
        await visitor.sees("#state", "wrong name or password")
        assert running.router.log.count('"login_accepted"') == 1  # the data source's


async def test_the_page_says_when_the_router_is_gone_and_comes_back_with_it(tmp_path: Path, visit: Visit) -> None:
    async with company(tmp_path) as running:
        visitor = visit("emil")
        await log_in(visitor, running.page, "emil", running.password)
        await visitor.sees("#state", "showing pvt:L6")
        running.router.process.kill()
        await visitor.sees("#state", "disconnected")
        await running.router.wait()
        async with running.again():
            await visitor.sees("#state", "showing pvt:L6")  # a new session, and a token for it
            await running.source.wait_connected()
            await running.source.publish("pvt:L6", {"level": "L6", "orders": 43})
            await visitor.sees("#figures", '{"level":"L6","orders":43}')
