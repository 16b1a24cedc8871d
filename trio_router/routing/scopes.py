"""What an access token's scope says about an action: asked by the door, before any rule.

The one table of which permission each action needs. An action that no word stands for needs them all (``*``). A scope
takes away and gives nothing, so its only answers are a denial and silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.scope import EVERYTHING, Scope

NEEDED: Final[Mapping[Action, str]] = {
    Action.EVENT_SUBSCRIBE: "subscribe",
    Action.EVENT_PUBLISH: "publish",
    Action.RPC_PROVIDE: "provide",
    Action.RPC_REQUEST: "request",
    Action.PRESENCE_ALLOW: "presence",
}
"""The permission of each action; all others need ``*``."""


def scope_fault(scope: Scope, action: Action, name: str, *, wildcard: bool = False) -> Decision | None:
    """The denial that ``scope`` has for ``action`` on ``name`` (with ``wildcard``: on all names it matches), or None.

    Restrictions are about the names of channels, procedures and records; a user's id is none of these.
    """
    fault = permission_fault(scope, action)
    if fault is not None:
        return fault
    if action is Action.PRESENCE_ALLOW:
        return None
    return None if (scope.reaches_all(name) if wildcard else scope.reaches(name)) else _RESTRICTION


def permission_fault(scope: Scope, action: Action) -> Decision | None:
    """The denial that ``scope`` has for ``action`` on any name, or None."""
    return None if scope.permits(NEEDED.get(action, EVERYTHING)) else _PERMISSION


_PERMISSION: Final = Decision(
    allowed=False, reason=Reason.SCOPE, detail="permissions", reason_text="the token does not permit this action"
)
_RESTRICTION: Final = Decision(
    allowed=False, reason=Reason.SCOPE, detail="restrictions", reason_text="the token does not reach this name"
)
