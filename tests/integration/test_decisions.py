"""From a client that is denied to the administrator who finds out why, and to the line in the decision log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.conftest import USERS_CONFIG, Start, write_files
from trio_router.audit.verify import verify
from trio_router.client import RequestRefused, connect
from trio_router.errors import ConfigError

RULES = """
event:
  "room/$room":
    subscribe: true
    publish: {rule: "user.data.role === 'boss' && data.pin !== '1'", reason: "only the boss speaks here"}
"""
LOGGED = USERS_CONFIG + "decisions: {log: decisions.log, log_allowed: true, redact: [data.pin]}\n"


@pytest.mark.threat("T36")
async def test_from_a_denial_to_its_reason(start: Start, tmp_path: Path) -> None:
    async with start(LOGGED, RULES) as site:
        async with connect(site.address.url, site.login("egon")) as egon, egon.subscribe("room/a"):
            with pytest.raises(RequestRefused) as refused:
                await egon.publish("room/a", {"pin": "canary-pin"})
            error = refused.value
            assert (error.slug, error.reason) == ("denied", "only the boss speaks here")
            assert len(error.decision) == 12
            for secret in ("rules.yml", "user.data", "role"):
                assert secret not in str(error)

            answer = await site.admin("GET", f"/admin/decisions/{error.decision}")
            told = answer.json()
            assert (told["user"], told["name"], told["reason"]) == ("egon", "room/a", "rule_false")
            parts = {step["text"]: step.get("value") for step in told["explained"]["steps"]}
            assert parts["user.data.role === 'boss'"] is False
            assert told["explained"]["data"] == {"pin": "<redacted>"}
            assert "canary-pin" not in answer.text
            listed = (await site.admin("GET", "/admin/decisions?denied=true")).json()["decisions"]
            assert [each["id"] for each in listed] == [error.decision]

            question = {"user": "boss", "action": "event.publish", "name": "room/a", "data": {}}
            assert (await site.admin("POST", "/admin/explain", json=question)).json()["allowed"]

            (site.folder / "rules.yml").write_text(
                "event: {'room/$room': {subscribe: {rule: false, reason: 'the room is closed'}}}"
            )
            assert (await site.admin("POST", "/admin/reload")).status_code == 200
        log = site.folder / "decisions.log"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    denied = next(line for line in lines if line.get("id") == error.decision)
    assert (denied["user"], denied["action"], denied["allowed"], denied["app"]) == (
        "egon",
        "event.publish",
        False,
        "default",
    )
    assert denied["rule"].endswith("rules.yml:5")
    assert "canary-pin" not in log.read_text()
    assert [line["kind"] for line in lines][:: len(lines) - 1] == ["start", "stop"]
    assert verify([log]).problems == ()


async def test_a_right_that_a_reload_ends_says_why(start: Start) -> None:
    async with start(USERS_CONFIG, RULES) as site, connect(site.address.url, site.login("egon")) as egon:
        async with egon.subscribe("room/a") as events:
            (site.folder / "rules.yml").write_text(
                "event: {'room/$room': {subscribe: {rule: false, reason: 'the room is closed'}}}"
            )
            assert (await site.admin("POST", "/admin/reload")).status_code == 200
            with pytest.raises(RequestRefused) as ended:
                await anext(events)
        assert ended.value.reason == "the room is closed"
        told = (await site.admin("GET", f"/admin/decisions/{ended.value.decision}")).json()
        assert (told["reason"], told["action"], told["name"]) == ("rule_false", "event.subscribe", "room/a")


async def test_a_log_that_others_can_read_stops_the_start(start: Start, tmp_path: Path) -> None:
    write_files(tmp_path, LOGGED, RULES)
    (tmp_path / "decisions.log").touch()
    (tmp_path / "decisions.log").chmod(0o644)
    with pytest.raises(BaseException) as caught:
        async with start(LOGGED, RULES):
            raise AssertionError("it has started")
    assert caught.group_contains(ConfigError, match="readable by others") or isinstance(caught.value, ConfigError)
