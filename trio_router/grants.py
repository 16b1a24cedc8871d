"""What an app key may do at most: vocabulary, so that whoever stores a key and whoever judges by it mean the same.

Grants only ever take away. No rule and no token can give what a key's grants do not have. It must not know who stores
them; the rule that keeps it honest: a grant nobody names in a key is what the defaults here say, in every place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import attrs


@attrs.frozen
class Grants:
    """What a key may do at most, whatever rules and tokens say; the upper bound of everything done with it."""

    publish: bool = True  # to public channels
    subscribe: bool = True
    rpc: bool = True  # provide and call
    presence: bool = True
    issue: bool = True  # access tokens, over REST

    @classmethod
    def only(cls, names: Iterable[str]) -> Self:
        """The grants in ``names`` and no other. Raises ``ValueError`` with the first unknown name."""
        wanted = set(names)
        for name in sorted(wanted):
            if name not in GRANTS:
                raise ValueError(name)
        return cls(**{name: name in wanted for name in GRANTS})

    def names(self) -> tuple[str, ...]:
        """What is granted, in a fixed order."""
        return tuple(name for name in GRANTS if getattr(self, name))


GRANTS: Final = tuple(field.name for field in attrs.fields(Grants))
"""The names of all grants."""
