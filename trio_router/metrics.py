"""Every figure the router counts, in one place, with its labels.

Counters are added to once per message, never once per receiver. Labels come from fixed sets (verbs, slugs of
``codes``, strategy names of the config): nothing a client chooses becomes a label, so the number of series is bounded.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


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
        self.logins = Counter(
            "trio_router_logins", "Answers of strategies.", ["strategy", "answer", "reason"], registry=self.registry
        )  # answer: accepted, denied, unavailable; nobody felt responsible: strategy="", denied, not_mine
        self.login_seconds = Histogram(
            "trio_router_login_seconds", "Time one login took, over all strategies.", registry=self.registry
        )
        self.closes = Counter(
            "trio_router_closes", "Ended connections by close code.", ["code"], registry=self.registry
        )
        self.requests = Counter(
            "trio_router_requests", "Requests of sessions by verb.", ["verb"], registry=self.registry
        )
        self.errors = Counter("trio_router_errors", "Errors sent to sessions.", ["code"], registry=self.registry)
        self.decisions = Counter(
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
        self.events = Counter("trio_router_events", "Events published.", registry=self.registry)
        self.deliveries = Counter("trio_router_deliveries", "Events handed to sessions.", registry=self.registry)
        self.calls = Counter("trio_router_calls", "Calls by how they ended.", ["outcome"], registry=self.registry)
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
