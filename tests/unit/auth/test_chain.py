"""The chain: order, the four answers, one deadline, faults of strategies, challenges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from trio_router import log
from trio_router.auth.chain import MAX_REASONS, Ask, Chain, Outcome
from trio_router.auth.strategy import Accepted, Answer, Challenge, Denied, LoginRequest, NotMine, Unavailable
from trio_router.identity import User
from trio_router.metrics import Metrics
from trio_router.testing.strategies import login_request

ALICE = Accepted(User("alice"))
SECRET = "correct horse battery staple"

Step = Callable[[LoginRequest], Awaitable[Any]]


class Scripted:
    """A strategy that answers as told and counts how often it was asked."""

    def __init__(self, name: str, answer: Answer | Step | Any) -> None:
        self.name = name
        self.asked = 0
        self._answer = answer

    async def start(self, request: LoginRequest) -> Answer:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if callable(self._answer):
            return await self._answer(request)
        return self._answer


async def never_asked(text: str) -> str:
    raise AssertionError("nobody is asked back here")


class Bench:
    """A chain and its metrics."""

    def __init__(self, *strategies: Scripted, deadline: float = 10.0) -> None:
        self.metrics = Metrics()
        self.chain = Chain(strategies, deadline, self.metrics, log.get("test"))

    async def login(self, ask: Ask = never_asked, **auth: Any) -> Outcome:
        with capture_logs() as self.logs:
            return await self.chain.login(login_request(auth), ask)

    def counted(self, strategy: str, answer: str, reason: str) -> float:
        labels = {"strategy": strategy, "answer": answer, "reason": reason}
        return self.metrics.registry.get_sample_value("trio_router_logins_total", labels) or 0.0


def raising(error: BaseException) -> Step:
    async def start(_: LoginRequest) -> Answer:
        raise error

    return start


def sleeping(seconds: float, then: Answer) -> Step:
    async def start(_: LoginRequest) -> Answer:
        await trio.sleep(seconds)
        return then

    return start


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (ALICE, "accepted", ""),
        (Denied("password", {"error": "no"}), "denied", "password"),
        (Unavailable("timeout"), "unavailable", "timeout"),
    ],
)
async def test_the_first_answer_that_is_not_not_mine_decides(answer: Any, kind: str, reason: str) -> None:
    last = Scripted("last", ALICE)
    bench = Bench(Scripted("first", NotMine()), Scripted("second", answer), last)
    outcome = await bench.login()
    assert outcome == Outcome("second", answer)
    assert (outcome.kind, outcome.reason) == (kind, reason)
    assert last.asked == 0
    assert bench.counted("second", kind, reason) == 1
    assert [line["event"] for line in bench.logs] == [f"login_{kind}"]


@pytest.mark.threat("T60")
async def test_a_strategy_that_cannot_answer_does_not_pass_a_login_on_to_a_laxer_one() -> None:
    open_to_all = Scripted("open", ALICE)
    bench = Bench(Scripted("webhook", Unavailable("connect")), open_to_all)
    assert (await bench.login()).answer == Unavailable("connect")
    assert open_to_all.asked == 0


@pytest.mark.parametrize("names", [(), ("one", "two")])
async def test_nobodys_login_is_denied(names: tuple[str, ...]) -> None:
    bench = Bench(*(Scripted(name, NotMine()) for name in names))
    assert await bench.login() == Outcome("", Denied("not_mine"))
    assert bench.counted("", "denied", "not_mine") == 1


@pytest.mark.threat("T04")
async def test_one_deadline_covers_all_strategies(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(*(Scripted(f"s{n}", sleeping(4, NotMine())) for n in range(4)), deadline=10)
    began = trio.current_time()
    outcome = await bench.login()
    assert outcome == Outcome("s2", Unavailable("timeout"))
    assert trio.current_time() - began == pytest.approx(10)


@pytest.mark.threat("T09")
@pytest.mark.threat("T62")
@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        RecursionError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET), ExceptionGroup(SECRET, [KeyError(SECRET)])]),
        AssertionError(SECRET),
        trio.TooSlowError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_strategy_raises_is_unavailable_and_its_text_is_not_logged(error: Exception) -> None:
    bench = Bench(Scripted("broken", raising(error)), Scripted("open", ALICE))
    assert await bench.login(password=SECRET) == Outcome("broken", Unavailable("error"))
    failed = bench.logs[0]
    assert failed["event"] == "login_strategy_failed"
    assert type(error).__name__ in failed["error"]
    assert any(f"{__file__}:" in place and "in start" in place for place in failed["traceback"])
    assert SECRET not in repr(bench.logs)
    assert bench.counted("broken", "unavailable", "error") == 1


async def test_a_nursery_that_dies_by_the_deadline_and_an_error_at_once_is_still_contained(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def start(_: LoginRequest) -> Answer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError(SECRET)

    bench = Bench(Scripted("broken", start), deadline=1)
    assert (await bench.login()).answer == Unavailable("error")


async def test_being_cancelled_from_outside_passes_through() -> None:
    bench = Bench(Scripted("slow", sleeping(60, ALICE)))
    with trio.move_on_after(0.01) as scope:
        await bench.chain.login(login_request(), never_asked)
    assert scope.cancelled_caught
    assert bench.metrics.registry.get_sample_value("trio_router_login_seconds_count") == 1


@pytest.mark.parametrize(
    "answer", [None, True, "alice", {"isValid": True}, User("alice"), Accepted("alice"), Denied(None)]
)  # type: ignore[arg-type]
async def test_anything_but_an_answer_of_the_interface_lets_nobody_in(answer: Any) -> None:
    bench = Bench(Scripted("odd", answer))
    assert (await bench.login()).answer == Unavailable("error")


def asks_twice(_: LoginRequest) -> Awaitable[Answer]:
    async def second(reply: str) -> Answer:
        return ALICE if reply == "2" else Denied("reply")

    async def first(reply: str) -> Answer:
        return Challenge("two?", second) if reply == "1" else Denied("reply")

    async def start() -> Answer:
        return Challenge("one?", first)

    return start()


async def test_challenges_go_through_the_client() -> None:
    asked = []

    async def ask(text: str) -> str:
        asked.append(text)
        return str(len(asked))

    assert await Bench(Scripted("talk", asks_twice)).login(ask) == Outcome("talk", ALICE)
    assert asked == ["one?", "two?"]


async def test_a_wrong_reply_is_denied() -> None:
    async def ask(text: str) -> str:
        return "no"

    assert (await Bench(Scripted("talk", asks_twice)).login(ask)).answer == Denied("reply")


async def test_a_client_that_does_not_reply_is_denied_within_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def ask(text: str) -> str:
        await trio.sleep_forever()
        return ""

    bench = Bench(Scripted("talk", asks_twice), deadline=5)
    began = trio.current_time()
    assert (await bench.login(ask)).answer == Denied("challenge_timeout")
    assert trio.current_time() - began == pytest.approx(5)


async def test_a_client_that_leaves_ends_the_login() -> None:
    class Left(Exception):
        pass

    async def ask(text: str) -> str:
        raise Left

    with pytest.raises(Left):
        await Bench(Scripted("talk", asks_twice)).login(ask)


@pytest.mark.parametrize("second", ["challenge", "not_mine", "error"])
async def test_a_dialogue_that_breaks_the_rules_is_unavailable(second: str) -> None:
    async def again(reply: str) -> Answer:
        if second == "error":
            raise ValueError(SECRET)
        return Challenge("again?", again) if second == "challenge" else NotMine()

    async def ask(text: str) -> str:
        return ""

    bench = Bench(Scripted("endless", Challenge("again?", again)), Scripted("open", ALICE))
    assert await bench.login(ask) == Outcome("endless", Unavailable("error"))
    assert SECRET not in repr(bench.logs)


async def test_two_strategies_of_one_kind_are_told_apart() -> None:
    bench = Bench(Scripted("webhook", NotMine()), Scripted("webhook", Denied("refused")))
    assert (await bench.login()).strategy == "webhook-2"
    assert bench.counted("webhook-2", "denied", "refused") == 1


@pytest.mark.threat("T63")
async def test_reasons_cannot_grow_the_metrics_or_break_the_log() -> None:
    numbers = iter(range(10_000))

    async def start(_: LoginRequest) -> Answer:
        return Denied(f"reason_{next(numbers)}")

    bench = Bench(Scripted("chatty", start))
    for _ in range(MAX_REASONS + 50):
        await bench.login()
    assert bench.counted("chatty", "denied", "other") == 50
    odd = Bench(Scripted("odd", Denied(f"{SECRET}\nforged line")))
    await odd.login()
    assert SECRET not in repr(odd.logs)
    assert odd.counted("odd", "denied", "other") == 1
