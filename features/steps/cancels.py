"""Cancels, and their races."""

from pytest_bdd import parsers, then, when

from features.steps.world import END_MS, World
from harness.checks.stream import one_terminal
from harness.client import fresh_id
from harness.expect import assert_status, require

RACE_TOKENS = 4


@when("it is canceled")
@when("it is canceled again")
def it_is_canceled(world: World) -> None:
    answer = world.client.cancel(world.task_id("task"))
    world.notes.setdefault("canceled", []).append(answer)
    assert_status(answer, 204, req="ORCH-2003")


@when("one of the running tasks is canceled")
def one_is_canceled(world: World) -> None:
    assert_status(world.client.cancel(world.task_id("running 0")), 204, req="ORCH-2003")


@when("a task that nobody submitted is canceled")
def a_stranger_is_canceled(world: World) -> None:
    world.answers.append(world.client.cancel(fresh_id()))


@when(parsers.parse("{count:d} tasks are submitted and canceled at once"))
def tasks_are_canceled_at_once(world: World, count: int) -> None:
    for number in range(count):
        name = f"racing {number}"
        world.admit(name, world.body(max_tokens=RACE_TOKENS, seed=number))
        if number % 2:
            world.open(name)
        assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")
    _read_all(world)


@when(parsers.parse("{count:d} short tasks are canceled just as they end"))
def tasks_are_canceled_at_their_end(world: World, count: int) -> None:
    """The last token's arrival is the nearest that a client can see of the end."""
    for number in range(count):
        name = f"racing {number}"
        world.admit(name, world.body(max_tokens=RACE_TOKENS, seed=7))
        world.open(name)
        world.wait_tokens(name, RACE_TOKENS - 1)
        assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")
    _read_all(world)


@then("the cancel is answered the same")
def it_is_answered_the_same(world: World) -> None:
    first, second = world.notes["canceled"]
    assert (first.status, first.body) == (second.status, second.body)


@then("each of them has exactly one end")
def each_has_one_end(world: World) -> None:
    """Every reader of a task agrees on how it ended, and the task's state says the same."""
    state_of = {"end": "ended", "CANCELED": "canceled"}
    names = _racing(world)
    assert names, "no task was made"
    for name in names:
        stream = world.stream(name)
        require(one_terminal(stream))
        assert stream.terminal is not None, stream
        world.open(name)
        again = world.read_to_end(name)
        assert again.terminal is not None, again
        assert (stream.terminal.event, stream.terminal.data) == (again.terminal.event, again.terminal.data)
        how = stream.terminal.event if stream.terminal.event == "end" else stream.terminal.payload["code"]
        assert state_of[how] == world.state(name)


def _racing(world: World) -> list[str]:
    return [name for name in world.bodies if name.startswith("racing")]


def _read_all(world: World) -> None:
    for name in _racing(world):
        world.read_to_end(name, deadline_ms=END_MS)
