"""The open strategy: whom it lets in, as whom, and that it says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from trio_router.auth.open import OpenOptions, OpenType
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest, NotMine, Strategy
from trio_router.identity import OPEN_USER_ID
from trio_router.testing.strategies import StrategyContract, login_request, services


class TestContract(StrategyContract):
    strategy_type = OpenType()
    secrets = ("hunter2",)
    accepts_junk = True

    @pytest.fixture
    def strategy(self, tmp_path: Path) -> Strategy:
        return OpenType().build(OpenOptions(allow_username=True), services(tmp_path))

    def accepted(self) -> list[LoginRequest]:
        return [login_request(), login_request({}), login_request({"username": "alice"})]

    def denied(self) -> list[LoginRequest]:
        return [login_request({"username": "not a name"})]

    def foreign(self) -> list[LoginRequest]:
        return [login_request({"username": "alice", "password": "hunter2"}), login_request({"token": "hunter2"})]


async def ask(tmp_path: Path, auth: Mapping[str, Any] | None, *, authorization: str = "", **options: Any) -> Answer:
    strategy = OpenType().build(OpenOptions(**options), services(tmp_path))
    headers = {"authorization": authorization} if authorization else {}
    return await strategy.start(login_request(auth, headers))


@pytest.mark.parametrize("auth", [None, {}, {"username": "alice"}, {"username": 5}])
async def test_who_presents_nothing_is_let_in_as_open(tmp_path: Path, auth: Mapping[str, Any] | None) -> None:
    answer = await ask(tmp_path, auth)
    assert isinstance(answer, Accepted)
    assert answer.user.id == OPEN_USER_ID
    assert not answer.user.is_authenticated
    assert answer.expires_at is None


@pytest.mark.parametrize("auth", [{"token": "x"}, {"username": "alice", "password": ""}, {"anything": None}])
async def test_credentials_nobody_recognised_do_not_become_an_anonymous_session(
    tmp_path: Path, auth: Mapping[str, Any]
) -> None:
    assert await ask(tmp_path, auth) == NotMine()
    assert await ask(tmp_path, auth, allow_username=True) == NotMine()


async def test_an_authorization_header_is_a_credential_and_a_cookie_is_not(tmp_path: Path) -> None:
    assert await ask(tmp_path, None, authorization="Bearer x") == NotMine()
    strategy = OpenType().build(OpenOptions(), services(tmp_path))
    assert isinstance(await strategy.start(login_request(None, {"cookie": "session=1"})), Accepted)


async def test_a_router_that_is_open_to_all_can_ignore_credentials(tmp_path: Path) -> None:
    answer = await ask(tmp_path, {"token": "x"}, authorization="Bearer x", ignore_credentials=True)
    assert isinstance(answer, Accepted)
    assert not answer.user.is_authenticated


async def test_a_chosen_username_is_an_id_but_proves_nothing(tmp_path: Path) -> None:
    answer = await ask(tmp_path, {"username": "alice"}, allow_username=True)
    assert isinstance(answer, Accepted)
    assert answer.user.id == "alice"
    assert not answer.user.is_authenticated


@pytest.mark.parametrize("username", ["", "a b", "a/b", "*", "a" * 129, 7, None, ["alice"]])
async def test_a_username_that_is_no_id_is_denied(tmp_path: Path, username: Any) -> None:
    answer = await ask(tmp_path, {"username": username}, allow_username=True)
    assert isinstance(answer, Denied)
    assert answer.reason == "invalid_username"
    assert str(answer.client_data["error"]).startswith("username: ")


async def test_rules_can_see_data_of_everybody_let_in(tmp_path: Path) -> None:
    answer = await ask(tmp_path, None, user_data={"role": "guest"})
    assert isinstance(answer, Accepted)
    assert answer.user.data == {"role": "guest"}


def test_it_says_loudly_at_start_that_it_is_on(tmp_path: Path) -> None:
    with capture_logs() as logs:
        OpenType().build(OpenOptions(), services(tmp_path))
    assert [(line["event"], line["log_level"]) for line in logs] == [("open_login", "warning")]


def test_what_is_unsafe_about_it_is_listed() -> None:
    assert len(OpenType().unsafe(OpenOptions())) == 1
    everything = OpenType().unsafe(OpenOptions(allow_username=True, ignore_credentials=True))
    assert [line.split(":")[1].strip() for line in everything[1:]] == ["allow_username", "ignore_credentials"]
