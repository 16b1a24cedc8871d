"""The "plain" dialect on Starlette: ``uvicorn starlette_app:app``. Each subscriber is sent to in turn."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

channels: dict[str, list[WebSocket]] = defaultdict(list)
providers: dict[str, list[WebSocket]] = defaultdict(list)
calls: dict[str, tuple[WebSocket, str]] = {}
numbers = count(1)


async def session(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await take(socket, json.loads(await socket.receive_text()))
    except WebSocketDisconnect:
        pass
    finally:
        for named in (channels, providers):
            for name in [name for name, members in named.items() if socket in members]:
                named[name].remove(socket)


async def take(socket: WebSocket, message: dict[str, Any]) -> None:
    match message["type"]:
        case "subscribe":
            channels[message["channel"]].append(socket)
            await socket.send_text(text_of({"type": "done", "id": message["id"]}))
        case "publish":
            text = text_of({"type": "event", "channel": message["channel"], "data": message["data"]})
            for member in list(channels[message["channel"]]):
                try:
                    await member.send_text(text)
                except (RuntimeError, WebSocketDisconnect):
                    continue  # it left in the meantime; its own session notices
        case "provide":
            providers[message["procedure"]].append(socket)
            await socket.send_text(text_of({"type": "done", "id": message["id"]}))
        case "call":
            number = next(numbers)
            several = providers[message["procedure"]]
            if not several:
                return  # the provider has left
            calls[str(number)] = (socket, message["id"])
            invoke = {"type": "invoke", "call": str(number), "data": message["data"]}
            await several[number % len(several)].send_text(text_of(invoke))
        case "result":
            if message["call"] in calls:
                caller, call_id = calls.pop(message["call"])
                result = {"type": "result", "id": call_id, "data": message["data"]}
                await caller.send_text(text_of(result))


def text_of(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


app = Starlette(routes=[WebSocketRoute("/", session)])
