"""``trio-router rules who`` and ``rules can``: rules asked in reverse.

Who may do something: over the built-in users of the config's store, a users file, or live sessions. What may somebody do: by
pattern. The judging is ``permissions.reverse``. The rule that keeps it honest: *always* and *never* are proofs; everything else is shown
with the condition it depends on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from trio_router.auth import userfile
from trio_router.auth.accounts import MAX_PAGE
from trio_router.cli import output
from trio_router.cli.administration import administration, token_option, url_option
from trio_router.cli.output import Failure, config_option, json_option, line, problems_failure, safe_json, table
from trio_router.cli.rules_diff import rules_of
from trio_router.cli.rules_explain import ActionType
from trio_router.cli.spaces import app_option, space_of
from trio_router.cli.users import JSON
from trio_router.config.load import load
from trio_router.config.schema import Config, Space
from trio_router.errors import ProblemsError
from trio_router.identity import OPEN_USER_ID, Identity, User
from trio_router.names import InvalidName
from trio_router.permissions.compare import source_of
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.reverse import Judgement, Known, Reverse
from trio_router.permissions.ruleset import CompiledRules
from trio_router.routing.door import spelling_fault
from trio_router.routing.listen_patterns import name_for_rules
from trio_router.storage.opening import open_user_store
from trio_router.storage.users import UserStore

rules_option = click.option(
    "--rules",
    "rules_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A rules file to ask instead of the config's.",
)


@click.command()
@click.option("--action", required=True, type=ActionType(), help="Such as event.publish, or publish alone.")
@click.option("--name", required=True, help="Channel, procedure, record or user; no wildcard.")
@rules_option
@click.option(
    "--users-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The users of this file instead of those of the config's store.",
)
@click.option("--live", is_flag=True, help="Ask the running router about its sessions instead.")
@app_option
@url_option
@token_option
@config_option
@json_option
def who(
    *,
    action: Action,
    name: str,
    rules_path: Path | None,
    users_file: Path | None,
    live: bool,
    app: str,
    url: str | None,
    token_file: Path | None,
    config_path: str,
    as_json: bool,
) -> None:
    """List who may do ACTION on NAME: always, or depending on what. Disabled users are left out."""
    spelled = f"{action.section}.{action.verb}"
    fault = spelling_fault(action, name, wildcards=False)
    if fault is not None and fault.reason is Reason.INVALID_NAME:
        raise Failure(f"--name: {fault.detail}", code="invalid_name")
    if live:
        router = administration(config_path, url, token_file)
        found = router.ask("GET", f"/admin/who?{urlencode({'action': spelled, 'name': name, 'app': app})}")["who"]
    else:
        config = None if rules_path and users_file else _config(config_path)
        rules = rules_of(rules_path or space_of(config, app).rules) if config else rules_of(rules_path or Path())
        reverse = Reverse(rules)
        found = []

        def judge(user: User) -> None:
            judgement = reverse.may(_known(user, app), action, name_for_rules(action, name))
            if judgement.verdict != "never":
                found.append({"user": user.id, **_judged(judgement)})

        _each_user(config, app, users_file, judge)
    if as_json:
        note = "reserved" if fault is not None else None
        line(safe_json({"action": spelled, "name": name, "who": found, "note": note}))
        return
    if fault is not None:
        line("note: names of this kind are reserved; the router refuses them to everybody, whatever the rules say")
    head = ("USER", "SESSION", "MAY", "RULE") if live else ("USER", "MAY", "RULE")
    rows = [(each["user"], *([each["session"]] if live else []), _may(each), each["rule"] or "") for each in found]
    table(head, rows)


@click.command()
@click.option("--user", "user_id", required=True, help="The user's id.")
@click.option("--user-data", type=JSON, help="user.data, a JSON object; otherwise that of the built-in user.")
@rules_option
@app_option
@config_option
@json_option
def can(*, user_id: str, user_data: Any, rules_path: Path | None, app: str, config_path: str, as_json: bool) -> None:
    """List what a user may do, by pattern: always, or depending on what. What is not listed is denied.

    Of several patterns that match a name the most specific one applies.
    """
    given = click.get_current_context().get_parameter_source("user_data")
    has_data = given is not click.core.ParameterSource.DEFAULT
    if user_data is not None and not isinstance(user_data, dict):
        raise click.UsageError("--user-data takes a JSON object")
    config = None if rules_path else _config(config_path)
    space = space_of(config, app) if config else None
    rules = rules_of(space.rules if space else rules_path or Path())
    try:
        user = User(user_id, user_data, user_id != OPEN_USER_ID)
    except InvalidName as error:
        raise Failure(f"--user: {error}", code="invalid_user") from None
    if not has_data and config is not None and space is not None:
        stored = _stored(config, space, user_id)
        if stored is not None:
            user, has_data = stored, True
    found = _everything(rules, _known(user, app, user_data=has_data))
    if as_json:
        line(safe_json({"user": user_id, "user_data_known": has_data, "can": found}))
        return
    if not has_data:
        line("note: nothing is known of user.data; give it with --user-data")
    table(
        ("SECTION", "PATTERN", "ACTION", "MAY", "RULE"),
        [(each["section"], each["pattern"], each["action"], _may(each), each["rule"] or "") for each in found],
    )


def _everything(rules: CompiledRules, known: Known) -> list[dict[str, Any]]:
    reverse = Reverse(rules)
    found = []
    for section in dict.fromkeys(action.section for action in Action):
        for rule in rules.rules_of(section):
            judgement = reverse.judge(rule, known)
            if judgement.verdict != "never":
                place = {"section": section, "pattern": rule.pattern.text, "action": rule.ref.action}
                found.append({**place, **_judged(judgement), "source": source_of(rule)})
    return found


def _known(user: User, app: str, *, user_data: bool = True) -> Known:
    return Known(Identity(app, "", user), user_data=user_data, session=False)


def _judged(judgement: Judgement) -> dict[str, Any]:
    rule = judgement.rule
    place = f"{rule.ref.source}:{rule.ref.line}" if rule else None
    return {"verdict": judgement.verdict, "condition": judgement.condition, "rule": place}


def _may(each: dict[str, Any]) -> str:
    return "always" if each["verdict"] == "always" else f"if {each['condition']}"


def _config(path: str) -> Config:
    try:
        return load(path)
    except ProblemsError as error:
        raise problems_failure(error) from None


def _each_user(config: Config | None, app: str, users_file: Path | None, take: Callable[[User], None]) -> None:
    if users_file is not None:
        try:
            users = userfile.load(users_file)
        except ProblemsError as error:
            raise problems_failure(error) from None
        for each in users:
            if not each.disabled:
                take(User(each.id, each.data))
        return
    if config is None:
        return

    async def main() -> None:
        async with _store(config) as store:
            after = ""
            while page := await store.list(app, after=after, limit=MAX_PAGE):
                for each in page:
                    if not each.disabled:
                        take(User(each.id, each.data))
                after = page[-1].id

    output.run(main)


def _stored(config: Config, space: Space, user_id: str) -> User | None:
    if not any(step.strategy == "users" for step in space.login):
        return None

    async def main() -> User | None:
        async with _store(config) as store:
            found = await store.get(space.name, user_id)
            return User(found.id, found.data) if found else None

    return output.run(main)


@asynccontextmanager
async def _store(config: Config) -> AsyncIterator[UserStore]:
    store = open_user_store(config.storage.url, config.base)
    try:
        yield store
    finally:
        await store.aclose()
