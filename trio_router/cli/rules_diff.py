"""``trio-router rules diff``: what another rules file would change, in the text, for live sessions, for recorded decisions.

The comparing is ``permissions.compare``, the judging of recorded decisions ``permissions.replay``; live sessions are judged by the
router. The rule that keeps it honest: exit code 1 if anything changes, and what cannot be told is said to be so, never left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from trio_router.cli.administration import administration, token_option, url_option
from trio_router.cli.output import REFUSED, Failure, config_option, json_option, line, problems_failure, safe_json, stop
from trio_router.cli.spaces import app_option
from trio_router.clock import SystemClock
from trio_router.config.check import MAX_RULES
from trio_router.config.load import read_text
from trio_router.errors import ProblemsError
from trio_router.log import printable
from trio_router.permissions.compare import Change, compare, source_of
from trio_router.permissions.loader import load_rules
from trio_router.permissions.replay import Difference, Replay
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules

SHOWN = 50
"""Lines of a list for people; --json has all of them."""


def rules_of(path: Path) -> CompiledRules:
    """The rules of a file. Raises ``Failure``."""
    try:
        return load_rules(read_text(path, MAX_RULES), str(path), clock=SystemClock())
    except ProblemsError as error:
        raise problems_failure(error) from None


@click.command()
@click.argument("old", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--live", is_flag=True, help="Ask the running router what NEW would end for its sessions.")
@click.option(
    "--log", "log_path", type=click.Path(dir_okay=False, path_type=Path), help="A decision log to go through."
)
@app_option
@url_option
@token_option
@config_option
@json_option
def diff(
    *,
    old: Path,
    new: Path,
    live: bool,
    log_path: Path | None,
    app: str,
    url: str | None,
    token_file: Path | None,
    config_path: str,
    as_json: bool,
) -> None:
    """Say what the rules file NEW changes against OLD. Nothing is put in force.

    Exits with 1 if a rule, a live session's right or a recorded decision would change.
    """
    before, after = rules_of(old), rules_of(new)
    changes = compare(before, after)
    ends: Mapping[str, Any] | None = None
    if live:
        router = administration(config_path, url, token_file)
        ends = router.ask(
            "POST", "/admin/rules/diff", {"rules": read_text(new, MAX_RULES), "source": str(new), "app": app}
        )
    replay = _replayed(before, after, log_path) if log_path is not None else None
    if as_json:
        answer: dict[str, Any] = {"changes": [_as_json(change) for change in changes]}
        if ends is not None:
            answer["live"] = ends
        if replay is not None:
            answer["log"] = {
                "decisions": replay.decisions,
                "same": replay.same,
                "changed": replay.changed,
                "unknown": replay.unknown,
                "differences": [_difference_json(each) for each in replay.differences],
                "unreadable": replay.unreadable,
            }
        line(safe_json(answer))
    else:
        _tell(changes, ends, replay)
    if changes or (replay is not None and replay.changed) or (ends is not None and ends["total"]):
        stop(REFUSED)


def _replayed(before: CompiledRules, after: CompiledRules, path: Path) -> Replay:
    replay = Replay(before, after)
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for text in lines:
                try:
                    entry = json.loads(text)
                except ValueError:
                    entry = None
                replay.take(entry)
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}", code="log_file") from None
    return replay


def _tell(changes: Sequence[Change], ends: Mapping[str, Any] | None, replay: Replay | None) -> None:
    for change in changes:
        for text in _lines(change):
            line(printable(text))
    line(f"{len(changes) or 'no'} changed rule{'' if len(changes) == 1 else 's'}")
    if ends is not None:
        for end in ends["ends"][:SHOWN]:
            line(printable(f"  ends: {end['verb']} {end['name']} of {end['user']} ({end['session']}): {end['reason']}"))
        _more(ends["total"])
        line(f"live: {ends['total']} rights of {ends['sessions']} sessions would end")
    if replay is not None:
        for each in replay.differences[:SHOWN]:
            line(printable(f"  {_difference_text(each)}"))
        _more(replay.changed + replay.unknown)
        line(
            f"log: of {replay.decisions} decisions {replay.same} stay, {replay.changed} change, {replay.unknown} cannot be told, "
            f"{replay.unreadable} lines are no decisions"
        )


def _more(total: int) -> None:
    if total > SHOWN:
        line(f"  ... and {total - SHOWN} more")


def _lines(change: Change) -> list[str]:
    where = f"{change.action.section} {change.action.verb} {change.pattern!r}"
    if change.kind == "order" and change.old and change.new:
        other = change.old.pattern.text
        return [
            f"~ {where}: decides names it shares with {other!r} now, by its place in the file ({_place(change.new)})"
        ]
    made = []
    if change.old:
        made.append(f"- {where}: {source_of(change.old)} ({_place(change.old)})")
    if change.new:
        made.append(f"+ {where}: {source_of(change.new)} ({_place(change.new)})")
    if change.old and change.new and change.old.reason != change.new.reason:
        made.append(f"    reason: {change.old.reason!r}, now {change.new.reason!r}")
    for rule in change.instead:
        says = f"{rule.pattern.text!r}: {source_of(rule)} ({_place(rule)})"
        made.append(f"    where it applies, until now {says}" if change.new else f"    now decided by {says}")
    if change.kind == "removed" and not change.instead:
        made.append("    nothing else matches: denied")
    return made


def _place(rule: Rule) -> str:
    return f"{rule.ref.source}:{rule.ref.line}"


def _rule_json(rule: Rule | None) -> dict[str, Any] | None:
    if rule is None:
        return None
    return {"pattern": rule.pattern.text, "rule": source_of(rule), "reason": rule.reason, "place": _place(rule)}


def _as_json(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "action": f"{change.action.section}.{change.action.verb}",
        "pattern": change.pattern,
        "old": _rule_json(change.old),
        "new": _rule_json(change.new),
        "instead": [_rule_json(rule) for rule in change.instead],
    }


def _difference_json(each: Difference) -> dict[str, Any]:
    return {
        "verdict": each.verdict,
        "id": each.id,
        "user": each.user,
        "action": f"{each.action.section}.{each.action.verb}",
        "name": each.name,
        "was": each.was,
        "why": each.why,
    }


def _difference_text(each: Difference) -> str:
    was = "allowed" if each.was else "denied"
    becomes = {"changes": "would be denied" if each.was else "would be allowed"}.get(each.verdict, "cannot be told")
    return f"{each.user} {each.action.section}.{each.action.verb} {each.name}: was {was}, {becomes}: {each.why}"
