"""The company's authorisation server: it knows who works at which level, and signs trust-tokens for that level's channel."""

from __future__ import annotations

import os
import secrets

from flask import Flask, Response, jsonify, request, session

from trio_router.tokens.trust import issue_trust_token

KEY, SECRET = os.environ["DASHBOARD_KEY"], os.environ["DASHBOARD_SECRET"]  # the app key of the dashboard's programs
PASSWORD = os.environ["DASHBOARD_PASSWORD"]
EMPLOYEES = {"ceo": "L1", "vera": "L2", "dirk": "L3", "mona": "L4", "sven": "L5", "emil": "L6"}  # your directory

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)


@app.post("/login")
def login() -> tuple[Response, int]:
    body = request.get_json()
    name = str(body.get("name"))
    if name not in EMPLOYEES or not secrets.compare_digest(str(body.get("password")).encode(), PASSWORD.encode()):
        return jsonify(error="wrong name or password"), 403
    session["name"] = name
    return jsonify(channel=f"pvt:{EMPLOYEES[name]}"), 200


@app.post("/token")
def token() -> Response:
    asked = request.get_json()
    level = EMPLOYEES.get(session.get("name", ""))
    if level is None or asked["ch"] != f"pvt:{level}" or asked["dbappkey"] != KEY:
        return jsonify(statuscode=1, error_message="this is not your level", accesskey="")
    try:
        signed = issue_trust_token(
            key=KEY.partition(".")[2], secret=SECRET, session=asked["sid"], channel=asked["ch"], action=asked["act"],
            publish=False, ttl=300,
        )  # fmt: skip
    except ValueError as error:
        return jsonify(statuscode=2, error_message=str(error), accesskey="")
    return jsonify(statuscode=0, error_message="", accesskey=signed)


@app.get("/")
def page() -> Response:
    text = (
        app.open_resource("page.html", "r").read().replace("@KEY@", KEY).replace("@ROUTER@", os.environ["ROUTER_URL"])
    )
    return Response(text, mimetype="text/html")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
