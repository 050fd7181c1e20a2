"""Every test with a `req` mark leaves evidence: a scenario under its check's id, another under its file and name."""

import os
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from harness.outcome import Outcome

ENVIRONMENT = pytest.StashKey[Mapping[str, str]]()
"""As the run began: a test that runs pytest itself sends the evidence of that elsewhere, and its own stays here."""


def pytest_configure(config: pytest.Config) -> None:
    """Remember where the evidence of this run goes."""
    config.stash[ENVIRONMENT] = dict(os.environ)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Keep the commands that a test runs from adding theirs: what they find may be planted, and the test judges it."""
    from harness.registry.evidence import EVIDENCE_ENV

    name = os.environ.pop(EVIDENCE_ENV, None)
    try:
        return (yield)
    finally:
        if name is not None:
            os.environ[EVIDENCE_ENV] = name


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report the outcome of the call, or of what failed around it, once the scenario's verdict is on the report."""
    report = yield
    ids = sorted({identifier for mark in item.iter_markers("req") for identifier in mark.args})
    if ids and (call.when == "call" or report.outcome != "passed"):
        from harness.registry.evidence import Evidence
        from harness.registry.evidence import report as emit

        verdict: Any = getattr(report, "verdict", None)
        outcome = Outcome(verdict["outcome"]) if verdict is not None else _outcome(report)
        why = f"{item.nodeid}: {(verdict['message'] if verdict is not None else '') or report.outcome}"
        broken = {violation["req"] for violation in verdict["violations"]} if verdict is not None else set()
        lines = [Evidence(_check_id(item), i, outcome, why) for i in ids]
        found = [*lines, *(Evidence(_check_id(item), i, outcome, why) for i in sorted(broken - set(ids)))]
        emit(found, environ=item.config.stash[ENVIRONMENT])
    return report


def _outcome(report: pytest.TestReport) -> Outcome:
    if report.outcome == "skipped":
        return Outcome.NOT_APPLICABLE
    return Outcome.PASS if report.outcome == "passed" else Outcome.FAIL


def _check_id(item: pytest.Item) -> str:
    from harness.registry.check import slug
    from harness.scenario import scenario_of

    scenario = scenario_of(item)
    if scenario is not None:
        return scenario.check
    return f"{slug(item.path.stem.removeprefix('test_'))}/{slug(item.name.partition('[')[0].removeprefix('test_'))}"
