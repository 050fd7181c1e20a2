"""A run as one JSON file, as `contracts/reports/report.schema.json` has it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.conform import Event
from harness.report.result import Result, repeat_command

SCHEMA_VERSION = 1


def as_json(result: Result, *, exit_code: int, options: list[str], implementation: Mapping[str, str]) -> dict[str, Any]:
    """The whole run.

    Args:
        options: those that the run was started with.
        implementation: who submits it; empty for a run that is not submitted.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        **({"implementation": dict(implementation)} if implementation else {}),
        "target": result.target,
        "exit_code": exit_code,
        "stopped": result.stopped,
        "duration_ms": result.duration_ms,
        "counts": {str(outcome): count for outcome, count in sorted(result.counts.items())},
        "requirements": {identifier: str(outcome) for identifier, outcome in result.requirements.items()},
        "checks": {check: str(outcome) for check, outcome in sorted(result.checks.items())},
        "figures": result.figures,
        "gaps": result.gaps,
        "closed_gaps": result.closed_gaps,
        "left_behind": result.left_behind,
        "scenarios": [
            {
                **asdict(entry.scenario),
                "outcome": str(entry.outcome),
                "message": entry.message,
                "violations": list(entry.violations),
                "trace": list(entry.trace),
                "figures": entry.figures,
                "duration_ms": entry.duration_ms,
                "repeat": repeat_command(entry.scenario, options),
            }
            for entry in result.finished
        ],
    }


class FileReport:
    """Gathers a run, and writes it to a file when it is over.

    Args:
        options: those that the run was started with.
    """

    def __init__(
        self,
        path: Path,
        *,
        options: list[str],
        gaps: Mapping[str, str] | None = None,
        implementation: Mapping[str, str] | None = None,
    ) -> None:
        self._path = path
        self._options = options
        self._implementation = implementation or {}
        self._result = Result(gaps=dict(gaps or {}))

    def take(self, event: Event) -> None:
        """Gather."""
        self._result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        """Write."""
        del log
        self._path.write_text(self.text(exit_code), encoding="utf-8")

    def text(self, exit_code: int) -> str:
        """The content of the file."""
        return json.dumps(self.told(exit_code), indent=2, ensure_ascii=False) + "\n"

    def told(self, exit_code: int) -> dict[str, Any]:
        """The run in plain types."""
        return as_json(self._result, exit_code=exit_code, options=self._options, implementation=self._implementation)


class JsonReport(FileReport):
    """The JSON file."""
