"""Budgets of sessions, and the limits of a token."""

from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.world import World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_well
from harness.history import Exchange, Stream
from harness.target import pool_settings

BUDGETS = {
    "tokens": ("x-budget-tokens-remaining", "tokens_budget_remaining"),
    "time_ms": ("x-budget-time-remaining-ms", "time_budget_remaining_ms"),
    "cost": ("x-budget-cost-remaining", "cost_budget_remaining"),
}
"""What may be bounded: the header, and the field of a frame and of a session."""
HEADERS = tuple(header for header, _ in BUDGETS.values())
ATTEMPTS_MAX = 64


def use(world: World, **settings: Any) -> None:
    """A server with these settings, shared with the scenarios that want the same."""
    world.use(world.servers.get(pool_settings({}, world.servers.replica, **settings)))


def opening(stream: Stream) -> Exchange:
    """The request of a stream, and the head of its answer."""
    assert stream.opening is not None, "the stream was never opened"
    return stream.opening


@given(parsers.parse("a server whose sessions may use {tokens:d} tokens"))
def a_server_with_budgets(world: World, tokens: int) -> None:
    use(world, sessions={"budget": {"tokens": tokens}})
    world.notes["budget"] = tokens


@given(parsers.parse("a server whose sessions may use {amount:d} of {budget}"))
def a_server_with_a_budget(world: World, amount: int, budget: str) -> None:
    """A token costs 0.01, in and out."""
    prices = {"prices": {"in_per_1k": 10, "out_per_1k": 10}} if budget == "cost" else {}
    sessions = {"budget": {budget: amount}}
    world.use(world.servers.get(pool_settings(prices, world.servers.replica, sessions=sessions)))
    world.notes["budget"] = amount


@given(parsers.parse("a server that admits {tasks:d} task a second"))
def a_server_that_throttles(world: World, tasks: int) -> None:
    use(world, token_limits={"tasks_per_s": tasks, "burst": 1})


@given(parsers.parse("a server that allows {tasks:d} open task"))
def a_server_with_few_open_tasks(world: World, tasks: int) -> None:
    use(world, token_limits={"open_tasks_max": tasks})


@when(parsers.parse("a task of the session with {tokens:d} tokens is submitted"))
def a_task_of_tokens(world: World, tokens: int) -> None:
    world.submit("task", world.body(max_tokens=tokens, session_id=world.session_id))


@when("its stream is read to its end")
def its_stream_is_read(world: World) -> None:
    assert_ended_well(world.read_to_end("task"))


@when("tasks are submitted until one is refused")
def until_one_is_refused(world: World) -> None:
    for number in range(ATTEMPTS_MAX):
        if world.submit(f"task {number}", world.body(max_tokens=1)).status != 202:
            return
    raise ViolationError([Violation("OC-CORE-1035", "a rate that is held", f"{ATTEMPTS_MAX} tasks were admitted")])


@then("the answer tells the budgets that are left")
def the_answer_tells(world: World) -> None:
    told = int(world.answer.header(HEADERS[0]) or -1)
    assert 0 <= told < world.notes["budget"], world.answer
    world.notes["told"] = told


@then("its stream tells the budgets that are left")
def the_stream_tells(world: World) -> None:
    """The task may have ended by then, and given back what it did not use."""
    told = int(opening(world.read_to_end("task")).header(HEADERS[0]) or -1)
    assert world.notes["told"] <= told < world.notes["budget"], told


@then("its last metrics frame shows what its session has left")
def the_frame_shows(world: World) -> None:
    last = world.stream("task").of("metrics")[-1].payload
    session = world.client.request("GET", f"/v1/sessions/{world.session_id}").json
    used = last["tokens_in"] + last["tokens_out"]
    assert last["tokens_budget_remaining"] == session["tokens_budget_remaining"] == world.notes["budget"] - used, (
        f"{last} and {session}"
    )


@then(parsers.parse("admission and stream tell what is left of {budget}, and of no other"))
def both_tell(world: World, budget: str) -> None:
    """By admission what the task can use is set aside, and at the start it is that still, or what it used."""
    told = [_told(answer) for answer in (world.answer, opening(world.stream("task")))]
    assert [{budget}, {budget}] == [left.keys() for left in told], told
    assert all(0 <= left[budget] < world.notes["budget"] for left in told), told


@then(parsers.parse("the last metrics frame and the session tell the same that is left of {budget}"))
def frame_and_session_tell(world: World, budget: str) -> None:
    last = world.stream("task").of("metrics")[-1].payload
    left = [_left(told, budget) for told in (last, _session(world))]
    assert left[0] == left[1] < world.notes["budget"], left
    others = BUDGETS.keys() - {budget}
    assert [] == [name for told in (last, _session(world)) for name in others if _left(told, name) is not None]


@then(parsers.parse("the session has less than {amount:d} of {budget} left"))
def the_session_has_less(world: World, amount: int, budget: str) -> None:
    left = _left(_session(world), budget)
    assert left is not None
    assert left <= amount, left


@then(parsers.parse("the session has its {amount:d} of {budget} again"))
def the_session_has_all(world: World, amount: int, budget: str) -> None:
    assert amount == _left(_session(world), budget)


def _session(world: World) -> Any:
    return world.client.request("GET", f"/v1/sessions/{world.session_id}").json


def _left(told: Any, budget: str) -> float | None:
    """What a frame or a session tells is left of a budget; None = nothing."""
    left: float | None = told.get(BUDGETS[budget][1])
    return left


def _told(answer: Exchange) -> dict[str, float]:
    """What the headers of an answer tell is left, by budget."""
    found = {budget: answer.header(header) for budget, (header, _) in BUDGETS.items()}
    return {budget: float(value) for budget, value in found.items() if value is not None}


@then("the answer tells no budgets")
def the_answer_tells_none(world: World) -> None:
    assert [None] * 3 == [world.answer.header(name) for name in HEADERS], world.answer


@then(parsers.parse("capabilities name {tasks:d} task a second"))
def capabilities_name_the_rate(world: World, tasks: int) -> None:
    rows = world.target.capabilities()["engines"]
    assert [tasks] * len(rows) == [row["rate_limits"].get("tasks_per_s") for row in rows], rows
