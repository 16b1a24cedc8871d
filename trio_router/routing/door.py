"""The one place where a session is let through: every action on every name asks here, exactly once (T35).

The door knows names and the rules in force, nothing about sessions, channels or transports. It refuses what
is not canonical (T25), names of a kind that no trust-token opened (T26) and what the session's app key does not grant before any rule
is asked, so no rules file can open them. Rules are immutable and swapped whole: a decision is made by the old ones or the new ones.

Only a decision that says so allows, and the client learns a code, the decision's id, and at most a text: about its own
spelling of the name, or the one that the rule has for it (``reason:``). What a rule says, or where it stands, is for
administrators, who find it by the id.
"""

from __future__ import annotations

import functools
from typing import Final

from trio_router.errors import Refused
from trio_router.identity import Identity
from trio_router.metrics import Metrics, Tally
from trio_router.names import (
    MAX_NAME,
    REMEMBERED,
    ROUTER_PROCEDURES,
    InvalidName,
    check_channel,
    check_procedure,
    check_user_id,
    kind_of,
)
from trio_router.patterns import Pattern, PatternError
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import BEFORE_RULES, Action, Decision, Reason, Ruleset
from trio_router.protocols import codes
from trio_router.remembered import ByName
from trio_router.routing.bounds import beyond_grants
from trio_router.routing.decisions import DecisionBook, Recorded, Undecided
from trio_router.routing.listen_patterns import InvalidPattern, ListenPattern
from trio_router.routing.scopes import permission_fault, scope_fault
from trio_router.routing.shadow import Shadow

_FIELDS: Final = {"event": "channel", "rpc": "procedure", "presence": "user", "record": "record"}
_CODES: Final = {
    Reason.RULE_FALSE: codes.DENIED,
    Reason.RULE_NOT_TRUE: codes.DENIED,
    Reason.NO_RULE: codes.DENIED,
    Reason.SCOPE: codes.DENIED,
    Reason.NOT_PROVABLE: codes.DENIED,
    Reason.RULE_ERROR: codes.RULE_FAILED,
    Reason.RECORDS_NEEDED: codes.RULE_FAILED,
    Reason.RESERVED: codes.RESERVED,
    Reason.TOKEN_NEEDED: codes.TOKEN_NEEDED,
    Reason.TOKEN_REFUSED: codes.TOKEN_REFUSED,
    Reason.NOT_OPEN: codes.NOT_OPEN,
    Reason.INVALID_NAME: codes.INVALID_NAME,
    Reason.KEY_GRANT: codes.KEY_GRANT,
}
_NOT_OF_RULES: Final = BEFORE_RULES | {Reason.RECORDS_NEEDED}
_SECTIONS: Final = {action: action.section for action in Action}
_RESERVED: Final = Decision(allowed=False, reason=Reason.RESERVED)
OURS: Final = Decision(allowed=False, reason=Reason.RESERVED, detail="a procedure of the router itself")
_TOKEN_NEEDED: Final = Decision(allowed=False, reason=Reason.TOKEN_NEEDED)


