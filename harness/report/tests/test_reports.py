"""A run's events become a result, a terminal report and a file that say what failed and how to repeat it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.outcome import Outcome
from harness.report.console import ConsoleReport
from harness.report.json_file import JsonReport
from harness.report.result import Planned, Result, repeat_command

VIOLATION = {
    "req": "ORCH-2007",
    "expected": "X-Backoff-Ms: 5",
    "actual": "'6' [sic]",
    "at": "POST /v1/tasks\n  < 429",
}
OPTIONS = ["--url", "http://127.0.0.1:1"]


def planned(name: str) -> dict[str, Any]:
    return {"id": f"test_features.py::{name}", "title": name, "feature": "Queue [1]", "requirements": ["ORCH-2007"]}


def finished(name: str, outcome: str, *violations: dict[str, str], message: str = "") -> dict[str, Any]:
    return {
        "event": "finished",
        "id": f"test_features.py::{name}",
        "outcome": outcome,
        "message": message,
        "violations": list(violations),
        "duration_ms": 5,
    }


EVENTS: list[dict[str, Any]] = [
    {"event": "planned", "scenarios": [planned(name) for name in ("test_a", "test_b", "test_c[x-1]", "test_d")]},
    {"event": "target", "url": "http://127.0.0.1:1", "engines": [{"engine": "vllm", "engine_version": "0.1"}]},
    {"event": "started", "id": "test_features.py::test_a"},
    finished("test_a", "PASS"),
    finished("test_b", "FAIL", VIOLATION),
    finished("test_c[x-1]", "HANG", message="waited 5 ms for the moon"),
    finished("test_d", "NOT_APPLICABLE", message="no such ability"),
]


def shown(events: list[dict[str, Any]], *, code: int, log: str = "") -> str:
    out = io.StringIO()
    report = ConsoleReport(Console(file=out, width=200), options=OPTIONS)
    for event in events:
        report.take(event)
    report.close(code, log)
    return out.getvalue()


def test_events_become_a_result() -> None:
    result = Result()
    for event in EVENTS:
        result.take(event)

    assert {Outcome.PASS: 1, Outcome.FAIL: 1, Outcome.HANG: 1, Outcome.NOT_APPLICABLE: 1} == result.counts
    assert ["test_b", "test_c[x-1]"] == [entry.scenario.title for entry in result.failures]
    assert "http://127.0.0.1:1" == result.target["url"]


@pytest.mark.req("HME-023")
def test_the_terminal_shows_what_failed_by_which_sentence_and_how_to_repeat_it() -> None:
    text = shown(EVENTS, code=1)

    assert "judging http://127.0.0.1:1 (vllm 0.1)" in text
    assert "FAIL Queue [1]: test_b" in text
    assert "ORCH-2007 A 429 MUST" in text
    assert "expected  X-Backoff-Ms: 5" in text
    assert "actual    '6' [sic]" in text
    assert "< 429" in text
    assert "repeat    llama-orch conform --url http://127.0.0.1:1 -k test_b" in text
    assert "waited 5 ms for the moon" in text
    assert "1 NOT_APPLICABLE: no such ability" in text
    assert "4 of 4 scenarios: 1 PASS, 1 FAIL, 1 NOT_APPLICABLE, 1 HANG" in text


@pytest.mark.parametrize(
    ("events", "code", "log", "expected"),
    [
        pytest.param([{"event": "stopped", "message": "could not run: no model"}], 3, "", "no model", id="stopped"),
        pytest.param([], 2, "ERROR: usage\n", "ERROR: usage", id="usage"),
        pytest.param([], 2, "279 deselected in 0.9s\n", "no scenario matches", id="nothing-selected"),
        pytest.param([], 3, "Traceback\nImportError: x\n", "ImportError: x", id="crashed"),
    ],
)
def test_a_run_that_could_not_be_says_why(events: list[dict[str, Any]], code: int, log: str, expected: str) -> None:
    assert expected in shown(events, code=code, log=log)


def test_the_file_holds_everything(tmp_path: Path) -> None:
    report = JsonReport(tmp_path / "out.json", options=OPTIONS)
    for event in EVENTS:
        report.take(event)
    report.close(1, "")

    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (1, {"FAIL": 1, "HANG": 1, "NOT_APPLICABLE": 1, "PASS": 1}) == (written["exit_code"], written["counts"])
    assert {"ORCH-2007": ["FAIL", "HANG", "NOT_APPLICABLE", "PASS"]} == written["requirements"]
    assert [VIOLATION] == written["scenarios"][1]["violations"]
    assert written["scenarios"][1]["repeat"].endswith("-k test_b")


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        pytest.param("f.py::test_a", "llama-orch conform -k test_a", id="scenario"),
        pytest.param("f.py::test_a[not-json]", "llama-orch conform -k 'test_a and not-json'", id="row"),
        pytest.param("f.py::test_a[GET /v1/tasks]", "llama-orch conform -k test_a", id="row-that-k-cannot-name"),
    ],
)
def test_a_scenario_can_be_repeated_alone(identifier: str, expected: str) -> None:
    assert expected == repeat_command(Planned(identifier, "a", "b", ()), [])
