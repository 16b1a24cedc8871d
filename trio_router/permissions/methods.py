"""Which methods expressions may call: the list of Valve, with how many arguments each takes.

The closed list that the grammar checks calls against. What they do is in ``values``.
"""

from __future__ import annotations

from typing import Final

METHODS: Final = {
    "startsWith": 1,
    "endsWith": 1,
    "includes": 1,
    "indexOf": 1,
    "toUpperCase": 0,
    "toLowerCase": 0,
    "trim": 0,
}
