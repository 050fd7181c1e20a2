"""Steps that can only pass are told from those that judge, by their source."""

from collections.abc import Callable, Iterable

import pytest

from harness import expect
from harness.expect import require
from harness.judging import judges
from harness.outcome import LateError


class World:
    """Stands for the scenario's."""

    def wait_within(self, within_ms: float) -> None:
        """Hold a time to its limit."""

    def wait(self, deadline_ms: float) -> None:
        """Wait, and judge nothing."""


def compares(told: int) -> None:
    assert 1 == told


def raises(told: int) -> None:
    if told != 1:
        raise AssertionError


def requires() -> None:
    require([])


def requires_by_its_module() -> None:
    expect.require([])


def holds_to_a_limit(world: World) -> None:
    world.wait_within(5)


def calls_what_judges(told: int) -> None:
    compares(told)


def judges_and_leaves(told: int) -> None:
    if told > 3:
        compares(told)
        return
    raises(told)


def judges_both_ways(told: int) -> None:
    if told > 3:
        compares(told)
    else:
        raises(told)


def has_a_function_inside(told: int) -> None:
    def inner() -> int:
        return 1

    assert inner() == told


def judges_each_of_two(told: int) -> None:
    for one in (1, 2):
        assert one == told


def does_nothing() -> None:
    """Nothing."""


def only_waits(world: World) -> None:
    world.wait(5)


def narrows(told: int | None) -> None:
    assert told is not None
    assert isinstance(told, int)


def excuses_itself(told: int) -> None:
    if told:
        raise LateError("too late")


def is_true() -> None:
    assert True


def loops(told: Iterable[int]) -> None:
    for one in told:
        assert one == 1


def branches(told: int) -> None:
    if told:
        assert told == 1


def leaves_before(told: int) -> None:
    if told > 3:
        return
    assert told == 1


def judges_in_a_comprehension(told: Iterable[int]) -> None:
    found = [compares(one) for one in told]  # type: ignore[func-returns-value]
    del found


def judges_perhaps(told: int) -> None:
    _ = told and compares(told)  # type: ignore[func-returns-value]


def calls_itself(told: int) -> None:
    calls_itself(told)


JUDGING = [
    *(compares, raises, requires, requires_by_its_module, holds_to_a_limit, calls_what_judges, judges_and_leaves),
    *(judges_both_ways, has_a_function_inside, judges_each_of_two),
]
EMPTY = [
    *(
        does_nothing,
        only_waits,
        narrows,
        excuses_itself,
        is_true,
        loops,
        branches,
        leaves_before,
        judges_in_a_comprehension,
    ),
    *(judges_in_a_comprehension, judges_perhaps, calls_itself),
]


@pytest.mark.req("OC-TEST-7020", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("step", "expected"),
    [*((step, True) for step in JUDGING), *((step, False) for step in EMPTY)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_step_judges_whenever_it_ends_or_does_not(step: Callable[..., None], *, expected: bool) -> None:
    assert expected == judges(step)


def test_what_has_no_source_judges_nothing() -> None:
    assert not judges(print)
    assert not judges(eval("lambda: None"))  # noqa: S307 - a function without a file
