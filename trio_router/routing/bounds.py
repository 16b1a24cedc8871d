"""What the app key of a session grants at most: judged before any token and any rule, so neither can give more.

Pure. It must not know rules. The rule that keeps it honest: every action has exactly one grant, and a session without
a key has no such bound; an action that no case below names is a type error.
"""

from __future__ import annotations

from typing import Final

from trio_router.identity import Identity
from trio_router.names import kind_of
from trio_router.permissions.decision import Action, Decision, Reason

_DENIED: Final = Decision(allowed=False, reason=Reason.KEY_GRANT)


def beyond_grants(identity: Identity, action: Action, name: str) -> Decision | None:
    """The denial of what the session's key does not grant; None if grants do not stand in the way.

    ``publish`` is about public channels: what a ``pvt:``, ``prs:`` or ``sys:`` channel takes is decided by a trust-token.
    Reading a record counts as subscribing, changing one as publishing.
    """
    grants = identity.grants
    if grants is None:
        return None
    match action:
        case Action.EVENT_PUBLISH:
            granted = grants.publish or bool(kind_of(name))
        case Action.RECORD_CREATE | Action.RECORD_WRITE | Action.RECORD_DELETE:
            granted = grants.publish
        case Action.EVENT_SUBSCRIBE | Action.EVENT_LISTEN:
            granted = grants.subscribe
        case Action.RECORD_READ | Action.RECORD_LISTEN | Action.RECORD_NOTIFY:
            granted = grants.subscribe
        case Action.RPC_PROVIDE | Action.RPC_REQUEST:
            granted = grants.rpc
        case Action.PRESENCE_ALLOW:
            granted = grants.presence
    return None if granted else _DENIED
