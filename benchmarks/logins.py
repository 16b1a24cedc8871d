"""How many logins a second by app key and by token, next to the bare signature or HMAC that each cannot do without.

    python -m benchmarks.logins [--seconds 0.6] [--rounds 3] [--sqlite] [--json]

``strategy`` is the strategy's own answer; ``login`` is the whole chain around it: deadline, revocations, metrics and a log line
that is written to nowhere. Floors: ``signature`` is ``jose.jws.verify`` with a prepared key (of the token of that login; of an
access token where the login holds none), ``hmac`` the bare HMAC-SHA256 under a proof, its bytes made beforehand. Making
the requests is not counted. They take turns, and the best round of each counts.

Keys are remembered as a router does (``auth.keyring``), in front of a store in memory, or of a SQLite file with ``--sqlite``; then
``asked`` are the same logins with the store asked for each, in the same run. Sockets and frames are not measured. Absolute figures say
something about this machine only. Ends with an error if a login is not accepted.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import itertools
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from jose import jws

from benchmarks.jwt_verify import AUDIENCE, ISSUER, keys, rate
from trio_router import log
from trio_router.access import Access
from trio_router.auth.access import AccessStrategy
from trio_router.auth.access_tokens import AccessTokens
from trio_router.auth.chain import Chain
from trio_router.auth.jwt import JwtType
from trio_router.auth.jwt_options import JwtOptions
from trio_router.auth.key import KeyOptions, KeyStrategy
from trio_router.auth.keyring import KeyRing
from trio_router.auth.nonces import Nonces
from trio_router.auth.strategy import Accepted, LoginRequest, Strategy
from trio_router.clock import SystemClock
from trio_router.config.schema import Config
from trio_router.metrics import Metrics
from trio_router.protocols.keyproof import key_proof, signed_fields
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord, KeyStore
from trio_router.storage.memorykeys import MemoryKeyStore, MemoryRevocationStore
from trio_router.storage.opening import open_key_store
from trio_router.testing.strategies import services
from trio_router.tokens.access import issue
from trio_router.tokens.jwt import sign
from trio_router.tokens.keys import shared_secret

APP: Final = "bench"
KEY: Final = "k"
SECRET: Final = Secret("".join(chr(letter) for letter in range(48, 112)))
BATCH: Final = 100
DEADLINE: Final = 5.0
ROOM: Final = 10_000_000  # nonces: a run proves more often in its seconds than a router has room for

Login = Callable[[LoginRequest], Awaitable[Any]]


@attrs.frozen
class Kind:
    """One way to log in: its strategy, a maker of requests that are each good once, and its floors by name."""

    strategy: Strategy
    request: Callable[[], LoginRequest]
    floors: dict[str, Callable[[], Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.6, help="per contender and kind, over all rounds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sqlite", action="store_true", help="keep the keys in a SQLite file instead of in memory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        log.configure(stream=nowhere)
        results = trio.run(run, Path(folder), options.seconds, options.rounds, options.sqlite)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(
        f"{'':16}{'floor':>11}{'floor/s':>12}{'strategy/s':>12}{'login/s':>12}{'strategy of floor':>19}{'login of floor':>16}"
    )
    for name, result in results.items():
        for floor in ("signature", "hmac"):
            if floor in result:
                print(
                    f"{name:16}{floor:>11}{result[floor]:12,.0f}{result['strategy']:12,.0f}{result['login']:12,.0f}"
                    f"{result['strategy'] / result[floor]:19.1%}{result['login'] / result[floor]:16.1%}"
                )


async def run(folder: Path, seconds: float, rounds: int, sqlite: bool) -> dict[str, dict[str, float]]:
    """The best rates of each kind of login, a second."""
    store: KeyStore = MemoryKeyStore()
    if sqlite:
        seal = Secret(base64.urlsafe_b64encode(bytes(range(32))).decode())
        store = open_key_store(Secret("sqlite:///keys.db"), folder, seal)
    await store.add(KeyRecord(APP, KEY, (SECRET,)))
    try:
        async with trio.open_nursery() as nursery:
            ring = KeyRing(store, SystemClock(), log.get("bench"))
            await ring.look()
            nursery.start_soon(ring.run)
            ways = kinds(folder, ring)
            if sqlite:
                ways |= {f"{name} asked": kind for name, kind in kinds(folder, store).items() if name != "jwt"}
            results = await measure(ways, seconds, rounds)
            nursery.cancel_scope.cancel()
        return results
    finally:
        await store.aclose()


def kinds(folder: Path, store: KeyStore) -> dict[str, Kind]:
    """The four ways to log in, by name."""
    clock = SystemClock()
    key = KeyStrategy(KeyOptions(), store, clock, log.get("bench"), Nonces(ROOM))
    scope = Scope.of(["subscribe", "publish"], ["news:*", "room:*:chat"])
    access, _ = issue(
        SECRET, app=APP, key_id=KEY, client_id="ada", scope=scope, issuer="https://r.example", now=time.time()
    )
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 3_600, "jti": "7fd1"}
    jwt = sign(claims, keys("HS256")[0])
    jwt_options = JwtOptions(
        issuer=ISSUER, audience=AUDIENCE, algorithms=["HS256"], secret=Secret(bytes(range(64)).decode())
    )
    access_floor = signature(access, shared_secret(SECRET, ["HS256"], name="bench").handles["HS256"])
    return {
        "key": Kind(key, lambda: request({"key": f"{APP}.{KEY}"}), {"signature": access_floor}),
        "key proof": Kind(key, proofs(), {"signature": access_floor, "hmac": mac()}),
        "access": Kind(
            AccessStrategy(AccessTokens(APP, lambda: store, clock)),
            lambda: request({"token": access}),
            {"signature": access_floor},
        ),
        "jwt": Kind(
            JwtType().build(jwt_options, services(folder)),
            lambda: request({"token": jwt}),
            {"signature": signature(jwt, keys("HS256")[1].handles["HS256"])},
        ),
    }


def request(auth: dict[str, Any], session: str = "s" * 24) -> LoginRequest:
    return LoginRequest(APP, session, "192.0.2.1", auth)


def proofs() -> Callable[[], LoginRequest]:
    """Makes logins with a proof, each with a session and a nonce of its own."""
    numbers = itertools.count()

    def make() -> LoginRequest:
        number = f"{next(numbers):024}"
        stamp = int(time.time())
        proof = key_proof(f"{APP}.{KEY}", stamp, number, number, SECRET)
        return request({"key": f"{APP}.{KEY}", "timestamp": stamp, "nonce": number, "proof": proof}, number)

    return make


def signature(text: str, handle: Any) -> Callable[[], Any]:
    return lambda: jws.verify(text, handle, algorithms=["HS256"])


def mac() -> Callable[[], Any]:
    secret = SECRET.reveal_bytes()
    data = signed_fields(f"{APP}.{KEY}", int(time.time()), "n" * 24, "s" * 24)
    return lambda: hmac.new(secret, data, hashlib.sha256).hexdigest()


async def measure(kinds: dict[str, Kind], seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Of each kind the best rate of each floor, of the strategy alone and of the whole chain; they take turns."""
    ways: dict[str, dict[str, Login]] = {
        name: {"strategy": kind.strategy.start, "login": await chained(kind.strategy)} for name, kind in kinds.items()
    }
    best = {name: dict.fromkeys((*kind.floors, *ways[name]), 0.0) for name, kind in kinds.items()}
    for _ in range(rounds):
        for name, kind in kinds.items():
            found = best[name]
            for floor, work in kind.floors.items():
                found[floor] = max(found[floor], rate(work, seconds / rounds))
            for way, login in ways[name].items():
                await trio.sleep(0)  # what the router does beside logins has its turn
                found[way] = max(found[way], await login_rate(login, kind.request, seconds / rounds))
    return best


async def chained(strategy: Strategy) -> Login:
    """The login of a chain that holds ``strategy`` alone; gives the strategy's answer."""
    store = MemoryRevocationStore()
    access = Access(Config(Path("rules.yml"), ()), SystemClock(), keys=MemoryKeyStore, store=lambda: store)
    await access.revocations.load()
    chain = Chain([strategy], DEADLINE, Metrics(), log.get("auth"), access.veto(APP))

    async def login(asked: LoginRequest) -> Any:
        return (await chain.login(asked, no_challenge)).answer

    return login


async def no_challenge(text: str) -> str:
    raise RuntimeError(f"none of these strategies asks back: {text}")


async def login_rate(way: Login, make: Callable[[], LoginRequest], seconds: float) -> float:
    count, spent = 0, 0.0
    while spent < seconds:
        requests = [make() for _ in range(BATCH)]
        began = time.perf_counter()
        answers = [await way(each) for each in requests]
        spent += time.perf_counter() - began
        count += BATCH
        refused = [answer for answer in answers if not isinstance(answer, Accepted)]
        if refused:
            raise SystemExit(f"a login was not accepted: {refused[0]}")
    return count / spent


if __name__ == "__main__":
    main()
