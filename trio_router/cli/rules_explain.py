"""``trio-router rules explain``: why would this user be allowed or denied this, by the rules in a file.

The answering is ``routing.tracing`` and ``permissions.explain``. The rule that keeps it honest: it is the answer of the door with
these rules, spelling of names included, and it asks no running router, so it says what the file means, not what is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from trio_router.auth.accounts import AccountError, Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.cli import output
from trio_router.cli.explanation import explanation_lines
from trio_router.cli.output import REFUSED, Failure, config_option, json_option, line, problems_failure, safe_json, stop
from trio_router.cli.users import JSON
from trio_router.clock import SystemClock
from trio_router.config.check import MAX_RULES
from trio_router.config.load import load, read_text
from trio_router.config.schema import APP, Config
from trio_router.errors import ProblemsError
from trio_router.identity import OPEN_USER_ID, Identity, User
from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
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
@click.option("--app", default=APP, show_default=True, help="The app.")
@click.option("--user", "user_id", required=True, help="The user's id.")
@click.option("--user-data", type=JSON, help="user.data, a JSON object; otherwise that of the built-in user.")
@click.option("--action", required=True, type=ActionType(), help="Such as event.publish, or publish alone.")
@click.option("--name", required=True, help="Channel, procedure, record or user; a wildcard for subscribe.")
@click.option("--data", type=JSON, help="What is sent along, in JSON.")
@click.option("--strategy", default="", help="What session.strategy is.")
@click.option("--remote-address", default="", help="What session.remoteAddress is.")
@json_option
def explain(
    *,
    config_path: str,
    rules_path: Path | None,
    app: str,
    user_id: str,
    user_data: Any,
    action: Action,
    name: str,
    data: Any,
    strategy: str,
    remote_address: str,
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
    try:
        config = None if rules_path is not None else load(config_path)
        source = rules_path or (config.rules if config else Path())
        rules = load_rules(read_text(source, MAX_RULES), str(source), clock=SystemClock())
    except ProblemsError as error:
        raise problems_failure(error) from None
    if config is not None and not has_user_data:
        user_data = _builtin_data(config, app, user_id)
    redaction = Redaction.of(config.decisions.redact) if config else Redaction()
    try:
        user = User(user_id, user_data, user_id != OPEN_USER_ID)
    except InvalidName as error:
        raise Failure(f"--user: {error}", code="invalid_user") from None
    who = Identity(app, "", user, strategy, remote_address)
    made = explain_at_door(rules, who, action, name, Payload(data) if has_data else ABSENT, redaction)
    if as_json:
        line(safe_json(made.as_json()))
    else:
        for text in explanation_lines(made):
            line(text)
    if not made.decision.allowed:
        stop(REFUSED)


def _builtin_data(config: Config, app: str, user_id: str) -> Any:
    """The data of the built-in user, if the config has built-in users and there is such a one."""
    if not any(step.strategy == "users" for step in config.login):
        return None

    async def main() -> Any:
        store = open_user_store(config.storage.url, config.base)
        try:
            return (await Accounts(store, app, PasswordHasher(), SystemClock()).get(user_id)).data
        except AccountError:
            return None
        finally:
            await store.aclose()

    return output.run(main)
