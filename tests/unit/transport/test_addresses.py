"""Whose connection it is, and how many there may be."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_router.limits import Limits
from trio_router.transport.addresses import TrustedProxies, counting_key
from trio_router.transport.admission import Admission

PROXIES = TrustedProxies(["10.0.0.1", "192.0.2.0/24", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),  # nobody we trust: not believed
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the left one the client wrote itself
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 192.0.2.7"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, nonsense, 192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.1:1234"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("2001:db8::5", ["2001:DB9::0001"], "2001:db9::1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    ],
)
def test_only_what_a_trusted_proxy_wrote_is_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert PROXIES.client_of(peer, forwarded) == client


def test_without_proxies_nothing_is_believed() -> None:
    assert TrustedProxies().client_of("10.0.0.1", ["1.2.3.4"]) == "10.0.0.1"
    with pytest.raises(ValueError, match="proxy"):
        TrustedProxies(["proxy.example.com"])


@given(st.text(max_size=40), st.ip_addresses().map(str))
def test_what_a_client_writes_left_of_the_proxy_changes_nothing(text: str, real: str) -> None:
    trusted = PROXIES.trusts(real)
    if not trusted:
        found = PROXIES.client_of("10.0.0.1", [text, real])
        assert found == PROXIES.client_of("10.0.0.1", [real])


def test_an_ipv6_host_is_counted_by_its_network() -> None:
    assert counting_key("2001:db8:1:2:3::4") == counting_key("2001:db8:1:2:ffff::1") != counting_key("2001:db8:1:3::1")
    assert counting_key("::ffff:192.0.2.1") == counting_key("192.0.2.1") == "192.0.2.1"
    assert counting_key("fe80::1%eth0") == "fe80::"
    assert counting_key("") == ""


@pytest.mark.threat("T04")
def test_who_leaves_makes_room() -> None:
    admission = Admission(attrs.evolve(Limits(), connections=2, connections_per_ip=1))
    assert admission.enter()
    assert admission.enter()
    assert not admission.enter()
    admission.leave()
    assert admission.enter()
    ticket = admission.enter_host("192.0.2.1")
    assert ticket is not None
    assert admission.enter_host("192.0.2.1") is None
    assert admission.enter_host("192.0.2.2") is not None
    admission.leave_host(ticket)
    assert admission.enter_host("192.0.2.1") is not None
    assert len(admission._per_host) == 2
