"""The servers that are measured side by side: how each is installed, started and spoken to.

Each is taken as it comes from its package, with the defaults its makers chose, one process or one worker, compression off. The router
runs whole: login, rules, limits, metrics. A server that cannot be had on this machine is named together with the reason.

The rule that keeps this honest: what a server is asked to do is the same for all; where one cannot do it, it is left out by name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from benchmarks.compare.certificates import certificate
from benchmarks.generator import BUILT, ROOT, BuildFailed, build_floor

PEERS: Final = ROOT / "benchmarks" / "peers"
NPM: Final = BUILT / "npm"
NGINX: Final = "/usr/sbin/nginx"
NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class Missing(Exception):
    """This server cannot be had here; the text says why."""


@attrs.frozen
class Server:
    """``command`` makes what is needed in a folder and gives the command line for a port. ``offers`` are the kinds of work it can do.

    ``options`` go to the generator. ``install`` puts it into ``.bench`` or raises ``Missing``; it is called only if asked to.
    ``check`` raises ``Missing`` if it is not there.
    """

    name: str
    about: str
    command: Callable[[Path, int], list[str]]
    offers: frozenset[str]
    options: dict[str, str] = attrs.field(factory=dict)
    install: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None
    environ: dict[str, str] = attrs.field(factory=dict)


def _offers(*words: str) -> frozenset[str]:
    return frozenset(words)


# ---- the router ------------------------------------------------------------------------------------------

ROUTER_CONFIG: Final = """\
rules: rules.yml
login: [{{strategy: open, allow_username: true, user_data: {{role: member}}}}]
listen: {{port: {port}, backlog: 4096{tls}}}
storage: {{url: "memory://"}}
limits: {{connections: 20000, connections_per_ip: 20000, unauthenticated_connections: 20000}}
{more}"""

RULES: Final = {
    "constant": "true",
    "user": "user.id === $user",
    "role": "user.data.role === 'member'",
    "data": "typeof data.text === 'string' && data.text.length <= 1000",
}
"""What is evaluated on each publish and call. "role" stands in the main comparison; the others are measured beside it."""


def _router(
    rule: str = "role", *, tls: bool = False, more: str = "", rules: int = 0
) -> Callable[[Path, int], list[str]]:
    def command(folder: Path, port: int) -> list[str]:
        lines = ["event:"]
        lines += [f'  "other/{number}/$x": {{publish: "user.id === $x"}}' for number in range(rules)]
        lines += ['  "bench/*": {subscribe: true}']
        lines += [f'  "bench/$user/$channel": {{subscribe: true, publish: "{RULES[rule]}"}}']
        lines += [
            "rpc:",
            f'  "bench/$name": {{provide: true, request: "{RULES["role"]}"}}',
            'presence: {"*": {allow: true}}',
        ]
        (folder / "rules.yml").write_text("\n".join(lines) + "\n")
        pair = certificate() if tls else None
        section = f", tls: {{certificate: {pair[0]}, key: {pair[1]}}}" if pair else ""
        (folder / "config.yml").write_text(ROUTER_CONFIG.format(port=port, tls=section, more=more))
        return [sys.executable, "-m", "trio_router", "serve", "--config", "config.yml"]

    return command


_EVERYTHING: Final = _offers("events", "channels", "patterns", "calls", "logins", "idle")
_DEEPSTREAM: Final = {"dialect": "deepstream", "path": "/deepstream"}
_LOGIN: Final = {"dialect": "native", "auth": '{"username":"open"}'}


def _router_environ() -> dict[str, str]:
    return {"PYTHONPATH": os.environ.get("BENCH_TREE", str(ROOT))}


# ---- servers of others -----------------------------------------------------------------------------------


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
        return ["node", str(PEERS / script), str(port), *arguments, *pair]

    return command


def _install_npm() -> None:
    if shutil.which("npm") is None:
        raise Missing("no npm")
    NPM.mkdir(parents=True, exist_ok=True)
    shutil.copy(PEERS / "package.json", NPM)
    shutil.copytree(PEERS / "absent", NPM / "absent", dirs_exist_ok=True)
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
        str(PEERS),
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
    config = (PEERS / "nchan.conf").read_text()
    (folder / "nginx.conf").write_text(config.format(module=NCHAN, folder=folder, port=port))
    return [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


_PLAIN: Final = {"dialect": "plain"}
_NPM: Final = {"NODE_PATH": str(NPM / "node_modules")}
_TWO: Final = _offers("events", "channels", "calls", "idle", "logins")

ALL: Final = [
    Server(
        "router",
        "trio_router, native protocol, a rule on user data",
        _router(),
        _EVERYTHING,
        _LOGIN,
        environ=_router_environ(),
    ),
    Server(
        "router-deepstream",
        "trio_router, deepstream protocol",
        _router(more="deepstream: {}\n"),
        _offers("events", "channels", "calls", "idle", "logins"),
        _DEEPSTREAM,
        environ=_router_environ(),
    ),
    Server(
        "router-constant",
        "trio_router, the rule is true",
        _router("constant"),
        _EVERYTHING,
        _LOGIN,
        environ=_router_environ(),
    ),
    Server(
        "router-user",
        "trio_router, the rule is user.id === $user",
        _router("user"),
        _EVERYTHING,
        _LOGIN,
        environ=_router_environ(),
    ),
    Server(
        "router-data",
        "trio_router, the rule reads data",
        _router("data"),
        _EVERYTHING,
        _LOGIN,
        environ=_router_environ(),
    ),
    Server(
        "router-100k-rules",
        "trio_router with 100,000 further rules",
        _router(rules=100_000),
        _EVERYTHING,
        _LOGIN,
        environ=_router_environ(),
    ),
    Server(
        "router-tls",
        "trio_router over TLS",
        _router(tls=True),
        _EVERYTHING,
        {**_LOGIN, "tls": "1"},
        environ=_router_environ(),
    ),
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
            str(PEERS / "bun_publish.js"),
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
        _offers("events"),
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
        _EVERYTHING,
        {"dialect": "wamp"},
        _venv("crossbar", "crossbar"),
        _has_venv("crossbar", "crossbar"),
    ),
    Server(
        "deepstream",
        "the deepstream server 7, its default server, rules on",
        _node("deepstream.js"),
        _offers("events", "channels", "calls", "idle", "logins"),
        _DEEPSTREAM,
        _install_npm,
        _has_npm("@deepstream/server"),
        _NPM,
    ),
]

BY_NAME: Final = {server.name: server for server in ALL}
