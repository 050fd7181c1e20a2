"""A run as one JSON file."""

import json
from dataclasses import asdict
from pathlib import Path

from harness.conform import Event
from harness.report.result import Result, repeat_command


class JsonReport:
    """Writes the file when the run is over.

    Args:
        options: those that the run was started with.
    """

    def __init__(self, path: Path, *, options: list[str]) -> None:
        self._path = path
        self._options = options
        self._result = Result()

    def take(self, event: Event) -> None:
        """Gather."""
        self._result.take(event)

    def close(self, exit_code: int, log: str) -> None:
        """Write."""
        del log
        result = self._result
        proved: dict[str, list[str]] = {}
        for entry in result.finished:
            for identifier in entry.scenario.requirements:
                proved.setdefault(identifier, []).append(str(entry.outcome))
        report = {
            "target": result.target,
            "exit_code": exit_code,
            "stopped": result.stopped,
            "counts": {str(outcome): count for outcome, count in sorted(result.counts.items())},
            "requirements": {identifier: sorted(set(outcomes)) for identifier, outcomes in sorted(proved.items())},
            "scenarios": [
                {
                    **asdict(entry.scenario),
                    "outcome": str(entry.outcome),
                    "message": entry.message,
                    "violations": list(entry.violations),
                    "duration_ms": entry.duration_ms,
                    "repeat": repeat_command(entry.scenario, self._options),
                }
                for entry in result.finished
            ],
        }
        self._path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
