"""A web application whose users log in once: a JWT in an HTTP-only cookie opens its pages and, through the webhook, the router."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from typing import Any

import httpx
import jwt
from flask import Flask, abort, g, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

JWT_KEY = os.environ["CHAT_JWT_KEY"]  # signs the tokens; at least 32 random bytes
WEBHOOK_SECRET = os.environ["CHAT_WEBHOOK_SECRET"].encode()  # signs what the router asks
PASSWORD = os.environ.get("CHAT_PASSWORD") or secrets.token_urlsafe(9)
SECONDS = int(os.environ.get("CHAT_TOKEN_SECONDS", "3600"))  # for which a token is good
ROUTER_URL = os.environ.get("CHAT_ROUTER_URL", "ws://localhost:7000/deepstream")
ADMIN_URL, ADMIN_TOKEN = os.environ.get("CHAT_ADMIN_URL"), os.environ.get("CHAT_ADMIN_TOKEN")

PUBLIC = {"/login", "/static/style.css", "/handle-login", "/check-token"}
COOKIE, ISSUER = "access_token", "jwt_webhook"
CLAIMS = {"require": ["sub", "iss", "aud", "iat", "exp", "jti"]}
WHY = {
    "expired": "Your session has expired.",
    "logged_out": "You have logged out.",
    "denied": "Wrong user name or password.",
}
# Your database: a hash of the password, and what the rules may know of the user.
USERS = {
    "wolfram": {"password": generate_password_hash(PASSWORD), "moderator": True},
    "chris": {"password": generate_password_hash(PASSWORD), "moderator": False},
}
NOBODY = generate_password_hash(secrets.token_urlsafe(9))  # an unknown name costs as much time as a wrong password
logged_out: dict[str, float] = {}  # ids of tokens given up before their end, until then; in your database as well

app = Flask(__name__, static_folder="dist", static_url_path="/static")


# ---- tokens -----------------------------------------------------------------------------------------------------------


def new_token(name: str) -> str:
    now = int(time.time())
    claims = {"sub": name, "iss": ISSUER, "aud": ISSUER, "iat": now, "exp": now + SECONDS, "jti": secrets.token_hex(16)}
    return jwt.encode(claims, JWT_KEY, algorithm="HS256")


class Refused(Exception):
    """A token is missing, no good, or not good any more; the text is one word that says which."""


def verified(token: Any) -> dict[str, Any]:
    """The claims of a token that is good. Raises ``Refused``."""
    if not isinstance(token, str):
        raise Refused("not_logged_in")
    try:
        # The algorithm is ours to say, never the token's.
        claims = jwt.decode(token, JWT_KEY, algorithms=["HS256"], issuer=ISSUER, audience=ISSUER, options=CLAIMS)
    except jwt.ExpiredSignatureError:
        raise Refused("expired") from None
    except jwt.InvalidTokenError:
        raise Refused("invalid") from None
    if claims["jti"] in logged_out or claims["sub"] not in USERS:
        raise Refused("logged_out")
    return claims


def log_out(claims: dict[str, Any]) -> None:
    """The token is good for nothing any more; the router ends what is connected, and others who are still logged in come back."""
    now = time.time()
    for token_id in [token_id for token_id, end in logged_out.items() if end < now]:
        del logged_out[token_id]
    logged_out[claims["jti"]] = claims["exp"]
    if ADMIN_URL and ADMIN_TOKEN:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        revocation = {"kind": "user", "value": claims["sub"]}
        try:
            answer = httpx.post(
                f"{ADMIN_URL}/admin/revocations", json=revocation, headers=headers, timeout=2, trust_env=False
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:  # logged out all the same
            app.logger.warning("the router was not told that %s logged out: %s", claims["sub"], error)


# ---- pages ------------------------------------------------------------------------------------------------------------


@app.before_request
def posted_by_our_own_pages() -> None:
    if request.method == "POST" and request.origin not in (None, request.host_url.rstrip("/")):
        abort(403)


@app.before_request
def protected() -> ResponseReturnValue | None:
    """Everything but the public pages needs a token: without one that is good, the way leads to the login page."""
    if request.path in PUBLIC:
        return None
    try:
        g.token = request.cookies.get(COOKIE)
        g.claims = verified(g.token)
    except Refused as refused:
        if request.path == "/session":
            return jsonify(error=str(refused)), 403
        return redirect(f"/login?why={refused}", 303)
    return None


@app.after_request
def only_our_scripts(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {ROUTER_URL}; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@app.get("/login")
def login() -> ResponseReturnValue:
    return render_template("login.html", error=WHY.get(request.args.get("why", ""), ""))


@app.post("/handle-login")
def handle_login() -> ResponseReturnValue:
    name, password = request.form.get("username", ""), request.form.get("password", "")
    user = USERS.get(name)
    if not check_password_hash(user["password"] if user else NOBODY, password) or not user:
        return render_template("login.html", error=WHY["denied"]), 403
    response = redirect("/", 303)
    # Scripts cannot read it, other sites cannot send it. It ends with the browser; the token in it ends by itself.
    response.set_cookie(COOKIE, new_token(name), httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@app.post("/logout")
def logout() -> ResponseReturnValue:
    log_out(g.claims)
    response = redirect("/login?why=logged_out", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@app.get("/")
def chat() -> ResponseReturnValue:
    return render_template("chat.html", name=g.claims["sub"], router=ROUTER_URL)


@app.route("/protected", methods=["GET", "POST"])
def anything_else() -> ResponseReturnValue:
    return jsonify(message=f"only those who are logged in read this, {g.claims['sub']}")


@app.get("/session")
def session() -> ResponseReturnValue:
    return jsonify(token=g.token)


# ---- the router's webhook ---------------------------------------------------------------------------------------------


@app.post("/check-token")
def check_token() -> ResponseReturnValue:
    only_the_router_may_ask()
    asked = request.get_json()
    token = (asked["authData"] or {}).get("token")  # client.login({token}), or
    if token is None:  # client.login(null): the browser sent the cookie to the router, too
        token = cookie_in(asked["connectionData"]["headers"].get("cookie", ""))
    try:
        claims = verified(token)
    except Refused as refused:
        return jsonify(error=str(refused)), 403  # what the page is told
    name = claims["sub"]
    # serverData is for the rules alone (user.data.moderator), clientData goes to the page.
    return jsonify(id=name, serverData={"moderator": USERS[name]["moderator"]}, clientData={"username": name})


def only_the_router_may_ask() -> None:
    timestamp = request.headers.get("X-Trio-Router-Timestamp", "")
    signature = request.headers.get("X-Trio-Router-Signature", "")
    expected = hmac.new(WEBHOOK_SECRET, f"{timestamp}.".encode() + request.get_data(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), f"v1={expected}".encode()) or abs(time.time() - int(timestamp)) > 30:
        abort(401)


def cookie_in(header: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


if __name__ == "__main__":
    print(f"wolfram and chris log in with the password {PASSWORD}", flush=True)
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
