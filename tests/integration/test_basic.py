"""A key's secret by Basic: over this router's own TLS it is a login and opens REST, without TLS it is neither."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.integration.conftest import Site, Start
from trio_router.client import LoginDenied, connect

CONFIG = """
rules: rules.yml
login: [{strategy: key, basic: true, client_programs: false}]
listen: {port: 0, tls: {certificate: cert.pem, key: key.pem}}
rest: {}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "sqlite:///users.db", encryption_key: "the key under which secrets of this test rest"}
apps:
  other: {rules: rules.yml, login: [{strategy: key, basic: true}]}
"""
RULES = """
event:
  "*": {subscribe: "user.data.isServer", publish: "user.data.isServer"}
  "sys:*": {subscribe: true, publish: true}
"""


@pytest.fixture
def trusting(tmp_path: Path) -> ssl.SSLContext:
    """A certificate of this test in the router's folder, and settings that trust it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=number > 0)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def site(start: Start, trusting: ssl.SSLContext) -> AsyncIterator[Site]:
    async with start(CONFIG, RULES, users=()) as running:
        yield running


async def secret_of(site: Site, app: str = "default") -> str:
    made = await site.admin("POST", f"/admin/apps/{app}/keys", json={"id": "k"})
    return str(made.json()["secret"])


def basic(name: str, secret: str) -> list[tuple[str, str]]:
    return [("Authorization", "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode())]


@pytest.mark.threat("T62")
async def test_over_tls_a_program_with_key_and_secret_is_a_server_program(site: Site, trusting: ssl.SSLContext) -> None:
    secret = await secret_of(site)
    async with connect(site.address.url, tls=trusting, headers=basic("default.k", secret)) as program:
        assert program.user_id == "key:k"
        async with program.subscribe("news") as feed, program.subscribe("sys:alerts"):  # without a trust-token
            await program.publish("news", 1, to=program.session_id)
            assert (await anext(feed)).data == 1


@pytest.mark.threat("T66")
async def test_what_is_wrong_is_denied_over_tls_too(site: Site, trusting: ssl.SSLContext) -> None:
    secret, others = await secret_of(site), await secret_of(site, "other")
    for name, given in (
        ("default.k", secret[:-1]),
        ("default.k", others),
        ("other.k", others),
        ("default.nobody", secret),
        ("default.k", ""),
    ):
        with pytest.raises(LoginDenied):
            async with connect(site.address.url, tls=trusting, headers=basic(name, given), reconnect=False):
                pass
    async with connect(f"{site.address.url}other", tls=trusting, headers=basic("other.k", others)):
        pass
    disabled = await site.admin("PATCH", "/admin/apps/default/keys/k", json={"disabled": True})
    assert disabled.status_code == 200
    with pytest.raises(LoginDenied):
        async with connect(site.address.url, tls=trusting, headers=basic("default.k", secret), reconnect=False):
            pass


async def test_over_https_the_key_gets_tokens_that_open_what_they_say(site: Site, trusting: ssl.SSLContext) -> None:
    secret = await secret_of(site)
    base = site.address.url.replace("wss://", "https://")
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
        headers = dict(basic("default.k", secret))
        made = await http.post(f"{base}v1/keys/tokens", json={"clientId": "John"}, headers=headers)
        assert made.status_code == 200
        published = await http.post(f"{base}v1/channels/news/messages", json={"data": 1}, headers=headers)
        assert published.status_code == 204
        wrong = await http.post(
            f"{base}v1/keys/tokens", json={"clientId": "John"}, headers=dict(basic("default.k", "guess"))
        )
        assert wrong.status_code == 401


@pytest.mark.threat("T62")
async def test_without_tls_the_secret_is_no_login(start: Start) -> None:
    plain = CONFIG.replace(", tls: {certificate: cert.pem, key: key.pem}", "")
    async with start(plain, RULES, users=()) as site:
        secret = await secret_of(site)
        with pytest.raises(LoginDenied):
            async with connect(site.address.url, headers=basic("default.k", secret), reconnect=False):
                pass
