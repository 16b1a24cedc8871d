"""Who is at the other end: the peer's address, or what a trusted proxy in front of us says it is.

It owns the X-Forwarded-For rule and the counting key of an address. Pure: texts in, texts out.
The rule that keeps it honest: only what a trusted proxy wrote itself is believed, which is the rightmost address that is
not a trusted proxy; whatever stands left of it, the client may have written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import attrs

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Addresses:
    """Both ends of one connection as (host, port). ``client`` is who is believed to have connected."""

    client: tuple[str, int]
    server: tuple[str, int]
    tls: bool = False


class TrustedProxies:
    """The configured proxies: addresses or networks (``10.0.0.0/8``). Raises ``ValueError`` for anything else."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(proxy, strict=False) for proxy in proxies)

    def trusts(self, host: str) -> bool:
        """Whether ``host`` is one of them."""
        if not self._networks:
            return False
        address = _parse(host)
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )

    def client_of(self, peer: str, forwarded: Sequence[str]) -> str:
        """The client behind the connection from ``peer``, whose request had these X-Forwarded-For headers."""
        if not self.trusts(peer):
            return peer
        client = peer
        for entry in reversed([piece.strip() for value in forwarded for piece in value.split(",")]):
            address = _parse(entry)
            if address is None:
                break  # whoever wrote this, it is no address: stop at the last one that is
            client = str(address)
            if not self.trusts(client):
                break
        return client


def counting_key(host: str) -> str:
    """Under which name connections from ``host`` are counted: an IPv6 host owns its whole /64."""
    address = _parse(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return host if address is None else str(address)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
