"""The router as it is measured: whole, with login, rules, limits and metrics, in the variants that are compared.

It is compiled, but for one: see ``benchmarks.compare.compiled``.
"""

from __future__ import annotations

import base64
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from benchmarks.compare.certificates import certificate
from benchmarks.compare.compiled import check, compile_it, tree
from benchmarks.compare.server import BESIDE, COUNTING_WEBHOOK, NAMED, Server, offers
from benchmarks.generator import ROOT
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.clock import SystemClock
from trio_router.config.schema import APP
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.opening import open_key_store, open_user_store
from trio_router.tokens.access import issue

# The default but for how many may connect from one address, and for patience with a machine that is busy.
ROUTER_CONFIG: Final = """\
rules: rules.yml
login: [{login}]
login_deadline: 600
listen: {{port: {port}, backlog: 4096{tls}}}
storage: {storage}
limits: {{connections: 20000, connections_per_ip: 20000, unauthenticated_connections: 20000, login_timeout: 600,
         request_head_timeout: 60, tls_handshake_timeout: 60{limits}}}
{more}"""

RULES: Final = {
    "constant": "true",
    "user": "user.id === $user",
    "role": "user.data.role === 'member'",
    "data": "typeof data.text === 'string' && data.text.length <= 1000",
}
"""What is evaluated on each publish and call. "role" stands in the main comparison; the others are measured beside it."""


OPEN: Final = "{strategy: open, allow_username: true, user_data: {role: member}}"


def router(
    rule: str = "role",
    *,
    tls: bool = False,
    more: str = "",
    limits: str = "",
    rules: int = 0,
    call_rules: int = 0,
    login: str = OPEN,
    storage: str = '{url: "memory://"}',
    prepare: Callable[[Path], Awaitable[None]] | None = None,
) -> Callable[[Path, int], list[str]]:
    """Makes the files of a router and gives its command line; the arguments are parts of its config, ``rules`` further rules for events."""

    def command(folder: Path, port: int) -> list[str]:
        lines = ["event:"]
        lines += [f'  "other/{number}/$x": {{publish: "user.id === $x"}}' for number in range(rules)]
        lines += ['  "bench/*": {subscribe: true}']
        lines += [f'  "bench/$user/$channel": {{subscribe: true, publish: "{RULES[rule]}"}}']
        lines += ["rpc:", *(f'  "other/{number}/$x": {{request: "user.id === $x"}}' for number in range(call_rules))]
        lines += [f'  "bench/$name": {{provide: true, request: "{RULES["role"]}"}}']
        lines += ['presence: {"*": {allow: true}}']
        (folder / "rules.yml").write_text("\n".join(lines) + "\n")
        pair = certificate() if tls else None
        section = f", tls: {{certificate: {pair[0]}, key: {pair[1]}}}" if pair else ""
        if prepare is not None:
            folder.chmod(0o700)
            trio.run(prepare, folder)
        asked = (folder / BESIDE).read_text() if (folder / BESIDE).exists() else ""
        strategy = login.replace("{asked}", f"http://127.0.0.1:{asked}/")
        config = ROUTER_CONFIG.format(port=port, tls=section, more=more, limits=limits, login=strategy, storage=storage)
        (folder / "config.yml").write_text(config)
        return [sys.executable, "-m", "trio_router", "serve", "--config", "config.yml"]

    return command


DATABASE: Final = "sqlite:///router.db"
PASSWORD: Final = "".join(chr(letter) for letter in range(97, 113))
KEY: Final = "k"
KEY_SECRET: Final = "".join(chr(letter) for letter in range(48, 91))
SEAL: Final = base64.urlsafe_b64encode(bytes(range(32))).decode()
WEBHOOK: Final = '{strategy: webhook, url: "{asked}", timeout: 60, queue: 100000%s}'


async def _add_user(folder: Path) -> None:
    store = open_user_store(Secret(DATABASE), folder)
    await Accounts(store, APP, PasswordHasher(), SystemClock()).add("open", Secret(PASSWORD))
    await store.aclose()


async def _add_key(folder: Path) -> None:
    store = open_key_store(Secret(DATABASE), folder, Secret(SEAL))
    await store.add(KeyRecord(APP, KEY, (Secret(KEY_SECRET),)))
    await store.aclose()


ISSUER: Final = "https://bench.example"
TOKEN_KEY: Final = 2 * "".join(chr(letter) for letter in range(97, 123))
JWT: Final = f'{{strategy: jwt, issuer: bench, audience: bench, algorithms: [HS256], secret: "{TOKEN_KEY}"}}'


