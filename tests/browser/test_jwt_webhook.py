"""The tutorial of examples/jwt_webhook in a real browser: the official deepstream client, logged in by a cookie or by a token."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import attrs
import jwt
import pytest
import trio

from examples.jwt_webhook.start import HERE, new_secrets
from tests.browser.chromium import Visitor
from tests.npm import NpmMissing, installed
from trio_router.client import ConnectionEnded, LoginDenied, RequestRefused, connect
from trio_router.testing.process import (
    RouterProcess,
    ServiceProcess,
    free_port,
    router_process,
    service_process,
)

Visit = Callable[[str], Visitor]
NOT_ALLOWED = "The rules do not allow that."
PORTS = ("5000", "7000", "7001")
"""Those of the example: the application, the router, its administration."""


@pytest.fixture(scope="session", autouse=True)
def bundle() -> None:
    """The page's script, with the official client from the npm registry in it."""
    try:
        installed(HERE, build=True)
    except NpmMissing as missing:
        pytest.skip(str(missing))


def with_ports(text: str, ports: Sequence[int]) -> str:
    """One of the example's files with ``ports`` for :data:`PORTS`, all at once: a free port may itself contain the digits of one that is still to be replaced."""
    found = dict(zip(PORTS, map(str, ports), strict=True))
    return re.sub("|".join(PORTS), lambda match: found[match[0]], text)


@attrs.define
class Site:
    """The example's own files, on ports that are free. The application and the router are started apart from each other."""

    folder: Path
    host: str = "localhost"
    seconds: int = 3600
    origins: tuple[str, ...] = ()
    environ: dict[str, str] = attrs.field(factory=new_secrets)
    ports: tuple[int, int, int] = attrs.field(factory=lambda: (free_port(), free_port(), free_port()))

    @property
    def page(self) -> str:
        return f"http://localhost:{self.ports[0]}"

    @property
    def deepstream(self) -> str:
        return f"ws://{self.host}:{self.ports[1]}/deepstream"

    def app(self) -> AbstractAsyncContextManager[ServiceProcess]:
        port, _, admin = self.ports
        environ = self.environ | {"PORT": str(port), "CHAT_ADMIN_URL": f"http://127.0.0.1:{admin}"}
        environ |= {"CHAT_ROUTER_URL": self.deepstream, "CHAT_TOKEN_SECONDS": str(self.seconds)}
        return service_process(HERE / "app.py", environ)

    def router(self) -> AbstractAsyncContextManager[RouterProcess]:
        text = with_ports((HERE / "config.yml").read_text(), self.ports)
        for origin in self.origins:
            text = text.replace("origins: [", f'origins: ["{origin}", ')
        (self.folder / "config.yml").write_text(text + "limits: {drain_window: 0}\n")
        (self.folder / "rules.yml").write_text((HERE / "rules.yml").read_text())
        return router_process(self.folder / "config.yml", environ=self.environ)

    async def log_in(self, visitor: Visitor, name: str, *, password: str | None = None) -> None:
        """Fill in the form, wherever the visitor is led from the page."""
        await visitor.open(f"{self.page}/")
        await visitor.arrives("/login?why=not_logged_in")
        await visitor.fill("#username", name)
        await visitor.fill("#password", password or self.environ["CHAT_PASSWORD"])
        await visitor.click("#login-button")

    async def enter(self, visitor: Visitor, name: str) -> None:
        """Log in, and wait until the page is connected."""
        await self.log_in(visitor, name)
        await visitor.arrives("/")
        await visitor.sees("#state", "open")


async def token_of(visitor: Visitor) -> str:
    token = await visitor.script("return fetch('/session').then(answer => answer.json()).then(({token}) => token)")
    assert isinstance(token, str)
    return token


async def say(visitor: Visitor, text: str, button: str = "#say-button") -> None:
    await visitor.fill("#text", text)
    await visitor.click(button)


async def until_heard(speaker: Visitor, text: str, listener: Visitor) -> None:
    """Say it again until the other one hears it: a page that is connected needs another moment to subscribe."""
    for _ in range(30):
        await say(speaker, text)
        await trio.sleep(0.5)
        if any(text in line for line in await listener.texts("#messages li")):
            return
    raise AssertionError(f"{text!r} was never heard")


