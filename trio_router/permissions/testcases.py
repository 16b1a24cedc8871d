"""Text of a file of test cases in, questions with expected answers out, or every problem the file has.

Owns the shape of such a file: fixtures (``users``, ``records``, ``now``) and ``cases``. A case that lists several users
or names stands for all their combinations. It knows no rules: whether an answer is right is for ``testrun``.

The rule that keeps this honest: a word that is not understood is an error, so that no case passes because of a typing
mistake that made it test nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from trio_router import documents
from trio_router.documents import DocumentError, Node
from trio_router.errors import Problem, ProblemsError
from trio_router.identity import Identity, User
from trio_router.names import InvalidName, check_user_id
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.grammar import closest
from trio_router.permissions.syntax import UNDEFINED

DEFAULT_NOW: Final = 1_700_000_000_000  # a time that stands still, so that a run today and one next year agree
MAX_CASES: Final = 100_000

FILE_KEYS: Final = ("rules", "now", "users", "records", "cases")
USER_KEYS: Final = ("id", "data", "authenticated")
SESSION_KEYS: Final = ("id", "remote_address", "strategy", "app")
CASE_KEYS: Final = (
    "title", "allow", "deny", "name", "names", "user", "users", "data", "old_data", "session", "records", "now", "rule",
    "reason", "told",
)  # fmt: skip

_ACTIONS: Final = {f"{action.section}.{action.verb}": action for action in Action}
_DENIALS: Final = {reason.value: reason for reason in Reason if reason is not Reason.ALLOWED}
_ALLOWED: Final = {Reason.ALLOWED.value: Reason.ALLOWED}
_RECORD_WITH_OLD: Final = frozenset({Action.RECORD_READ, Action.RECORD_WRITE, Action.RECORD_DELETE})


class CasesError(ProblemsError):
    """A file of test cases is refused; none of it was run."""


@attrs.frozen
class Case:
    """One question with the answer that is right.

    ``now`` is milliseconds since the epoch, ``old_data`` what the record holds (None: there is none, UNDEFINED: the case
    says nothing), ``rule`` the pattern or the line that has to decide, ``told`` the text for those who are denied. ``line`` and ``column`` say where the case stands.
    """

    title: str
    source: str
    line: int
    column: int
    identity: Identity
    action: Action
    name: str
    allowed: bool
    data: Payload = ABSENT
    old_data: Any = UNDEFINED
    records: Mapping[str, Any] = attrs.field(factory=dict)
    now: int = DEFAULT_NOW
    rule: str | int | None = None
    reason: Reason | None = None
    told: str | None = None


@attrs.frozen
class CaseFile:
    """``rules`` is the path as the file spells it ("" if it names none), relative to the file's folder."""

    source: str
    rules: str
    cases: tuple[Case, ...]


def load_cases(text: str, source: str) -> CaseFile:
    """The cases that ``text`` spells; ``source`` names the file in errors and results.

    Raises:
        CasesError: the text is not a file of cases; holds every problem found, in file order.
    """
    try:
        root = documents.read(text, source)
    except DocumentError as error:
        raise CasesError(error.problems) from None
    reader = _Reader(source)
    made = reader.file(root)
    if reader.problems:
        raise CasesError(sorted(reader.problems, key=lambda problem: (problem.line, problem.column)))
    return made


@attrs.frozen
class _Fixtures:
    """``users`` holds None for those whose description is a problem."""

    now: int = DEFAULT_NOW
    users: Mapping[str, User | None] = attrs.field(factory=dict)
    records: Mapping[str, Any] = attrs.field(factory=dict)


