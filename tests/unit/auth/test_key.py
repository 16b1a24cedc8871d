"""Login by app key: by its name alone, by a proof of its secret, and by Basic over TLS."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.auth.key import KeyOptions, KeyStrategy, KeyType
from trio_router.auth.keyring import KeyRing
from trio_router.auth.keys import Issued, Keys
from trio_router.auth.nonces import Nonces, TooManyNonces
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest, NotMine, Strategy, Unavailable
from trio_router.clock import ManualClock
from trio_router.errors import ConfigError
from trio_router.grants import Grants
from trio_router.protocols.keyproof import key_proof, signed_fields
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.memorykeys import MemoryKeyStore
from trio_router.testing.strategies import StrategyContract, login_request, services

APP = login_request().app
NONCE = "0123456789abcdef"


class World:
    """A store with one key, and the strategy over it."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryKeyStore()
        self.keys = Keys(self.store, APP, self.clock)
        lent = attrs.evolve(services(tmp_path), clock=self.clock, keys=lambda: self.store)
        self.strategy: KeyStrategy = KeyType().build(KeyOptions(**options), lent)

    def login(
        self, issued: Issued, *, session_id: str = "session-1", nonce: str = NONCE, age: float = 0.0
    ) -> LoginRequest:
        stamp = int(self.clock.wall() - age)
        proof = key_proof(issued.key.name, stamp, nonce, session_id, issued.secret)
        auth = {"key": issued.key.name, "timestamp": stamp, "nonce": nonce, "proof": proof}
        return attrs.evolve(login_request(auth), session_id=session_id)

    async def ask(self, request: LoginRequest) -> Answer:
        return await self.strategy.start(request)


def basic(name: str, secret: str, *, secure: bool = True) -> LoginRequest:
    encoded = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return attrs.evolve(login_request(None, {"authorization": f"Basic {encoded}"}), secure=secure)


class TestContract(StrategyContract):
    strategy_type = KeyType()
    secrets = ("swordfish-swordfish",)

    @pytest.fixture
    async def strategy(self, tmp_path: Path) -> Strategy:
        world = World(tmp_path)
        await world.store.add(KeyRecord(APP, "k", (Secret("swordfish-swordfish"),)))
        return world.strategy

    def accepted(self) -> list[LoginRequest]:
        return [login_request({"key": f"{APP}.k"})]

    def denied(self) -> list[LoginRequest]:
        return [
            login_request({"key": f"{APP}.other"}),
            login_request({"key": "other.k"}),
            login_request({"key": 5}),
            login_request({"key": f"{APP}.k", "proof": "swordfish-swordfish"}),
        ]

    def foreign(self) -> list[LoginRequest]:
        return [login_request({"token": "swordfish-swordfish"}), login_request(None), basic(f"{APP}.k", "x")]


async def test_a_key_alone_lets_a_client_program_in_unauthenticated(tmp_path: Path) -> None:
    world = World(tmp_path, user_data={"role": "browser", "isServer": True})
    issued = await world.keys.create("k", label="pages", grants=["subscribe"])
    answer = await world.ask(login_request({"key": issued.key.name}))
    assert isinstance(answer, Accepted)
    assert answer.user.id == "key:k"
    assert answer.user.data == {"role": "browser", "key": "k", "label": "pages", "isServer": False}
    assert not answer.user.is_authenticated
    assert (answer.key, answer.grants, answer.is_server) == ("k", Grants.only(["subscribe"]), False)


async def test_where_a_key_alone_is_not_enough_a_proof_is(tmp_path: Path) -> None:
    world = World(tmp_path, client_programs=False)
    issued = await world.keys.create("k")
    assert await world.ask(login_request({"key": issued.key.name})) == Denied("proof_needed")
    assert isinstance(await world.ask(world.login(issued)), Accepted)