# ---- logging in ------------------------------------------------------------------------------------------------------


async def test_without_a_token_every_way_leads_to_the_login_page(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path)
    async with site.app():
        visitor = visit("nobody")
        for path in ("/", "/protected", "/static/chat.js"):
            await visitor.open(f"{site.page}{path}")
            await visitor.arrives("/login?why=not_logged_in")
        status = await visitor.script("return fetch('/session').then(answer => answer.status)")
        assert status == 403


async def test_a_wrong_password_and_an_unknown_name_are_refused_in_the_same_words(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path)
    async with site.app():
        visitor = visit("wrong")
        shown = []
        for name in ("wolfram", "nobody"):
            await site.log_in(visitor, name, password="wrong")
            await visitor.sees("#error", "Wrong user name or password.")
            shown.append(await visitor.texts("body"))
        assert shown[0] == shown[1]
        await visitor.open(f"{site.page}/")
        await visitor.arrives("/login?why=not_logged_in")


async def test_the_cookie_logs_the_client_in_and_no_script_can_read_it(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path)
    async with site.app(), site.router() as router:
        visitor = visit("wolfram")
        await visitor.console()
        await site.enter(visitor, "wolfram")
        await visitor.picture("logged-in")
        assert [entry for entry in await visitor.console() if entry["level"] in ("WARNING", "SEVERE")] == []
        assert await visitor.script("return document.cookie") == ""
        (cookie,) = await visitor.run(lambda driver: driver.get_cookies())
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("access_token", True, "Lax")
        await visitor.open(f"{site.page}/protected")
        await visitor.sees("body", "only those who are logged in read this, wolfram")
        assert cookie["value"] not in router.log


async def test_a_router_under_another_name_gets_no_cookie_and_the_token_of_session_logs_in(
    tmp_path: Path, visit: Visit
) -> None:
    """The cookie belongs to ``localhost``; a browser takes it nowhere else."""
    site = Site(tmp_path, host="127.0.0.1")
    async with site.app(), site.router():
        visitor = visit("chris")
        await site.log_in(visitor, "chris")
        await visitor.arrives("/login?why=not_logged_in")  # by the page, which the router has refused
        await visitor.open(f"{site.page}/?flow=token")
        await visitor.sees("#state", "open")
        await visitor.picture("logged-in-by-token")


async def test_an_expired_token_leads_back_to_the_login_page(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path, seconds=4)
    async with site.app():
        visitor = visit("chris")
        async with site.router():
            await site.enter(visitor, "chris")
            token = await token_of(visitor)
            expires = jwt.decode(token, options={"verify_signature": False})["exp"]
        await trio.sleep(max(0.0, expires + 1 - time.time()))
        async with site.router() as router:  # the page comes back, with the cookie it has
            await visitor.arrives("/login?why=expired")
            await visitor.sees("#error", "Your session has expired.")
            await visitor.picture("expired")
            with pytest.raises(LoginDenied) as denied:
                async with connect(router.url, {"token": token}):
                    pass
            assert denied.value.data == {"error": "expired"}
            await visitor.open(f"{site.page}/protected")
            await visitor.arrives("/login?why=expired")


async def test_a_token_that_the_application_did_not_sign_logs_nobody_in(tmp_path: Path) -> None:
    site = Site(tmp_path)
    key = site.environ["CHAT_JWT_KEY"]
    claims = {"sub": "wolfram", "iss": "jwt_webhook", "aud": "jwt_webhook", "iat": 0, "exp": 2**33, "jti": "x"}
    good = jwt.encode(claims, key, algorithm="HS256")
    forged = [
        jwt.encode(claims, secrets.token_bytes(32), algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims | {"aud": "another"}, key, algorithm="HS256"),
        jwt.encode(claims | {"sub": "nobody"}, key, algorithm="HS256"),
        good[:-1],
        good.replace(good.split(".")[1], jwt.encode(claims | {"sub": "chris"}, key).split(".")[1]),
        "",
        7,
    ]
    async with site.app(), site.router() as router:
        for token in forged:
            with pytest.raises(LoginDenied):
                async with connect(router.url, {"token": token}):
                    pass
        async with connect(router.url, {"token": good}) as client:
            assert client.user_id == "wolfram"


