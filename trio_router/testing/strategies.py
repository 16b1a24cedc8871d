"""The contract of a login strategy as a pytest class: derive from it, say how your strategy is set up, get its tests.

    class TestMine(StrategyContract):
        strategy_type = MineType()
        secrets = ("correct horse",)

        @pytest.fixture
        def strategy(self, tmp_path):
            return self.strategy_type.build(MineOptions(...), services(tmp_path))

        def accepted(self):
            return [login_request({"username": "alice", "password": "correct horse"})]

``strategy`` is a fixture of yours (async ones work, through pytest-trio). The lists of logins are methods; an empty list
says that there is no such login. This module knows the interface, no strategy, and needs only pytest-trio to run.

The rule that keeps it honest: it fails strategies only for what the interface promises, and never by a tight clock.
"""

from __future__ import annotations

import copy
import random
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from structlog.testing import capture_logs

from trio_router import log
from trio_router.auth import registry
from trio_router.auth.chain import where
from trio_router.auth.services import HttpAnswer, Outbound, OutboundError, Services
from trio_router.auth.strategy import (
    INTERFACE_VERSION,
    Accepted,
    Answer,
    Challenge,
    Denied,
    LoginRequest,
    NotMine,
    Strategy,
    StrategyType,
    Unavailable,
)
from trio_router.clock import Clock, SystemClock
from trio_router.errors import StorageUnavailable
from trio_router.identity import User, new_session_id
from trio_router.storage.users import UserStore

MAX_STEP: Final = 0.1  # seconds of CPU between two checkpoints: what hashes or parses longer belongs in a thread
MAX_GAP: Final = 2.0  # seconds the loop may stand still at all: more is a blocking call, however busy the machine is
TIMEOUT: Final = 20.0
MAX_ROUNDS: Final = 8

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


def login_request(
    auth: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None, **fields: Any
) -> LoginRequest:
    """A login of the app ``default`` from 127.0.0.1; ``headers`` by lower-case name."""
    pairs = tuple((headers or {}).items())
    known = {"app": "default", "session_id": new_session_id(), "remote_address": "127.0.0.1", **fields}
    return LoginRequest(**known, auth=auth, headers=pairs)


class NoOutbound:
    """An ``Outbound`` that cannot reach anything."""

    async def request(
        self,
        method: str,  # noqa: ARG002 - the interface's
        url: str,  # noqa: ARG002
        *,
        headers: tuple[tuple[str, str], ...] = (),  # noqa: ARG002
        body: bytes = b"",  # noqa: ARG002
        timeout: float,  # noqa: ARG002
        max_body: int,  # noqa: ARG002
    ) -> HttpAnswer:
        await trio.lowlevel.checkpoint()
        raise OutboundError("connect")


def services(
    base: Path, *, outbound: Outbound | None = None, users: UserStore | None = None, clock: Clock | None = None
) -> Services:
    """What the router lends to a strategy, for a test: no network and no users unless they are given."""

    def open_users() -> UserStore:
        if users is None:
            raise StorageUnavailable
        return users

    return Services(
        app="default",
        clock=clock or SystemClock(),
        outbound=outbound or NoOutbound(),
        users=open_users,
        base=base,
        log=log.get("test"),
    )


def junk() -> list[LoginRequest]:
    """Logins that no honest client sends: every JSON type in every place, long texts, odd names and headers."""
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        2**53,
        1.5,
        "",
        "x",
        "\0",
        "a\r\nb: c",
        "é" * 3,
        "\U0001f512",
        "\u202e",
        "x" * 9_000,
    ]
    values += [[], {}, [[]], {"": None}, {"a": {"b": [1, {"c": None}]}}, ["alice", "secret"]]
    keys = ("username", "password", "token", "type", "id", "", "__class__", "authData", "é")
    found: list[Mapping[str, Any] | None] = [None, {}]
    found += [{key: value} for key in keys for value in values]
    found += [{"username": value, "password": value, "token": value} for value in values]
    dice = random.Random(7)  # noqa: S311 - the same junk every time
    found += [{dice.choice(keys): dice.choice(values) for _ in range(4)} for _ in range(60)]
    logins = [login_request(auth) for auth in found]
    for value in ("", "Bearer", "Bearer ", "Bearer x.y.z", "Basic !!!", "Basic YTpi", "\xff", "x" * 9_000):
        logins.append(login_request(None, {"authorization": value, "cookie": value}))
        logins.append(login_request(None, subprotocols=(value,), query=value))
    return logins


