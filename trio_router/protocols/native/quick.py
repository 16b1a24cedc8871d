"""The short way of the codec for the messages that are sent all the time: publish, call, result and what answers them.

Decoding here is one typed parse. It says yes only to a text that the codec proper would turn into the same message, and None to
everything else, wrong or merely unusual, which the codec then reads with all its checks and words for errors.

The rule that keeps it honest: no message comes out of here that the codec would refuse or read otherwise. A test holds the two together
on every input it can think of. What has to be looked at beyond the parse:

* a key that is there twice is one more colon in the text than the fields that were found account for;
* ``\\u`` may hide a colon or half a character; brackets may nest too deep; a long number may be beyond 2**53: in doubt, None.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trio_router import names
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import messages
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native.quick_shapes import Call, Done, Invoke, ProviderResult, Publish, Result
from trio_router.protocols.native.shapes import MAX_TIMEOUT

_ID_CHARACTERS: Final = "".join(sorted(names.REQUEST_ID_CHARACTERS))
_long_number: Final = re.compile(r"[0-9]{16}").search  # 2**53 has sixteen digits
_strip: Final = str.strip
_encode: Final = msgspec.json.Encoder().encode


_decode: Final = msgspec.json.Decoder(Publish | Call | ProviderResult).decode


def decode(text: str, depth: int) -> messages.Publish | messages.Call | messages.ProviderResult | None:
    """The message in ``text``, if it is a plain one of these; None: ask the codec. Never raises."""
    try:
        wire = _decode(text)
        value = wire.data
        colons = text.count(":")
        if value is msgspec.UNSET:
            data = ABSENT
        else:
            written = _encode(value)  # what every receiver will get of it
            data = Payload(value, written)
            colons -= 1 + written.count(b":")
            if type(value) is not str and (
                # What nests deeper than this is longer than twice as many brackets.
                (len(written) >= 2 * depth and text.count("[") + text.count("{") > depth) or _long_number(text)
            ):
                return None
        if "\\" in text and "\\u" in text:  # looking for a single character is far less work
            return None
        kind = type(wire)
        if kind is Publish:
            return _publish(wire, data, colons)
        if kind is Call:
            return _call(wire, data, colons)
        call = wire.call
        # ``type``, ``call`` and nothing else
        if (colons != 2 and colons != 2 + call.count(":")) or not _is_id(call):
            return None
        return messages.ProviderResult(call, data)
    # msgspec's errors are ValueErrors, as are those of Unicode; it gives up on what nests too deep for it by itself (T15)
    except (ValueError, RecursionError, names.InvalidName):
        return None


def _is_id(text: str) -> bool:
    """Whether ``names.check_request_id`` would let it pass."""
    # A text of which every character is stripped holds no other.
    return 0 < len(text) <= names.MAX_REQUEST_ID and not _strip(text, _ID_CHARACTERS)


# There are at least as many colons as fields, so if there are no more than that, no name holds one.


def _publish(wire: Publish, data: Payload, colons: int) -> messages.Publish | None:
    channel, tag = wire.channel, wire.id
    names.GOOD_CHANNELS[channel]  # else InvalidName
    expected = 2 + (not wire.echo) + wire.disclose
    if tag is not None:
        if not _is_id(tag):
            return None
        expected += 1
    if colons != expected and colons != expected + channel.count(":") + (0 if tag is None else tag.count(":")):
        return None
    return messages.Publish(channel, data, tag, wire.echo, wire.disclose)


def _call(wire: Call, data: Payload, colons: int) -> messages.Call | None:
    tag, procedure, timeout = wire.id, wire.procedure, wire.timeout
    if not _is_id(tag):
        return None
    names.GOOD_PROCEDURES[procedure]  # else InvalidName
    expected = 3
    if timeout is not None:
        expected = 4
        if not 1 <= timeout <= MAX_TIMEOUT:
            return None
    if colons != expected and colons != expected + tag.count(":") + procedure.count(":"):
        return None
    return messages.Call(tag, procedure, data, timeout)


# ---- replies --------------------------------------------------------------------------------------------

# The plainest are put together from their parts. An id or a name that came so far holds nothing that JSON escapes: ``names`` lets
# nothing else pass, and a test holds its alphabets to that.


def done_frame(request_id: str) -> bytes:
    """``messages.Done`` without ``expires``, as one whole WebSocket frame like those below."""
    return text_frame(_encode(Done(request_id)))


def result_frame(request_id: str, data: Payload, more: bool) -> bytes:
    """``messages.Result``."""
    if not more and data is not ABSENT:  # nearly all are like that
        written = data.written or data.json
        return text_frame(b"".join((b'{"type":"result","id":"', request_id.encode(), b'","data":', written, b"}")))
    raw = msgspec.UNSET if data is ABSENT else msgspec.Raw(data.written or data.json)
    return text_frame(_encode(Result(request_id, raw, more)))


def invoke_frame(
    call: str, procedure: str, data: Payload, timeout: int, progress: bool, caller: messages.Publisher | None
) -> bytes:
    """``messages.Invoke``."""
    if not progress and caller is None and data is not ABSENT:  # nearly all are like that
        named = b'{"type":"invoke","call":"%b","procedure":"%b","data":' % (call.encode(), procedure.encode())
        return text_frame(b'%b%b,"timeout":%d}' % (named, data.written or data.json, timeout))
    raw = msgspec.UNSET if data is ABSENT else msgspec.Raw(data.written or data.json)
    return text_frame(_encode(Invoke(call, procedure, raw, timeout, progress, caller)))
