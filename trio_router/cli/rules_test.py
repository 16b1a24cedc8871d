"""``trio-router rules test``: run files of test cases against rules files.

Reading, asking and comparing are ``permissions.testcases`` and ``permissions.testrun``; what was seen is
``permissions.coverage``. Here is only which files belong together and how the answers look. The rule that keeps it honest: exit
code 0 means that every case of every file was asked and answered as it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from trio_router.cli.explanation import explanation_lines
from trio_router.cli.output import REFUSED, json_option, line, problems_failure, safe_json, stop
from trio_router.config.check import MAX_RULES
from trio_router.config.load import load, read_text
from trio_router.errors import Problem, ProblemsError
from trio_router.log import printable
from trio_router.permissions.coverage import Coverage, Covered
from trio_router.permissions.explain import Explanation
from trio_router.permissions.testcases import CaseFile, CasesError, load_cases
from trio_router.permissions.testreport import junit, place, title
from trio_router.permissions.testrun import Bench, Outcome

MAX_CASES_FILE = 16 * 1024 * 1024


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rules", "rules_path", type=click.Path(dir_okay=False, path_type=Path), help="Test this rules file.")
@click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Test the rules of this config.",
)
@click.option("--junit", "junit_path", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML here.")
@click.option("--coverage", is_flag=True, help="Tell which rules and which parts of them no case has seen.")
@click.option(
    "--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit with 1 if less than this is covered."
)
@click.option(
    "--explain", is_flag=True, help="Show the parts of the deciding rule, with their values, for each failure."
)
@json_option
def test(
    *,
    files: Sequence[Path],
    rules_path: Path | None,
    config_path: Path | None,
    junit_path: Path | None,
    coverage: bool,
    fail_under: float | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Run the test cases of the YAML FILES against the rules they name, or against --rules or the rules of --config.

    Exits with 1 if a case is not answered as it says.
    """
    if rules_path and config_path:
        raise click.UsageError("choose one of --rules and --config")
    try:
        chosen = load(config_path).rules if config_path else rules_path
        loaded = [(path, load_cases(read_text(path, MAX_CASES_FILE), str(path))) for path in files]
        outcomes, covered, explained = _run(loaded, chosen, explain=explain)
    except ProblemsError as error:
        raise problems_failure(error) from None
    if junit_path:
        junit_path.write_text(junit(outcomes), encoding="utf-8")
    flat = [outcome for group in outcomes.values() for outcome in group]
    failed = [outcome for outcome in flat if not outcome.passed]
    measured = coverage or fail_under is not None
    if as_json:
        line(safe_json(_as_json(flat, failed, covered if measured else [], explained)))
    else:
        _print(flat, failed, covered if measured else [], explained)
    if failed or (fail_under is not None and _percent(covered) < fail_under):
        stop(REFUSED)


def _run(
    loaded: Sequence[tuple[Path, CaseFile]], chosen: Path | None, *, explain: bool
) -> tuple[dict[str, list[Outcome]], list[Covered], dict[int, Explanation]]:
    """The outcomes of each file of cases, what was seen of each rules file, and why failures (by ``id``) came out as they did."""
    explained: dict[int, Explanation] = {}
    benches: dict[Path, tuple[Bench, Coverage]] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for path, cases in loaded:
        rules = chosen or (path.parent / cases.rules if cases.rules else None)
        if rules is None:
            raise CasesError(Problem("names no rules file; say rules: PATH in it, or use --rules", str(path), 1, 1))
        key = rules.resolve()
        if key not in benches:
            bench = Bench(read_text(rules, MAX_RULES), str(rules))
            benches[key] = bench, Coverage(bench)
        bench, coverage = benches[key]
        for case in cases.cases:
            outcome = bench.run(case)
            coverage.add(outcome)
            if explain and not outcome.passed:
                explained[id(outcome)] = bench.explain(outcome)
            outcomes.setdefault(str(path), []).append(outcome)
    return outcomes, [coverage.report() for _, coverage in benches.values()], explained


def _percent(covered: Sequence[Covered]) -> float:
    total = sum(one.total for one in covered)
    return 100.0 * sum(one.seen for one in covered) / total if total else 100.0


def _print(
    flat: Sequence[Outcome], failed: Sequence[Outcome], covered: Sequence[Covered], explained: Mapping[int, Explanation]
) -> None:
    for outcome in failed:
        case, rule = outcome.case, outcome.decision.rule
        text = f"{case.source}:{case.line}:{case.column}: {title(outcome)}: {outcome.fault}"
        line(f"{click.style('failed:', fg='red')} {printable(text)}")
        if rule:
            line(printable(f"    decided by {place(rule)} {rule.pattern} {rule.action}"))
        if id(outcome) in explained:
            for text in explanation_lines(explained[id(outcome)]):
                line(f"    {text}".rstrip())
            line()
    for one in covered:
        line(printable(f"{one.source}: {one.seen} of {one.total} outcomes seen ({one.percent:.1f} %)"))
        for gap in one.gaps:
            line(printable(f"    {one.source}:{gap.line}:{gap.column}: {gap}"))
    line(f"{len(flat) - len(failed)} passed, {len(failed)} failed")


def _as_json(
    flat: Sequence[Outcome], failed: Sequence[Outcome], covered: Sequence[Covered], explained: Mapping[int, Explanation]
) -> dict[str, Any]:
    def failure(outcome: Outcome) -> dict[str, Any]:
        case, decision = outcome.case, outcome.decision
        return {
            "case": title(outcome),
            "source": case.source,
            "line": case.line,
            "column": case.column,
            "fault": outcome.fault,
            "allowed": decision.allowed,
            "reason": decision.reason.value,
            "rule": attrs.asdict(decision.rule) if decision.rule else None,
            **({"explanation": explained[id(outcome)].as_json()} if id(outcome) in explained else {}),
        }

    made: dict[str, Any] = {"passed": len(flat) - len(failed), "failed": [failure(outcome) for outcome in failed]}
    if covered:
        made["coverage"] = [{**attrs.asdict(one), "percent": round(one.percent, 2)} for one in covered]
    return made
