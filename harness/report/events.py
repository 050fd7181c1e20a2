"""A run as a row of JSON lines, written while it happens; whoever shows or stores a run only listens to these.

{"event": "planned", "scenarios": [{"id", "check", "title", "feature", "requirements", "severity", "profiles",
    "disturbs"} …]}
{"event": "target", "url", "engines", "api_version"}
{"event": "started", "id"}
{"event": "finished", "id", "outcome", "message", "violations": [{"req", "expected", "actual", "at"} …],
    "trace": [text …], "duration_ms", "figures": {name: number}}
{"event": "stopped", "message"}                                  the run cannot go on
{"event": "left_behind", "processes": [{"pid", "command"} …]}    written by whoever started the run, after its end
{"event": "ended", "duration_ms"}                                this one, too

With workers (pytest-xdist) only their controller writes. It has collected nothing itself: the plan comes from a worker
in a file, and what a worker knows of the server on its first report.
"""

import json
import os
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.outcome import Outcome
from harness.scenario import scenario_of
from harness.verdict import Verdict

PLAN = "orchqueue_plan"
"""The key of the plan's file among a worker's input."""

REASON = "stopped.txt"
"""Beside the plan: why a worker could not go on."""


class EventWriter:
    """Listens to pytest's hooks and writes events of scenarios to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._out = os.fdopen(fd, "w", encoding="utf-8")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run the way a Ctrl-C does
        self._ids: set[str] = set()
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._duration_s: dict[str, float] = {}
        self._has_target = False
        self._is_stopped = False
        self._folder = tempfile.TemporaryDirectory(prefix="orchqueue-plan-")
        self._plan = Path(self._folder.name) / "plan.json"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write what will run, where this process runs it."""
        if found := plan(session):
            self._write_plan(found)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where to leave the plan."""
        node.workerinput[PLAN] = str(self._plan)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Write what will run, as the first worker has left it."""
        if not self._ids and ids:
            self._write_plan(json.loads(self._plan.read_text(encoding="utf-8")))

    def target_ready(self, url: str, capabilities: Any) -> None:
        """Write which server is judged."""
        if not self._has_target:
            self._has_target = True
            self._write("target", **target_of(url, capabilities))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write what runs now."""
        if nodeid in self._ids:
            self._write("started", id=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst verdict of a scenario's phases."""
        told: dict[str, Any] | None = getattr(report, "verdict", None)
        kept = self._verdicts.get(report.nodeid)
        if told is not None and (kept is None or Outcome(told["outcome"]).is_failure):
            self._verdicts[report.nodeid] = told
        self._duration_s[report.nodeid] = self._duration_s.get(report.nodeid, 0.0) + report.duration
        target = getattr(report, "target", None)
        if target is not None and not self._has_target:
            self._has_target = True
            self._write("target", **target)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write how it ended."""
        if nodeid in self._ids:
            nothing = Verdict(Outcome.NOT_TESTABLE, "it did not run").told()
            told = self._verdicts.get(nodeid, nothing)
            duration_ms = round(self._duration_s.get(nodeid, 0.0) * 1000)
            self._write("finished", id=nodeid, **{"figures": {}, **told}, duration_ms=duration_ms)

    def stop(self, why: str) -> None:
        """Write why the run cannot go on; the first reason is the reason."""
        if not self._is_stopped:
            self._is_stopped = True
            self._write("stopped", message=why)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Write why the run was stopped."""
        self.stop(str(excinfo.value) or "interrupted")

    def pytest_unconfigure(self) -> None:
        """Pass on why a worker stopped, and close the descriptor: the listener sees the end."""
        reason = self._plan.with_name(REASON)
        if reason.exists():
            self.stop(reason.read_text(encoding="utf-8"))
        self._out.close()
        self._folder.cleanup()

    def _write_plan(self, found: list[dict[str, Any]]) -> None:
        self._ids = {scenario["id"] for scenario in found}
        self._write("planned", scenarios=found)

    def _write(self, event: str, **fields: Any) -> None:
        self._out.write(json.dumps({"event": event, **fields}) + "\n")
        self._out.flush()


class PlanWriter:
    """In a worker: leaves the plan for the controller, and what is known of the server on the next report."""

    def __init__(self, config: pytest.Config) -> None:
        self._path = Path(config.workerinput[PLAN])  # type: ignore[attr-defined]  # of xdist's workers
        self._target: dict[str, Any] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Leave the plan: whole, or not there."""
        own = self._path.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(plan(session)), encoding="utf-8")
        own.replace(self._path)

    def stop(self, why: str) -> None:
        """Leave the reason for the controller, whose own end it is."""
        self._path.with_name(REASON).write_text(why, encoding="utf-8")

    def target_ready(self, url: str, capabilities: Any) -> None:
        """Remember which server is judged."""
        self._target = target_of(url, capabilities)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Any:
        """Put the server on the report."""
        report = yield
        report.target, self._target = self._target, None
        return report


def plan(session: pytest.Session) -> list[dict[str, Any]]:
    """The scenarios of a session, in plain types."""
    return [asdict(scenario) for item in session.items if (scenario := scenario_of(item)) is not None]


def target_of(url: str, capabilities: Any) -> dict[str, Any]:
    """What a report names of a server."""
    return {"url": url, "engines": capabilities.get("engines", []), "api_version": capabilities.get("api_version")}
