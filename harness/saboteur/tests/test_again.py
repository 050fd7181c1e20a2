"""What nobody could tell is judged once more and alone; what has come to a verdict is not."""

from collections.abc import Sequence
from typing import Any

import pytest

from harness.conform import Event, Selection, Taker
from harness.outcome import Outcome
from harness.saboteur.again import judge_again
from harness.saboteur.matrix import CONTROL, Matrix
from harness.saboteur.report import exit_code_of
from harness.saboteur.tests.test_matrix import planned, proof, ran

SELECTION = Selection(planted=(CONTROL, "lie"), jobs=2, by_plan=True)


def scenario(row: str) -> dict[str, Any]:
    listed: dict[str, Any] = {"requirements": ["ORCH-2007"], "profiles": ["full"], "severity": "MUST"}
    return {"id": f"f.py::test[{row}]@lie", "check": "area/one", "title": "one", "feature": "area"} | {
        **listed,
        "disturbs": False,
    }


def finished(row: str, outcome: str, *, fired: int = 1) -> Event:
    more = {"message": "why", "violations": [], "duration_ms": 1, "trace": []}
    figures = {"fired": fired, "by_step": fired}
    return {"event": "finished", "id": f"f.py::test[{row}]@lie", "outcome": outcome, "figures": figures} | more


def again(matrix: Matrix, *events: Event) -> list[Selection]:
    """Judge again, with a run that tells these events; what was asked of it."""
    asked = []

    def run(selection: Selection, listeners: Sequence[Taker]) -> int:
        asked.append(selection)
        plan: Event = {"event": "planned", "scenarios": [scenario("~none"), scenario("~lie")]}
        for listener in listeners:
            for event in (plan, *events):
                listener.take(event)
        return 0

    judge_again(matrix, SELECTION, run)
    return asked


def undecided() -> Matrix:
    """The control could not tell, and of the defect nobody could either."""
    control = ran(Outcome.UNKNOWN, ran(Outcome.PASS).scenario)
    matrix = proof(ran(Outcome.UNKNOWN))
    matrix.not_judged[control.scenario.check] = "late"
    return matrix


@pytest.mark.req("OC-TEST-7095")
def test_it_runs_the_late_checks_alone_and_its_verdict_stands() -> None:
    matrix = undecided()
    asked = again(matrix, finished("~none", "PASS", fired=0), finished("~lie", "FAIL"))

    assert [(("area/one",), (CONTROL, "lie"), 1, True)] == [(s.checks, s.planted, s.jobs, s.by_plan) for s in asked]
    assert (["lie"], {}, {}) == (matrix.killed, matrix.not_judged, matrix.undecided)
    assert 0 == exit_code_of(matrix)


@pytest.mark.req("OC-TEST-7095")
@pytest.mark.parametrize(
    ("control", "planted", "code"),
    [
        pytest.param("PASS", "PASS", 1, id="a-survivor"),
        pytest.param("FAIL", "FAIL", 1, id="red-unharmed"),
        pytest.param("UNKNOWN", "FAIL", 3, id="late-again"),
        pytest.param("PASS", "UNKNOWN", 3, id="late-again-with-the-defect"),
    ],
)
def test_whatever_it_comes_to_is_told(control: str, planted: str, code: int) -> None:
    matrix = undecided()
    again(matrix, finished("~none", control, fired=0), finished("~lie", planted))

    assert code == exit_code_of(matrix)


@pytest.mark.req("OC-TEST-7095", "OC-TEST-7027")
@pytest.mark.parametrize(("outcome", "code", "idle"), [("FAIL", 0, []), ("PASS", 1, ["area/one"]), ("UNKNOWN", 3, [])])
def test_a_check_that_could_not_tell_of_what_another_has_found_is_judged_again(
    outcome: str, code: int, idle: list[str]
) -> None:
    matrix = proof(ran(Outcome.UNKNOWN), ran(Outcome.FAIL, planned("area/two")))
    assert (["lie"], [], {"area/one"}, 3) == (matrix.killed, matrix.idle, matrix.late, exit_code_of(matrix))

    again(matrix, finished("~none", "PASS", fired=0), finished("~lie", outcome))

    assert (code, idle) == (exit_code_of(matrix), matrix.idle)


@pytest.mark.req("OC-TEST-7095")
def test_a_second_run_that_is_cut_short_settles_nothing() -> None:
    matrix = undecided()
    again(matrix, finished("~none", "PASS", fired=0))

    assert (["area/one"], ["lie"]) == (list(matrix.not_judged), list(matrix.undecided))


@pytest.mark.req("OC-TEST-7095")
@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL, Outcome.HANG])
def test_what_has_come_to_a_verdict_is_not_late(outcome: Outcome) -> None:
    assert set() == proof(ran(outcome)).late
