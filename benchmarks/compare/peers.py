"""Servers of others, and the floor, as they are measured: each from its package, with the defaults its makers chose.

One process or one worker, compression off. What is installed goes into ``.bench``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.compare.certificates import certificate
from benchmarks.compare.server import COUNTING_WEBHOOK, NAMED, Missing, Server, offers
from benchmarks.generator import BUILT, ROOT, BuildFailed, build_floor

SOURCES: Final = ROOT / "benchmarks" / "peers"
NPM: Final = BUILT / "npm"
NGINX: Final = "/usr/sbin/nginx"
NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


def _floor(mode: str) -> Callable[[Path, int], list[str]]:
    return lambda _folder, port: [str(build_floor()), mode, str(port)]


def _check_floor() -> None:
    try:
        build_floor()
    except BuildFailed as error:
        raise Missing(str(error)) from None


def _node(script: str, *arguments: str, tls: bool = False) -> Callable[[Path, int], list[str]]:
    def command(_folder: Path, port: int) -> list[str]:
        pair = [str(path) for path in certificate()] if tls else []
        return ["node", str(SOURCES / script), str(port), *arguments, *pair]

    return command


@cache
def _install_npm() -> None:
    if shutil.which("npm") is None:
        raise Missing("no npm")
    NPM.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCES / "package.json", NPM)
    shutil.copytree(SOURCES / "absent", NPM / "absent", dirs_exist_ok=True)
    _quietly(["npm", "install", "--no-audit", "--no-fund"], NPM)


def _has_npm(package: str) -> Callable[[], None]:
    def check() -> None:
        if shutil.which("node") is None:
            raise Missing("no node")
        if not (NPM / "node_modules" / package).exists():
            raise Missing(f"the npm package {package} is not installed")

    return check


def _venv(name: str, *packages: str) -> Callable[[], None]:
    def install() -> None:
        if (BUILT / name / "ready").exists():
            return
        _quietly([sys.executable, "-m", "venv", str(BUILT / name)], BUILT)
        _quietly([str(BUILT / name / "bin" / "pip"), "install", "-q", *packages], BUILT)
        (BUILT / name / "ready").touch()

    return install


def _has_venv(name: str, program: str) -> Callable[[], None]:
    def check() -> None:
        if not (BUILT / name / "bin" / program).exists():
            raise Missing(f"{program} is not installed in .bench/{name}")

    return check


def _quietly(command: list[str], folder: Path) -> None:
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Missing(f"{' '.join(command[:3])}: {(made.stderr or made.stdout).strip()[-500:]}")


def _starlette(_folder: Path, port: int) -> list[str]:
    uvicorn = str(BUILT / "starlette" / "bin" / "uvicorn")
    return [
        uvicorn,
        "starlette_app:app",
        "--app-dir",
        str(SOURCES),
        "--port",
        str(port),
        "--log-level",
        "warning",
        "--ws-per-message-deflate",
        "false",
    ]


def _crossbar(folder: Path, port: int) -> list[str]:
    allowed = {"call": True, "register": True, "publish": True, "subscribe": True}
    role = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": allowed}]}
    endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": port, "backlog": 4096}
    transport = {"type": "websocket", "endpoint": endpoint, "serializers": ["json"]}
    worker = {"type": "router", "realms": [{"name": "bench", "roles": [role]}], "transports": [transport]}
    (folder / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}))
    return [str(BUILT / "crossbar" / "bin" / "crossbar"), "start", "--cbdir", str(folder), "--loglevel", "warn"]


def _install_nchan() -> None:
    if Path(NGINX).exists() and NCHAN.exists():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing("nginx with nchan needs root and apt-get")
    _quietly(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "nginx-light", "libnginx-mod-nchan"], ROOT)


def _has_nchan() -> None:
    if not Path(NGINX).exists() or not NCHAN.exists():
        raise Missing("nginx with the module nchan is not installed")


def _nchan(folder: Path, port: int) -> list[str]:
    config = (SOURCES / "nchan.conf").read_text()
    (folder / "nginx.conf").write_text(config.format(module=NCHAN, folder=folder, port=port))
    return [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


_PLAIN: Final = {"dialect": "plain"}
_NPM: Final = {"NODE_PATH": str(NPM / "node_modules")}
_TWO: Final = offers("events", "channels", "calls", "idle", "logins")
_DEEPSTREAM: Final = {"dialect": "deepstream", "path": "/deepstream"}

PEERS: Final = [
    Server(
        "floor-each",
        "C, nothing checked, one send() per delivery",
        _floor("each"),
        _TWO,
        _PLAIN,
        check=_check_floor,
    ),
    Server(
        "floor-coalesced",
        "C, nothing checked, one send() per connection and turn",
        _floor("coalesced"),
        _TWO,
        _PLAIN,
        check=_check_floor,
    ),
    Server(
        "node-ws",
        "node and ws, send() to each subscriber",
        _node("node_ws.js", "naive"),
        _TWO,
        _PLAIN,
        _install_npm,
        _has_npm("ws"),
        _NPM,
    ),
    Server(
        "node-ws-prepared",
        "node and ws, the frame made once",
        _node("node_ws.js", "prepared"),
        _TWO,
        _PLAIN,
        _install_npm,
        _has_npm("ws"),
        _NPM,
    ),
    Server(
        "node-ws-tls",
        "node and ws over TLS",
        _node("node_ws.js", "naive", tls=True),
        _TWO,
        {**_PLAIN, "tls": "1"},
        _install_npm,
        _has_npm("ws"),
        _NPM,
    ),
    Server(
        "socket.io",
        "socket.io with rooms, WebSocket transport",
        _node("socketio.js"),
        _TWO,
        {"dialect": "socketio", "path": "/socket.io/"},
        _install_npm,
        _has_npm("socket.io"),
        _NPM,
    ),
    Server(
        "bun",
        "Bun's publish, which is uWebSockets",
        lambda _folder, port: [
            str(NPM / "node_modules/@oven/bun-linux-x64/bin/bun"),
            str(SOURCES / "bun_publish.js"),
            str(port),
        ],
        _TWO,
        _PLAIN,
        _install_npm,
        _has_npm("@oven/bun-linux-x64"),
    ),
    Server(
        "nchan",
        "nginx with nchan, one worker",
        _nchan,
        offers("events"),
        {"dialect": "nchan"},
        _install_nchan,
        _has_nchan,
    ),
    Server(
        "starlette",
        "uvicorn[standard] and Starlette",
        _starlette,
        _TWO,
        _PLAIN,
        _venv("starlette", "uvicorn[standard]", "starlette"),
        _has_venv("starlette", "uvicorn"),
    ),
    Server(
        "crossbar",
        "Crossbar, WAMP in JSON, one worker",
        _crossbar,
        offers("events", "channels", "patterns", "calls", "logins", "idle"),
        {"dialect": "wamp"},
        _venv("crossbar", "crossbar"),
        _has_venv("crossbar", "crossbar"),
    ),
    Server(
        "deepstream",
        "the deepstream server 7, its default server, rules on",
        _node("deepstream.js"),
        offers("events", "channels", "calls", "idle", "logins"),
        _DEEPSTREAM,
        _install_npm,
        _has_npm("@deepstream/server"),
        _NPM,
    ),
    Server(
        "deepstream-webhook",
        "the deepstream server 7, each login asked of a service over HTTP",
        _node("deepstream.js", "webhook"),
        offers("logins"),
        {**_DEEPSTREAM, "auth": NAMED},
        _install_npm,
        _has_npm("@deepstream/server"),
        _NPM,
        COUNTING_WEBHOOK,
    ),
]
