"""Outcomes of test cases as JUnit XML, which build servers read.

Owns the form alone. One suite a file of cases; a case that fails has one ``failure`` with what is wrong and where the case and
the deciding rule stand. The rule that keeps it honest: characters that XML cannot hold never make the report unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from trio_router.permissions.decision import RuleRef
from trio_router.permissions.testrun import Outcome

_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def title(outcome: Outcome) -> str:
    """A name for the case, made of what it asks if it has none of its own."""
    case = outcome.case
    asked = f"{case.identity.user.id} {case.action.section}.{case.action.verb} {case.name}"
    return f"{case.title} ({asked})" if case.title else asked


def place(ref: RuleRef) -> str:
    """Where a rule stands, for people."""
    return f"{ref.source}:{ref.line}:{ref.column}"


def junit(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """The report of the ``outcomes`` of each file of cases."""
    flat = [outcome for group in outcomes.values() for outcome in group]
    root = ET.Element("testsuites", _counts(flat))
    for source, group in outcomes.items():
        suite = ET.SubElement(root, "testsuite", {"name": _clean(source), **_counts(group)})
        for outcome in group:
            case = outcome.case
            names = {"classname": _clean(source), "name": _clean(title(outcome)), "file": _clean(source)}
            made = ET.SubElement(suite, "testcase", {**names, "line": str(case.line), "time": "0"})
            if not outcome.passed:
                failure = ET.SubElement(made, "failure", {"message": _clean(outcome.fault), "type": "decision"})
                decided = outcome.decision.rule
                by = f"\ndecided by {place(decided)}" if decided else ""
                failure.text = _clean(f"{case.source}:{case.line}:{case.column}{by}")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    listed = list(outcomes)
    failed = sum(not outcome.passed for outcome in listed)
    return {"tests": str(len(listed)), "failures": str(failed), "errors": "0", "skipped": "0"}


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
