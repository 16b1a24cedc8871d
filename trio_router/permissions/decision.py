"""What is asked of the rules and what they answer.

The rule that keeps this honest: only a rule that came out as exactly ``true`` allows. Everything else, absent
rules included, is a denial with a reason of its own.
"""

from __future__ import annotations

import enum
from typing import Final, Protocol

import attrs

from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload


class Action(enum.Enum):
    """Everything a session can ask for: ``value`` is (section, action) as the rules file spells them."""

    EVENT_PUBLISH = ("event", "publish")
    EVENT_SUBSCRIBE = ("event", "subscribe")
    EVENT_LISTEN = ("event", "listen")
    RPC_PROVIDE = ("rpc", "provide")
    RPC_REQUEST = ("rpc", "request")
    PRESENCE_ALLOW = ("presence", "allow")
    RECORD_CREATE = ("record", "create")
    RECORD_READ = ("record", "read")
    RECORD_WRITE = ("record", "write")
    RECORD_DELETE = ("record", "delete")
    RECORD_LISTEN = ("record", "listen")
    RECORD_NOTIFY = ("record", "notify")

    __hash__ = object.__hash__  # members are single objects, and every decision looks one up

    @property
    def section(self) -> str:
        return self.value[0]

    @property
    def verb(self) -> str:
        return self.value[1]


class Reason(enum.Enum):
    """Why a decision came out as it did."""

    ALLOWED = "allowed"
    RULE_FALSE = "rule_false"  # the rule came out as false
    RULE_NOT_TRUE = "rule_not_true"  # the rule came out as something that is neither true nor false
    RULE_ERROR = "rule_error"  # the rule could not be evaluated
    RECORDS_NEEDED = "records_needed"  # the rule refers to records that are not at hand; load them and ask again
    NO_RULE = "no_rule"  # no pattern of the section matches and defines this action
    NOT_PROVABLE = "not_provable"  # a wildcard that reaches names the rules may not allow
    INVALID_NAME = "invalid_name"
    RESERVED = "reserved"  # a name of the router's own namespaces
    SCOPE = "scope"  # beyond the permissions or restrictions of the access token
    KEY_GRANT = "key_grant"  # the app key that opened the session does not grant it
    TOKEN_NEEDED = "token_needed"  # noqa: S105 - a name that is opened by a trust-token, and none was given
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - the trust-token does not hold for this use
    NOT_OPEN = "not_open"  # publishing to a channel that this session has not opened

    __hash__ = object.__hash__  # members are single objects, and every decision is counted by its own


BEFORE_RULES: Final = frozenset(Reason) - {
    Reason.ALLOWED,
    Reason.RULE_FALSE,
    Reason.RULE_NOT_TRUE,
    Reason.RULE_ERROR,
    Reason.RECORDS_NEEDED,
    Reason.NO_RULE,
    Reason.NOT_PROVABLE,
}
"""Reasons that are found before any rule is asked: what rules say does not come into it."""


@attrs.frozen
class RuleRef:
    """Where a rule stands: ``pattern`` and ``action`` name it, ``line`` and ``column`` count from 1."""

    source: str
    line: int
    column: int
    pattern: str
    action: str


@attrs.frozen
class Decision:
    """The answer to one question. ``detail`` is for administrators; a client is told the code and ``reason_text``.

    ``reason_text`` is what the rule's author wrote for those it denies. ``records``: the names of records without
    which there is no answer, when ``reason`` is ``RECORDS_NEEDED``.
    """

    allowed: bool
    reason: Reason
    rule: RuleRef | None = None
    detail: str = ""
    reason_text: str = ""
    records: tuple[str, ...] = ()


class Ruleset(Protocol):
    """Compiled rules: immutable, swapped whole."""

    @property
    def version(self) -> str:
        """Identifies the text these rules were made from."""

    def forget(self) -> None:
        """Let go of what is remembered of questions to be quicker; no decision changes."""

    def decide(
        self, who: Identity, action: Action, name: str, data: Payload = ABSENT, old: Payload = ABSENT
    ) -> Decision:
        """Whether ``who`` may do ``action`` on exactly ``name``. Total: never raises.

        ``data`` is what it sends along, for a write the record as it would be. ``old`` is the record as it is, null if
        there is none; absent: the rules look it up themselves.
        """

    def decide_pattern(self, who: Identity, action: Action, pattern: str) -> Decision:
        """Whether ``who`` may do ``action`` on *every* name that the wildcard ``pattern`` matches (T21). Never raises."""
