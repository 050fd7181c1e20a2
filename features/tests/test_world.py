"""What a scenario builds on: a task that it wants to see running, and that has ended by then."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from features.steps.world import World
from harness.outcome import LateError, NotTestableError


class Ended:
    """A client whose server says of every task that it has ended."""

    def status(self, task_id: str) -> Any:
        return SimpleNamespace(status=200, json={"task_id": task_id, "state": "ended"})

    def wait_until(self, condition: Any, **_: Any) -> Any:
        return condition()


def world(*, elapsed_ms: float, late_ms: float) -> World:
    """One that has submitted a task so long ago, and was late by so much of it."""
    made = World(*[cast("Any", None)] * 6)
    made.client = cast("Any", Ended())
    made.bodies["task"] = {"task_id": "one"}
    made.watches["task"] = cast("Any", SimpleNamespace(elapsed_ms=elapsed_ms, late_ms=lambda: late_ms))
    return made


@pytest.mark.req("OC-TEST-7097")
def test_an_engine_that_is_too_fast_makes_a_check_not_testable() -> None:
    with pytest.raises(NotTestableError, match=r'task "task" ended before it was seen to run: .* 1000 ms or more'):
        world(elapsed_ms=12, late_ms=3).wait_state("task", "running")


@pytest.mark.req("OC-TEST-7097", "OC-TEST-7026")
def test_a_harness_that_came_too_late_to_see_it_run_blames_nobody() -> None:
    with pytest.raises(LateError, match=r"the harness was late by 9000 ms"):
        world(elapsed_ms=9_100, late_ms=9_000).wait_state("task", "running")


@pytest.mark.req("OC-TEST-7097")
def test_an_end_that_was_waited_for_is_no_surprise() -> None:
    assert "ended" == world(elapsed_ms=12, late_ms=3).wait_state("task", "running", "ended")


@pytest.mark.req("OC-TEST-7097")
def test_a_long_task_may_have_ended_after_a_while() -> None:
    """A server that keeps its tokens back until then is not excused by its engine."""
    world(elapsed_ms=8_000, late_ms=3).require_long("task")

    with pytest.raises(NotTestableError):
        world(elapsed_ms=12, late_ms=3).require_long("task")
