"""``trio-router revoke``: end what somebody logged in with, at a running router, and remember that it is ended.

The work is the router's; see ``auth.revocations``. The rule that keeps it honest: exit code 0 means that it is in force and
stored, and that those it reaches were sent away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trio_router.cli.administration import administration, token_option, url_option
from trio_router.cli.output import config_option, json_option, line, safe_json
from trio_router.clock import SystemClock
from trio_router.config.schema import APP


@click.command()
@click.argument("kind", type=click.Choice(["token", "session", "user", "key", "before"]))
@click.argument("value", default="")
@click.option("--app", default=APP, show_default=True, help="The app.")
@click.option("--for-good", is_flag=True, help="Tell those who are sent away to stay away, not to log in again.")
@config_option
@url_option
@token_option
@json_option
def revoke(
    *,
    kind: str,
    value: str,
    app: str,
    for_good: bool,
    config_path: str,
    url: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Revoke an access token or a trust-token by its id, a session, a user, a key, or everything issued before an instant.

    VALUE is the id; for "before" it is seconds since the epoch, by default now. What is issued later is not affected. The
    sessions that depend on what is revoked end before the command does.
    """
    body: dict[str, Any] = {"kind": kind, "value": value, "app": app, "for_good": for_good}
    if kind == "before":
        try:
            body |= {"value": "", "at": float(value) if value else SystemClock().wall()}
        except ValueError:
            raise click.UsageError("before: VALUE is seconds since the epoch") from None
    elif not value:
        raise click.UsageError(f"{kind}: VALUE is missing")
    answer = administration(config_path, url, token_file).ask("POST", "/admin/revocations", body)
    also = f", and {answer['rights']} rights of others" if answer["rights"] else ""
    line(safe_json(answer) if as_json else f"revoked; {answer['ended']} sessions{also} ended")
