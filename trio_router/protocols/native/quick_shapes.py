"""What ``protocols.native.quick`` parses and writes by: the fields of its messages as they stand on the wire.

The others are read and written by the table in ``protocols.native.shapes``; these few come so often that msgspec does it by itself.
Structures have a module of their own here and elsewhere: they are made by msgspec, in C, and never compiled.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trio_router.protocols import messages


class Publish(msgspec.Struct, tag_field="type", tag="publish", forbid_unknown_fields=True, omit_defaults=True):
    """``messages.Publish``."""

    channel: str
    data: Any = msgspec.UNSET
    id: str | None = None
    echo: bool = True
    disclose: bool = False


class Call(msgspec.Struct, tag_field="type", tag="call", forbid_unknown_fields=True, omit_defaults=True):
    """``messages.Call``."""

    id: str
    procedure: str
    data: Any = msgspec.UNSET
    timeout: int | None = None


class ProviderResult(msgspec.Struct, tag_field="type", tag="result", forbid_unknown_fields=True, omit_defaults=True):
    """``messages.ProviderResult``."""

    call: str
    data: Any = msgspec.UNSET


class Done(msgspec.Struct, tag_field="type", tag="done"):
    """``messages.Done``."""

    id: str


class Result(msgspec.Struct, tag_field="type", tag="result", omit_defaults=True):
    """``messages.Result``."""

    id: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    more: bool = False


class Invoke(msgspec.Struct, tag_field="type", tag="invoke", omit_defaults=True):
    """``messages.Invoke``."""

    call: str
    procedure: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    timeout: int = 0
    progress: bool = False
    caller: messages.Publisher | None = None
