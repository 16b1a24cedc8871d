"""The application's own server: it knows its visitors, and gives them access tokens. The key stays here."""

from __future__ import annotations

import os

import httpx
from flask import Flask, Response, abort, request

ROUTER = os.environ["ROUTER"]  # http://host:port
KEY = os.environ["APP_KEY"]  # <app>.<key id>:<secret>
VISITORS = {"ann's cookie": "ann", "the editor's cookie": "editor"}  # your sessions
RIGHTS = {"ann": ["subscribe"], "editor": ["subscribe", "publish"]}

app = Flask(__name__)


def ask(path: str, body: dict, **options: object) -> Response:
    """What the router answers, passed on as it is."""
    answer = httpx.post(f"{ROUTER}/v1/keys/tokens{path}", json=body, timeout=5, trust_env=False, **options)
    return Response(answer.content, answer.status_code, content_type="application/json")


@app.post("/auth")
def auth() -> Response:
    visitor = VISITORS.get(request.headers.get("X-Session", "")) or abort(403)
    body = {"clientId": visitor, "permissions": RIGHTS[visitor], "restrictions": ["news:*"], "lifetime": 4}
    return ask("", body, auth=tuple(KEY.split(":", 1)))


@app.post("/refresh")
def refresh() -> Response:
    return ask("/refresh", {}, headers={"Authorization": f"Bearer {request.get_json()['token']}"})


@app.post("/revoke")
def revoke() -> Response:
    return ask("/revoke", {}, headers={"Authorization": f"Bearer {request.get_json()['token']}"})


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
