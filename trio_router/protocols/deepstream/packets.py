"""One message of the deepstream protocol, whichever way it travelled: flat, and with the fields that any topic has.

None is a field that is not there, which is not the same as one that is 0, false or "" (a client tells them apart). ``names``
alone has no such difference. ``data`` and ``requestor_data`` are JSON texts that nobody has looked into yet.

The rule that keeps it honest: a packet says what was written, not that it makes sense.
"""

from __future__ import annotations

import msgspec


class Packet(msgspec.Struct, rename="camel", omit_defaults=True, forbid_unknown_fields=False):
    """See the module. Which topic has which fields is said by ``deepstream.proto``."""

    topic: int
    action: int
    name: str | None = None
    names: list[str] | None = None
    data: str | None = None
    correlation_id: str | None = None
    is_ack: bool | None = None
    is_error: bool | None = None
    subscription: str | None = None
    original_topic: int | None = None
    original_action: int | None = None
    requestor_name: str | None = None
    requestor_data: str | None = None
    url: str | None = None
    protocol_version: str | None = None
    sdk_version: str | None = None
    sdk_type: str | None = None
    pattern: str | None = None
    path: str | None = None
    version: int | None = None
    versions: dict[str, int] | None = None
    is_write_ack: bool | None = None
