"""The form of a decision log: one JSON object a line, each line sealed to the one before it.

A line holds ``seq`` (counts up by one), ``prev`` (the hash of the line before, in this file or, for the first line of a
file, in the file before) and, as its last field, ``hash``: the SHA-256 of ``prev`` and of the line's bytes without that
field. So any byte that is changed, any line that is taken out, put in or moved breaks the chain at a line that can be named.

Pure: no files, no clock. The rule that keeps it honest: what is hashed are the bytes that are written, never a
reconstruction of them, so there are no two spellings of one entry. The chain has no key: whoever can write the file
can write a new chain from any line on, which shows only against a hash that is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from trio_router.errors import RemoteProtocolError
from trio_router.protocols import strictjson

GENESIS: Final = "0" * 64
"""``prev`` of the first line of the first file."""

MAX_LINE: Final = 64 * 1024  # bytes; a name has at most 255 characters, a user id 128

_encode: Final = msgspec.json.Encoder().encode
_SEALED: Final = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}', re.DOTALL)


class BrokenLine(Exception):
    """A line is no entry of a decision log, or not as it was written; the text says why."""


@attrs.frozen
class Link:
    """Where a chain stands after a line: its ``seq`` and its ``hash``."""

    seq: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq} {self.hash}"

    @classmethod
    def parse(cls, text: str) -> Link:
        """The reverse of ``str``. Raises ``ValueError``."""
        found = re.fullmatch(r"([0-9]{1,18}) ([0-9a-f]{64})\s*", text)
        if found is None:
            raise ValueError("expected a number and a SHA-256 in hexadecimal")
        return cls(int(found[1]), found[2])


def seal(after: Link, fields: Mapping[str, Any]) -> tuple[bytes, Link]:
    """The line, with its line break, that holds ``fields`` and follows ``after``; and where the chain stands then."""
    body = _encode({"seq": after.seq + 1, "prev": after.hash, **fields})
    digest = _digest(after.hash, body)
    return body[:-1] + b',"hash":"' + digest.encode() + b'"}\n', Link(after.seq + 1, digest)


def unseal(line: bytes) -> tuple[dict[str, Any], Link]:
    """The fields of a line (without its line break) and its own place in the chain.

    Raises:
        BrokenLine: the line is not one that ``seal`` made, or was changed since.
    """
    if len(line) > MAX_LINE:
        raise BrokenLine("the line is too long for an entry")
    sealed = _SEALED.fullmatch(line)
    if sealed is None:
        raise BrokenLine("the line is not an entry with a hash")
    try:
        fields = strictjson.decode(line)
    except RemoteProtocolError:
        raise BrokenLine("the line is not JSON") from None
    seq, prev = fields.get("seq"), fields.get("prev")
    if not (isinstance(seq, int) and isinstance(prev, str) and prev.isascii()):
        raise BrokenLine("the entry has no seq and prev")
    if _digest(prev, sealed[1] + b"}") != sealed[2].decode():
        raise BrokenLine("the entry was changed: its hash does not fit")
    return fields, Link(seq, sealed[2].decode())


def _digest(prev: str, body: bytes) -> str:
    return hashlib.sha256(prev.encode() + body).hexdigest()