# ---- chatting --------------------------------------------------------------------------------------------------------


async def test_two_users_chat_under_the_rules(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path)
    async with site.app(), site.router():
        wolfram, chris = visit("wolfram"), visit("chris")
        await site.enter(wolfram, "wolfram")
        await site.enter(chris, "chris")
        await wolfram.sees("#online", "chris")
        await chris.sees("#online", "wolfram")
        await until_heard(wolfram, "anybody here?", chris)
        await until_heard(chris, "hello", wolfram)
        await say(wolfram, "hello <b>chris</b>")
        await chris.sees("#messages li", "wolfram: hello <b>chris</b>")  # as text
        await say(chris, "x" * 501)
        await chris.sees("#error", NOT_ALLOWED)
        await say(chris, "I am the boss", "#announce-button")
        await chris.sees("#error", NOT_ALLOWED)
        await chris.picture("chat-refused")
        await say(wolfram, "closing at ten", "#announce-button")
        await chris.sees("#messages li.announcement", "closing at ten")
        lines = await wolfram.texts("#messages li")
        assert lines[:2] == ["closing at ten", "wolfram: hello <b>chris</b>"]  # nothing of what was refused
        await wolfram.picture("chat")


async def test_programs_of_the_native_protocol_chat_along_and_nobody_speaks_for_others(
    tmp_path: Path, visit: Visit
) -> None:
    site = Site(tmp_path)
    async with site.app(), site.router() as router:
        wolfram, chris = visit("wolfram"), visit("chris")
        await site.enter(wolfram, "wolfram")
        await site.enter(chris, "chris")
        async with connect(router.url, {"token": await token_of(chris)}) as program:
            assert program.client_data == {"username": "chris"}
            with pytest.raises(RequestRefused):
                await program.publish("chat/lobby", {"from": "wolfram", "text": "forged"})
            await until_heard(chris, "anybody here?", wolfram)
            async with program.subscribe("chat/lobby") as events:
                await program.publish("chat/lobby", {"from": "chris", "text": "from a program"})
                await wolfram.sees("#messages li", "chris: from a program")
                await say(wolfram, "welcome")
                with trio.fail_after(30):
                    while (await anext(events)).data != {"from": "wolfram", "text": "welcome"}:
                        pass
        lines = await wolfram.texts("#messages li")
        assert lines[:2] == ["wolfram: welcome", "chris: from a program"]
        assert set(lines[2:]) == {"chris: anybody here?"}  # nothing that was forged


# ---- leaving ---------------------------------------------------------------------------------------------------------


async def test_a_token_that_was_given_up_ends_what_it_opened_and_opens_nothing_more(
    tmp_path: Path, visit: Visit
) -> None:
    site = Site(tmp_path)
    async with site.app(), site.router() as router:
        here, elsewhere = visit("wolfram-here"), visit("wolfram-elsewhere")
        await site.enter(here, "wolfram")
        await site.enter(elsewhere, "wolfram")  # another browser, with a token of its own
        token = await token_of(here)
        async with (
            connect(router.url, {"token": token}) as program,
            program.subscribe("chat/lobby") as events,
        ):
            await here.click("#logout-button")
            await here.arrives("/login?why=logged_out")
            await here.sees("#error", "You have logged out.")
            await here.picture("logged-out")
            assert await here.run(lambda driver: driver.get_cookies()) == []
            with trio.fail_after(30), pytest.raises(ConnectionEnded):
                await anext(events)  # it came back, and was refused
        with pytest.raises(LoginDenied) as denied:
            async with connect(router.url, {"token": token}):
                pass
        assert denied.value.data == {"error": "logged_out"}
        await here.open(f"{site.page}/")
        await here.arrives("/login?why=not_logged_in")
        await elsewhere.sees("#state", "open")
        chris = visit("chris")
        await site.enter(chris, "chris")
        await until_heard(elsewhere, "still here", chris)