def _token() -> str:
    """A JWT of a day, signed as the issuer of ``JWT``."""
    now = int(time.time())
    claims = {"iss": "bench", "aud": "bench", "sub": "open", "iat": now, "exp": now + 86_000}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, claims)]
    signature = hmac.digest(TOKEN_KEY.encode(), b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def _access_token() -> str:
    """An access token of a day, signed with the app key."""
    scope = Scope.of(["subscribe", "publish"], ["bench:*"])
    token, _ = issue(
        Secret(KEY_SECRET),
        app=APP,
        key_id=KEY,
        client_id="open",
        scope=scope,
        issuer=ISSUER,
        now=time.time(),
        lifetime=86_000,
    )
    return token


def _with_key(login: str) -> Callable[[Path, int], list[str]]:
    """A router with one app key in its database."""
    storage = f'{{url: "{DATABASE}", encryption_key: "{SEAL}"}}'
    return router(login=login, storage=storage, prepare=_add_key, more=f'rest: {{url: "{ISSUER}"}}\n')


_EVERYTHING: Final = offers("chat", "events", "channels", "patterns", "calls", "logins", "idle")
_DEEPSTREAM: Final = {"dialect": "deepstream", "path": "/deepstream"}
NATIVE_LOGIN: Final = {"dialect": "native", "auth": '{"username":"open"}'}


COMPILED: Final[dict[str, Any]] = {
    "environ": {"PYTHONPATH": str(tree())},
    "install": compile_it,
    "check": check,
}


ROUTERS: Final = [
    Server(
        "router",
        "trio_router, native protocol, a rule on user data",
        router(),
        _EVERYTHING,
        NATIVE_LOGIN,
        **COMPILED,
    ),
    Server(
        "router-interpreted",
        "trio_router as it lies in the repository, not compiled",
        router(),
        _EVERYTHING,
        NATIVE_LOGIN,
        environ={"PYTHONPATH": str(ROOT)},
    ),
    Server(
        "router-deepstream",
        "trio_router, deepstream protocol",
        router(more="deepstream: {}\n"),
        offers("events", "channels", "calls", "idle", "logins"),
        _DEEPSTREAM,
        **COMPILED,
    ),
    Server(
        "router-constant",
        "trio_router, the rule is true",
        router("constant"),
        _EVERYTHING,
        NATIVE_LOGIN,
        **COMPILED,
    ),
    Server(
        "router-user",
        "trio_router, the rule is user.id === $user",
        router("user"),
        _EVERYTHING,
        NATIVE_LOGIN,
        **COMPILED,
    ),
    Server(
        "router-data",
        "trio_router, the rule reads data",
        router("data"),
        _EVERYTHING,
        NATIVE_LOGIN,
        **COMPILED,
    ),
    Server(
        "router-100k-rules",
        "trio_router with 100,000 further rules",
        router(rules=100_000),
        _EVERYTHING,
        NATIVE_LOGIN,
        **COMPILED,
    ),
    Server(
        "router-tls",
        "trio_router over TLS",
        router(tls=True),
        _EVERYTHING,
        {**NATIVE_LOGIN, "tls": "1"},
        **COMPILED,
    ),
    Server(
        "router-jwt",
        "trio_router, logins by a JWT (HS256)",
        router(login=JWT),
        offers("logins"),
        {"dialect": "native", "auth": json.dumps({"token": _token()})},
        **COMPILED,
    ),
    Server(
        "router-users",
        "trio_router, logins by a password (argon2id)",
        router(login="{strategy: users, hash_queue: 100000}", storage=f'{{url: "{DATABASE}"}}', prepare=_add_user),
        offers("logins"),
        {"dialect": "native", "auth": json.dumps({"username": "open", "password": PASSWORD})},
        **COMPILED,
    ),
    Server(
        "router-webhook",
        "trio_router, each login asked of a service over HTTP",
        router(login=WEBHOOK % ""),
        offers("logins"),
        {"dialect": "native", "auth": NAMED},
        **COMPILED,
        beside=COUNTING_WEBHOOK,
    ),
    Server(
        "router-webhook-cached",
        "trio_router, the service's answers are kept",
        router(login=WEBHOOK % ", cache_seconds: 600"),
        offers("logins"),
        {"dialect": "native", "auth": NAMED},
        **COMPILED,
        beside=COUNTING_WEBHOOK,
    ),
    Server(
        "router-key",
        "trio_router, client programs by an app key's name",
        _with_key("{strategy: key}"),
        offers("logins"),
        {"dialect": "native", "auth": json.dumps({"key": f"{APP}.{KEY}"})},
        **COMPILED,
    ),
    Server(
        "router-key-proof",
        "trio_router, server programs by a proof of the key's secret",
        _with_key("{strategy: key}"),
        offers("logins"),
        {"dialect": "native", "key": f"{APP}.{KEY}", "secret": KEY_SECRET},
        **COMPILED,
    ),
    Server(
        "router-access",
        "trio_router, access tokens signed with an app key",
        _with_key("{strategy: access}"),
        offers("logins"),
        {"dialect": "native", "auth": json.dumps({"token": _access_token()})},
        **COMPILED,
    ),
]
