"""The figures: on a registry of their own, with labels from fixed sets."""

from __future__ import annotations

import pytest
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
    bounded |= {"what", "scope"}  # of what came too often: fixed words both
    for family in Metrics().registry.collect():
        for sample in family.samples:
            assert set(sample.labels) <= bounded | {"le"}
    metrics = Metrics()
    labels = {name for each in dir(metrics) for name in getattr(getattr(metrics, each), "_labelnames", ())}
    assert labels <= bounded


def test_a_tally_is_shown_like_any_counter() -> None:
    metrics = Metrics()
    publishes = metrics.requests.labels("publish")
    publishes.count += 2
    metrics.requests.labels("publish").inc()
    metrics.requests.labels("call").inc(5)
    assert metrics.requests.labels("publish") is publishes
    found = {
        verb: metrics.registry.get_sample_value("trio_router_requests_total", {"verb": verb})
        for verb in ("publish", "call")
    }
    assert found == {"publish": 3, "call": 5}
    assert b'trio_router_requests_total{verb="publish"} 3.0' in generate_latest(metrics.registry)


def test_a_tally_has_as_many_labels_as_its_figure() -> None:
    with pytest.raises(ValueError, match="trio_router_decisions has the labels action, reason"):
        Metrics().decisions.labels("one")