@pytest.mark.threat("T49")
async def test_a_proof_makes_a_server_program(tmp_path: Path) -> None:
    world = World(tmp_path)
    issued = await world.keys.create("k")
    answer = await world.ask(world.login(issued))
    assert isinstance(answer, Accepted)
    assert answer.is_server
    assert answer.user.is_authenticated
    assert answer.issued_at == world.clock.wall()


@pytest.mark.threat("T49")
@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": 1_700_000_001},
        {"nonce": "0123456789abcdeg"},
        {"proof": "0" * 64},
        {"proof": ""},
        {"proof": "\u00e9"},
        {"proof": None},
        {"timestamp": "1700000000"},
        {"timestamp": 1_700_000_000.0},
        {"timestamp": True},
        {"timestamp": -1},
        {"timestamp": 2**80},
        {"nonce": "short"},
        {"nonce": "0123456789abcde\0"},
        {"nonce": "a" * 65},
        {"more": 1},
    ],
    ids=repr,
)
async def test_a_proof_holds_for_exactly_what_it_was_made_for(tmp_path: Path, change: dict[str, Any]) -> None:
    world = World(tmp_path)
    request = world.login(await world.keys.create("k"))
    assert request.auth is not None
    answer = await world.ask(attrs.evolve(request, auth={**request.auth, **change}))
    assert isinstance(answer, Denied)
    assert isinstance(await world.ask(request), Accepted)


@pytest.mark.threat("T51")
async def test_a_proof_is_good_for_one_session_and_one_use(tmp_path: Path) -> None:
    world = World(tmp_path)
    request = world.login(await world.keys.create("k"))
    assert await world.ask(attrs.evolve(request, session_id="session-2")) == Denied("wrong_proof")
    assert isinstance(await world.ask(request), Accepted)
    assert await world.ask(request) == Denied("replayed")
    world.clock.advance(30.0)  # the last moment in which the timestamp is good
    assert await world.ask(request) == Denied("replayed")
    world.clock.advance(0.5)
    assert await world.ask(request) == Denied("wrong_time")


@pytest.mark.threat("T51")
async def test_a_proof_for_another_router_or_after_a_restart_is_for_another_session(tmp_path: Path) -> None:
    world = World(tmp_path)
    issued = await world.keys.create("k")
    request = world.login(issued)
    assert isinstance(await world.ask(request), Accepted)
    other = World(tmp_path)
    await other.store.add(issued.key)  # same key, no memory of nonces
    assert await other.ask(attrs.evolve(request, session_id="its-own")) == Denied("wrong_proof")


@pytest.mark.threat("T51")
@pytest.mark.parametrize(
    ("age", "good"), [(0, True), (30, True), (-30, True), (31, False), (-31, False), (86_400, False)]
)
async def test_a_timestamp_may_be_off_by_the_skew_and_no_more(tmp_path: Path, age: float, good: bool) -> None:
    world = World(tmp_path)
    answer = await world.ask(world.login(await world.keys.create("k"), age=age))
    assert isinstance(answer, Accepted) is good


@pytest.mark.threat("T51")
def test_nonces_are_bounded_and_none_is_forgotten_while_it_could_be_used_again() -> None:
    nonces = Nonces(entries=2)
    assert nonces.use("k", "a", until=10.0, now=0.0)
    assert nonces.use("k", "b", until=20.0, now=0.0)
    with pytest.raises(TooManyNonces):
        nonces.use("k", "c", until=20.0, now=10.0)
    assert not nonces.use("k", "a", until=10.0, now=10.0)
    assert nonces.use("k", "c", until=20.0, now=10.1)
    assert nonces.use("l", "c", until=20.0, now=20.1)
    assert len(nonces) == 1


async def test_without_room_for_a_nonce_a_login_is_unavailable(tmp_path: Path) -> None:
    world = World(tmp_path)
    issued = await world.keys.create("k")
    world.strategy = KeyStrategy(KeyOptions(), world.store, world.clock, services(tmp_path).log, Nonces(entries=1))
    assert isinstance(await world.ask(world.login(issued)), Accepted)
    assert await world.ask(world.login(issued, nonce="another-nonce-16")) == Unavailable("too_many_nonces")


