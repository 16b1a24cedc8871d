"""The webhook strategy against a real HTTP service: what is sent, what an answer means, retries, breaker, cache, bounds."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from trio_router.auth import registry
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.services import HttpAnswer, OutboundError
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest, NotMine, Strategy, Unavailable
from trio_router.auth.webhook import WebhookStrategy, WebhookType
from trio_router.auth.webhook_answer import Unusable, judge
from trio_router.auth.webhook_cache import AnswerCache
from trio_router.auth.webhook_options import WebhookOptions
from trio_router.auth.webhook_request import WebhookRequest
from trio_router.clock import ManualClock
from trio_router.identity import User
from trio_router.secret import Secret
from trio_router.testing.http_service import (
    Behaviour,
    HttpService,
    ServiceRequest,
    answer,
    answer_json,
    close_early,
    hang,
    in_turn,
    redirect,
    serve,
)
from trio_router.testing.strategies import NoOutbound, StrategyContract, login_request, services

ALICE = Accepted(User("alice"))
OPTIONS = WebhookOptions("http://127.0.0.1:9/login")


async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
    """Alice with her password is let in."""
    auth = request.json["authData"]
    if auth == {"username": "alice", "password": "hunter2"}:
        await answer_json(200, {"id": "alice", "clientData": {"theme": "dark"}, "serverData": {"role": "admin"}})(
            request, stream
        )
    else:
        await answer_json(403, {"error": "no"})(request, stream)


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    async with serve(doorman) as found:
        yield found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


Build = Callable[..., WebhookStrategy]


@pytest.fixture
async def build(service: HttpService, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Build]:
    """Builds a strategy that asks ``service``."""
    async with HttpOutbound() as outbound:

        def make(**options: Any) -> WebhookStrategy:
            known = WebhookOptions(service.url, **{"timeout": 20, **options})
            return WebhookType().build(known, services(tmp_path, outbound=outbound, clock=clock))

        yield make


class TestContract(StrategyContract):
    strategy_type = WebhookType()
    secrets = ("hunter2", "signing-key", "api-key")

    @pytest.fixture
    def strategy(self, build: Build) -> Strategy:
        return build(when=["username"], secret=Secret("signing-key"), headers={"x-key": Secret("api-key")})

    def accepted(self) -> list[LoginRequest]:
        return [login_request({"username": "alice", "password": "hunter2"}, {"cookie": "session=hunter2"})]

    def denied(self) -> list[LoginRequest]:
        return [login_request({"username": "alice", "password": "wrong"}), login_request({"username": None})]

    def foreign(self) -> list[LoginRequest]:
        return [login_request(), login_request({"token": "hunter2"})]


class TestRequest:
    async def test_the_body_is_deepstreams(self, build: Build, service: HttpService) -> None:
        await build().start(
            LoginRequest(
                "default",
                "s1",
                "192.0.2.7",
                {"username": "alice", "nested": [1, None, "é"]},
                (("host", "x"), ("cookie", "a=1"), ("authorization", "Bearer t"), ("cookie", "b=2"), ("x-other", "no")),
            )
        )
        (request,) = service.requests
        assert request.method == "POST"
        assert request.header("content-type") == "application/json"
        assert request.json == {
            "connectionData": {
                "remoteAddress": "192.0.2.7",
                "headers": {"cookie": "a=1; b=2", "authorization": "Bearer t"},
            },
            "authData": {"username": "alice", "nested": [1, None, "é"]},
        }

    async def test_no_login_data_is_null(self, build: Build, service: HttpService) -> None:
        await build().start(login_request())
        assert service.requests[0].json["authData"] is None

    @pytest.mark.parametrize(
        ("listed", "seen"),
        [([], {}), (["X-One"], {"x-one": "1, 2"}), (["*"], {"x-one": "1, 2", "cookie": "c", "host": "h"})],
    )
    async def test_only_listed_headers_leave_the_router(
        self, build: Build, service: HttpService, listed: list[str], seen: dict[str, str]
    ) -> None:
        headers = (("x-one", "1"), ("cookie", "c"), ("x-one", "2"), ("host", "h"))
        await build(forward_headers=listed).start(LoginRequest("default", "s", "127.0.0.1", None, headers))
        assert service.requests[0].json["connectionData"]["headers"] == seen

    async def test_login_data_can_be_promoted_to_headers(self, build: Build, service: HttpService) -> None:
        await build(promote_to_header=["token", "Absent"]).start(login_request({"token": "abc", "other": "x"}))
        request = service.requests[0]
        assert (request.header("token"), request.header("other"), request.header("absent")) == ("abc", None, None)
        assert request.json["authData"] == {"token": "abc", "other": "x"}

    @pytest.mark.threat("T58")
    @pytest.mark.parametrize("value", ["a\r\nx-admin: true", "a\nb", "\0", "日本", 5, True, ["a"], {"a": 1}])
    async def test_what_cannot_be_a_header_is_denied_without_asking(
        self, build: Build, service: HttpService, value: Any
    ) -> None:
        found = await build(promote_to_header=["token"]).start(login_request({"token": value}))
        assert found == Denied("invalid_header", {"error": "token: cannot be sent in a header"})
        assert service.connections == 0

    @pytest.mark.parametrize("value", ["\ud800", object(), {1, 2}])
    async def test_what_cannot_be_json_is_denied_without_asking(
        self, build: Build, service: HttpService, value: Any
    ) -> None:
        found = await build().start(login_request({"x": value} if not isinstance(value, set) else {"x": [object()]}))
        assert isinstance(found, Denied)
        assert found.reason == "invalid_data"
        assert service.connections == 0

    @pytest.mark.threat("T61")
    async def test_requests_are_signed_with_their_time(
        self, build: Build, service: HttpService, clock: ManualClock
    ) -> None:
        strategy = build(secret=Secret("key"), retry_attempts=1, retry_statuses=[418], retry_interval=0)
        service.behave = answer(418)
        clock.advance(0.7)
        await strategy.start(login_request({"a": 1}))
        assert len(service.requests) == 2
        for request in service.requests:
            timestamp = request.header("x-trio-router-timestamp")
            assert timestamp == str(int(clock.wall()))
            expected = hmac.new(b"key", timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
            assert request.header("x-trio-router-signature") == f"v1={expected}"

    async def test_without_a_secret_nothing_looks_signed(self, build: Build, service: HttpService) -> None:
        await build(headers={"X-Key": Secret("k")}).start(login_request())
        assert service.requests[0].header("x-trio-router-signature") is None
        assert service.requests[0].header("x-key") == "k"

    @pytest.mark.parametrize(
        ("auth", "mine"),
        [
            (None, False),
            ({}, False),
            ({"type": "x"}, False),
            ({"type": None, "key": 1}, True),
            ({"type": 1, "key": 2, "z": 3}, True),
        ],
    )
    async def test_when_names_the_keys_that_make_a_login_its_own(
        self, build: Build, service: HttpService, auth: dict[str, Any] | None, mine: bool
    ) -> None:
        found = await build(when=["type", "key"]).start(login_request(auth))
        assert (found != NotMine()) is mine
        assert (service.connections == 1) is mine


def http(status: int, body: bytes = b"", kind: str = "application/json") -> HttpAnswer:
    return HttpAnswer(status, {"content-type": kind} if kind else {}, body)


ANONYMOUS = Accepted(User("open", is_authenticated=False))

MEANINGS: list[tuple[HttpAnswer, Answer]] = [
    (http(200, b"alice", "text/plain"), ALICE),
    (http(200, b" alice\r\n", "text/html; charset=utf-8"), ALICE),
    (http(200, b"alice", ""), ALICE),
    (http(200, b"", ""), ANONYMOUS),
    (http(200, b" \n", "application/json"), ANONYMOUS),
    (http(200, b"{}"), ANONYMOUS),
    (http(200, b'{"id": "open"}'), ANONYMOUS),
    (http(200, b'"alice"'), ALICE),
    (http(200, b'{"id": "alice"}'), ALICE),
    (http(200, b'{"id": "alice"}', "application/problem+JSON; charset=utf-8"), ALICE),
    (http(200, b'{"username": "alice"}'), ALICE),
    (http(200, b'{"username": "bob", "id": "alice"}'), ALICE),
    (http(200, b'{"id": "alice", "serverData": null, "clientData": null}'), ALICE),
    (http(200, b'{"id": "alice", "isValid": true}'), ALICE),
    (
        http(200, b'{"id": "alice", "clientData": [1], "serverData": {"role": "x"}}'),
        Accepted(User("alice", {"role": "x"}), [1]),
    ),
    (http(200, b'{"isValid": false, "clientData": {"why": "x"}}'), Denied("refused", {"why": "x"})),
    (http(200, b'{"id": "alice", "isValid": null}'), Denied("refused")),
    (http(403), Denied("refused")),
    (http(403, b"wrong password\n", "text/plain"), Denied("refused", {"error": "wrong password"})),
    (
        http(401, b'{"error": "x", "isValid": true, "id": "alice"}'),
        Denied("refused", {"error": "x", "isValid": True, "id": "alice"}),
    ),
    (http(404, b'"text"'), Denied("refused", {"error": "text"})),
    (http(400, b"[1]"), Denied("refused")),
    (http(400, b"{broken"), Denied("refused")),
    (http(400, b"\xff", "text/plain"), Denied("refused")),
    (http(400, b"x" * 5_000, "text/plain"), Denied("refused", {"error": "x" * 1_024})),
    (http(201, b"alice", "text/plain"), Denied("refused", {"error": "alice"})),
]

UNUSABLE: list[tuple[HttpAnswer, str]] = [
    *((http(status), "redirect") for status in (300, 301, 302, 304, 307, 308)),
    *((http(status, b'{"id": "alice"}'), "status") for status in (408, 429, 500, 502, 503, 504, 599)),
    (http(101), "protocol"),
    *(
        (http(200, body), "bad_answer")
        for body in (
            b"{", b"[]", b"null", b"true", b"1", b'{"id": 5}', b'{"id": null}', b'{"id": ""}', b'{"id": "a b"}', b'{"id": "a/b"}',
            b'{"id": "*"}', b'{"id": ["alice"]}', b'{"id": "alice", "id": "bob"}', b'{"username": 7}', b'{"id": "a", "serverData": []}',
            b'{"id": "a", "serverData": "x"}', b'{"id": "\\ud800"}', b'{"id": "a"} x', b'{"id": "a", "n": NaN}', b'{"id": "a", "n": 1e999}',
            b"[" * 50_000, b'{"id": "a", "serverData": ' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", b"\xff\xfe", b'{"id": "' + b"a" * 129 + b'"}',
        )
    ),
    *((http(200, body, "text/html"), "bad_answer") for body in (b"<html>log in</html>", b"\xff", b'{"id": "alice"}', b"a" * 129)),
]  # fmt: skip


class TestAnswer:
    @pytest.mark.parametrize(("found", "meaning"), MEANINGS)
    def test_meanings(self, found: HttpAnswer, meaning: Answer) -> None:
        assert judge(OPTIONS, found) == meaning

    @pytest.mark.threat("T61")
    @pytest.mark.parametrize(("found", "reason"), UNUSABLE)
    def test_what_is_neither_yes_nor_no_lets_nobody_in(self, found: HttpAnswer, reason: str) -> None:
        with pytest.raises(Unusable) as caught:
            judge(OPTIONS, found)
        assert caught.value.reason == reason

    @pytest.mark.threat("T61")
    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    "isValid",
                    "token",
                    "roles",
                    "role",
                    "is_authenticated",
                    "expires_at",
                    "user",
                    "data",
                    "app",
                    "strategy",
                ]
            )
            | st.text(max_size=8),
            st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
            max_size=8,
        )
    )
    def test_an_answer_sets_these_fields_and_nothing_else(self, extra: dict[str, Any]) -> None:
        import msgspec

        known = {"id": "alice", "clientData": {"c": 1}, "serverData": {"s": 1}}
        extra = {key: value for key, value in extra.items() if key not in known}
        found = judge(OPTIONS, http(200, msgspec.json.encode({**extra, **known})))
        if extra.get("isValid", True) is True:
            token = extra.get("token")
            token = token if isinstance(token, str) and token else None  # for the client alone
            assert found == Accepted(User("alice", {"s": 1}), {"c": 1}, expires_at=None, token_id=None, token=token)
        else:
            assert found == Denied("refused", {"c": 1})

    @settings(deadline=None)
    @given(st.integers(100, 999), st.binary(max_size=64), st.sampled_from(["application/json", "text/plain", ""]))
    def test_any_answer_has_a_meaning(self, status: int, body: bytes, kind: str) -> None:
        try:
            found = judge(OPTIONS, http(status, body, kind))
        except Unusable:
            return
        assert isinstance(found, Denied) or status == 200

    def test_statuses_are_configurable(self) -> None:
        options = WebhookOptions("http://127.0.0.1/", permitted_statuses=[204, 503], unavailable_statuses=[404])
        assert judge(options, http(204)) == ANONYMOUS
        assert judge(options, http(503)) == ANONYMOUS
        assert judge(options, http(500)) == Denied("refused")
        assert judge(options, http(200, b"alice", "text/plain")) == Denied("refused", {"error": "alice"})
        with pytest.raises(Unusable, match="status"):
            judge(options, http(404))


class TestAsking:
    async def test_the_four_answers(self, build: Build, service: HttpService) -> None:
        strategy = build()
        alice = login_request({"username": "alice", "password": "hunter2"})
        assert await strategy.start(alice) == Accepted(User("alice", {"role": "admin"}), {"theme": "dark"})
        assert await strategy.start(login_request()) == Denied("refused", {"error": "no"})
        service.behave = answer(500)
        assert await strategy.start(alice) == Unavailable("status")

    async def test_an_unusable_answer_is_logged_without_its_text_or_the_url(
        self, build: Build, service: HttpService
    ) -> None:
        service.behave = answer_json(200, {"id": "canary canary"})
        with capture_logs() as logs:
            assert await build().start(login_request()) == Unavailable("bad_answer")
        assert logs[0]["event"] == "webhook_answer"
        assert logs[0]["service"] == f"127.0.0.1:{service.port}"
        assert logs[0]["detail"].startswith("id: ")
        assert "canary" not in repr(logs)
        assert "/login" not in repr(logs)

    async def test_retries_end_with_an_answer(self, build: Build, service: HttpService) -> None:
        service.behave = in_turn(answer(503), close_early, answer(503), answer(200, b"alice"))
        strategy = build(retry_attempts=3, retry_interval=0.01, retry_statuses=[503])
        assert await strategy.start(login_request()) == ALICE
        assert len(service.requests) == 4

    @pytest.mark.threat("T60")
    @pytest.mark.parametrize(("fault", "reason"), [(answer(418), "retries"), (close_early, "protocol")])
    async def test_retries_are_counted(self, build: Build, service: HttpService, fault: Behaviour, reason: str) -> None:
        service.behave = fault
        strategy = build(retry_attempts=3, retry_interval=0.01, retry_statuses=[418])
        assert await strategy.start(login_request()) == Unavailable(reason)
        assert len(service.requests) == 4  # as in deepstream: the first, and three more

    async def test_no_and_broken_are_not_retried(self, build: Build, service: HttpService) -> None:
        for fault, found in (
            (answer(403), Denied("refused")),
            (answer(500), Unavailable("status")),
            (redirect("/"), Unavailable("redirect")),
        ):
            service.requests.clear()
            service.behave = fault
            assert await build(retry_attempts=3, retry_interval=0).start(login_request()) == found
            assert len(service.requests) == 1

    @pytest.mark.threat("T60")
    async def test_retries_stay_within_the_deadline_of_the_login(self, build: Build, service: HttpService) -> None:
        service.behave = hang(0.15, then=answer(503))
        strategy = build(retry_attempts=10, retry_interval=0.02, retry_statuses=[503], timeout=0.4)
        began = trio.current_time()
        found = await strategy.start(login_request())
        assert isinstance(found, Unavailable)
        assert len(service.requests) < 5
        assert trio.current_time() - began < 5

    async def test_no_attempt_begins_that_could_not_end_in_time(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Slow(NoOutbound):
            async def request(self, *args: Any, **options: Any) -> HttpAnswer:
                await trio.sleep(1)
                raise OutboundError("connect")

        options = WebhookOptions("http://127.0.0.1:9/", timeout=2, retry_attempts=1, retry_interval=1.5)
        strategy = WebhookType().build(options, services(tmp_path, outbound=Slow()))
        began = trio.current_time()
        assert await strategy.start(login_request()) == Unavailable("connect")
        assert trio.current_time() - began == pytest.approx(1)


class TestBounds:
    @pytest.mark.threat("T60")
    async def test_the_breaker_opens_spares_the_service_and_recovers(
        self, build: Build, service: HttpService, clock: ManualClock
    ) -> None:
        strategy = build(breaker_failures=3, breaker_seconds=2)
        service.behave = close_early
        with capture_logs() as logs:
            found = [await strategy.start(login_request()) for _ in range(10)]
            assert [a.reason for a in found if isinstance(a, Unavailable)] == ["protocol"] * 3 + ["breaker_open"] * 7
            assert len(service.requests) == 3
            service.behave = answer(200, b"alice")
            assert await strategy.start(login_request()) == Unavailable("breaker_open")
            clock.advance(2)
            assert await strategy.start(login_request()) == ALICE
        assert [line["state"] for line in logs if line["event"] == "webhook_breaker"] == ["open", "closed"]

    @pytest.mark.threat("T60")
    @pytest.mark.parametrize(
        "fault", [answer(500), answer_json(200, {"id": 5}), answer(200, b"x" * 70_000), answer(403), redirect("/")]
    )
    async def test_a_login_that_makes_the_service_stumble_does_not_shut_others_out(
        self, build: Build, service: HttpService, fault: Behaviour
    ) -> None:
        strategy = build(breaker_failures=2)
        service.behave = fault
        for _ in range(5):
            assert not isinstance(await strategy.start(login_request()), Accepted)
        service.behave = answer(200, b"alice")
        assert await strategy.start(login_request()) == ALICE

    @pytest.mark.threat("T60")
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    async def test_statuses_of_a_service_that_is_down_open_the_breaker(
        self, build: Build, service: HttpService, status: int
    ) -> None:
        service.behave = answer(status)
        strategy = build(breaker_failures=2)
        found = [await strategy.start(login_request()) for _ in range(3)]
        assert found == [Unavailable("status"), Unavailable("status"), Unavailable("breaker_open")]

    async def test_a_cancelled_login_says_nothing_about_the_service(
        self, build: Build, service: HttpService, clock: ManualClock
    ) -> None:
        strategy = build(breaker_failures=1, breaker_seconds=1)
        service.behave = close_early
        await strategy.start(login_request())
        clock.advance(1)
        service.behave = hang()
        with trio.move_on_after(0.05):  # the one probe
            await strategy.start(login_request())
        service.behave = answer(200, b"alice")
        assert await strategy.start(login_request()) == ALICE

    @pytest.mark.threat("T60")
    async def test_so_many_at_once_and_so_many_waiting(self, build: Build, service: HttpService) -> None:
        gate = trio.Event()

        async def gated(request: ServiceRequest, stream: trio.abc.Stream) -> None:
            await gate.wait()
            await answer(200, b"alice")(request, stream)

        service.behave = gated
        strategy = build(concurrency=2, queue=3)
        found: list[Answer] = []

        async def one() -> None:
            found.append(await strategy.start(login_request()))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(one)
            while len(found) < 7 or service.in_flight < 2:
                await trio.testing.wait_all_tasks_blocked(0.005)
            assert all(isinstance(answer, Unavailable) and answer.reason == "busy" for answer in found)
            waits = {answer.retry_after for answer in found if isinstance(answer, Unavailable)}
            assert len(waits) == 7  # they are told when to come again, each at a time of its own (T14)
            assert all(wait is not None and wait >= 1 for wait in waits)
            gate.set()
        assert found[7:] == [ALICE] * 5
        assert service.most_in_flight == 2

    @pytest.mark.threat("T14")
    async def test_they_are_told_to_come_when_those_who_wait_have_had_their_turn(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Slow(NoOutbound):
            async def request(self, *args: Any, **options: Any) -> HttpAnswer:
                await trio.sleep(1)
                return http(200, b"alice", "text/plain")

        options = WebhookOptions("http://127.0.0.1:9/", concurrency=1, queue=80)
        strategy = WebhookType().build(options, services(tmp_path, outbound=Slow()))
        found: list[Answer] = []

        async def one() -> None:
            found.append(await strategy.start(login_request()))

        async with trio.open_nursery() as nursery:
            for _ in range(81):
                nursery.start_soon(one)
            await trio.sleep(40.5)  # by now it is known how long each takes
            assert found == [ALICE] * 40
            for _ in range(41):
                nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            (late,) = found[40:]
            assert isinstance(late, Unavailable)
            assert late.retry_after is not None
            assert 40 < late.retry_after < 160  # 80 wait, a second each
            nursery.cancel_scope.cancel()

    async def test_waiting_for_a_turn_is_no_fault_of_the_service(
        self, tmp_path: Path, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Slow(NoOutbound):
            async def request(self, *args: Any, timeout: float, **options: Any) -> HttpAnswer:
                await trio.sleep(min(timeout, 1.5))
                if timeout < 1.5:
                    raise OutboundError("timeout")
                return http(200, b"alice", "text/plain")

        options = WebhookOptions("http://127.0.0.1:9/", timeout=2, concurrency=1, breaker_failures=1)
        strategy = WebhookType().build(options, services(tmp_path, outbound=Slow()))
        found: list[Answer] = []

        async def one() -> None:
            found.append(await strategy.start(login_request()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            nursery.start_soon(one)
        assert found == [ALICE, ALICE]
        assert await strategy.start(login_request()) == ALICE


class TestCache:
    async def test_off_by_default(self, build: Build, service: HttpService) -> None:
        service.behave = answer(200, b"alice")
        strategy = build()
        for _ in range(3):
            await strategy.start(login_request({"a": 1}))
        assert len(service.requests) == 3

    async def test_the_same_request_is_asked_once_while_fresh(
        self, build: Build, service: HttpService, clock: ManualClock
    ) -> None:
        service.behave = answer(200, b"alice")
        strategy = build(cache_seconds=10)
        for _ in range(3):
            assert await strategy.start(login_request({"a": 1})) == ALICE
        assert len(service.requests) == 1
        clock.advance(10)
        await strategy.start(login_request({"a": 1}))
        assert len(service.requests) == 2

    async def test_anything_different_is_another_request(self, build: Build, service: HttpService) -> None:
        service.behave = answer(200, b"alice")
        strategy = build(cache_seconds=10, promote_to_header=["a"])
        for request in (
            login_request({"a": "1"}),
            login_request({"a": "2"}),
            login_request({"a": "1", "b": None}),
            login_request({"a": "1"}, {"cookie": "s=1"}),
            login_request({"a": "1"}, {"cookie": "s=2"}),
            login_request({"a": "1"}, remote_address="192.0.2.1"),
            login_request(),
        ):
            await strategy.start(request)
        assert len(service.requests) == 7

    async def test_refusals_and_faults_are_never_kept(self, build: Build, service: HttpService) -> None:
        strategy = build(cache_seconds=10)
        for fault in (answer(403), answer(500), close_early):
            service.behave = fault
            await strategy.start(login_request())
        service.behave = answer(200, b"alice")
        assert await strategy.start(login_request()) == ALICE

    @pytest.mark.parametrize(
        ("control", "seconds"),
        [
            ("no-store", 0),
            ("private, No-Cache", 0),
            ("max-age=0", 0),
            ("max-age=3", 3),
            ("private, max-age=3", 3),
            ("max-age=99", 10),
            ("x", 10),
        ],
    )
    async def test_the_answer_may_shorten_its_life(
        self, build: Build, service: HttpService, clock: ManualClock, control: str, seconds: int
    ) -> None:
        service.behave = answer(200, b"alice", Cache_Control=control)
        strategy = build(cache_seconds=10)
        await strategy.start(login_request())
        clock.advance(max(0.0, seconds - 0.1))
        await strategy.start(login_request())
        assert len(service.requests) == (1 if seconds else 2)
        clock.advance(0.2)
        await strategy.start(login_request())
        assert len(service.requests) == (2 if seconds else 3)

    async def test_its_size_is_bounded(self, build: Build, service: HttpService) -> None:
        service.behave = answer(200, b"alice")
        strategy = build(cache_seconds=10, cache_size=2)
        for name in ("a", "b", "c", "a"):
            await strategy.start(login_request({"name": name}))
        assert len(service.requests) == 4

    def test_no_answer_is_kept_longer_than_it_holds(self, clock: ManualClock) -> None:
        cache = AnswerCache(clock, seconds=10, size=10)
        cache.put(b"short", Accepted(User("alice"), expires_at=clock.wall() + 3), {})
        cache.put(b"over", Accepted(User("alice"), expires_at=clock.wall()), {})
        assert (cache.get(b"short") is not None, cache.get(b"over")) == (True, None)
        clock.advance(3)
        assert cache.get(b"short") is None
        cache.put(b"jump", Accepted(User("alice"), expires_at=clock.wall() + 5), {})
        clock.jump_wall(6)
        assert cache.get(b"jump") is None
        assert len(cache) == 0

    def test_keys_are_of_the_whole_request_and_tell_nothing(self) -> None:
        request = WebhookRequest(b"{}", (("a", "1"),))
        others = (
            WebhookRequest(b"{} ", (("a", "1"),)),
            WebhookRequest(b"{}", (("a", "2"),)),
            WebhookRequest(b"{}", (("b", "1"),)),
        )
        assert request.digest(b"key") == WebhookRequest(b"{}", (("a", "1"),)).digest(b"key")
        assert len({request.digest(b"key"), request.digest(b"other"), *(other.digest(b"key") for other in others)}) == 5


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "fault"),
        [
            ({"url": "ftp://example.org/"}, "http://"), ({"url": "example.org"}, "http://"), ({"url": "https:///x"}, "host"),
            ({"url": "https://u:p@example.org/"}, "user or password"), ({"url": "https://example.org:x/"}, "URL"),
            ({"url": "https://example.org/#x"}, "fragment"), ({"url": "https://example.org/a b"}, "ASCII"),
            ({"timeout": 0}, "between"), ({"concurrency": 0}, "between"), ({"max_body": -1}, "between"),
            ({"permitted_statuses": []}, "empty"), ({"permitted_statuses": [302]}, "redirects"), ({"permitted_statuses": [99]}, "200"),
            ({"permitted_statuses": [200], "retry_statuses": [200], "retry_attempts": 1}, "status 200"),
            ({"retry_statuses": [503]}, "retry_attempts"),
            ({"retry_attempts": 4, "retry_interval": 0.5}, "timeout"),
            ({"promote_to_header": ["a b"]}, "'a b'"), ({"promote_to_header": ["Host"]}, "'Host'"),
            ({"promote_to_header": ["X-Trio-Router-Signature"]}, "Signature"),
            ({"headers": {"content-type": Secret("x")}}, "content-type"), ({"headers": {"x": Secret("a\nb")}}, "value of 'x'"),
            ({"headers": {"X": Secret("a")}, "promote_to_header": ["x"]}, "'x'"),
            ({"secret": Secret("")}, "empty"),
        ],
    )  # fmt: skip
    def test_options_that_cannot_work_are_refused(self, options: dict[str, Any], fault: str) -> None:
        with pytest.raises(ValueError, match=fault):
            WebhookOptions(**{"url": "https://example.org/", **options})

    @pytest.mark.threat("T62")
    def test_options_do_not_show_their_secrets(self) -> None:
        options = WebhookOptions(
            "https://example.org/?key=canary", secret=Secret("canary"), headers={"x": Secret("canary")}
        )
        assert "canary" not in repr(options)
        assert options.host == "example.org"

    @pytest.mark.parametrize(
        ("url", "unsafe"),
        [
            ("https://example.org/", False), ("http://127.0.0.1:5000/", False), ("http://[::1]/", False), ("http://localhost/", False),
            ("http://example.org/", True), ("http://10.0.0.5:80/", True), ("http://127.0.0.1.example.org/", True),
        ],
    )  # fmt: skip
    def test_credentials_in_the_clear_are_listed_as_unsafe(self, url: str, unsafe: bool) -> None:
        assert bool(registry.unsafe(WebhookType(), WebhookOptions(url))) is unsafe


async def test_a_network_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    strategy = WebhookType().build(OPTIONS, services(tmp_path, outbound=NoOutbound()))
    assert await strategy.start(login_request()) == Unavailable("connect")
