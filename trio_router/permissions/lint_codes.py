"""What the linter can find: every code with its severity and what to do about it, and the form of a finding.

The page docs/reference/rules-lint.md says the same at length. The rule that keeps this honest: a ``warning`` is a rule that does
something other than it seems to say; what may well be meant is a ``hint``, and never fails a build.
"""

from __future__ import annotations

from typing import Final

import attrs

WARNING: Final = "warning"
HINT: Final = "hint"


@attrs.frozen
class Code:
    """``fix`` says what to do, in one sentence."""

    severity: str
    summary: str
    fix: str


CODES: Final = {
    "R101": Code(WARNING, "no name ever gets to this rule", "remove one of the two rules"),
    "R201": Code(WARNING, "the rule is always true", "write true if that is meant"),
    "R202": Code(WARNING, "the rule is never true", "write false if that is meant"),
    "R203": Code(WARNING, "a part is always true or always false", "leave the part out"),
    "R204": Code(WARNING, "values of different types are never equal", "compare values of one type"),
    "R205": Code(WARNING, "typeof never gives this text", "compare with one of the texts typeof gives"),
    "R206": Code(WARNING, "the name or variable is never this text", "compare with a text the pattern matches"),
    "R207": Code(WARNING, "both sides are the same", "compare with something else"),
    "R301": Code(WARNING, "a result that is not true or false never allows", "end with a comparison"),
    "R302": Code(WARNING, "a result may be neither true nor false", "compare it with ==="),
    "R303": Code(
        HINT, "a failure here keeps the other side from being asked", "write ?. where something may be missing"
    ),
    "R304": Code(HINT, "== and != convert their sides before they compare", "write === or !=="),
    "R401": Code(HINT, "no rule of the pattern reads the variable", "nothing, if it only stands for one segment"),
    "R402": Code(HINT, "the variable is named like a value", "give the variable another name"),
    "R403": Code(WARNING, "a variable in quotes is a text", "take it out of the quotes"),
    "R404": Code(WARNING, "a variable's name ends before an underscore", "use letters and digits alone, as in $bC"),
    "R501": Code(HINT, "the rule cannot be proved for a wildcard", "do not read what differs from name to name"),
    "R502": Code(HINT, "a wildcard that is this pattern is always denied", "nothing, if only single names are meant"),
}


@attrs.frozen(order=True)
class Finding:
    """One thing found. ``text`` says what, of these rules; ``rule`` names the rule or pattern."""

    line: int
    column: int
    code: str
    rule: str
    text: str

    @property
    def severity(self) -> str:
        """``warning`` or ``hint``."""
        return CODES[self.code].severity

    def __str__(self) -> str:
        return f"{self.code} {self.severity}: {self.rule}: {self.text}; {CODES[self.code].fix}"
