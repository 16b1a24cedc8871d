"""The authorisation servers in docs/howto/trust-tokens.md, each run as it stands there, asked by the client library for a router."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.integration.conftest import Start
from tests.integration.conftest import start as start  # noqa: PLC0414 - a fixture
from tests.npm import NpmMissing, installed
from trio_router.client import RequestRefused, TokenEndpoint, connect
from trio_router.testing.process import free_port, service_process

HERE: Final = Path(__file__).parent
PAGE: Final = (HERE.parents[1] / "docs" / "howto" / "trust-tokens.md").read_text(encoding="utf-8")
USER: Final = "x-user"
"""How these tests say who asks; an application has its own way, which is left out on the page."""

CONFIG = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "memory://", encryption_key: "the key under which secrets of this test rest"}
"""
RULES = 'event: {"pvt:*": {subscribe: true, publish: true}}'

KNOWN = """
import os

CHANNELS = {"dirk": ["pvt:L3"]}
KEY_ID, SECRET = "web", os.environ["SECRET"]


def channels_of(user):
    return CHANNELS.get(user, [])
"""
FLASK = """
from flask.sessions import SecureCookieSessionInterface


class Said(SecureCookieSessionInterface):
    def open_session(self, app, request):
        found = self.session_class()
        found["user"] = request.headers.get("x-user")
        return found


app.secret_key = "only for cookies, of which there are none"
app.session_interface = Said()
app.run("127.0.0.1", int(os.environ["PORT"]))
"""
FASTAPI_BEFORE = """
from fastapi import Header

User = str


def current_user(x_user: str = Header(default="")):
    return x_user
"""
FASTAPI_AFTER = """
import uvicorn

uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
"""
EXPRESS_BEFORE = """
const express = require("express");
const app = express();
const [KEY_ID, SECRET] = ["web", process.env.SECRET];
const channelsOf = (user) => ({ dirk: ["pvt:L3"] })[user] ?? [];
app.use((req, res, next) => { req.session = { user: req.headers["x-user"] }; next(); });
"""
EXPRESS_AFTER = """
app.listen(Number(process.env.PORT), "127.0.0.1");
"""


def blocks(language: str, word: str) -> str:
    """The one block of the page in ``language`` that holds ``word``."""
    found = [block for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if word in block]
    assert len(found) == 1
    return str(found[0])


def program(name: str, folder: Path) -> Path:
    """A program around the block of the page: what it leaves to the application before it, and a port behind it."""
    if name == "express":
        home = installed(HERE / "express")
        script = folder / "server.cjs"
        script.write_text(EXPRESS_BEFORE + blocks("js", "jsonwebtoken") + EXPRESS_AFTER)
        (folder / "node_modules").symlink_to(home / "node_modules")
        path = folder / "server.py"
        path.write_text(f"import os\nos.execvp('node', ['node', {str(script)!r}])\n")
        return path
    path = folder / f"{name}_server.py"
    before, after = (FASTAPI_BEFORE, FASTAPI_AFTER) if name == "fastapi" else ("", FLASK)
    word = "from fastapi" if name == "fastapi" else "from flask"
    path.write_text(KNOWN + before + blocks("python", word) + after)
    return path


@pytest.mark.parametrize("name", ["flask", "fastapi", "express"])
async def test_the_authorisation_server_of_the_page_lets_in_whom_it_should(
    name: str, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(name)
    try:
        script = program(name, folder)
    except NpmMissing as missing:
        pytest.skip(str(missing))
    async with start(CONFIG, RULES, users=()) as site:
        made = (await site.admin("POST", "/admin/apps/default/keys", json={"id": "web"})).json()
        environ = {"SECRET": made["secret"], "PORT": str(free_port())}
        async with service_process(script, environ) as service:
            for user, channel, opens in (("dirk", "pvt:L3", True), ("dirk", "pvt:L1", False), ("", "pvt:L3", False)):
                headers = [(USER, user)] if user else []
                tokens = TokenEndpoint(f"{service.url}/token", key="default.web", headers=headers)
                async with connect(site.address.url, {"key": "default.web"}, access_token=tokens) as client:
                    if opens:
                        async with client.subscribe(channel):
                            pass
                        continue
                    with pytest.raises(RequestRefused) as refused:
                        async with client.subscribe(channel):
                            pass
                    assert (refused.value.slug, refused.value.detail) == ("token_needed", "not for you")


def test_every_server_of_the_page_is_tried() -> None:
    section = PAGE.partition("## Your server")[2].partition("\n## ")[0]
    assert len(re.findall(r"^```(?:python|js)$", section, re.MULTILINE)) == 3
