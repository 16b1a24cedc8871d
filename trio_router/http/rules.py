"""Questions about rules and live sessions: what would other rules end, and who may do something.

``POST /admin/rules/diff`` with ``{"rules": text}``, and ``GET /admin/who?action=&name=``, each about the app ``app``. Behind the same gate as all of
administration. The rule that keeps it honest: asking changes nothing, records nothing and counts nothing; rules are compiled in
a thread, and sessions are gone through a few at a time, so that nobody's messages wait for the answer.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.clock import Clock
from trio_router.errors import RuleError
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.http.sides import DEFAULT_APP, Sides, side_of
from trio_router.names import InvalidName
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.reverse import Judgement, Known, Reverse
from trio_router.permissions.ruleset import CompiledRules
from trio_router.routing.listen_patterns import name_for_rules
from trio_router.routing.standing import Loss, Reconsideration

MAX_LISTED: Final = 10_000
"""Entries of one answer; how many there are is always told."""

_AT_ONCE: Final = 500  # rights, or sessions, between two chances for others
_QUERY: Final = frozenset({"action", "name"})
_ACTIONS: Final = {f"{action.section}.{action.verb}": action for action in Action}


class NewRules(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/rules/diff``: the text of a rules file. ``source`` names it in errors."""

    rules: str
    source: str = "rules"
    app: str = DEFAULT_APP


def rule_routes(sides: Sides, clock: Clock) -> list[BaseRoute]:
    """The routes over the sessions of each app."""
    api = _Rules(sides, clock)
    return [
        Route("/admin/rules/diff", api.diff, methods=["POST"]),
        Route("/admin/who", api.who, methods=["GET"]),
    ]


class _Rules:
    def __init__(self, sides: Sides, clock: Clock) -> None:
        self._sides = sides
        self._clock = clock
        self._one_at_a_time = trio.Lock()

    async def diff(self, request: Request) -> Response:
        new = await body(request, NewRules)
        core = side_of(self._sides, new.app).core
        async with self._one_at_a_time:
            try:
                rules = await trio.to_thread.run_sync(lambda: load_rules(new.rules, new.source, clock=self._clock))
            except RuleError as error:
                raise HttpError(422, "invalid_rules", [str(problem) for problem in error.problems]) from None
            sessions = tuple(core.sessions.values())
            # Apart from the core, which knows nothing of it: rights that come and go meanwhile make no difference.
            preview = Reconsideration(rules, sessions)
            while preview.advance(_AT_ONCE):
                await trio.lowlevel.checkpoint()
            losses = [loss for found in preview.finish() for loss in found]
        return answers.json(
            {
                "rules_version": rules.version,
                "sessions": len(sessions),
                "ends": [_shown(loss) for loss in losses[:MAX_LISTED]],
                "total": len(losses),
            }
        )

    async def who(self, request: Request) -> Response:
        given = request.query_params
        action = _ACTIONS.get(given.get("action", ""))
        if set(given) - {"app"} != _QUERY or action is None:
            raise HttpError(
                400, "invalid_query", f"expected name, perhaps app, and action: one of {', '.join(_ACTIONS)}"
            )
        core = side_of(self._sides, given.get("app", DEFAULT_APP)).core
        rules = core.door.rules
        if not isinstance(rules, CompiledRules):
            raise HttpError(404, "not_found")
        reverse = Reverse(rules)
        name = name_for_rules(action, given["name"])
        sessions = tuple(core.sessions.values())
        found: list[dict[str, Any]] = []
        total = 0
        for number, session in enumerate(sessions):
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            try:
                judgement = reverse.may(Known(session.identity), action, name)
            except InvalidName as error:
                raise HttpError(400, "invalid_query", f"name: {error}") from None
            if judgement.verdict != "never":
                total += 1
                if len(found) < MAX_LISTED:
                    who = session.identity
                    found.append({"session": who.session_id, "user": who.user.id, **_judged(judgement)})
        return answers.json({"rules_version": rules.version, "sessions": len(sessions), "who": found, "total": total})


def _shown(loss: Loss) -> dict[str, Any]:
    who, decision = loss.session.identity, loss.decision
    return {
        "session": who.session_id,
        "user": who.user.id,
        "verb": loss.verb,
        "name": loss.name,
        "reason": decision.reason.value,
        "rule": f"{decision.rule.source}:{decision.rule.line}" if decision.rule else None,
    }


def _judged(judgement: Judgement) -> dict[str, Any]:
    rule = judgement.rule
    return {
        "verdict": judgement.verdict,
        "condition": judgement.condition,
        "rule": f"{rule.ref.source}:{rule.ref.line}" if rule else None,
    }
