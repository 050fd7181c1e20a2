"""A run as a row of JSON lines, written while it happens; whoever shows or stores a run only listens to these.

{"event": "planned", "scenarios": [{"id", "title", "feature", "requirements"} …]}
{"event": "started", "id"}
{"event": "finished", "id", "outcome", "message", "violations": [{"req", "expected", "actual", "at"} …], "duration_ms"}
{"event": "stopped", "message"}                                  the run cannot go on
"""

import json
import os
from dataclasses import asdict
from typing import Any

import pytest

from harness.outcome import Outcome
from harness.scenario import scenario_of
from harness.verdict import Verdict


class EventWriter:
    """Listens to pytest's hooks and writes events of scenarios to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._out = os.fdopen(fd, "w", encoding="utf-8")
        self._ids: set[str] = set()
        self._verdicts: dict[str, Verdict] = {}
        self._duration_s: dict[str, float] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write what will run."""
        found = [scenario for item in session.items if (scenario := scenario_of(item)) is not None]
        self._ids = {scenario.id for scenario in found}
        self._write("planned", scenarios=[asdict(scenario) for scenario in found])

    def target_ready(self, url: str, capabilities: Any) -> None:
        """Write which server is judged."""
        self._write("target", url=url, engines=capabilities.get("engines", []))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write what runs now."""
        if nodeid in self._ids:
            self._write("started", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst verdict of a scenario's phases."""
        verdict: Verdict | None = getattr(report, "verdict", None)
        kept = self._verdicts.get(report.nodeid)
        if verdict is not None and (kept is None or verdict.outcome.is_failure):
            self._verdicts[report.nodeid] = verdict
        self._duration_s[report.nodeid] = self._duration_s.get(report.nodeid, 0.0) + report.duration

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write how it ended."""
        if nodeid in self._ids:
            verdict = self._verdicts.get(nodeid, Verdict(Outcome.NOT_TESTABLE, "it did not run"))
            self._write(
                "finished",
                id=nodeid,
                outcome=str(verdict.outcome),
                message=verdict.message,
                violations=[asdict(violation) for violation in verdict.violations],
                duration_ms=round(self._duration_s.get(nodeid, 0.0) * 1000),
            )

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Write why the run was stopped."""
        self._write("stopped", message=str(excinfo.value) or "interrupted")

    def pytest_unconfigure(self) -> None:
        """Close the descriptor: the listener sees the end."""
        self._out.close()

    def _write(self, event: str, **fields: Any) -> None:
        self._out.write(json.dumps({"event": event, **fields}) + "\n")
        self._out.flush()
