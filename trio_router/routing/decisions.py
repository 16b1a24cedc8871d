"""The recent decisions, by id, so that an administrator can look up what a client was told no to.

What is kept is what was asked and answered: identity, action, name, the data as bounded JSON text, and which rules decided. The
trace of a decision is made from that when somebody asks for it, never before, so a decision costs an id and one entry.
Decisions that nobody is told of (who may be seen in presence) go to the decision log alone.

The rule that keeps this honest: memory is bounded in entries and in bytes, whatever clients send; nothing in here
changes a decision, and an entry can be lost but never wrong.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Literal

import attrs
import msgspec

from trio_router.clock import Clock
from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Ruleset
from trio_router.protocols import strictjson

ID_BYTES: Final = 9  # 72 random bits in twelve URL-safe characters: an id is found by asking, never by guessing
KEPT_RULESETS: Final = 4  # of older rules only that many (of each app) are held for traces
MAX_DATA: Final = 64 * 1024  # bytes of JSON; larger data is not kept
LEAST_SHARE: Final = 16
"""Entries any session may have; of a large book a quarter, so that one noisy client cannot push out everybody else's."""

ENTRY_SIZE: Final = 1024  # bytes counted for an entry besides its data and its user's
_UNKNOWN_SIZE: Final = 64 * 1024

DataState = Literal["absent", "kept", "too_large", "unreadable"]


@attrs.frozen
class Recorded(Decision):
    """A decision with the id under which it can be looked up."""

    id: str = ""


@attrs.frozen
class Undecided(Decision):
    """No decision yet, for records are missing. ``given_up`` makes it one, with an id, for who cannot have them."""

    given_up: Callable[[], Decision] = attrs.field(kw_only=True, eq=False, repr=False)


@attrs.frozen
class Entry:
    """One decision that was made. ``time`` is seconds since the epoch; ``data`` is JSON text, there if it was kept."""

    id: str
    time: float
    identity: Identity
    action: Action
    name: str
    wildcard: bool
    decision: Decision
    rules_version: str
    data: bytes = attrs.field(default=b"", repr=False)
    data_state: DataState = "absent"

    def payload(self) -> Payload:
        """The data as a rule saw it; absent if it was not kept."""
        if self.data_state != "kept":
            return ABSENT
        return Payload(_decode(self.data), self.data)


Sink = Callable[[Entry], None]
"""Takes every decision, at once and without raising; for the decision log."""


class DecisionBook:
    """The last ``keep`` refused decisions in at most ``memory`` bytes; and as many allowed ones with ``allowed_too``."""

    def __init__(
        self,
        clock: Clock,
        *,
        keep: int,
        memory: int,
        allowed_too: bool = False,
        sink: Sink | None = None,
        apps: int = 1,
    ) -> None:
        self.allowed_too = allowed_too
        self._clock = clock
        self._sink = sink
        self._shelves = {False: _Shelf(keep, memory), True: _Shelf(keep, memory)}
        self._rulesets: OrderedDict[str, Ruleset] = OrderedDict()
        self._kept_rulesets = KEPT_RULESETS * apps

    def record(
        self,
        rules: Ruleset,
        identity: Identity,
        action: Action,
        name: str,
        data: Payload,
        decision: Decision,
        *,
        wildcard: bool = False,
        told: bool = True,
    ) -> Decision:
        """The decision with its id. ``told``: somebody learns of it, and may ask for the reason."""
        number = secrets.token_urlsafe(ID_BYTES)
        kept, state = _snapshot(data) if told else (b"", "absent")
        entry = Entry(
            number, self._clock.wall(), identity, action, name, wildcard, decision, rules.version, kept, state
        )
        if told:
            self._remember_rules(rules)
            self._shelves[decision.allowed].put(entry)
        if self._sink is not None:
            self._sink(entry)
        return Recorded(
            decision.allowed,
            decision.reason,
            decision.rule,
            decision.detail,
            decision.reason_text,
            decision.records,
            number,
        )

    def find(self, number: str) -> Entry | None:
        """The decision with this id, if it is still here."""
        return self._shelves[False].entries.get(number) or self._shelves[True].entries.get(number)

    def recent(self, limit: int, *, denied: bool | None = None) -> list[Entry]:
        """At most ``limit`` decisions, the newest first; all of them, or only those that were denied (or not)."""
        shelves = [shelf for allowed, shelf in self._shelves.items() if denied is None or denied is not allowed]
        entries = [entry for shelf in shelves for entry in list(reversed(shelf.entries.values()))[:limit]]
        entries.sort(key=lambda entry: entry.time, reverse=True)
        return entries[:limit]

    def rules_of(self, entry: Entry) -> Ruleset | None:
        """The rules that decided, unless they have been replaced too often since."""
        return self._rulesets.get(entry.rules_version)

    def _remember_rules(self, rules: Ruleset) -> None:
        version = rules.version
        if self._rulesets.get(version) is not rules:
            self._rulesets[version] = rules
            self._rulesets.move_to_end(version)
            if len(self._rulesets) > self._kept_rulesets:
                self._rulesets.popitem(last=False)


class _Shelf:
    def __init__(self, keep: int, memory: int) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self._keep = keep
        self._share = max(LEAST_SHARE, keep // 4)
        self._memory = memory
        self._sizes: dict[str, int] = {}
        self._used = 0
        self._of_session: dict[str, deque[str]] = {}

    def put(self, entry: Entry) -> None:
        size = ENTRY_SIZE + len(entry.data) + _size(entry.identity)
        self.entries[entry.id] = entry
        self._sizes[entry.id] = size
        self._used += size
        own = self._of_session.setdefault(entry.identity.session_id, deque())
        own.append(entry.id)
        if len(own) > self._share:
            self._forget(own[0])
        while self.entries and (len(self.entries) > self._keep or self._used > self._memory):
            self._forget(next(iter(self.entries)))

    def _forget(self, number: str) -> None:
        """Drop the oldest entry, of all or of one session: either way it is the oldest of its session."""
        entry = self.entries.pop(number)
        self._used -= self._sizes.pop(number)
        own = self._of_session[entry.identity.session_id]
        own.popleft()
        if not own:
            del self._of_session[entry.identity.session_id]


def _snapshot(data: Payload) -> tuple[bytes, DataState]:
    if data is ABSENT:
        return b"", "absent"
    try:
        text = data.json
    except (TypeError, ValueError, OverflowError, RecursionError):  # data of our own making that is no JSON
        return b"", "unreadable"
    return (text, "kept") if len(text) <= MAX_DATA else (b"", "too_large")


def _size(identity: Identity) -> int:
    """What the identity of an entry counts: its user's data may be all that still holds it."""
    if identity.user.data is None:
        return 0
    try:
        return len(msgspec.json.encode(identity.user.data))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return _UNKNOWN_SIZE


def _decode(text: bytes) -> object:
    return strictjson.decode(text, depth=len(text))
