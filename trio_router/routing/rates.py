"""How often something may be done in one app: the bounds of ``limits.rates``, counted without a timer and without waiting.

One number is kept for whoever did something lately: when what they did so far will have been earned. Who comes before ``burst``
seconds of that is told when to try again, and is not counted: trying too often makes nobody wait longer. What is earned is
forgotten, so the numbers are no more than those who were there within the last ``burst`` seconds.

It knows who asks, not for what. The rule that keeps it honest: what is refused counts for nobody, in no scope.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Literal

import attrs

from trio_router.clock import Clock
from trio_router.errors import Refused
from trio_router.identity import Identity
from trio_router.limits import Rates
from trio_router.metrics import Metrics
from trio_router.networks import network_of
from trio_router.protocols import codes
from trio_router.routing.session import Session

Thing = Literal["logins", "publishes", "calls", "subscriptions"]
Scope = Literal["session", "user", "address", "app"]

THINGS: Final[tuple[Thing, ...]] = ("logins", "publishes", "calls", "subscriptions")
SCOPES: Final[tuple[Scope, ...]] = ("session", "user", "address", "app")

SWEPT_AT: Final = 1_024
"""So many numbers are kept before the first look for those that can be forgotten."""

TICK: Final = 1e-6
"""Seconds below which a wait is none: what sums of fractions are off by."""

_OF: Final[dict[Scope, str]] = {
    "session": "from this session",
    "user": "from this user",
    "address": "from this address",
    "app": "in this app",
}


class Meter:
    """One bound: ``rate`` times per second, of which ``burst`` seconds' worth (at least one) may come at once."""

    def __init__(self, thing: Thing, scope: Scope, rate: float, burst: float) -> None:
        self.thing = thing
        self.scope = scope
        self.rate = rate
        self._gap = 1 / rate
        self._slack = max(0.0, burst - self._gap)
        self._earned: dict[Hashable, float] = {}  # when what was done so far is earned
        self._sweep_at = SWEPT_AT

    def __len__(self) -> int:
        return len(self._earned)

    def wait(self, key: Hashable, now: float) -> float:
        """Seconds until one more is granted; not more than 0 means now."""
        earned = self._earned.get(key)
        return 0.0 if earned is None else earned - now - self._slack

    def count(self, key: Hashable, now: float) -> None:
        """One more was done."""
        earned = self._earned
        before = earned.get(key, now)
        earned[key] = (max(now, before)) + self._gap
        if len(earned) > self._sweep_at:
            self._earned = {key: at for key, at in earned.items() if at > now}
            self._sweep_at = max(SWEPT_AT, 2 * len(self._earned))


@attrs.frozen
class TooOften:
    """Which bound is reached, and the seconds until it is not."""

    meter: Meter
    wait: float

    @property
    def text(self) -> str:
        """For the client's eyes."""
        meter = self.meter
        return f"too many {meter.thing} {_OF[meter.scope]}; try again in {self.wait:.1f} s"


class RateBook:
    """The bounds of one app. Whoever does one of ``THINGS`` looks whether there is a bound (``publishes`` ...) and
    calls :meth:`charge` or :meth:`take`."""

    def __init__(self, rates: Rates, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._rates = Rates()
        self.logins: tuple[Meter, ...] = ()
        self.publishes: tuple[Meter, ...] = ()
        self.calls: tuple[Meter, ...] = ()
        self.subscriptions: tuple[Meter, ...] = ()
        self.replace(rates)

    def replace(self, rates: Rates) -> None:
        """From now on ``rates`` count. What was counted under bounds that stay is remembered."""
        if rates != self._rates:
            now, before = attrs.asdict(rates), attrs.asdict(self._rates)
            kept = {(m.thing, m.scope): m for m in (*self.logins, *self.publishes, *self.calls, *self.subscriptions)}
            if rates.burst != self._rates.burst:
                kept = {}
            self._rates = rates
            self.logins, self.publishes, self.calls, self.subscriptions = (
                _meters(thing, now, before, kept) for thing in THINGS
            )

    def charge(self, meters: tuple[Meter, ...], session: Session) -> None:
        """``session`` asks for what ``meters`` bound, unless it was counted when it asked before. Raises ``Refused``: RATE_LIMITED."""
        if session.paid:
            session.paid = False
        elif meters:
            self.take(meters, session.identity)

    def take(self, meters: tuple[Meter, ...], identity: Identity) -> None:
        """``identity`` does what ``meters`` bound. Raises ``Refused``: RATE_LIMITED."""
        now = self._clock.monotonic()
        keys = [(meter, _key(meter.scope, identity)) for meter in meters]
        self._pass(keys, now)

    def take_login(self, session_id: str, address: str) -> None:
        """A login is to be judged: it counts for the session, the address and the app. Raises ``Refused``: RATE_LIMITED."""
        if self.logins:
            known: dict[Scope, Hashable] = {"session": session_id, "address": network_of(address), "app": ""}
            keys = [(meter, known.get(meter.scope)) for meter in self.logins]
            self._pass(keys, self._clock.monotonic())

    def take_login_of(self, user: str) -> None:
        """A login was accepted: it counts for its user. Raises ``Refused``: RATE_LIMITED."""
        keys: list[tuple[Meter, Hashable]] = [(meter, user) for meter in self.logins if meter.scope == "user"]
        if keys:
            self._pass(keys, self._clock.monotonic())

    def _pass(self, keys: list[tuple[Meter, Hashable]], now: float) -> None:
        for meter, key in keys:
            if key is not None and (wait := meter.wait(key, now)) > TICK:
                self._metrics.rate_limited.labels(meter.thing, meter.scope).inc()
                refused = TooOften(meter, wait)
                raise Refused(codes.RATE_LIMITED, refused.text, retry_after=round(wait, 3))
        for meter, key in keys:
            if key is not None:
                meter.count(key, now)


def _meters(
    thing: Thing, rates: dict[str, float], before: dict[str, float], kept: dict[tuple[Thing, Scope], Meter]
) -> tuple[Meter, ...]:
    """The meters of ``thing``, those in ``kept`` where the rate is as ``before``."""
    found = []
    for scope in SCOPES:
        name = f"{thing}_per_{scope}"
        if rates[name] > 0:
            meter = kept.get((thing, scope)) if rates[name] == before[name] else None
            found.append(Meter(thing, scope, rates[name], rates["burst"]) if meter is None else meter)
    return tuple(found)


def _key(scope: Scope, identity: Identity) -> Hashable:
    if scope == "session":
        return identity.session_id
    if scope == "user":  # those let in without a name are nobody's sessions together
        return identity.user.id if identity.user.is_authenticated else None
    if scope == "address":
        return network_of(identity.remote_address)
    return ""
