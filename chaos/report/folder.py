"""What a run leaves in its folder beside its history: report.json, report.html, two scrapes, and short histories."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos import record
from chaos.checks.bounds import scrapes
from chaos.facts import Facts
from chaos.judge import CHECKS, Verdict
from chaos.record import Record
from chaos.report.page import page
from chaos.shrink import shrink
from harness.leftovers import LeftBehind

SHRUNK_MAX = 3  # one of a rule: what one defect breaks, it breaks many times


def write_report(
    folder: Path, records: list[Record], verdict: Verdict, left: Sequence[LeftBehind] = ()
) -> dict[str, Any]:
    """Write everything.

    Args:
        left: processes that outlived the run.

    Returns:
        What report.json holds.
    """
    facts = Facts(records)
    shrunk = _shrunk(folder, records, verdict)
    report = {
        "outcome": verdict.outcome,
        **{name: value for name, value in facts.run.items() if name != "kind"},
        "tasks": len(facts.tasks),
        "accepted": len(facts.accepted),
        "doubts": list(verdict.doubts),
        "faults_seen": [{k: v for k, v in r.items() if k != "kind"} for r in facts.of("fault")],
        "findings": [{**asdict(finding), "shrunk": shrunk.get(finding.rule)} for finding in verdict.findings],
        "left_behind": [one.row for one in left],
        "folder": str(folder),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(facts, verdict, str(facts.run["repeat"])), encoding="utf-8")
    for name, exchange in zip(("first", "last"), (scrapes(facts)[:1] + scrapes(facts)[-1:]), strict=False):
        (folder / f"metrics-{name}.txt").write_bytes(exchange.body)
    return report


def _shrunk(folder: Path, records: list[Record], verdict: Verdict) -> dict[str, str]:
    """A short history for the first finding of each rule; its path by rule."""
    rules = {check.rule.__name__: check.rule for check in CHECKS}
    first = {finding.rule: finding for finding in reversed(verdict.findings)}
    written = {}
    for name, finding in list(first.items())[-SHRUNK_MAX:]:
        path = folder / f"shrunk-{name.replace('_', '-')}.jsonl"
        record.write(path, shrink(records, finding, rules[name]))
        written[name] = str(path)
    return written
