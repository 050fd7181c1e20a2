"""The plan is as new as the suite, and what is written into it is no less than what was known."""

from dataclasses import replace

import pytest

from harness.explain import scenarios
from harness.outcome import Outcome
from harness.saboteur import plan
from harness.saboteur.defects import DEFECTS
from harness.saboteur.matrix import Matrix
from harness.saboteur.plan import Plan, Planned
from harness.saboteur.tests.test_matrix import planned, proof, ran

ONE, TWO, THREE = "area/one", "area/two", "area/three"


def entry(*checks: str, others: tuple[str, ...] = ()) -> Planned:
    return Planned(frozenset(checks), frozenset(others))


def part(matrix: Matrix) -> Matrix:
    return replace(matrix, is_whole=False)


@pytest.mark.req("OC-TEST-7027")
def test_the_plan_is_as_new_as_the_suite() -> None:
    """Where it is not: `llama-orch prove --write-plan`, with `--defect ID` for each that it does not know."""
    checks = {scenario.check for scenario in scenarios()}

    assert [] == list(plan.stale(plan.load(), DEFECTS, checks))
    assert plan.encoded(plan.load()) == plan.FILE.read_text("utf-8")


@pytest.mark.req("OC-TEST-7027", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("known", "says"),
    [
        pytest.param({}, "lie: the plan does not know it", id="a-defect-is-missing"),
        pytest.param({"lie": entry(ONE), "gone": entry(ONE)}, "gone: no such defect", id="a-defect-is-gone"),
        pytest.param({"lie": entry(ONE, THREE)}, f"lie: no such check: {THREE}", id="a-check-is-gone"),
        pytest.param(
            {"lie": entry(ONE, others=(THREE,))},
            f"lie: no such check: {THREE}",
            id="a-check-that-need-not-look-is-gone",
        ),
    ],
)
def test_a_stale_plan_is_found(known: Plan, says: str) -> None:
    assert [says] == list(plan.stale(known, {"lie"}, {ONE, TWO}))
    assert "gone" not in plan.without_gone(known, {"lie"}, {ONE, TWO})


def test_what_is_gone_is_left_out_and_what_lost_its_checks_is_not_known_any_more() -> None:
    known = {"lie": entry(ONE, THREE, others=(TWO, "area/four")), "other": entry(THREE), "gone": entry(ONE)}

    assert {"lie": entry(ONE, others=(TWO,))} == plan.without_gone(known, {"lie", "other"}, {ONE, TWO})


def test_each_check_and_each_defect_is_planned_once() -> None:
    matrix = proof(ran(Outcome.FAIL), ran(Outcome.FAIL, planned(TWO), by_step=0), ran(Outcome.PASS, planned(THREE)))

    assert {"lie": entry(ONE, others=(TWO, THREE))} == plan.of(matrix, {}, {})


def test_what_nobody_has_looked_at_stays_known() -> None:
    known = {"lie": entry(TWO, others=(THREE,)), "other": entry(TWO, others=(ONE,))}

    assert known | {"lie": entry(ONE, others=(TWO, THREE))} == plan.of(proof(ran(Outcome.FAIL)), {}, known)


def test_what_was_found_by_nobody_stays_as_it_was() -> None:
    known = {"lie": entry(ONE)}

    assert known == plan.of(proof(ran(Outcome.UNKNOWN)), {}, known)


def test_a_part_of_a_proof_takes_no_check_out() -> None:
    known = {"lie": entry(TWO)}

    assert {"lie": entry(ONE, TWO)} == plan.of(part(proof(ran(Outcome.FAIL))), {}, known)


def test_a_part_of_a_proof_adds_no_check_that_another_defect_has_already_shown() -> None:
    known = {"other": entry(TWO)}
    matrix = part(proof(ran(Outcome.FAIL), ran(Outcome.FAIL, planned(TWO))))

    assert known | {"lie": entry(ONE, others=(TWO,))} == plan.of(matrix, {}, known)
