"""What counts as one address: texts in, texts out."""

from __future__ import annotations

import ipaddress

from trio_router.remembered import remember


@remember(4096)
def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address (mapped ones included), the /64 of an IPv6 one, other text as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed[:8] + bytes(8), 64)))
