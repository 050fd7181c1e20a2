"""A run as one JSON file."""

import json
from pathlib import Path
from typing import Any

from determinism.run import Run

SCHEMA_VERSION = 1


def as_json(run: Run, *, command: str) -> dict[str, Any]:
    """Everything that a run has seen.

    Args:
        command: that repeats it.
    """
    recordings = run.evidence.recordings()
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": "determinism",
        "command": command,
        "exit_code": run.exit_code,
        "left_behind": [one.row for one in run.left_behind],
        "seeds": len(run.cases),
        "engines": run.engines,
        "identities": sorted({str(recording.identity) for recording in recordings}),
        "checks": [
            {
                "check": f"determinism/{verdict.check}",
                "requirements": list(verdict.requirements),
                "outcome": str(verdict.outcome),
                "text": verdict.text,
                "streams": verdict.streams,
                "mismatches": [
                    {"seed": m.case.seed, "first_divergent_token": m.at.index, "under": str(m.actual.under)}
                    for m in verdict.mismatches
                ],
                "explanations": [explanation.as_json() for explanation in verdict.explanations],
            }
            for verdict in run.verdicts
        ],
        "streams": [recording.as_json() for recording in recordings],
    }


def write(run: Run, path: Path, *, command: str) -> None:
    """Write the file."""
    text = json.dumps(as_json(run, command=command), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
