"""Plain values into attrs classes, strictly, with every fault named where it stands.

cattrs does the structuring; this module makes it strict (a number is not text, a text is not a list of letters,
an unknown key is an error) and turns its nested errors into flat :class:`Problem`s with a field path. It knows
no section of the config. No message repeats a value that a reference brought in (T62).
"""

from __future__ import annotations

import difflib
import enum
import re
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import ClassValidationError, Converter, IterableValidationError
from cattrs.cols import (
    is_any_set,
    is_mapping,
    is_mutable_sequence,
    is_sequence,
    list_structure_factory,
    mapping_structure_factory,
)
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from trio_router.config.references import Expanded, FieldPath
from trio_router.secret import Secret

T = TypeVar("T")

Check = Callable[[Any], None]
"""Looks at a structured value; raises ``ValueError`` with a text for the file's author."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}\Z")
_NUMBER: Final = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})\Z")
_BOOLEANS: Final = {"true": True, "false": False}
_NO_SECRET: Final = "sqlite:"  # noqa: S105 - the URL of a local file holds no password
_NAMES: Final = {dict: "a mapping", list: "a list", bool: "a boolean", int: "a number", float: "a number"}


class Mismatch(ValueError):
    """A value does not fit. ``path`` leads from the value at hand to the one at fault."""

    def __init__(self, message: str, path: FieldPath = (), *, at_key: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.at_key = at_key


@attrs.frozen
class Fault:
    """One thing wrong. ``at_key``: it is the key at the end of ``path``, not its value, that is wrong."""

    path: FieldPath
    message: str
    at_key: bool = False


class StructureFailed(Exception):
    """The value does not fit the class; ``faults`` are all the reasons."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


class Structurer:
    """Structures values for one file.

    Args:
        base: the folder that relative paths count from.
        omit: fields of a class that are not keys of the file.
        checks: further checks of fields, by class and field name; attrs validators run in any case.
    """

    def __init__(
        self,
        base: Path,
        *,
        omit: Mapping[type, frozenset[str]] | None = None,
        checks: Mapping[type, Mapping[str, Check]] | None = None,
    ) -> None:
        self._base = base
        self._omit = omit or {}
        self._checks = checks or {}
        self.converter = Converter(detailed_validation=True, forbid_extra_keys=True)
        self.inline_secrets = 0
        """How many secrets stood in the file itself instead of behind a reference."""
        self._register()

    def structure(self, value: Any, kind: type[T]) -> T:
        """``value`` as a ``kind``. Raises ``StructureFailed``."""
        try:
            return self.converter.structure(value, kind)
        except Exception as error:  # noqa: BLE001 - cattrs wraps whatever a hook, validator or __init__ raised
            raise StructureFailed(list(self._faults(error, value, ()))) from None

    def _register(self) -> None:
        converter = self.converter
        for kind, hook in ((str, _text), (bool, _boolean), (int, _integer), (float, _number)):
            converter.register_structure_hook(kind, hook)
        converter.register_structure_hook(Secret, self._secret)
        converter.register_structure_hook(Path, lambda value, _: self._base / _path(value))
        converter.register_structure_hook_func(
            lambda kind: kind is Any or kind is object, lambda value, _: plain(value)
        )
        converter.register_structure_hook_func(_is_literal, _literal)
        converter.register_structure_hook(enum.Enum, _enum)  # of the class: some cattrs have one of their own there
        converter.register_structure_hook_factory(is_sequence, self._sequence)
        converter.register_structure_hook_factory(is_any_set, self._sequence)
        converter.register_structure_hook_factory(is_mapping, self._mapping)
        converter.register_structure_hook_factory(_is_choice, self._choice)
        converter.register_structure_hook_factory(attrs.has, self._class)

    def _secret(self, value: Any, kind: Any) -> Secret:
        text = _text(value, kind)
        if not isinstance(value, Expanded) and not text.startswith(_NO_SECRET):
            self.inline_secrets += 1
        return Secret(text)

    def _sequence(self, kind: Any) -> Any:
        element: Any = (get_args(kind) or (Any,))[0]
        finish: Callable[[Any], Any] = list
        if is_any_set(kind):
            finish = set if get_origin(kind) is set else frozenset
        elif not is_mutable_sequence(kind):
            finish = tuple
        build = list_structure_factory(list[element], self.converter)
        return lambda value, _: finish(build(_must_be(value, list, "a list"), kind))

    def _mapping(self, kind: Any) -> Any:
        element: Any = (get_args(kind) or (str, Any))[1]
        build = mapping_structure_factory(dict[str, element], self.converter)
        return lambda value, _: build(_must_be(value, dict, "a mapping"), kind)

    def _choice(self, kind: Any) -> Any:
        members = [member for member in get_args(kind) if member is not type(None)]
        optional = len(members) < len(get_args(kind))

        def hook(value: Any, _: Any) -> Any:
            if value is None and optional:
                return None
            if len(members) == 1:
                return self.converter.structure(value, members[0])
            errors = []
            for member in members:
                try:
                    return self.converter.structure(value, member)
                except Exception as error:  # noqa: BLE001 - see structure()
                    errors.append(error)
            deep = [error for error in errors if not isinstance(error, Mismatch)]
            if len(deep) == 1:  # the shape fits one member only: its faults are the telling ones
                raise deep[0]
            names = " or ".join(str(getattr(member, "__name__", member)) for member in members)
            raise Mismatch(f"fits none of {names}, got {describe(value)}")

        return hook

    def _class(self, kind: type) -> Any:
        omitted = self._omit.get(kind, frozenset())
        checks = self._checks.get(kind, {})
        overrides: Any = {}
        for field in attrs.fields(kind):
            if field.name in omitted or not field.init:
                overrides[field.name] = override(omit=True)
            elif field.validator or field.name in checks:
                overrides[field.name] = override(struct_hook=self._checked(field, checks.get(field.name)))
        build: Any = make_dict_structure_fn(kind, self.converter, _cattrs_forbid_extra_keys=True, **overrides)
        return lambda value, _: build(_must_be(value, dict, "a mapping"), kind)

    def _checked(self, field: attrs.Attribute[Any], check: Check | None) -> Callable[[Any, Any], Any]:
        def hook(value: Any, kind: Any) -> Any:
            result = self.converter.structure(value, kind)
            try:
                if field.validator:
                    field.validator(None, field, result)
                if check:
                    check(result)
            except (ValueError, TypeError) as error:
                message = str(error.args[0]) if error.args else "is not valid"
                raise Mismatch(redact(message, value)) from None
            except AttributeError:
                return result  # the validator looks at other fields too: it runs when the object is made
            return result

        return hook

    def _faults(self, error: BaseException, value: Any, path: FieldPath) -> Iterable[Fault]:
        """The leaves of cattrs' tree of errors, with the way to each."""
        if isinstance(error, ClassValidationError | IterableValidationError):
            located, others = error.group_exceptions()
            for inner, note in located:
                step = note.name if hasattr(note, "name") else note.index
                yield from self._faults(inner, _step(value, step), (*path, step))
            for inner in others:
                yield from self._faults(inner, value, path)
        elif isinstance(error, ForbiddenExtraKeysError):
            known = {field.name for field in attrs.fields(error.cl)} - self._omit.get(error.cl, frozenset())
            for key in error.extra_fields:
                yield Fault((*path, key), f"unknown key {key!r}{suggestion(key, known)}", at_key=True)
        elif isinstance(error, StructureFailed):
            for fault in error.faults:
                yield attrs.evolve(fault, path=path + fault.path)
        elif isinstance(error, Mismatch):
            yield Fault(path + error.path, error.message, at_key=error.at_key)
        elif isinstance(error, KeyError) and value is _MISSING:
            yield Fault(path[:-1], f"the key {path[-1]!r} is missing")
        elif isinstance(error, ValueError | TypeError) and error.args and isinstance(error.args[0], str):
            yield Fault(path, redact(error.args[0], value))
        else:
            yield Fault(path, "is not valid")