class Door:
    """Who may do what, by the rules in force. One door serves every entrance of an app."""

    def __init__(self, rules: Ruleset, metrics: Metrics | None = None, book: DecisionBook | None = None) -> None:
        self._rules = rules
        self._metrics = metrics
        self._book = book
        self._allowed_too = book is not None and book.allowed_too
        self._shadow: Shadow | None = None
        self._unwatched = not self._allowed_too  # nobody but the metrics wants to know what was allowed
        self._tallies: dict[Action, dict[Reason, Tally]] = {action: {} for action in Action}

    @property
    def rules(self) -> Ruleset:
        """The rules in force."""
        return self._rules

    def replace_rules(self, rules: Ruleset) -> None:
        """From now on ``rules`` decide. What already stands is decided again by ``Core.reconsider``."""
        self._rules = rules

    def replace_shadow(self, shadow: Shadow | None) -> None:
        """From now on ``shadow`` compares what its rules would say of each decision that rules make; None: nobody does."""
        self._shadow = shadow
        self._unwatched = shadow is None and not self._allowed_too

    def forget(self) -> None:
        """Let go of what the rules remember to be quicker; no decision changes."""
        self._rules.forget()
        if self._shadow is not None:
            self._shadow.rules.forget()

    def authorize(
        self,
        identity: Identity,
        action: Action,
        name: str,
        data: Payload = ABSENT,
        told: bool = True,
        trust: Decision = _TOKEN_NEEDED,
    ) -> Decision:
        """Whether ``identity`` may do ``action`` on exactly ``name``; ``data`` is what it sends along.

        ``name`` is a channel, a procedure, a record or a user's id, as the action's section wants it. ``told``: the
        identity learns of the decision. ``trust`` is the word on a name of a kind: allowed, if a trust-token has opened it to
        this session; it counts for nobody whom no app key let in. With a book, a denial comes back as ``Recorded``.
        """
        if len(name) > MAX_NAME:
            name = _shortened(name)
        fault = _SPELLINGS[action][name]
        if (
            fault is not None or identity.grants is not None or identity.scope is not None
        ):  # else nothing else bounds it
            fault = _bound(identity, action, name, trust, wildcards=False)
        decision = self._rules.decide(identity, action, name, data) if fault is None else fault
        reason = decision.reason
        tally = self._tallies[action].get(reason)
        if tally is None:
            tally = self._tally(action, reason)
        tally.count += 1
        if self._unwatched and decision.allowed:  # the busiest case of all
            return decision
        if reason is Reason.RECORDS_NEEDED:
            return self._undecided(identity, action, name, data, decision)
        if self._shadow is not None and fault is None:
            self._shadow.compare(identity, action, name, data, decision)
        if self._book is not None and (self._allowed_too or not decision.allowed):
            return self._book.record(self._rules, identity, action, name, data, decision, told=told)
        return decision

    def authorize_pattern(self, identity: Identity, action: Action, pattern: str) -> Decision:
        """Whether ``identity`` may do ``action`` on every name that ``pattern`` matches (T21)."""
        if len(pattern) > MAX_NAME:
            pattern = _shortened(pattern)
        fault = _bound(identity, action, pattern, _RESERVED, wildcards=True)
        decision = self._rules.decide_pattern(identity, action, pattern) if fault is None else fault
        if decision.reason is Reason.RECORDS_NEEDED:
            self._note(action, decision)
            return self._undecided(identity, action, pattern, ABSENT, decision, wildcard=True)
        return self.conclude(identity, action, pattern, decision, wildcard=True)

    def authorize_listen(self, identity: Identity, text: str, kind: str, *, told: bool = True) -> Decision:
        """Whether ``identity`` may listen with a pattern: rules are asked about its ``text``, as if that were a channel's name.

        A pattern that reaches names of a ``kind`` is for server programs. What it allows is to ask, not to learn: each channel
        that the session is told of is decided by :meth:`authorize` besides.
        """
        fault = _listen_bound(identity, text, kind)
        decision = self._rules.decide(identity, Action.EVENT_LISTEN, text) if fault is None else fault
        if decision.reason is Reason.RECORDS_NEEDED:
            self._note(Action.EVENT_LISTEN, decision)
            return self._undecided(identity, Action.EVENT_LISTEN, text, ABSENT, decision)
        return self.conclude(identity, Action.EVENT_LISTEN, text, decision, told=told)

    def conclude(
        self,
        identity: Identity,
        action: Action,
        name: str,
        decision: Decision,
        *,
        wildcard: bool = False,
        told: bool = True,
    ) -> Decision:
        """Count and record a decision without data that the rules in force made, perhaps before they were in force.

        With a book, a denial comes back as ``Recorded``. A decision for which records are missing is taken for the last word.
        """
        self._note(action, decision)
        if self._shadow is not None and decision.reason not in _NOT_OF_RULES:
            if wildcard:
                self._shadow.compare_pattern(identity, action, name, decision)
            else:
                self._shadow.compare(identity, action, name, ABSENT, decision)
        if self._book is not None and (self._allowed_too or not decision.allowed):
            return self._book.record(
                self._rules, identity, action, name, ABSENT, decision, wildcard=wildcard, told=told
            )
        return decision

    def _undecided(
        self,
        identity: Identity,
        action: Action,
        name: str,
        data: Payload,
        decision: Decision,
        *,
        wildcard: bool = False,
    ) -> Undecided:
        def given_up() -> Decision:
            if self._book is None:
                return decision
            return self._book.record(self._rules, identity, action, name, data, decision, wildcard=wildcard)

        return Undecided(
            decision.allowed,
            decision.reason,
            decision.rule,
            decision.detail,
            decision.reason_text,
            decision.records,
            given_up=given_up,
        )

    def _note(self, action: Action, decision: Decision) -> None:
        self._tally(action, decision.reason).count += 1

    def _tally(self, action: Action, reason: Reason) -> Tally:
        """Where such decisions are counted. A fixed set: the actions and the reasons."""
        known = self._tallies[action]
        if reason not in known:
            labels = f"{action.section}.{action.verb}", reason.value
            known[reason] = Tally() if self._metrics is None else self._metrics.decisions.labels(*labels)
        return known[reason]


