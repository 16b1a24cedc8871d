"""The figures: on a registry of their own, with labels from fixed sets."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from trio_router.metrics import Metrics


def test_two_routers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.events.inc()
    assert one.registry.get_sample_value("trio_router_events_total") == 1
    assert other.registry.get_sample_value("trio_router_events_total") == 0


def test_every_figure_is_ours_and_described() -> None:
    metrics = Metrics()
    families = list(text_string_to_metric_families(generate_latest(metrics.registry).decode()))
    assert len(families) >= 10
    for family in families:
        assert family.name.startswith("trio_router_")
        assert family.documentation


def test_no_figure_is_labelled_with_what_a_client_chooses() -> None:
    bounded = {"state", "reason", "strategy", "answer", "code", "verb", "action", "outcome", "result", "version"}
    bounded |= {"direction"}  # of a shadow difference: would_allow, would_deny, failed
    bounded |= {"protocol"}  # of the path, which the config names
    for family in Metrics().registry.collect():
        for sample in family.samples:
            assert set(sample.labels) <= bounded | {"le"}
    labels = {name for metric in vars(Metrics()).values() for name in getattr(metric, "_labelnames", ())}
    assert labels <= bounded
