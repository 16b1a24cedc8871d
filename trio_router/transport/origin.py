"""Which browser pages may open a WebSocket here (T01).

A browser sends the page's origin along with every upgrade request, in lower case and punycode, and no script can change
it. It is compared as it is with an exact list: no prefix, no suffix, no parsing, so nothing can be made to look alike.
The rule that keeps it honest: no header, one that is repeated, or ``null`` is never taken for an allowed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ANY = "*"


class OriginPolicy:
    """The configured origins (``scheme://host[:port]``). ``"*"`` among them allows every page, which is unsafe."""

    def __init__(self, origins: Iterable[str] = (), *, require: bool = False) -> None:
        self._origins = frozenset(origins)
        self._require = require

    @property
    def everybody(self) -> bool:
        """Whether every page is allowed."""
        return ANY in self._origins

    def allows(self, values: Sequence[str]) -> bool:
        """Whether a request with these Origin headers may connect. Without any it is not a browser's."""
        if not values:
            return not self._require
        if len(values) > 1:
            return False
        return ANY in self._origins or values[0] in self._origins
