"""A run's events become a result, a terminal report and a file that say what failed and how to repeat it."""

import io
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from rich.console import Console

from harness.conform import exit_code
from harness.outcome import Outcome
from harness.report.badge import badge
from harness.report.console import ConsoleReport
from harness.report.gaps import GapsError, load
from harness.report.json_file import JsonReport, as_json
from harness.report.page import page
from harness.report.result import Planned, Result, repeat_command
from harness.report.submitted import problems, reports_in

VIOLATION = {
    "req": "ORCH-2007",
    "expected": "X-Backoff-Ms: 5",
    "actual": "'6' [sic]",
    "at": "POST /v1/tasks\n  < 429",
}
OPTIONS = ["--url", "http://127.0.0.1:1"]


def planned(name: str) -> dict[str, Any]:
    return {
        "id": f"test_features.py::{name}",
        "check": f"queue-1/{name[5]}",
        "title": name,
        "feature": "Queue [1]",
        "requirements": ["ORCH-2007"],
        "severity": "MUST",
        "profiles": ["full"],
        "disturbs": name == "test_d",
    }


def finished(name: str, outcome: str, *violations: dict[str, str], message: str = "") -> dict[str, Any]:
    return {
        "event": "finished",
        "id": f"test_features.py::{name}",
        "outcome": outcome,
        "message": message,
        "violations": list(violations),
        "trace": ["GET /metrics <b>"],
        "figures": {"error_ms": 3.5},
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
    {"event": "ended", "duration_ms": 61_234},
]


def shown(events: list[dict[str, Any]], *, code: int, log: str = "") -> str:
    out = io.StringIO()
    report = ConsoleReport(Console(file=out, width=200), options=OPTIONS)
    for event in events:
        report.take(event)
    report.close(code, log)
    return out.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_moves_on_a_terminal_and_nowhere_else(is_terminal: bool) -> None:
    """A run has four scenarios; what is drawn is asked for, not waited for."""
    out = io.StringIO()
    report = ConsoleReport(Console(file=out, width=200, force_terminal=is_terminal, color_system=None), options=OPTIONS)
    drawn = []
    for event in EVENTS[:5]:
        report.take(event)
        report._progress.refresh()
        drawn.append(out.getvalue())
        out.seek(0)
        out.truncate()
    report.close(1, "")

    bars = [(re.findall(r"\b\d/4\b", text) or [""])[-1] for text in drawn]
    names = ["Queue [1]: test_a" in text for text in drawn]
    if is_terminal:
        assert (["0/4", "0/4", "0/4", "1/4", "2/4"], [False, False, True, True, True]) == (bars, names)
    else:
        assert ([""] * 5, [False] * 5) == (bars, names)


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
    assert "repeat    llama-orch conform --url http://127.0.0.1:1 --check queue-1/b" in text
    assert "waited 5 ms for the moon" in text
    assert "1 NOT_APPLICABLE: no such ability" in text
    assert "4 of 4 scenarios: 1 PASS, 1 FAIL, 1 NOT_APPLICABLE, 1 HANG in 61.2 s" in text


@pytest.mark.req("ORCH-1102")
@pytest.mark.parametrize("is_on_cpu", [True, False])
def test_an_engine_that_decodes_without_a_gpu_is_said_to_in_every_report(is_on_cpu: bool) -> None:
    features = {"experimental_cpu": True} if is_on_cpu else {}
    row = {"engine": "llamacpp", "engine_version": "b1", "features": features}
    events = [EVENTS[0], {"event": "target", "url": "http://127.0.0.1:1", "engines": [row]}, *EVENTS[2:]]
    result = Result()
    for event in events:
        result.take(event)
    report = as_json(result, exit_code=1, options=OPTIONS, implementation={})

    assert [row] == report["target"]["engines"]
    for text in (shown(events, code=1), page(report)):
        assert "llamacpp b1" in text
        assert is_on_cpu == ("experimental: on the CPU" in text)


@pytest.mark.req("OC-TEST-7035")
def test_what_was_measured_is_in_every_report() -> None:
    result = gathered({})
    report = as_json(result, exit_code=1, options=[], implementation={})

    assert {"error_ms": {"count": 4, "min": 3.5, "median": 3.5, "max": 3.5}} == report["figures"]
    assert "error_ms" in shown(EVENTS, code=1)
    assert "median 3.5 (at most 3.5, 4 checks)" in shown(EVENTS, code=1)
    assert '<code>error_ms</code><td class="n">4<td class="n">3.5' in page(report)


@pytest.mark.req("OC-TEST-7049")
def test_how_long_the_run_took_is_in_every_report() -> None:
    report = as_json(gathered({}), exit_code=1, options=[], implementation={})

    assert 61_234 == report["duration_ms"]
    assert ". It took 61.2 s. Exit code 1." in page(report)
    assert "1 HANG in 61.2 s" in shown(EVENTS, code=1)


