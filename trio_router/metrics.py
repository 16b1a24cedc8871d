"""Every figure the router counts, in one place, with its labels.

Counters are added to once per message, never once per receiver. Labels come from fixed sets (verbs, slugs of
``codes``, strategy names of the config): nothing a client chooses becomes a label, so the number of series is bounded.

What is counted for every message is a ``Tally``, a number that only the router's own thread adds to, and which is read when somebody
asks for the figures; a counter with a lock costs twenty times as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally:
    """One number. Only the router's own thread may add to it."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self, amount: int = 1) -> None:
        """Add ``amount``; the busiest places add to ``count`` themselves."""
        self.count += amount


class Tallies(Collector):
    """The tallies of one figure, by the values of its labels; shown like any counter.

    ``kept``: for busy places, what they want to have at hand with them, by whatever they find it by soonest.
    """

    def __init__(self, name: str, text: str, names: Sequence[str] = (), *, registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._labelnames = names
        self._by_values: dict[tuple[str, ...], Tally] = {}
        self.kept: dict[object, Any] = {}
        if not names:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """The tally of these values. Whoever counts often keeps it."""
        tally = self._by_values.get(values)
        if tally is None:
            if len(values) != len(self._labelnames):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labelnames)}")
            tally = self._by_values[values] = Tally()
        return tally

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labelnames)
        for values, tally in sorted(self._by_values.items()):
            family.add_metric(values, tally.count)
        yield family


class Metrics:
    """The router's figures on a registry of their own, so that several routers fit into one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge(
            "trio_router_connections", "Open connections.", ["state"], registry=self.registry
        )  # state: handshake, quarantine, live
        self.sessions = Gauge(
            "trio_router_sessions", "Logged-in sessions by what they speak.", ["protocol"], registry=self.registry
        )  # protocol: native, deepstream, deepstream-json
        self.refused_connections = Counter(
            "trio_router_refused_connections",
            "Connections refused before a session.",
            ["reason"],
            registry=self.registry,
        )
        self.rate_limited = Counter(
            "trio_router_rate_limited",
            "What was refused because it came too often.",
            ["what", "scope"],
            registry=self.registry,
        )  # what: logins, publishes, calls, subscriptions; scope: session, user, address, app
        self.delay_seconds = Gauge(
            "trio_router_delay_seconds", "How late the router does what is due.", registry=self.registry
        )
        self.overload = Gauge(
            "trio_router_overload",
            "0; 1: newcomers are turned away; 2: those who wait for a login too.",
            registry=self.registry,
        )
        self.logins = Counter(
            "trio_router_logins", "Answers of strategies.", ["strategy", "answer", "reason"], registry=self.registry
        )  # answer: accepted, denied, unavailable; nobody felt responsible: strategy="", denied, not_mine
        self.login_seconds = Histogram(
            "trio_router_login_seconds", "Time one login took, over all strategies.", registry=self.registry
        )
        self.closes = Counter(
            "trio_router_closes", "Ended connections by close code.", ["code"], registry=self.registry
        )
        self.requests = Tallies(
            "trio_router_requests", "Requests of sessions by verb.", ["verb"], registry=self.registry
        )
        self.errors = Counter("trio_router_errors", "Errors sent to sessions.", ["code"], registry=self.registry)
        self.decisions = Tallies(
            "trio_router_decisions", "Decisions of the door.", ["action", "reason"], registry=self.registry
        )
        self.decisions_dropped = Counter(
            "trio_router_decisions_dropped", "Decisions that did not get into the decision log.", registry=self.registry
        )
        self.shadow_differences = Counter(
            "trio_router_shadow_differences",
            "Decisions that the shadow rules would make otherwise.",
            ["action", "direction"],
            registry=self.registry,
        )  # direction: would_allow, would_deny, failed
        self.events = Tallies("trio_router_events", "Events published.", registry=self.registry).labels()
        self.deliveries = Tallies(
            "trio_router_deliveries", "Events handed to sessions.", registry=self.registry
        ).labels()
        self.calls = Tallies("trio_router_calls", "Calls by how they ended.", ["outcome"], registry=self.registry)
        self.rejected_calls = Counter(
            "trio_router_rejected_calls", "Calls that a provider gave back for another one.", registry=self.registry
        )
        self.listen_answers = Counter(
            "trio_router_listen_answers",
            "Answers of sessions asked to provide a channel.",
            ["answer"],
            registry=self.registry,
        )  # answer: accepted, rejected, timeout, withdrawn (the question was taken back)
        self.provided_channels = Gauge(
            "trio_router_provided_channels", "Channels that have a provider.", registry=self.registry
        )
        self.webhook_seconds = Histogram(
            "trio_router_webhook_seconds", "Time of one request to a login webhook.", registry=self.registry
        )
        self.reloads = Counter("trio_router_reloads", "Reloads by result.", ["result"], registry=self.registry)
        self.rules_info = Gauge("trio_router_rules_info", "The rules in force.", ["version"], registry=self.registry)