def _bound(identity: Identity, action: Action, name: str, trust: Decision, *, wildcards: bool) -> Decision | None:
    """The first denial that comes before the rules, in the order of docs/reference/permissions-order.md; None: the rules decide."""
    fault = _fault(_SECTIONS[action], name, wildcards) if wildcards else _SPELLINGS[action][name]
    if fault is not None and (fault is not _RESERVED or not (identity.key or identity.is_server)):
        return fault
    bound = beyond_grants(identity, action, name)
    if bound is not None:
        return bound
    if fault is not None and not identity.is_server and not trust.allowed:  # the kind of the name is a bar (T26)
        return trust
    if identity.scope is not None:
        return scope_fault(identity.scope, action, name, wildcard=wildcards)
    return None


def _listen_bound(identity: Identity, text: str, kind: str) -> Decision | None:
    """As :func:`_bound`, for the text of a pattern to listen with. Restrictions of a scope are about the channels it is told of."""
    bound = beyond_grants(identity, Action.EVENT_LISTEN, text)
    if bound is not None:
        return bound
    if kind and not identity.is_server:
        return _RESERVED
    return permission_fault(identity.scope, Action.EVENT_LISTEN) if identity.scope is not None else None


def _shortened(name: str) -> str:
    """As much of a name as is too long: it is refused for that all the same, and what is remembered of it is bounded."""
    return str(name[: MAX_NAME + 1])


def refusal(action: Action, decision: Decision) -> Refused:
    """What the client is told about a decision that does not allow, or about none: it was given up with this.

    The detail of an invalid name is the door's own text about the spelling. Of a rule it is the text that the rule has for
    clients; what the rule says stays here.
    """
    if isinstance(decision, Undecided):
        decision = decision.given_up()
    code = _CODES.get(decision.reason, codes.DENIED)
    number = decision.id if isinstance(decision, Recorded) else ""
    if decision.reason is Reason.INVALID_NAME and decision.detail:
        return Refused(code, f"{_FIELDS[_SECTIONS[action]]}: {decision.detail}", decision=number)
    return Refused(code, decision.reason_text, decision=number)


def spelling_fault(action: Action, name: str, *, wildcards: bool) -> Decision | None:
    """The denial that ``name`` earns at the door, before any rule is asked; None if the rules decide.

    For listening ``name`` may also be the text of a pattern.
    """
    if action is Action.EVENT_LISTEN:
        try:
            return _RESERVED if ListenPattern.parse(name).kind else None
        except InvalidPattern as error:
            return Decision(allowed=False, reason=Reason.INVALID_NAME, detail=f"pattern: {error}")
    return _fault(_SECTIONS[action], name, wildcards)


def _fault(section: str, name: str, wildcards: bool = False) -> Decision | None:
    """The denial a name earns by its spelling, whatever the rules say; None if it is fit to be decided."""
    try:
        if section == "presence":
            if not (wildcards and name == "*"):  # everybody
                check_user_id(name)
            return None  # a user's id has no kind, it may hold a colon
        if section == "rpc":
            check_procedure(name)
            if name.startswith(ROUTER_PROCEDURES):
                return OURS
        else:
            check_channel(name, wildcards=wildcards)
        if wildcards:
            Pattern.parse(name)
    except (InvalidName, PatternError) as exc:
        return Decision(allowed=False, reason=Reason.INVALID_NAME, detail=str(exc))
    return _RESERVED if kind_of(name) else None


# Spelling depends on the name alone, so it is checked once for as many names as are in use.
_BY_SECTION: Final = {section: ByName(functools.partial(_fault, section), REMEMBERED) for section in _FIELDS}
_SPELLINGS: Final = {action: _BY_SECTION[action.section] for action in Action}
