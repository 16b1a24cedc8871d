"""How many access tokens and trust-tokens a second are checked, next to the bare signature of the same token.

    python -m benchmarks.tokens [--seconds 1.0] [--rounds 5] [--json]

``signature`` is ``jose.jws.verify`` with a prepared key, the floor under each; ``check`` is the router's whole check: canonical
form, key, signature, claims, and what the token is bound to. They take turns, and the best round of each counts. Absolute
figures say something about this machine only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from jose import jws

from benchmarks.jwt_verify import rate
from trio_router.clock import SystemClock
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.tokens.access import AccessVerifier, issue
from trio_router.tokens.compact import parse
from trio_router.tokens.keys import shared_secret
from trio_router.tokens.trust import TrustVerifier, issue_trust_token

SECRET = Secret("".join(chr(letter) for letter in range(48, 112)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="per contender and kind, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {
        "access": measure(*access(), options.seconds, options.rounds),
        "trust": measure(*trust(), options.seconds, options.rounds),
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'':8}{'signature/s':>12}{'check/s':>12}{'of signature':>14}")
    for name, result in results.items():
        share = result["check"] / result["signature"]
        print(f"{name:8}{result['signature']:12,.0f}{result['check']:12,.0f}{share:14.0%}")


def access() -> tuple[str, Callable[[], Any]]:
    """A token with a scope of some size, and its check."""
    scope = Scope.of(["subscribe", "publish"], ["news:*", "room:*:chat"])
    text, _ = issue(
        SECRET, app="a", key_id="k", client_id="ada", scope=scope, issuer="https://r.example", now=time.time()
    )
    verifier = AccessVerifier(SystemClock())
    return text, lambda: verifier.verify(parse(text), app="a", key_id="k", secrets=[SECRET])


def trust() -> tuple[str, Callable[[], Any]]:
    """A token for a private channel, and its check."""
    text = issue_trust_token(key="k", secret=SECRET, session="s" * 24, channel="pvt:room/1")
    secrets: Sequence[Secret] = (SECRET,)
    verifier = TrustVerifier(lambda _: secrets, SystemClock())
    return text, lambda: verifier.verify(text, session="s" * 24, name="pvt:room/1", action="channel.subscribe", key="k")


def measure(text: str, check: Callable[[], Any], seconds: float, rounds: int) -> dict[str, float]:
    """The best rate of each, in tokens a second."""
    handle = shared_secret(SECRET, ["HS256"], name="bench").handles["HS256"]
    contenders = {"signature": lambda: jws.verify(text, handle, algorithms=["HS256"]), "check": check}
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, contender in contenders.items():
            best[name] = max(best[name], rate(contender, seconds / rounds))
    return best


if __name__ == "__main__":
    main()
