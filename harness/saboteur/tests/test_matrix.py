"""What counts as a kill, and what does not."""

from typing import Any

import pytest

from harness.outcome import Outcome
from harness.report.result import Finished, Planned
from harness.saboteur.defect import Defect
from harness.saboteur.matrix import Matrix
from harness.saboteur.page import page
from harness.saboteur.report import as_json, blocks, exit_code_of, summary

MUST, OTHER, SHOULD = "ORCH-2007", "ORCH-2003", "ORCH-3006"


def defect(name: str = "lie", breaks: str = MUST) -> Defect:
    return Defect(name, (breaks,), "Something is wrong.", "**", "answers", lambda *_: None)


def planned(check: str = "area/one", *, requirement: str = MUST, severity: str = "MUST", row: str = "~lie") -> Planned:
    return Planned(f"f.py::test[{row}]@lie", check, "one", "area", (requirement,), severity, ("full",), False)


def ran(outcome: Outcome, scenario: Planned | None = None, **more: Any) -> Finished:
    figures = {"fired": more.pop("fired", 1), "by_step": more.pop("by_step", 1)}
    violations = tuple({"req": req} for req in more.pop("violates", ()))
    return Finished(scenario or planned(), outcome, "why", violations, 1, figures=figures)


def proof(*entries: Finished, breaks: str = MUST, off_wire: dict[str, str] | None = None) -> Matrix:
    matrix = Matrix({"lie": defect(breaks=breaks)}, off_wire=off_wire or {})
    matrix.plan(entry.scenario for entry in entries)
    for entry in entries:
        matrix.take(entry)
    return matrix


@pytest.mark.req("OC-TEST-7027")
def test_a_failure_of_a_check_of_its_requirement_kills() -> None:
    matrix = proof(ran(Outcome.FAIL))

    assert (["lie"], [], []) == (matrix.killed, matrix.survivors, matrix.idle)
    assert 0 == exit_code_of(matrix)


@pytest.mark.req("OC-TEST-7094")
@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.WARN, Outcome.HANG, Outcome.NOT_TESTABLE])
def test_nothing_but_a_failure_kills_what_breaks_a_must(outcome: Outcome) -> None:
    matrix = proof(ran(outcome))

    assert ["lie"] == matrix.survivors
    assert 1 == exit_code_of(matrix)


@pytest.mark.req("OC-TEST-7027")
def test_a_warning_kills_what_breaks_a_should() -> None:
    assert ["lie"] == proof(ran(Outcome.WARN, planned(requirement=SHOULD)), breaks=SHOULD).killed


@pytest.mark.req("OC-TEST-7094")
def test_a_check_of_another_requirement_kills_nothing() -> None:
    matrix = proof(ran(Outcome.FAIL, planned(requirement=OTHER)))

    assert ["lie"] == matrix.survivors
    assert ["lie"] == proof(ran(Outcome.FAIL, planned(requirement=OTHER), violates=[MUST])).killed


@pytest.mark.req("OC-TEST-7094")
def test_what_did_not_fire_is_neither_killed_nor_a_survivor() -> None:
    matrix = proof(ran(Outcome.FAIL, fired=0))

    assert ([], [], ["lie"]) == (matrix.killed, matrix.survivors, list(matrix.never_fired))
    assert 1 == exit_code_of(matrix)  # and its check has found nothing


@pytest.mark.req("OC-TEST-7094")
def test_a_check_that_is_red_without_a_defect_kills_nothing() -> None:
    matrix = proof(ran(Outcome.FAIL, planned(row="~none"), fired=0), ran(Outcome.FAIL))

    assert (["area/one"], ["lie"]) == (list(matrix.harmed), matrix.survivors)
    assert 1 == exit_code_of(matrix)


@pytest.mark.req("OC-TEST-7027")
def test_a_must_check_has_to_find_something_by_a_step_of_its_own() -> None:
    other = planned("area/two", requirement=MUST)
    matrix = proof(ran(Outcome.FAIL), ran(Outcome.FAIL, other, by_step=0))

    assert (["lie"], ["area/two"]) == (matrix.killed, matrix.idle)
    assert 1 == exit_code_of(matrix)


def test_a_check_that_looks_elsewhere_is_excused_until_it_finds_something() -> None:
    excused = {"area/two": "it reads the log"}

    assert [] == proof(ran(Outcome.FAIL), ran(Outcome.PASS, planned("area/two")), off_wire=excused).idle
    assert ["area/two"] == proof(ran(Outcome.FAIL, planned("area/two")), off_wire=excused).stale


def test_one_row_that_finds_it_is_enough() -> None:
    matrix = proof(ran(Outcome.PASS), ran(Outcome.FAIL, planned(row="other-row-~lie")))

    assert ["lie"] == matrix.killed
    (told,) = as_json(matrix, exit_code=0)["defects"]
    assert (["area/one"], "FAIL") == (told["killed_by"], told["checks"][0]["outcome"])


def test_the_page_and_the_text_show_who_found_what_and_what_nobody_found() -> None:
    other = planned("area/two")
    matrix = proof(ran(Outcome.FAIL), ran(Outcome.PASS, other))
    shown, text = page(as_json(matrix, exit_code=1)), "\n".join((*blocks(matrix), *summary(matrix)))

    assert '<td class="K" title="why">K<td class="soft">·' in shown
    assert "<code>area/two</code>" in shown
    assert "  K  ·" in text
    assert "finds nothing[/]  area/two" in text


@pytest.mark.req("OC-TEST-7046")
def test_a_process_that_was_left_behind_fails_a_proof_that_holds() -> None:
    matrix = proof(ran(Outcome.FAIL))
    assert 0 == exit_code_of(matrix)
    again = proof()
    again.left_behind.append({"pid": 7, "command": "engine <1>"})
    matrix.settle(again)

    assert 1 == exit_code_of(matrix)
    assert "left behind[/], and ended: 7 engine <1>" in "\n".join(summary(matrix))
    assert "<code>7</code> engine &lt;1&gt;" in page(as_json(matrix, exit_code=1))


def test_the_page_takes_no_text_for_markup() -> None:
    matrix = proof(ran(Outcome.FAIL))
    matrix.harmed["area/one"] = "FAIL: <script>alert(1)</script>"

    assert "<script>" not in page(as_json(matrix, exit_code=1))


@pytest.mark.req("OC-TEST-7094")
def test_what_could_not_be_told_is_neither_killed_nor_a_survivor() -> None:
    matrix = proof(ran(Outcome.UNKNOWN), ran(Outcome.UNKNOWN, planned(row="~none"), fired=0))

    assert ([], [], ["lie"], ["area/one"]) == (
        matrix.killed,
        matrix.survivors,
        list(matrix.undecided),
        list(matrix.not_judged),
    )
    assert 3 == exit_code_of(matrix)