@pytest.mark.req("OC-TEST-7046")
def test_what_was_left_behind_fails_the_run_and_is_in_every_report() -> None:
    left = [{"pid": 7, "command": "engine --port <1>"}]
    events = [*EVENTS[:4], {"event": "left_behind", "processes": left}]
    result = Result()
    for event in events:
        result.take(event)
    report = as_json(result, exit_code=1, options=[], implementation={})

    assert [1, 1, 2, 3] == [exit_code(of_pytest, result) for of_pytest in (0, 1, 2, 3)]
    assert left == report["left_behind"]
    assert "left behind, and ended: 7 engine --port <1>" in shown(events, code=1)
    assert "<code>7 engine --port &lt;1&gt;</code>" in page(report)
    schema = json.loads(files("contracts").joinpath("reports", "report.schema.json").read_text("utf-8"))
    assert [] == [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(report)]


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
    assert {"ORCH-2007": "FAIL"} == written["requirements"]
    assert [VIOLATION] == written["scenarios"][1]["violations"]
    assert written["scenarios"][1]["repeat"].endswith("--check queue-1/b")
    schema = json.loads(files("contracts").joinpath("reports", "report.schema.json").read_text("utf-8"))
    assert [] == [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(written)]


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        pytest.param("f.py::test_a", "--check b/a", id="scenario"),
        pytest.param("f.py::test_a[not-json]", "--check b/a -k 'test_a and not-json'", id="row"),
        pytest.param("f.py::test_a[GET /v1/tasks]", "--check b/a", id="row-that-k-cannot-name"),
    ],
)
def test_a_scenario_can_be_repeated_alone(identifier: str, expected: str) -> None:
    scenario = Planned.of({**planned("test_a"), "id": identifier, "check": "b/a"})

    assert f"llama-orch conform {expected}" == repeat_command(scenario, [])


def test_what_disturbs_is_repeated_with_leave_to() -> None:
    assert repeat_command(Planned.of(planned("test_d")), OPTIONS).endswith("--check queue-1/d --disturb")
    assert not repeat_command(Planned.of(planned("test_a")), OPTIONS).endswith("--disturb")


def gathered(gaps: dict[str, str]) -> Result:
    result = Result(gaps=gaps)
    for event in EVENTS:
        result.take(event)
    return result


@pytest.mark.req("OC-TEST-7024")
@pytest.mark.parametrize(
    ("gaps", "closed", "code"),
    [
        pytest.param({}, [], 1, id="none"),
        pytest.param({"queue-1/b": "later", "queue-1/c": "later"}, [], 0, id="all-known"),
        pytest.param({"queue-1/b": "later"}, [], 1, id="one-unknown"),
        pytest.param({"queue-1/b": "x", "queue-1/c": "x", "queue-1/a": "x"}, ["queue-1/a"], 1, id="closed"),
        pytest.param({"queue-1/b": "x", "queue-1/c": "x", "queue-1/d": "x"}, [], 0, id="not-applicable"),
        pytest.param({"queue-1/b": "x", "queue-1/c": "x", "other/z": "x"}, [], 0, id="not-selected"),
    ],
)
def test_known_gaps_are_strict_both_ways(gaps: dict[str, str], closed: list[str], code: int) -> None:
    result = gathered(gaps)

    assert (closed, code) == (result.closed_gaps, exit_code(1, result))


@pytest.mark.req("OC-TEST-7020", "HME-023")
@pytest.mark.parametrize(
    ("outcomes", "of_pytest", "expected"),
    [
        pytest.param(["PASS"], 0, 0, id="pass"),
        pytest.param(["PASS", "UNKNOWN"], 1, 3, id="unknown"),
        pytest.param(["FAIL", "UNKNOWN"], 1, 1, id="fail"),
        pytest.param([], 1, 3, id="pytest-came-to-grief"),
        pytest.param(["PASS"], 3, 3, id="could-not-run"),
    ],
)
def test_unknown_is_no_pass(outcomes: list[str], of_pytest: int, expected: int) -> None:
    result = Result()
    result.take(EVENTS[0])
    for outcome in outcomes:
        result.take(finished("test_a", outcome))

    assert expected == exit_code(of_pytest, result)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("- a/b", "not a mapping", id="list"),
        pytest.param("a/b: ''", "no reason", id="empty-reason"),
        pytest.param("a/b: 7", "no reason", id="number"),
        pytest.param("A: x", "no id of a check", id="no-id"),
        pytest.param("a: [", "gaps.yaml", id="no-yaml"),
    ],
)
def test_a_file_that_lists_no_gaps_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "gaps.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(GapsError, match=says):
        load(tmp_path / "gaps.yaml")


def test_a_file_of_gaps_is_read(tmp_path: Path) -> None:
    (tmp_path / "gaps.yaml").write_text("# none\na/b: later\n", encoding="utf-8")

    assert {"a/b": "later"} == load(tmp_path / "gaps.yaml")


def test_the_badge_counts_what_could_be_judged() -> None:
    svg = badge(as_json(gathered({}), exit_code=1, options=[], implementation={}))

    assert svg.startswith("<svg ")
    assert 'aria-label="OrchQueue v1: 1 of 3 checks"' in svg


def submit(folder: Path, *, name: str = "ours", readme: str = "## Reproduce\n", **changes: Any) -> list[str]:
    place = folder / "ours" / "1.0"
    place.mkdir(parents=True)
    who = {"name": name, "version": "1.0", "contact": "us@example"}
    report = as_json(gathered({}), exit_code=1, options=OPTIONS, implementation=who)
    (place / "report.json").write_text(json.dumps({**report, **changes}), encoding="utf-8")
    (place / "README.md").write_text(readme, encoding="utf-8")
    return [problem for path in reports_in(folder) for problem in problems(path, folder)]


@pytest.mark.req("OC-TEST-7028")
def test_a_submitted_report_is_held_to_schema_and_layout(tmp_path: Path) -> None:
    assert [] == submit(tmp_path / "good")
    assert "Reproduce" in submit(tmp_path / "silent", readme="# Ours")[0]
    assert "lies in ours/1.0" in submit(tmp_path / "misplaced", name="theirs")[0]
    assert "verdict" in submit(tmp_path / "edited", verdict="green")[0]
    assert "9" in submit(tmp_path / "wrong", exit_code=9)[0]
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")
    assert "not in NAME/VERSION" in next(problems(tmp_path / "report.json", tmp_path))
