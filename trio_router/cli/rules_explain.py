"""``trio-router rules explain``: why would this user be allowed or denied this, by the rules in a file.

The answering is ``routing.tracing`` and ``permissions.explain``. The rule that keeps it honest: it is the answer of the door with
these rules, spelling of names included; it says what the file means, or with ``--live`` what a running router has in force.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from trio_router.auth.accounts import AccountError, Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.cli import output
from trio_router.cli.administration import administration, token_option, url_option
from trio_router.cli.explanation import explanation_lines, told_explanation
from trio_router.cli.output import REFUSED, Failure, config_option, json_option, line, problems_failure, safe_json, stop
from trio_router.cli.spaces import app_option, space_of
from trio_router.cli.users import JSON
from trio_router.clock import SystemClock
from trio_router.config.check import MAX_RULES
from trio_router.config.load import load, read_text
from trio_router.config.schema import Config, Space
from trio_router.errors import ProblemsError
from trio_router.identity import OPEN_USER_ID, Identity, User
from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.explain import Explanation
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.routing.tracing import explain_at_door
from trio_router.storage.opening import open_user_store

_ACTIONS: Final = {f"{action.section}.{action.verb}": action for action in Action}


class ActionType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An action as ``section.verb``, or the verb alone where no other section has it."""

    name = "ACTION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Action:
        if isinstance(value, Action):
            return value
        found = [name for name in _ACTIONS if value in (name, name.partition(".")[2])]
        if not found:
            self.fail(f"expected one of {', '.join(_ACTIONS)}", param, ctx)
        if len(found) > 1:
            self.fail(f"say which: {' or '.join(found)}", param, ctx)
        return _ACTIONS[found[0]]


@click.command()
@config_option
@click.option(
    "--rules",
    "rules_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A rules file to ask instead of the config's; built-in users are not looked up then.",
)
@click.option("--live", is_flag=True, help="Ask the running router, by the rules it has in force.")
@app_option
@click.option("--user", "user_id", required=True, help="The user's id.")
@click.option("--user-data", type=JSON, help="user.data, a JSON object; otherwise that of the built-in user.")
@click.option("--action", required=True, type=ActionType(), help="Such as event.publish, or publish alone.")
@click.option("--name", required=True, help="Channel, procedure, record or user; a wildcard for subscribe.")
@click.option("--data", type=JSON, help="What is sent along, in JSON.")
@click.option("--strategy", default="", help="What session.strategy is.")
@click.option("--remote-address", default="", help="What session.remoteAddress is.")
@url_option
@token_option
@json_option
def explain(
    *,
    config_path: str,
    rules_path: Path | None,
    live: bool,
    app: str,
    user_id: str,
    user_data: Any,
    action: Action,
    name: str,
    data: Any,
    strategy: str,
    remote_address: str,
    url: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Say whether a user may do something, which rule says so, and what each part of that rule comes out as.

    Exits with 0 if it is allowed and with 1 if it is denied.
    """
    given = click.get_current_context().get_parameter_source
    has_user_data = given("user_data") is not click.core.ParameterSource.DEFAULT
    has_data = given("data") is not click.core.ParameterSource.DEFAULT
    if user_data is not None and not isinstance(user_data, dict):
        raise click.UsageError("--user-data takes a JSON object")
    if live:
        if rules_path is not None:
            raise click.UsageError("--live asks the rules in force: it goes without --rules")
        question: dict[str, Any] = {
            "user": user_id,
            "action": f"{action.section}.{action.verb}",
            "name": name,
            "app": app,
        }
        question |= {"strategy": strategy, "remote_address": remote_address}
        question |= {"user_data": user_data} if has_user_data else {}
        question |= {"data": data} if has_data else {}
        told = administration(config_path, url, token_file).ask("POST", "/admin/explain", question)
        _show(told, told_explanation(told), as_json=as_json)
        return
    try:
        config = None if rules_path is not None else load(config_path)
        space = None if config is None else space_of(config, app)
        source = rules_path or (space.rules if space else Path())
        rules = load_rules(read_text(source, MAX_RULES), str(source), clock=SystemClock())
    except ProblemsError as error:
        raise problems_failure(error) from None
    if config is not None and space is not None and not has_user_data:
        user_data = _builtin_data(config, space, user_id)
    redaction = Redaction.of(config.decisions.redact) if config else Redaction()
    try:
        user = User(user_id, user_data, user_id != OPEN_USER_ID)
    except InvalidName as error:
        raise Failure(f"--user: {error}", code="invalid_user") from None
    who = Identity(app, "", user, strategy, remote_address)
    made = explain_at_door(rules, who, action, name, Payload(data) if has_data else ABSENT, redaction)
    _show(made.as_json(), made, as_json=as_json)


def _show(told: dict[str, Any], made: Explanation, *, as_json: bool) -> None:
    if as_json:
        line(safe_json(told))
    else:
        for text in explanation_lines(made):
            line(text)
    if not made.decision.allowed:
        stop(REFUSED)


def _builtin_data(config: Config, space: Space, user_id: str) -> Any:
    """The data of the built-in user, if the config has built-in users and there is such a one."""
    if not any(step.strategy == "users" for step in space.login):
        return None

    async def main() -> Any:
        store = open_user_store(config.storage.url, config.base)
        try:
            return (await Accounts(store, space.name, PasswordHasher(), SystemClock()).get(user_id)).data
        except AccountError:
            return None
        finally:
            await store.aclose()

    return output.run(main)
