"""``trio-router token``: tokens made on this machine, with the app keys in the store the config names.

For trying things out and for scripts beside the router; an application's authorisation server signs its own
(:mod:`trio_router.tokens.trust`). The rule that keeps it honest: a secret is used here and shown nowhere.
"""

from __future__ import annotations

from typing import Any

import click

from trio_router.cli import output
from trio_router.cli.output import Failure, config_option, json_option, line, safe_json
from trio_router.cli.users import JSON
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.config.schema import APP
from trio_router.storage.keys import KeyRecord
from trio_router.storage.opening import open_key_store
from trio_router.tokens.trust import ACTIONS, DEFAULT_TTL, Participant, TrustAction, issue_trust_token, new_token_id


@click.group()
def token() -> None:
    """Make tokens with an app key from the store."""


@token.command()
@click.option("--app", default=APP, show_default=True, help="The app the key belongs to.")
@click.option("--key", "key_id", required=True, help="The id of the app key that the session was opened with.")
@click.option("--session", required=True, help="The id of the session that may use the token.")
@click.option("--channel", required=True, help="The pvt:, prs: or sys: channel, or the procedure, that it opens.")
@click.option("--action", type=click.Choice(sorted(ACTIONS)), help="The one use it is for (default: any).")
@click.option("--no-publish", is_flag=True, help="Receive only.")
@click.option("--sysid", help="Who the participant is, for prs: and sys: channels.")
@click.option("--sysinfo", type=JSON, help="What others see besides, a JSON object.")
@click.option("--ttl", type=float, default=DEFAULT_TTL, show_default=True, help="Seconds until it expires.")
@config_option
@json_option
def trust(
    *,
    app: str,
    key_id: str,
    session: str,
    channel: str,
    action: TrustAction | None,
    no_publish: bool,
    sysid: str | None,
    sysinfo: Any,
    ttl: float,
    config_path: str,
    as_json: bool,
) -> None:
    """Make a trust-token: one session may open one channel or procedure. With --json its id is told, for `revoke token`."""
    if sysinfo is not None and (not isinstance(sysinfo, dict) or sysid is None):
        raise click.UsageError("--sysinfo: expected a JSON object, together with --sysid")
    clock, token_id = SystemClock(), new_token_id()
    key, max_lifetime = _key(config_path, app, key_id)
    secrets = key.live_secrets(clock.wall())
    if not secrets:
        raise Failure(f"the key {app}.{key_id} is disabled", code="key_disabled")
    try:
        text = issue_trust_token(
            key=key_id,
            secret=secrets[0],
            session=session,
            channel=channel,
            publish=not no_publish,
            participant=None if sysid is None else Participant(sysid, sysinfo or {}),
            action=action,
            ttl=ttl,
            now=clock.wall(),
            token_id=token_id,
            max_lifetime=max_lifetime,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    line(safe_json({"token": text, "id": token_id}) if as_json else text)


def _key(config_path: str, app: str, key_id: str) -> tuple[KeyRecord, float]:
    """The key, and how many seconds the router lets a trust-token be good for."""

    async def main() -> tuple[KeyRecord | None, float]:
        config = load(config_path)
        store = open_key_store(config.storage.url, config.base, config.storage.encryption_key)
        try:
            return await store.get(app, key_id), config.trust.max_lifetime
        finally:
            await store.aclose()

    key, max_lifetime = output.run(main)
    if key is None:
        raise Failure(f"there is no key {app}.{key_id}", code="key_unknown")
    return key, max_lifetime
