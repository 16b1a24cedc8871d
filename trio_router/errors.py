"""Every exception the router raises on purpose.

Who is at fault is in the class. ``LocalProtocolError`` is a bug of ours, ``RemoteProtocolError`` is the
peer's bytes, ``Refused`` is a well-formed request that was not granted, ``ConfigError`` and ``RuleError``
are a file's author, ``TokenInvalid`` is a credential, ``StorageUnavailable`` is the world.

The rule that keeps this honest: only ``Refused`` and ``RemoteProtocolError`` may reach a client, and what
is sent is their code with its fixed text and their ``detail``, never ``str(exc)``. A ``detail`` is written
by us for the client's eyes: it names a field or a limit and never holds a secret, a path or a rule's source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs


class RouterError(Exception):
    """Base of all errors the router raises on purpose."""


class LocalProtocolError(RouterError):
    """We asked a state machine for something its state does not allow: a bug on our side."""


class RemoteProtocolError(RouterError):
    """The peer sent something that is not a valid message in this state.

    ``code`` is a number of :mod:`trio_router.protocols.codes`; ``detail`` names what is wrong and where
    (for example ``"channel: expected a string"``); ``request_id`` is the id of the faulty request if it
    could be read, so that the peer can match the error to it.
    """

    def __init__(self, code: int, detail: str = "", *, request_id: str | None = None) -> None:
        super().__init__(code, detail)
        self.code = int(code)
        self.detail = detail
        self.request_id = request_id


class Refused(RouterError):
    """A well-formed request was not granted.

    ``code`` is a number of :mod:`trio_router.protocols.codes`, which also knows whether trying again helps. ``decision``
    is the id under which an administrator finds why ("" if it was no decision of the rules). ``retry_after``: seconds after
    which the same may be granted, where that is known.
    """

    def __init__(self, code: int, detail: str = "", *, decision: str = "", retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.code = int(code)
        self.detail = detail
        self.decision = decision
        self.retry_after = retry_after


class RecordsNeeded(RouterError):
    """A request cannot be decided before the records ``names`` are loaded; nothing has been done for it yet.

    Who cannot load them raises what ``given_up`` makes: called once, for it counts as the decision on the request.
    """

    def __init__(self, names: Sequence[str], given_up: Callable[[], Refused]) -> None:
        super().__init__("records are not loaded")
        self.names = tuple(names)
        self.given_up = given_up


@attrs.frozen
class Problem:
    """One thing wrong in one file. ``line`` and ``column`` count from 1; 0 means "the file as a whole"."""

    message: str
    source: str = ""
    line: int = 0
    column: int = 0
    field: str = ""

    def __str__(self) -> str:
        place = self.source
        if self.line:
            place += f":{self.line}:{self.column}" if self.column else f":{self.line}"
        parts = [part for part in (place, self.field, self.message) if part]
        return ": ".join(parts)


class ProblemsError(RouterError):
    """A file was refused whole; ``problems`` names every fault found, in file order."""

    def __init__(self, problems: Sequence[Problem] | Problem) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(ProblemsError):
    """The configuration (or a file it names) is refused; nothing of it is in force."""


class RuleError(ProblemsError):
    """A rules file is refused; the rules in force stay as they are."""


class TokenInvalid(RouterError):
    """A token was presented and is not valid. ``reason`` is a fixed slug, e.g. ``"signature"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StorageUnavailable(RouterError):
    """The store did not answer. Nobody is let in because of it."""
