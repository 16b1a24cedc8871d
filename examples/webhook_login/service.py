"""A login service for trio_router's webhook strategy: your own user base, asked over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time

from flask import Flask, Response, abort, jsonify, request

SECRET = os.environ["WEBHOOK_SECRET"].encode()
PASSWORD = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)
USERS = {"alice": "editor", "bob": "reader"}  # your database

app = Flask(__name__)


@app.before_request
def only_the_router_may_ask() -> None:
    timestamp = request.headers.get("X-Trio-Router-Timestamp", "")
    signature = request.headers.get("X-Trio-Router-Signature", "")
    expected = hmac.new(SECRET, f"{timestamp}.".encode() + request.get_data(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), f"v1={expected}".encode()) or abs(time.time() - int(timestamp)) > 30:
        abort(401)


@app.post("/login")
def login() -> tuple[Response, int]:
    body = request.get_json()
    credentials = body["authData"] or {}
    name = str(credentials.get("username"))
    right = hmac.compare_digest(str(credentials.get("password")).encode(), PASSWORD.encode())
    if not right or name not in USERS:
        return jsonify(error="wrong user name or password"), 403
    # serverData is for the rules alone (user.data.role), clientData goes to the client.
    return jsonify(
        id=name,
        serverData={"role": USERS[name], "address": body["connectionData"]["remoteAddress"]},
        clientData={"greeting": f"Hello {name}"},
    ), 200


if __name__ == "__main__":
    print(f"alice and bob log in with the password {PASSWORD}", flush=True)
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
