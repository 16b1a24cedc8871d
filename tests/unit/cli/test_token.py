"""``trio-router token trust``: a token from the store's key, and clear words where there is none."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import attrs
import pytest
import trio
from click.testing import CliRunner, Result

from trio_router.cli.main import cli
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.opening import open_key_store
from trio_router.tokens.trust import TrustVerifier

SECRET = Secret(secrets.token_urlsafe(32))
KEY = KeyRecord("default", "web", (SECRET,))
CONFIG = """
rules: rules.yml
login: [{strategy: open}]
storage: {url: "sqlite:///keys.db", encryption_key: "${file:storage-key}"}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    (tmp_path / "rules.yml").write_text("event: {}\n")
    (tmp_path / "storage-key").touch(mode=0o600)
    (tmp_path / "storage-key").write_text(secrets.token_urlsafe(32))
    path = tmp_path / "config.yml"
    path.write_text(CONFIG)
    keep(path, KEY)
    return path


def keep(config: Path, key: KeyRecord) -> None:
    async def main() -> None:
        storage = load(str(config)).storage
        store = open_key_store(storage.url, config.parent, storage.encryption_key)
        try:
            await (store.add(key) if key is KEY else store.change(key.app, key.id, lambda _: key))
        finally:
            await store.aclose()

    trio.run(main)


def run(config: Path, *arguments: str, key: str = "web", channel: str = "prs:room") -> Result:
    command = ["token", "trust", "--config", str(config), "--key", key, "--session", "s-1", "--channel", channel]
    return CliRunner().invoke(cli, [*command, *arguments])


def test_a_token_is_made_with_the_key_and_holds(config: Path) -> None:
    result = run(
        config, "--sysid", "ada", "--sysinfo", '{"desk": 3}', "--action", "channel.subscribe", "--no-publish", "--json"
    )
    assert result.exit_code == 0, result.output
    verifier = TrustVerifier(lambda key: [SECRET] if key == "web" else [], SystemClock())
    token = json.loads(result.output)["token"]
    trust = verifier.verify(token, session="s-1", name="prs:room", action="channel.subscribe", key="web")
    assert not trust.publish
    assert trust.participant is not None
    assert (trust.participant.sysid, trust.participant.sysinfo) == ("ada", {"desk": 3})
    assert run(config, channel="pvt:room").output.count(".") == 2


@pytest.mark.threat("T62")
def test_what_cannot_be_is_said_without_the_secret(config: Path) -> None:
    unknown = run(config, key="nobody")
    assert (unknown.exit_code, "there is no key default.nobody" in unknown.output) == (1, True)
    public = run(config, channel="news")
    assert (public.exit_code, "public names need no token" in public.output) == (2, True)
    assert run(config, "--sysinfo", "[]").exit_code == 2
    keep(config, attrs.evolve(KEY, disabled=True))
    disabled = run(config, channel="pvt:room")
    assert (disabled.exit_code, "disabled" in disabled.output) == (1, True)
    assert all(SECRET.reveal() not in result.output for result in (unknown, public, disabled))
