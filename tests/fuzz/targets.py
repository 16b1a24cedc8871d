"""All targets, by name."""

from __future__ import annotations

from typing import Final

from tests.fuzz import configs, deepstream, frames, heads, native, rules, tokens
from tests.fuzz.target import Target

MODULES: Final = (native, deepstream, rules, heads, frames, tokens, configs)
TARGETS: Final[dict[str, Target]] = {target.name: target for module in MODULES for target in module.TARGETS}
