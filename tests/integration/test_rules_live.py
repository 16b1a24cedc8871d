"""Questions about rules put to a running router: what would end, and who may."""

from __future__ import annotations

import json

import pytest
import trio
from click.testing import CliRunner, Result

from tests.integration.conftest import RULES, Site, Start
from trio_router.cli.main import cli
from trio_router.client import connect

ONLY_ROSA = RULES.replace('subscribe: "user.isAuthenticated"', "subscribe: \"user.id === 'rosa'\"", 1)


async def command(site: Site, *arguments: str) -> Result:
    (site.folder / "token").write_text(site.admin_token)
    (site.folder / "token").chmod(0o600)
    where = ("--url", str(site.address.admin), "--token-file", str(site.folder / "token"))
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["rules", *arguments, *where]))


@pytest.mark.threat("T36")
async def test_a_live_diff_names_what_would_end_and_ends_nothing(start: Start) -> None:
    async with (
        start() as site,
        connect(site.address.url, site.login("egon")) as egon,
        connect(site.address.url, site.login("rosa")) as rosa,
        egon.subscribe("room/a") as at_egon,
        rosa.subscribe("room/a"),
    ):
        before = (await site.admin("GET", "/admin/decisions")).json()
        answer = await site.admin("POST", "/admin/rules/diff", json={"rules": ONLY_ROSA})
        assert answer.status_code == 200, answer.text
        made = answer.json()
        assert (made["sessions"], made["total"]) == (2, 1)
        (end,) = made["ends"]
        assert (end["user"], end["verb"], end["name"], end["reason"]) == ("egon", "subscribe", "room/a", "rule_false")
        (site.folder / "new.yml").write_text(ONLY_ROSA)
        files = (str(site.folder / "rules.yml"), str(site.folder / "new.yml"))
        shown = await command(site, "diff", *files, "--live")
        assert shown.exit_code == 1
        assert "ends: subscribe room/a of egon" in shown.output
        assert "live: 1 rights of 2 sessions would end" in shown.output
        assert (await command(site, "diff", files[0], files[0], "--live")).exit_code == 0
        await rosa.publish("room/a", "still")
        assert (await anext(at_egon)).data == "still"
        assert (await site.admin("GET", "/admin/decisions")).json() == before


async def test_a_live_diff_refuses_what_a_reload_would_refuse(start: Start) -> None:
    async with start() as site:
        answer = await site.admin("POST", "/admin/rules/diff", json={"rules": "event: {a: {subscribe: nonsense}}"})
        assert answer.status_code == 422
        assert "nonsense" in str(answer.json()["error"]["detail"])
        for body in ({}, {"rules": 1}, {"rules": "", "more": 1}):
            assert (await site.admin("POST", "/admin/rules/diff", json=body)).status_code == 400


async def test_who_may_among_live_sessions(start: Start) -> None:
    async with (
        start() as site,
        connect(site.address.url, site.login("egon")),
        connect(site.address.url, site.login("boss")),
    ):
        answer = await site.admin("GET", "/admin/who?action=event.subscribe&name=desk/egon")
        assert [each["user"] for each in answer.json()["who"]] == ["egon"]
        answer = await site.admin("GET", "/admin/who?action=event.publish&name=desk/egon")
        assert [(each["user"], each["verdict"]) for each in answer.json()["who"]] == [("boss", "always")]
        for query in ("", "?action=x&name=a", "?action=event.publish&name=a//b", "?action=event.publish&name=a&x=1"):
            assert (await site.admin("GET", f"/admin/who{query}")).status_code == 400
        shown = await command(site, "who", "--live", "--action", "publish", "--name", "desk/egon", "--json")
        assert [each["user"] for each in json.loads(shown.output)["who"]] == ["boss"]


async def test_a_command_without_an_answer_says_so(start: Start) -> None:
    async with start() as site:
        (site.folder / "token").write_text("not the token of this router")
        (site.folder / "token").chmod(0o600)
        arguments = [
            "rules",
            "who",
            "--live",
            "--action",
            "publish",
            "--name",
            "a",
            "--token-file",
            str(site.folder / "token"),
        ]

        def ask(url: str) -> Result:
            return CliRunner().invoke(cli, [*arguments, "--url", url])

        refused = await trio.to_thread.run_sync(ask, str(site.address.admin))
        assert refused.exit_code == 1
        assert refused.output.endswith("trio-router: valid credentials are required\n")
        away = await trio.to_thread.run_sync(ask, "http://127.0.0.1:1")
        assert away.exit_code == 3
        assert "does not answer" in away.output


async def test_who_may_among_the_users_of_the_store(start: Start) -> None:
    async with start() as site:

        def ask() -> Result:
            environ = {"ADMIN": site.admin_token}
            options = ["--config", str(site.folder / "config.yml"), "--json"]
            return CliRunner().invoke(
                cli, ["rules", "who", "--action", "publish", "--name", "desk/x", *options], env=environ
            )

        shown = await trio.to_thread.run_sync(ask)
        assert [each["user"] for each in json.loads(shown.output)["who"]] == ["boss"]


async def test_a_live_explanation_is_the_one_of_the_file_by_the_rules_in_force(start: Start) -> None:
    asked = ("explain", "--user", "egon", "--action", "publish", "--name", "desk/egon", "--user-data", '{"role": "x"}')
    async with start() as site:
        config = ("--config", str(site.folder / "config.yml"))

        def by_file(*more: str) -> Result:
            rules = ("--rules", str(site.folder / "rules.yml"))
            return CliRunner().invoke(cli, ["rules", *asked, *rules, *more])

        live, told = await command(site, *asked, "--live"), await command(site, *asked, "--live", "--json")
        assert (live.exit_code, told.exit_code) == (1, 1)
        assert live.output == (await trio.to_thread.run_sync(by_file)).output
        made = json.loads((await trio.to_thread.run_sync(by_file, "--json")).output)
        assert json.loads(told.output) == made
        (site.folder / "rules.yml").write_text(RULES.replace("user.data.role === 'boss'", "user.data.role === 'x'"))
        assert (
            await command(site, *asked, "--live")
        ).exit_code == 1  # the file has changed, the rules in force have not
        await site.admin("POST", "/admin/reload")
        allowed = await command(site, *asked, "--live")
        assert (allowed.exit_code, "allowed: event.publish desk/egon for egon" in allowed.output) == (0, True)
        unknown = await command(site, *asked, "--live", "--app", "nowhere")
        assert (unknown.exit_code, "there is no app with this name" in unknown.output) == (1, True)
        both = await command(site, *asked, "--live", "--rules", "x.yml", *config)
        assert both.exit_code == 2