class _Reader:
    def __init__(self, source: str) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._fixtures = _Fixtures()

    def file(self, root: Node) -> CaseFile:
        if not self._keys(root, FILE_KEYS, "the file"):
            return CaseFile(self._source, "", ())
        fixtures = _Fixtures(
            self._now(root.get("now"), DEFAULT_NOW), self._users(root.get("users")), self._records(root.get("records"))
        )
        self._fixtures = fixtures
        rules = root.get("rules")
        if rules is not None and (rules.kind != "text" or not rules.value):
            self._problem(rules, "expected the path of a rules file", "rules")
            rules = None
        cases = root.get("cases")
        if cases is None or not isinstance(cases.value, list) or not cases.value:
            self._problem(cases or root, "expected a list of cases", "cases")
            return CaseFile(self._source, "", ())
        made: list[Case] = []
        for number, node in enumerate(cases.value, 1):
            made.extend(self._cases(node, number))
            if len(made) > MAX_CASES:
                self._problem(node, f"the file stands for more than {MAX_CASES} cases", "cases")
                break
        return CaseFile(self._source, rules.value if rules else "", tuple(made))

    def _cases(self, node: Node, number: int) -> Iterable[Case]:
        """The case ``node``, once for each of its users and names."""
        field = f"case {number}"
        if not self._keys(node, CASE_KEYS, field):
            return ()
        action, allowed = self._expected(node, field)
        names = self._one_or_many(node, "name", "names", field)
        users = self._one_or_many(node, "user", "users", field)
        made = [self._user(user, field) for user in users]
        session = self._session(node.get("session"), field)
        title = node.get("title")
        if title is not None and title.kind != "text":
            self._problem(title, f"expected a text, not a {title.kind}", f"{field} title")
        for name in names:
            if name.kind != "text":
                self._problem(name, f"a name is a text, not a {name.kind}: put it in quotes", field)
        told = node.get("told")
        if told is not None and (told.kind != "text" or allowed):
            self._problem(told, "expected the text that those who are denied are told", f"{field} told")
        old_data = node.get("old_data")
        if old_data is not None and action is not None and action not in _RECORD_WITH_OLD:
            self._problem(old_data, f"there is no old data in {action.section}.{action.verb}", field)
        data = node.get("data")
        records = self._records(node.get("records"))
        now = self._now(node.get("now"), self._fixtures.now)
        rule, reason = self._rule(node.get("rule"), field), self._reason(node.get("reason"), allowed, field)
        if action is None:
            return ()
        return [
            Case(
                title.value if title else "",
                self._source,
                node.line,
                node.column,
                attrs.evolve(session, user=user),
                action,
                name.value,
                allowed,
                ABSENT if data is None else Payload(data.plain()),
                UNDEFINED if old_data is None else old_data.plain(),
                {**self._fixtures.records, **records},
                now,
                rule,
                reason,
                told.value if told else None,
            )
            for user in made
            if user is not None
            for name in names
        ]

    def _expected(self, node: Node, field: str) -> tuple[Action | None, bool]:
        asked = [(key, node.get(key)) for key in ("allow", "deny") if node.get(key) is not None]
        if len(asked) != 1:
            self._problem(node, "expected exactly one of allow and deny, with an action such as event.publish", field)
            return None, False
        key, value = asked[0]
        assert value is not None  # noqa: S101 - for the type checker
        if value.kind != "text":
            self._problem(value, f"expected an action such as event.publish, not a {value.kind}", f"{field} {key}")
            return None, key == "allow"
        action = _ACTIONS.get(value.value)
        if action is None:
            hint = closest(value.value, _ACTIONS) or "; expected for example event.publish"
            self._problem(value, f"unknown action {value.value!r}{hint}", f"{field} {key}")
        return action, key == "allow"

    def _one_or_many(self, node: Node, one: str, many: str, field: str) -> list[Node]:
        single, several = node.get(one), node.get(many)
        if (single is None) == (several is None):
            self._problem(node, f"expected exactly one of {one} and {many}", field)
            return []
        if single is not None:
            return [single]
        assert several is not None  # noqa: S101 - for the type checker
        if not isinstance(several.value, list) or not several.value:
            self._problem(several, "expected a list that is not empty", f"{field} {many}")
            return []
        return several.value

    def _users(self, node: Node | None) -> dict[str, User | None]:
        if node is None or not self._is_mapping(node, "users"):
            return {}
        return {name: self._inline_user(value, f"users {name}", name) for name, _, value in node.entries()}

    def _user(self, node: Node, field: str) -> User | None:
        if isinstance(node.value, dict):
            return self._inline_user(node, f"{field} user")
        if node.kind == "text" and node.value in self._fixtures.users:
            return self._fixtures.users[node.value]
        if node.kind != "text":
            self._problem(node, f"expected the name of a user or a mapping, not a {node.kind}", f"{field} user")
        else:
            hint = closest(node.value, self._fixtures.users) or "; write {id: ...} for one that has no name there"
            self._problem(node, f"no user {node.value!r} stands in users{hint}", f"{field} user")
        return None

    def _inline_user(self, node: Node, field: str, default_id: str = "") -> User | None:
        if node.value is None and default_id:
            node = Node({}, node.line, node.column)
        if node.value == {} and default_id:
            known = True
        else:
            known = self._keys(node, USER_KEYS, field)
        if not known:
            return None
        ident, data, authenticated = (node.get(key) for key in USER_KEYS)
        text = default_id if ident is None else ident.value
        if ident is None and not default_id:
            self._problem(node, "a user needs an id", field)
            return None
        try:
            if not isinstance(text, str):
                raise InvalidName("is a text: put it in quotes")
            check_user_id(text)
        except InvalidName as error:
            self._problem(ident or node, f"the id {error}", field)
            return None
        if data is not None and data.value is not None and not isinstance(data.value, dict):
            self._problem(data, f"expected a mapping, not a {data.kind}", f"{field} data")
            return None
        if authenticated is not None and not isinstance(authenticated.value, bool):
            self._problem(authenticated, f"expected true or false, not a {authenticated.kind}", field)
            return None
        return User(text, data.plain() if data else None, authenticated is None or authenticated.value)

    def _session(self, node: Node | None, field: str) -> Identity:
        values = {"id": "session", "remote_address": "127.0.0.1", "strategy": "users", "app": "default"}
        if node is not None and self._keys(node, SESSION_KEYS, f"{field} session"):
            for key, _, value in node.entries():
                if value.kind != "text":
                    self._problem(value, f"expected a text, not a {value.kind}", f"{field} session {key}")
                values[key] = value.value
        return Identity(values["app"], values["id"], User("nobody"), values["strategy"], values["remote_address"])

    def _records(self, node: Node | None) -> dict[str, Any]:
        if node is None or not self._is_mapping(node, "records"):
            return {}
        return {name: value.plain() for name, _, value in node.entries()}

    def _now(self, node: Node | None, default: int) -> int:
        """Milliseconds since the epoch."""
        if node is None:
            return default
        if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
            return node.value
        if isinstance(node.value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?Z?", node.value):
            try:
                return int(datetime.fromisoformat(node.value.rstrip("Z")).replace(tzinfo=UTC).timestamp() * 1000)
            except ValueError:
                pass
        self._problem(node, "expected milliseconds since 1970 or a time in UTC such as 2024-05-01T12:00:00Z", "now")
        return default

    def _rule(self, node: Node | None, field: str) -> str | int | None:
        if node is None:
            return None
        if node.kind == "text" or (isinstance(node.value, int) and not isinstance(node.value, bool)):
            return node.value  # type: ignore[no-any-return]
        self._problem(node, "expected the pattern or the line of the rule that decides", f"{field} rule")
        return None

    def _reason(self, node: Node | None, allowed: bool, field: str) -> Reason | None:
        known = _ALLOWED if allowed else _DENIALS
        expected = f"; expected one of {', '.join(known)}"
        if node is None:
            return None
        if node.kind != "text":
            self._problem(node, f"a reason is a text, not a {node.kind}{expected}", f"{field} reason")
            return None
        reason = known.get(node.value)
        if reason is None:
            hint = closest(node.value, known) or expected
            self._problem(node, f"unknown reason {node.value!r}{hint}", f"{field} reason")
        return reason

    def _keys(self, node: Node, known: Iterable[str], field: str) -> bool:
        """Whether ``node`` is a mapping; its unknown keys are problems."""
        if not self._is_mapping(node, field):
            return False
        for key, key_node, _ in node.entries():
            if key not in known:
                hint = closest(key, known) or f"; expected {', '.join(known)}"
                self._problem(key_node, f"unknown key {key!r}{hint}", field)
        return True

    def _is_mapping(self, node: Node, field: str) -> bool:
        if isinstance(node.value, dict) and node.value:
            return True
        what = "nothing stands here" if node.value in (None, {}) else f"here is a {node.kind}"
        self._problem(node, f"expected a mapping, but {what}", field)
        return False

    def _problem(self, node: Node, message: str, field: str) -> None:
        self.problems.append(Problem(message, self._source, node.line, node.column, field))
