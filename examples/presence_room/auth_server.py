"""The rooms' authorisation server: it knows who is who and who is invited where, and signs trust-tokens that say so.

The identity in a token comes from here and never from the request, so nobody can be in a room under another's name.
"""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify, request

from trio_router.tokens.trust import Participant, issue_trust_token

KEY, SECRET = os.environ["ROOMS_KEY"], os.environ["ROOMS_SECRET"]  # the app key of the rooms' programs
PEOPLE = {"ada's cookie": "ada", "ben's cookie": "ben", "eve's cookie": "eve"}  # your sessions
NAMES = {"ada": "Ada L.", "ben": "Ben F.", "eve": "Eve"}  # your directory
INVITED = {"prs:room/tea": {"ada", "ben"}}

app = Flask(__name__)


@app.post("/token")
def token() -> Response:
    asked = request.get_json()
    who = PEOPLE.get(request.headers.get("X-Session", ""))
    if who is None or who not in INVITED.get(asked["ch"], ()) or asked["dbappkey"] != KEY:
        return jsonify(statuscode=1, error_message="you are not invited to this room", accesskey="")
    try:
        signed = issue_trust_token(
            key=KEY.partition(".")[2], secret=SECRET, session=asked["sid"], channel=asked["ch"], action=asked["act"],
            participant=Participant(who, {"name": NAMES[who]}),
        )  # fmt: skip
    except ValueError as error:
        return jsonify(statuscode=2, error_message=str(error), accesskey="")
    return jsonify(statuscode=0, error_message="", accesskey=signed)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")), threaded=True)
