"""The short way of the codec for the messages that are sent all the time: publish, call, result and what answers them.

Decoding here is one typed parse. It says yes only to a text that the codec proper would turn into the same message, and None to
everything else, wrong or merely unusual, which the codec then reads with all its checks and words for errors.

The rule that keeps it honest: no message comes out of here that the codec would refuse or read otherwise. A test holds the two together
on every input it can think of. What has to be looked at beyond the parse:

* a key that is there twice leaves fewer colons in what is written again than there were in the text;
* ``\\u`` may hide a colon or half a character; a bracket may nest too deep; a long number may be beyond 2**53: in doubt, None.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import messages
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native.names import check_channel, check_procedure

_id: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}").fullmatch  # names.REQUEST_ID_CHARACTERS, names.MAX_REQUEST_ID
_encode: Final = msgspec.json.Encoder().encode

NO_DEPTH: Final = 4
"""Brackets in a text that need no counting of how deep they nest: the configured bound is never below."""


class _Publish(msgspec.Struct, tag_field="type", tag="publish", forbid_unknown_fields=True, omit_defaults=True):
    channel: str
    data: Any = msgspec.UNSET
    id: str | None = None
    echo: bool = True
    disclose: bool = False


class _Call(msgspec.Struct, tag_field="type", tag="call", forbid_unknown_fields=True, omit_defaults=True):
    id: str
    procedure: str
    data: Any = msgspec.UNSET
    timeout: int | None = None


class _Result(msgspec.Struct, tag_field="type", tag="result", forbid_unknown_fields=True, omit_defaults=True):
    call: str
    data: Any = msgspec.UNSET


_decode: Final = msgspec.json.Decoder(_Publish | _Call | _Result).decode


def decode(text: str) -> messages.Publish | messages.Call | messages.ProviderResult | None:
    """The message in ``text``, if it is a plain one; None: ask the codec. Never raises."""
    try:
        wire = _decode(text)
        if "\\u" in text or text.count("[") + text.count("{") > NO_DEPTH:
            return None
        data = wire.data
        if data is msgspec.UNSET:
            payload = ABSENT
        elif isinstance(data, str):
            payload = Payload(data)
        elif data is None or isinstance(data, bool):
            payload = Payload(data)
        else:
            return _with_numbers(text, wire)
        if text.count(":") != _encode(wire).count(b":"):
            return None
        return _message(wire, payload)
    except (msgspec.DecodeError, UnicodeError, InvalidName):
        return None
