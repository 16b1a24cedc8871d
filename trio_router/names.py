"""Which names exist: channels, procedures, records, users, request ids.

One spelling, one name. A name that is not canonical is refused, never rewritten (T25): what the door checked
is byte for byte what is routed. Names are ASCII, so no normal form, case folding, zero-width or look-alike
letter can make two names of one; a name is compared by its bytes and ``News`` is not ``news``.

Grammar of a channel, procedure or record name:

* 1 to 255 characters out of ``A-Z a-z 0-9 . _ : / @ + ~ = -``
* segments are separated by ``/``; no segment is empty, ``.`` or ``..``, or ends with a dot
* when a name holds ``:``, what stands before the first one is the kind: ``pvt``, ``prs`` or ``sys``
  (procedures: ``pvt``, ``prs``), as in dataBridges. Everything else has the kind ``""``, public.

A subscription may also use a *pattern*: the same grammar plus ``*``, see :mod:`trio_router.patterns`.
"""

from __future__ import annotations

from typing import Final

from trio_router.errors import RouterError
from trio_router.remembered import ByName

MAX_NAME: Final = 255
MAX_USER_ID: Final = 128
MAX_REQUEST_ID: Final = 64
MAX_APP_NAME: Final = 64
MAX_KEY_ID: Final = 64
MAX_LISTEN_TEXT: Final = 1_024

REMEMBERED: Final = 32_768
"""Names that each table holds which is kept by name: more than the channels of a busy app, and not more, since clients choose them."""

PRIVATE: Final = "pvt"
PRESENCE: Final = "prs"
SYSTEM: Final = "sys"
CHANNEL_KINDS: Final = frozenset({PRIVATE, PRESENCE, SYSTEM})
PROCEDURE_KINDS: Final = frozenset({PRIVATE, PRESENCE})

ROUTER_PROCEDURES: Final = "trio-router/"
"""Procedures whose names begin so are the router's own: a protocol may answer calls to them, and nobody provides them (T26)."""

_ALNUM: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
NAME_CHARACTERS: Final = _ALNUM | frozenset("._:/@+~=-")
_PATTERN_CHARACTERS: Final = NAME_CHARACTERS | {"*"}
USER_ID_CHARACTERS: Final = _ALNUM | frozenset("._:@+~=|-")
REQUEST_ID_CHARACTERS: Final = _ALNUM | frozenset("._:-")
KEY_CHARACTERS: Final = _ALNUM | frozenset("_-")


class InvalidName(RouterError):
    """A name is not canonical; the text says why, without repeating the name."""


def check_channel(name: str, *, wildcards: bool = False) -> None:
    """Returns if ``name`` is a channel name (or, with ``wildcards``, a subscription pattern).

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_name(name, CHANNEL_KINDS, _PATTERN_CHARACTERS if wildcards else NAME_CHARACTERS)


def check_procedure(name: str) -> None:
    """Returns if ``name`` is a procedure name.

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_name(name, PROCEDURE_KINDS, NAME_CHARACTERS)


GOOD_CHANNELS: Final = ByName(check_channel, REMEMBERED)
"""``GOOD_CHANNELS[name]`` is :func:`check_channel`. The same names come again and again; what is remembered is only that a name is good."""

GOOD_PROCEDURES: Final = ByName(check_procedure, REMEMBERED)
"""As :func:`check_procedure`, remembered likewise."""


def check_user_id(user_id: str) -> None:
    """Returns if ``user_id`` can be a user's id: no ``/`` and no ``*``, so it is one literal segment (T23).

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_text(user_id, MAX_USER_ID, USER_ID_CHARACTERS)


def check_listen_text(text: str) -> None:
    """Returns if rules can be asked about ``text``: a channel's name, or the text of a pattern somebody listens with.

    Raises:
        InvalidName: it is neither; the text says why.
    """
    if not 0 < len(text) <= MAX_LISTEN_TEXT:
        msg = f"has not 1 to {MAX_LISTEN_TEXT} characters"
        raise InvalidName(msg)
    if not text.isprintable():
        msg = "holds a character that cannot be printed"
        raise InvalidName(msg)


def check_request_id(request_id: str) -> None:
    """Returns if ``request_id`` can correlate a request with its answer.

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_text(request_id, MAX_REQUEST_ID, REQUEST_ID_CHARACTERS)


def check_app_name(name: str) -> None:
    """Returns if ``name`` can name an app: no dot, so that ``<app>.<key id>`` comes apart in one way (T66).

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_text(name, MAX_APP_NAME, KEY_CHARACTERS)


def check_key_id(key_id: str) -> None:
    """Returns if ``key_id`` can be the id of an app key.

    Raises:
        InvalidName: it is not; the text says why.
    """
    _check_text(key_id, MAX_KEY_ID, KEY_CHARACTERS)


def split_key(name: str) -> tuple[str, str]:
    """(app, key id) of a key's name ``<app>.<key id>``. Raises ``InvalidName``."""
    app, dot, key_id = name.partition(".")
    if not dot:
        msg = "is no key: expected <app>.<key id>"
        raise InvalidName(msg)
    check_app_name(app)
    check_key_id(key_id)
    return app, key_id


def kind_of(name: str) -> str:
    """The kind of a checked channel or procedure name: ``pvt``, ``prs``, ``sys``, or ``""`` for public."""
    kind, colon, _ = name.partition(":")
    return kind if colon else ""


def _check_text(text: str, limit: int, alphabet: frozenset[str]) -> None:
    if not text:
        msg = "is empty"
        raise InvalidName(msg)
    if len(text) > limit:
        msg = f"is longer than {limit} characters"
        raise InvalidName(msg)
    if not alphabet.issuperset(text):
        position = next(i for i, letter in enumerate(text) if letter not in alphabet)
        msg = f"holds a character that names do not have, at position {position + 1}"
        raise InvalidName(msg)


def _check_name(name: str, kinds: frozenset[str], alphabet: frozenset[str]) -> None:
    _check_text(name, MAX_NAME, alphabet)
    if "//" in name or name[0] == "/" or name[-1] == "/":
        msg = "has an empty segment"
        raise InvalidName(msg)
    if "./" in name or name[-1] == ".":
        msg = "has a segment that ends with a dot"
        raise InvalidName(msg)
    if ":" in name:
        kind, _, rest = name.partition(":")
        if kind not in kinds:
            msg = f"has a kind that is none of {', '.join(sorted(kinds))}"
            raise InvalidName(msg)
        if not rest:
            msg = "has nothing after its kind"
            raise InvalidName(msg)
