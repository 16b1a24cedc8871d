"""What a decision leaves in the decision log: who asked for what, what was said, and which rule said it.

The rule that keeps this honest: no data, nothing the login told about the user, no text of a rule or of an error; and what the
configuration hides is hidden here too (T62).
"""

from __future__ import annotations

from typing import Any

from trio_router.audit.writer import timestamp
from trio_router.permissions.redaction import Redaction
from trio_router.routing.decisions import Entry
from trio_router.routing.tracing import summary


def decision_entry(entry: Entry, redaction: Redaction) -> dict[str, Any]:
    """The fields of the line for ``entry``."""
    return {"kind": "decision", "time": timestamp(entry.time), "id": entry.id, **summary(entry, redaction)}