class StrategyContract:
    """The tests. Set ``strategy_type``; override the methods and, where it is true, the attributes below."""

    strategy_type: StrategyType
    secrets: Sequence[str] = ()
    """Every password, token and key in the options and the logins of this test: none may show up anywhere."""
    accepts_junk = False
    """True for a strategy that is meant to let in logins without credentials."""

    def accepted(self) -> Sequence[LoginRequest]:
        """Logins it accepts."""
        return []

    def denied(self) -> Sequence[LoginRequest]:
        """Logins that are its own and that it refuses."""
        return []

    def foreign(self) -> Sequence[LoginRequest]:
        """Logins for other strategies."""
        return []

    def reply(self, text: str) -> str:
        """A right reply to a challenge."""
        msg = f"the strategy asks back ({text!r}): override reply()"
        raise AssertionError(msg)

    async def answer(self, strategy: Strategy, request: LoginRequest) -> Answer:
        """The end of the dialogue about ``request``."""
        with trio.fail_after(TIMEOUT):
            answer = await strategy.start(request)
            for _ in range(MAX_ROUNDS):
                if not isinstance(answer, Challenge):
                    return answer
                answer = await answer.answer(self.reply(answer.text))
        msg = "the strategy asks back without end"
        raise AssertionError(msg)

    def test_the_type_can_be_named_in_a_config(self) -> None:
        kind = self.strategy_type
        expect(kind.interface_version == INTERFACE_VERSION, f"interface_version is {kind.interface_version}")
        expect(attrs.has(kind.Options), "Options is no attrs class")
        expect(isinstance(kind, StrategyType), "the type has no build(options, services)")

    async def test_it_has_a_name_fit_for_log_and_metrics(self, strategy: Strategy) -> None:
        expect(isinstance(strategy, Strategy), "it has no name or no start(request)")
        expect(bool(_NAME.match(strategy.name)), f"the name {strategy.name!r} is not short, lower-case and plain")

    def test_it_names_what_is_unsafe_in_plain_lines(self) -> None:
        try:
            options = self.strategy_type.Options()
        except TypeError:
            return  # options without defaults: the strategy's own tests show what it says about them
        for line in registry.unsafe(self.strategy_type, options):
            expect(bool(line) and line.isprintable(), f"unsafe() gives {line!r}, which is no line of text")

    async def test_it_accepts_its_own(self, strategy: Strategy) -> None:
        for request in self.accepted():
            answer = await self.answer(strategy, request)
            expect(isinstance(answer, Accepted), f"answers {answer} instead of accepting")
            assert isinstance(answer, Accepted)  # noqa: S101 - for the type checker, after the check
            expect(isinstance(answer.user, User), "accepts without a User")
            expect(isinstance(answer.user.data, Mapping | None), "user.data is neither a mapping nor None")
            expect(answer.expires_at is None or answer.expires_at > 0, "expires_at is no time")

    async def test_it_denies_with_a_slug(self, strategy: Strategy) -> None:
        for request in self.denied():
            answer = await self.answer(strategy, request)
            expect(isinstance(answer, Denied), f"answers {answer} instead of denying")
            _expect_slug(answer)

    async def test_it_leaves_foreign_logins_to_others(self, strategy: Strategy) -> None:
        for request in self.foreign():
            answer = await strategy.start(request)
            expect(isinstance(answer, NotMine), f"answers {answer} to a login that is not its own")

    async def test_junk_gets_an_answer_and_never_a_session(self, strategy: Strategy) -> None:
        for request in junk():
            answer = await strategy.start(request)
            expect(isinstance(answer, Answer), f"answers {answer!r}, which is no answer")
            _expect_slug(answer)
            expect(self.accepts_junk or not isinstance(answer, Accepted), f"lets in {request.auth!r}")

    async def test_it_does_not_touch_the_request(self, strategy: Strategy) -> None:
        for request in (*self.accepted(), *self.denied(), *self.foreign()):
            before = copy.deepcopy(request)
            await self.answer(strategy, request)
            expect(request == before, "changes the request, which other strategies still read")

    async def test_it_does_not_block_the_loop(self, strategy: Strategy) -> None:
        watch = _LoopWatch()
        trio.lowlevel.add_instrument(watch)
        try:
            for request in (*self.accepted(), *self.denied(), *self.foreign()):
                await self.answer(strategy, request)
        finally:
            trio.lowlevel.remove_instrument(watch)
        expect(watch.longest_cpu < MAX_STEP, f"computes for {watch.longest_cpu:.2f} s in the loop's thread")
        expect(watch.longest_gap < MAX_GAP, f"blocks the loop for {watch.longest_gap:.1f} s")

    async def test_logins_at_once_get_their_own_answers(self, strategy: Strategy) -> None:
        requests = (*self.accepted(), *self.denied(), *self.foreign()) * 5
        alone = [await self.answer(strategy, request) for request in requests]
        together: dict[int, Answer] = {}

        async def one(number: int, request: LoginRequest) -> None:
            together[number] = await self.answer(strategy, request)

        async with trio.open_nursery() as nursery:
            for number, request in enumerate(requests):
                nursery.start_soon(one, number, request)
        for number, answer in enumerate(alone):
            expect(_essence(together[number]) == _essence(answer), "logins at once get each other's answers")

    async def test_a_cancelled_login_leaves_nothing_behind(self, strategy: Strategy) -> None:
        for request in (*self.accepted(), *self.denied()):
            for ticks in range(10):
                await self._cancelled_after(strategy, request, ticks)
        await self.test_it_accepts_its_own(strategy)
        await self.test_it_denies_with_a_slug(strategy)

    async def test_no_secret_shows(self, strategy: Strategy) -> None:
        shown = [repr(strategy), repr(self.strategy_type)]
        with capture_logs() as logs:
            for request in (*self.accepted(), *self.denied(), *self.foreign(), *junk()[:20]):
                try:
                    answer = await self.answer(strategy, request)
                except Exception as error:  # noqa: BLE001 - whatever it raises, its text must not quote a secret
                    shown += [str(error), repr(error), str(where(error))]
                else:
                    shown.append(repr(answer))
                    if isinstance(answer, Denied):
                        shown.append(repr(answer.client_data))
        text = "\n".join([*shown, repr(logs)])
        expect(not any(secret in text for secret in self.secrets), "a secret shows in a repr, an answer or the log")

    async def _cancelled_after(self, strategy: Strategy, request: LoginRequest, ticks: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(strategy.start, request)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()


class _LoopWatch(trio.abc.Instrument):
    """The longest any task ran without letting go of the loop, by the thread's CPU clock and by the wall's."""

    def __init__(self) -> None:
        self.longest_cpu = 0.0
        self.longest_gap = 0.0
        self._cpu = time.thread_time()
        self._wall = time.perf_counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - the interface's
        self._cpu = time.thread_time()
        self._wall = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.longest_cpu = max(self.longest_cpu, time.thread_time() - self._cpu)
        self.longest_gap = max(self.longest_gap, time.perf_counter() - self._wall)


def expect(holds: bool, fault: str) -> None:
    """Fails the test with ``fault`` unless it ``holds``."""
    if not holds:
        raise AssertionError(fault)


def _expect_slug(answer: Answer) -> None:
    if isinstance(answer, Denied | Unavailable):
        expect(bool(_SLUG.match(answer.reason)), f"the reason {answer.reason!r} is no slug")


def _essence(answer: Answer) -> tuple[object, ...]:
    """What two answers to the same login have in common, whenever they are given."""
    if isinstance(answer, Accepted):
        return (Accepted, answer.user)
    return (type(answer), getattr(answer, "reason", None))