def plain(value: Any) -> Any:
    """``value`` with texts of references as ordinary texts."""
    if isinstance(value, Expanded):
        return str.__str__(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def redact(message: str, value: Any) -> str:
    """``message`` without any text that a reference brought into ``value``, the longest first (T62)."""
    for text in sorted(set(_expanded(value)), key=len, reverse=True):
        message = message.replace(text, "<expanded>")
    return message


def _expanded(value: Any) -> Iterable[str]:
    if isinstance(value, Expanded) and value:
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _expanded(part)


def describe(value: Any) -> str:
    """What kind of thing ``value`` is; never the value itself."""
    if isinstance(value, str):
        return "text"
    return "null" if value is None else _NAMES.get(type(value), "something else")


def suggestion(key: str, known: Iterable[str]) -> str:
    """``; did you mean 'port'?``, or an empty text."""
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _must_be(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise Mismatch(f"expected {name}, got {describe(value)}")
    return value


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        hint = ": put it in quotes" if isinstance(value, bool | int | float) else ""
        raise Mismatch(f"expected text, got {describe(value)}{hint}")
    return str.__str__(value)


def _path(value: Any) -> Path:
    text = _text(value, Path)
    if not text or "\0" in text:
        raise Mismatch("expected the path of a file")
    return Path(text)


def _boolean(value: Any, _: Any) -> bool:
    if isinstance(value, Expanded) and value in _BOOLEANS:
        return _BOOLEANS[value]
    if not isinstance(value, bool):
        raise Mismatch(f"expected true or false, got {describe(value)}")
    return value


def _integer(value: Any, _: Any) -> int:
    if isinstance(value, Expanded) and _INTEGER.match(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        got = "a fraction" if isinstance(value, float) else describe(value)
        raise Mismatch(f"expected a whole number, got {got}")
    return value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, Expanded) and _NUMBER.match(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch(f"expected a number, got {describe(value)}")
    try:
        return float(value)
    except OverflowError:
        raise Mismatch("the number is out of range") from None


def _literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    for choice in choices:
        if type(choice) is type(plain(value)) and choice == value:
            return choice
    raise Mismatch(f"expected one of {', '.join(map(str, choices))}{_got(value, choices)}")


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _enum(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if member.value == value and not isinstance(value, bool):
            return member
    choices = [member.value for member in kind]
    raise Mismatch(f"expected one of {', '.join(map(str, choices))}{_got(value, choices)}")


def _got(value: Any, choices: Iterable[Any]) -> str:
    if isinstance(value, str) and not isinstance(value, Expanded):
        return suggestion(value, [choice for choice in choices if isinstance(choice, str)])
    return f", got {describe(value)}" if not isinstance(value, str) else ""


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) in {Union, types.UnionType}


_MISSING: Final = object()


def _step(value: Any, step: str | int) -> Any:
    try:
        return value[step]
    except (KeyError, IndexError, TypeError):
        return _MISSING
