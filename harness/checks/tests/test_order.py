"""The service order: right ones pass, swapped ones are caught."""

import pytest

from harness.checks.order import positions_follow_arrival, served_in_order, service_order

SUBMITTED = [("a", "batch"), ("b", "interactive"), ("c", "batch"), ("d", "interactive")]


@pytest.mark.req("OC-CORE-1004")
def test_interactive_goes_first_and_arrival_counts_within() -> None:
    assert ["b", "d", "a", "c"] == service_order(SUBMITTED)


@pytest.mark.req("OC-CORE-1004")
@pytest.mark.parametrize("started", ["bdac", "bd", "dc", ""], ids=["all", "first-two", "some", "none"])
def test_a_right_order_passes(started: str) -> None:
    assert [] == list(served_in_order(SUBMITTED, {task: float(at) for at, task in enumerate(started)}))


@pytest.mark.req("OC-CORE-1004")
@pytest.mark.parametrize("started", ["abdc", "dbac", "bdca", "cd"], ids=["batch-first", "lifo", "batch-lifo", "some"])
def test_a_wrong_order_is_caught(started: str) -> None:
    (violation,) = served_in_order(SUBMITTED, {task: float(at) for at, task in enumerate(started)})

    assert "OC-CORE-1004" == violation.req


@pytest.mark.req("OC-CORE-1003")
def test_rising_positions_pass() -> None:
    assert [] == list(positions_follow_arrival([0, 1, 5]))


@pytest.mark.req("OC-CORE-1003")
@pytest.mark.parametrize("positions", [[0, 0], [2, 1]], ids=["same", "falling"])
def test_positions_that_do_not_rise_are_caught(positions: list[int]) -> None:
    (violation,) = positions_follow_arrival(positions)

    assert "OC-CORE-1003" == violation.req