async def test_a_token_can_be_given_up_while_the_router_is_down(tmp_path: Path, visit: Visit) -> None:
    site = Site(tmp_path)
    async with site.app():
        visitor = visit("chris")
        async with site.router():
            await site.enter(visitor, "chris")
            token = await token_of(visitor)
        await visitor.click("#logout-button")
        await visitor.arrives("/login?why=logged_out")
        async with site.router() as router:
            with pytest.raises(LoginDenied):
                async with connect(router.url, {"token": token}):
                    pass


# ---- when something is down ------------------------------------------------------------------------------------------


async def test_while_the_application_is_down_sessions_go_on_and_logins_are_unavailable(
    tmp_path: Path, visit: Visit
) -> None:
    site = Site(tmp_path)
    async with site.app() as first:
        wolfram, chris = visit("wolfram"), visit("chris")
        async with site.router():
            await site.enter(wolfram, "wolfram")
            await site.enter(chris, "chris")
            await until_heard(wolfram, "anybody here?", chris)
            first.process.kill()
            await first.process.wait()
            await say(wolfram, "the application is gone")
            await chris.sees("#messages li", "wolfram: the application is gone")
        async with site.router():  # both come back, and nobody can say who they are
            await chris.sees("#error", "Logins are unavailable at the moment; trying again.")
            await chris.picture("unavailable")
            assert await chris.url() == f"{site.page}/"
            async with site.app():
                await chris.sees("#state", "open")
                await wolfram.sees("#state", "open")
                await until_heard(chris, "and back", wolfram)


# ---- pages of others -------------------------------------------------------------------------------------------------


class Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else under the same host name: it tries to connect, and the browser adds the user's cookie."""

    def do_GET(self) -> None:
        page = b"<!doctype html><title>Elsewhere</title><p id=outcome>waiting<p>A page of somebody else."
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


TRY = """
const socket = new WebSocket(arguments[0]);
socket.onopen = () => { document.getElementById("outcome").textContent = "connected"; };
socket.onerror = () => { document.getElementById("outcome").textContent = "refused"; };
"""


@pytest.mark.threat("T01")
@pytest.mark.parametrize("listed", [False, True], ids=["not listed", "listed"])
async def test_a_page_of_another_origin_connects_only_if_it_is_listed(
    listed: bool, tmp_path: Path, visit: Visit
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://localhost:{server.server_port}"
    try:
        site = Site(tmp_path, origins=(origin,) if listed else ())
        async with site.app(), site.router():
            visitor = visit("wolfram")
            await site.enter(visitor, "wolfram")
            await visitor.open(f"{origin}/")
            await visitor.run(lambda driver: driver.execute_script(TRY, site.deepstream))
            await visitor.sees("#outcome", "connected" if listed else "refused")
    finally:
        server.shutdown()
        server.server_close()


# ---- as the README says ----------------------------------------------------------------------------------------------


async def test_start_runs_both_until_it_is_told_to_end(tmp_path: Path, visit: Visit) -> None:
    """The whole folder as it is, only the ports are others."""
    folder = shutil.copytree(HERE, tmp_path / "example", ignore=shutil.ignore_patterns("node_modules"))
    ports = [free_port() for _ in PORTS]
    for name in ("start.py", "app.py", "config.yml"):
        text = (folder / name).read_text()
        (folder / name).write_text(with_ports(text, ports))
    command = [sys.executable, "start.py"]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
        said = b""
        while b"Ctrl-C" not in said:
            chunk = await process.stdout.receive_some()
            assert chunk, said
            said += chunk
        url, password = re.search(r"open (\S+)/ in", said.decode()), re.search(r"the password (\S+)", said.decode())
        assert url and password, said
        visitor = visit("wolfram")
        await visitor.open(f"{url[1]}/")
        await visitor.fill("#username", "wolfram")
        await visitor.fill("#password", password[1])
        await visitor.click("#login-button")
        await visitor.sees("#state", "open")
        second = await trio.run_process([*command], cwd=folder, capture_stdout=True, capture_stderr=True, check=False)
        assert second.returncode == 1
        assert re.fullmatch(r"port \d+: Address already in use\n", second.stderr.decode())
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
