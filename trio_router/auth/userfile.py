"""The users file: YAML in, checked users out, or every fault of it with line and column.

It must not know the store; what to do with its users is :mod:`trio_router.auth.accounts`' business. The rule that keeps
it honest: a message never repeats a value, since the value may be a password in the wrong place (T62).

    ann:
      password_hash: $argon2id$v=19$m=19456,t=2,p=1$...
      data: {roles: [editor]}
      client_data: {theme: dark}
    bob: {password: correct horse battery staple, disabled: true}
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from trio_router import documents
from trio_router.auth.passwords import InvalidHash, InvalidPassword, check_hash, check_password
from trio_router.auth.userdata import InvalidData, check_client_data, check_data
from trio_router.documents import Node
from trio_router.errors import ConfigError, Problem
from trio_router.names import InvalidName, check_user_id
from trio_router.secret import Secret
from trio_router.storage.files import check_private

_FIELDS: Final = ("password_hash", "password", "data", "client_data", "disabled")
_FOREIGN: Final = {"serverData": "data", "clientData": "client_data", "hash": "password_hash"}


@attrs.frozen
class FileUser:
    """One user of a users file: exactly one of ``password_hash`` and ``password`` is there."""

    id: str
    password_hash: str | None = attrs.field(default=None, repr=False)
    password: Secret | None = None
    data: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    client_data: Any = attrs.field(default=None, repr=False)
    disabled: bool = False


def load(path: Path, *, readable: bool = False) -> tuple[FileUser, ...]:
    """The users of the file ``path``, which nobody else may read (with ``readable``: may write).

    Raises:
        ConfigError: others can reach the file (T70), it cannot be read, or its content is refused.
    """
    check_private(path, "the users file", readable=readable)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        problem = Problem(f"cannot be read: {error.strerror}", str(path))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem("is not UTF-8", str(path), line)
    else:
        return read(text, str(path))
    raise ConfigError(problem)


def read(text: str, source: str) -> tuple[FileUser, ...]:
    """The users in ``text``, in its order; ``source`` names the file in errors.

    Raises:
        ConfigError: the text is refused whole; every fault is named with its place.
    """
    try:
        root = documents.read(text, source)
    except documents.DocumentError as error:
        problems: list[Problem] = list(error.problems)
    else:
        reader = _Reader(source)
        users = reader.users(root)
        problems = reader.problems
        if not problems:
            return users
    raise ConfigError(problems)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self.problems: list[Problem] = []

    def users(self, root: Node) -> tuple[FileUser, ...]:
        if root.kind != "mapping":
            self._refuse(root, "", f"expected a mapping from user id to user, found {_a(root.kind)}")
            return ()
        return tuple(self._user(user_id, key, node) for user_id, key, node in root.entries())

    def _user(self, user_id: str, key: Node, node: Node) -> FileUser:
        before = len(self.problems)
        try:
            check_user_id(user_id)
        except InvalidName as error:
            self._refuse(key, "", f"the user id {error}")
            user_id = "?"
        if node.kind != "mapping":
            self._refuse(node, user_id, f"expected a mapping with password_hash or password, found {_a(node.kind)}")
            return FileUser(user_id)
        for name, name_node, _ in node.entries():
            if name not in _FIELDS:
                self._refuse(name_node, user_id, _unknown(name))
        password_hash = self._checked(node, user_id, "password_hash", _hash)
        password = self._checked(node, user_id, "password", _password)
        if "password_hash" in node.value and "password" in node.value:
            self._refuse(node.value["password"].key, user_id, "give password_hash or password, not both")
        elif "password_hash" not in node.value and "password" not in node.value and len(self.problems) == before:
            self._refuse(key, user_id, "password_hash or password is missing")
        return FileUser(
            user_id,
            password_hash,
            password,
            self._checked(node, user_id, "data", _data),
            self._checked(node, user_id, "client_data", _client_data),
            bool(self._checked(node, user_id, "disabled", _flag)),
        )

    def _checked(self, user: Node, user_id: str, name: str, check: Callable[[Node], Any]) -> Any:
        node = user.get(name)
        if node is None:
            return None
        try:
            return check(node)
        except (_Wrong, InvalidData, InvalidHash, InvalidPassword) as error:
            self._refuse(node, f"{user_id}.{name}", str(error))
        return None

    def _refuse(self, node: Node, field: str, message: str) -> None:
        self.problems.append(Problem(message, self._source, node.line, node.column, field))


class _Wrong(Exception):
    """A value has the wrong type."""


def _text(node: Node) -> str:
    if node.kind in ("number", "boolean", "null"):
        raise _Wrong(f"expected text, found {_a(node.kind)}: put it in quotes")
    if not isinstance(node.value, str):
        raise _Wrong(f"expected text, found {_a(node.kind)}")
    return node.value


def _hash(node: Node) -> str:
    text = _text(node)
    check_hash(text)
    return text


def _password(node: Node) -> Secret:
    password = Secret(_text(node))
    check_password(password)
    return password


def _data(node: Node) -> Any:
    if node.kind not in ("mapping", "null"):
        raise _Wrong(f"expected a mapping, found {_a(node.kind)}")
    data = node.plain()
    check_data(data)
    return data


def _client_data(node: Node) -> Any:
    client_data = node.plain()
    check_client_data(client_data)
    return client_data


def _flag(node: Node) -> Any:
    if node.kind != "boolean":
        raise _Wrong(f"expected true or false, found {_a(node.kind)}")
    return node.value


def _a(kind: str) -> str:
    return kind if kind in ("null", "text") else f"a {kind}"


def _unknown(name: str) -> str:
    shown = name if name.isprintable() and len(name) <= 40 else "this"
    near = _FOREIGN.get(name) or next(iter(difflib.get_close_matches(name, _FIELDS, 1)), None)
    hint = f"did you mean {near}?" if near else f"a user has {', '.join(_FIELDS)}"
    return f"there is no field {shown}; {hint}"
