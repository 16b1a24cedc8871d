"""Trust-tokens over REST: for an authorisation server that cannot, or does not want to, sign them itself.

The caller shows the app key and its secret, so it learns nothing it could not make; what the token opens is judged when it is
used. The rule that keeps it honest: the token is signed with the key that was shown, for sessions of that key and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router import log
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.callers import Callers
from trio_router.http.routes import body
from trio_router.tokens.trust import DEFAULT_TTL, Participant, TrustAction, issue_trust_token, new_token_id

_log = log.get("rest")


class NewTrustToken(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/keys/trust-tokens``. ``ttl`` is in seconds; ``sysid`` and ``sysinfo`` are for ``prs:`` and ``sys:``."""

    session: str
    channel: str
    publish: bool = True
    action: TrustAction | None = None
    sysid: str | None = None
    sysinfo: dict[str, Any] = {}
    ttl: float = DEFAULT_TTL


def routes(callers: Callers, now: Callable[[], float], max_lifetime: Callable[[], float]) -> list[BaseRoute]:
    """``POST /v1/keys/trust-tokens``, by Basic with an app key: 200 ``{"data": {"token", "token_type", "expires_in", "id"}}``.

    ``max_lifetime``: the seconds a token may be good for now. ``id`` is what it is revoked by.
    """

    async def issue(request: Request) -> Response:
        caller = await callers.by_key(request)
        new = await body(request, NewTrustToken)
        key, issued_at = caller.key, now()
        secrets = key.live_secrets(issued_at)
        if not key.grants.issue or not secrets:
            raise HttpError(403, "may_not_issue")
        token_id = new_token_id()
        try:
            token = issue_trust_token(
                key=key.id,
                secret=secrets[0],
                session=new.session,
                channel=new.channel,
                publish=new.publish,
                participant=None if new.sysid is None else Participant(new.sysid, new.sysinfo),
                action=new.action,
                ttl=new.ttl,
                now=issued_at,
                token_id=token_id,
                max_lifetime=max_lifetime(),
            )
        except ValueError as error:
            raise HttpError(400, "invalid_body", str(error)) from None
        _log.info(
            "trust_token_issued", app=key.app, key=key.id, token=token_id, session=new.session, channel=new.channel
        )
        answer = {"token": token, "token_type": "Trust", "expires_in": int(issued_at + new.ttl), "id": token_id}
        return answers.json({"data": answer})

    return [Route("/v1/keys/trust-tokens", issue, methods=["POST"])]
