"""Which URLs of services a config may name: checked when the config is read, since nothing else ever makes one (T40, T58).

Knows nothing of who asks there. The rule that keeps it honest: a URL holds no secret, so that it can be shown.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

_LOCAL_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def service_url(_: Any, __: attrs.Attribute[Any], value: str | None) -> None:
    """An attrs validator: ``value`` is None or a plain http or https URL. Raises ``ValueError``."""
    if value is None:
        return
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password")
    if parts.fragment:
        raise ValueError("must not have a fragment")
    if not value.isascii() or any(letter <= " " or letter == "\x7f" for letter in value):
        raise ValueError("must be plain ASCII without blanks: write other characters as %XX")


def is_in_the_clear(url: str) -> bool:
    """Whether what is sent there crosses a network unencrypted."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine alone."""
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