@pytest.mark.threat("T52")
async def test_while_a_key_is_rotated_both_secrets_prove_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    old = await world.keys.create("k")
    new = await world.keys.rotate("k", grace=60.0)
    nonces = (f"nonce-of-16-chars-{number}" for number in itertools.count())
    for issued in (old, new):
        assert isinstance(await world.ask(world.login(issued, nonce=next(nonces))), Accepted)
    world.clock.advance(60.0)
    assert await world.ask(world.login(old, nonce=next(nonces))) == Denied("wrong_proof")
    assert isinstance(await world.ask(world.login(new, nonce=next(nonces))), Accepted)
    newest = await world.keys.rotate("k", grace=0.0)
    assert await world.ask(world.login(new, nonce=next(nonces))) == Denied("wrong_proof")
    assert isinstance(await world.ask(world.login(newest, nonce=next(nonces))), Accepted)


@pytest.mark.threat("T66")
async def test_a_key_of_another_app_opens_nothing_here(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.keys.create("k")
    theirs = await Keys(world.store, "theirs", world.clock).create("k")
    assert await world.ask(login_request({"key": theirs.key.name})) == Denied("unknown_key")
    assert await world.ask(world.login(theirs)) == Denied("unknown_key")
    renamed = attrs.evolve(theirs, key=attrs.evolve(theirs.key, app=APP))
    assert await world.ask(world.login(renamed)) == Denied("wrong_proof")


async def test_an_unknown_a_disabled_and_a_misproven_key_look_the_same_to_a_client(tmp_path: Path) -> None:
    world = World(tmp_path, basic=True)
    issued = await world.keys.create("k")
    disabled = await world.keys.create("off")
    await world.keys.disable("off")
    unknown = attrs.evolve(issued, key=attrs.evolve(issued.key, id="nobody"))
    wrong = attrs.evolve(issued, secret=disabled.secret)
    answers = [await world.ask(world.login(one)) for one in (disabled, unknown, wrong)]
    answers += [await world.ask(login_request({"key": one.key.name})) for one in (disabled, unknown)]
    answers += [await world.ask(basic(one.key.name, one.secret.reveal())) for one in (disabled, unknown, wrong)]
    assert {type(answer) for answer in answers} == {Denied}
    assert [answer.client_data for answer in answers if isinstance(answer, Denied)] == [None] * len(answers)


async def test_basic_works_where_it_is_allowed_and_over_tls_alone(tmp_path: Path) -> None:
    world = World(tmp_path, basic=True)
    issued = await world.keys.create("k")
    good = basic(issued.key.name, issued.secret.reveal())
    answer = await world.ask(good)
    assert isinstance(answer, Accepted)
    assert answer.is_server
    assert await world.ask(attrs.evolve(good, secure=False)) == Denied("basic_without_tls")
    assert await world.ask(basic(issued.key.name, "wrong")) == Denied("wrong_secret")
    assert await world.ask(basic("ann", "password")) == NotMine()
    closed = World(tmp_path)
    await closed.store.add(issued.key)
    assert await closed.ask(good) == NotMine()
    assert KeyType().unsafe(KeyOptions(basic=True))


def test_options_are_checked() -> None:
    for wrong in ({"skew": 0.0}, {"skew": 301.0}, {"skew": float("nan")}, {"user_prefix": "a/"}):
        with pytest.raises(ValueError, match=r"must|character"):
            KeyOptions(**wrong)  # type: ignore[arg-type]


async def test_a_store_that_is_away_is_unavailable_not_denied(tmp_path: Path) -> None:
    world = World(tmp_path)
    issued = await world.keys.create("k")
    await world.store.aclose()
    assert await world.ask(world.login(issued)) == Unavailable("storage")


def test_a_router_that_cannot_keep_secrets_does_not_start_with_keys(tmp_path: Path) -> None:
    def refuse() -> MemoryKeyStore:
        raise ConfigError([])

    with pytest.raises(ConfigError):
        KeyType().build(KeyOptions(), attrs.evolve(services(tmp_path), keys=refuse))


FIELD = st.text(st.sampled_from("ab01.-_"), max_size=6)


@pytest.mark.threat("T49")
@settings(deadline=None, max_examples=300)
@given(
    one=st.tuples(FIELD, st.integers(0, 300), FIELD, FIELD), other=st.tuples(FIELD, st.integers(0, 300), FIELD, FIELD)
)
def test_two_different_logins_are_never_the_same_bytes(
    one: tuple[str, int, str, str], other: tuple[str, int, str, str]
) -> None:
    assert (signed_fields(*one) == signed_fields(*other)) is (one == other)


@pytest.mark.threat("T57")
async def test_who_guesses_at_a_secret_waits_and_who_stops_gets_in(tmp_path: Path) -> None:
    world = World(tmp_path, key_failures=3)
    issued = await world.keys.create("k")
    wrong = Issued(issued.key, Secret("not the secret of this key"))
    for number in range(3):
        assert await world.ask(world.login(wrong, nonce=f"nonce-number-{number:04}")) == Denied("wrong_proof")
    answer = await world.ask(world.login(issued))  # the right secret too, or the wait would tell which it is
    assert answer == Denied("throttled", {"error": "too many failed logins", "retry_after": 1})
    elsewhere = attrs.evolve(world.login(issued, nonce="another-nonce-00"), remote_address="192.0.2.77")
    assert isinstance(await world.ask(elsewhere), Accepted)
    assert isinstance(await world.ask(login_request({"key": issued.key.name})), Accepted)  # a name is no guess
    world.clock.advance(1.1)
    assert isinstance(await world.ask(world.login(issued)), Accepted)


@pytest.mark.threat("T57")
async def test_guesses_at_many_keys_wait_for_their_address_and_a_success_does_not_buy_more(tmp_path: Path) -> None:
    world = World(tmp_path, address_failures=4, basic=True)
    issued = await world.keys.create("k")
    for number in range(4):
        assert isinstance(await world.ask(world.login(issued, nonce=f"nonce-number-{number:04}")), Accepted)
        assert await world.ask(basic(f"{APP}.k{number}", "guess")) == Denied("unknown_key")
    assert getattr(await world.ask(world.login(issued, nonce="nonce-number-9999")), "reason", "") == "throttled"
    assert getattr(await world.ask(basic(f"{APP}.k", issued.secret.reveal())), "reason", "") == "throttled"


@pytest.mark.threat("T57")
async def test_guesses_made_at_once_are_slowed_down_like_guesses_made_one_by_one(tmp_path: Path) -> None:
    world = World(tmp_path, key_failures=3)
    issued = await world.keys.create("k")
    wrong = Issued(issued.key, Secret("not the secret of this key"))
    answers: list[Answer] = []

    async def guess(number: int) -> None:
        answers.append(await world.ask(world.login(wrong, nonce=f"nonce-number-{number:04}")))

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(guess, number)
    reasons = [answer.reason for answer in answers if isinstance(answer, Denied)]
    assert (reasons.count("wrong_proof"), reasons.count("throttled")) == (3, 47)


@pytest.mark.threat("T52")
async def test_a_secret_that_was_made_elsewhere_just_now_is_good_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    ring = KeyRing(world.store, world.clock, services(tmp_path).log)
    lent = attrs.evolve(services(tmp_path), clock=world.clock, keys=lambda: ring)
    strategy = KeyType().build(KeyOptions(), lent)
    issued = await world.keys.create("k")
    assert isinstance(await strategy.start(world.login(issued)), Accepted)
    await ring.look()
    rotated = await world.keys.rotate("k", grace=0)  # by another process: the ring was not told
    assert isinstance(await strategy.start(world.login(rotated, nonce="nonce-number-0001")), Accepted)
    assert await strategy.start(world.login(issued, nonce="nonce-number-0002")) == Denied("wrong_proof")
