"""Tasks: how they are submitted, what becomes of them, and in which order."""

from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.hostile import dumped
from features.steps.variants import variant
from features.steps.world import World
from harness.checks.order import positions_follow_arrival, served_in_order
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_well, assert_ended_with, assert_error, assert_status, require
from harness.outcome import NotTestableError

# ── given ──


@given("every slot is busy")
def every_slot_is_busy(world: World, said_tokens: int | None = None) -> None:
    """Long tasks on all slots; they are canceled when the scenario ends."""
    names = [f"running {number}" for number in range(max(1, world.service.slots))]
    for name in names:
        world.admit_long(name, expected_tokens=said_tokens)
    for name in names:
        world.wait_state(name, "running")


@given("every slot is busy with tasks that were said to be short")
def every_slot_is_busy_with_lies(world: World) -> None:
    """`expected_tokens` is a hint: the prediction believes it, the engine does not."""
    every_slot_is_busy(world, said_tokens=1)


@given("a task that waits")
def a_task_that_waits(world: World) -> None:
    world.admit("task", world.body())
    if (state := world.state("task")) != "queued":
        raise NotTestableError(f"the task does not wait behind busy slots: it is {state}")


@given("a task that has ended")
def a_task_that_has_ended(world: World) -> None:
    world.admit("task", world.body(seed=5))
    world.read_to_end("task")
    assert_ended_well(world.stream("task"))


@given("a task without a seed that has ended")
def a_task_without_a_seed(world: World) -> None:
    a_task_that_has_ended_with(world, {})


@given("a running task")
def a_running_task(world: World) -> None:
    world.admit_long("task")
    world.wait_state("task", "running")


@given(parsers.parse("a running task of {tokens:d} tokens"))
def a_running_task_of(world: World, tokens: int) -> None:
    world.admit("task", world.steady_body(tokens))
    world.wait_state("task", "running", "ended")


@given(parsers.parse("a running task of {tokens:d} tokens that wants to be canceled on disconnect"))
def a_running_task_to_cancel(world: World, tokens: int) -> None:
    world.admit("task", world.steady_body(tokens, on_disconnect="cancel"))
    world.wait_state("task", "running", "ended")


# ── when ──


@when("a task is submitted")
@when("an interactive task is submitted")
def a_task_is_submitted(world: World) -> None:
    world.submit("task" if "task" not in world.bodies else "newcomer", world.body())


@when("a batch task is submitted")
def a_batch_task_is_submitted(world: World) -> None:
    world.submit("newcomer", world.body(priority="batch"))


@when("a long task is submitted")
def a_long_task_is_submitted(world: World) -> None:
    world.submit("task", world.long_body())


@when(parsers.parse("a task of {tokens:d} tokens is submitted"))
def a_task_of_is_submitted(world: World, tokens: int) -> None:
    world.submit("task", world.steady_body(tokens))


@when(parsers.parse("a task is submitted with a deadline of {deadline_ms:d} ms"))
def a_task_with_a_deadline(world: World, deadline_ms: int) -> None:
    """Sent wrong on purpose: zero and less are no deadlines."""
    world.bodies["task"] = body = world.body(deadline_ms=deadline_ms)
    headers = {"Content-Type": "application/json"}
    world.answers.append(
        world.client.request("POST", "/v1/tasks", body=dumped(body), headers=headers, origin="hostile")
    )


@when(parsers.parse("a long task is submitted with a deadline of {deadline_ms:d} ms"))
def a_long_task_with_a_deadline(world: World, deadline_ms: int) -> None:
    world.submit("task", world.long_body(deadline_ms=deadline_ms))
    world.build_on_running("task")


@when(parsers.parse("a task is submitted that has to be done in {deadline_ms:d} ms"))
def a_task_to_be_done(world: World, deadline_ms: int) -> None:
    world.submit("task", world.body(deadline_ms=deadline_ms, expected_tokens=1))


@when(parsers.re(r"a task is submitted with (?P<what>[a-z'-]+)$"))
def a_task_with(world: World, what: str) -> None:
    world.submit("task", world.body(**variant(world, what)))


@when("a task is submitted as JSON with a charset")
def a_task_with_a_charset(world: World) -> None:
    world.bodies["task"] = body = world.body()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    world.answers.append(world.client.submit(body, headers=headers))


@when("the same request is sent again")
def the_same_again(world: World) -> None:
    name = "newcomer" if "newcomer" in world.bodies else "task"
    world.notes.setdefault("first", world.answer)
    world.submit(name, world.bodies[name])


@when("its task_id is submitted with another prompt")
def the_same_id_with_another_prompt(world: World) -> None:
    world.answers.append(world.client.submit({**world.bodies["task"], "prompt": "something else"}))


@when(parsers.re(r"tasks are submitted as (?P<lanes>(?:batch|interactive)(?:, (?:batch|interactive))*)$"))
def tasks_are_submitted_as(world: World, lanes: str) -> None:
    """Each has a reader, so that its start is seen, and is long: one starts when the one before was told to end."""
    world.notes["lanes"] = lanes.split(", ")
    for number, lane in enumerate(world.notes["lanes"]):
        world.admit(f"waiting {number}", world.long_body(priority=lane))
        world.open(f"waiting {number}")


@when("the slot becomes free")
def the_slot_becomes_free(world: World) -> None:
    for name in [name for name in world.bodies if name.startswith("running")]:
        assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")


# ── then ──


@then("it is accepted")
def it_is_accepted(world: World) -> None:
    assert_status(world.answer, 202, req="ORCH-2001")


@then("it is told to start at once")
def it_is_told_to_start(world: World) -> None:
    told = world.answer.json
    assert (0, 0) == (told["queue_position"], told["predicted_start_ms"]), world.answer


@then("it is told a place behind the one that waits")
def it_is_told_a_place(world: World) -> None:
    assert world.answer.json["queue_position"] >= 1, world.answer
    assert world.answer.json["predicted_start_ms"] > 0, world.answer


@then("it gets the first answer")
def it_gets_the_first_answer(world: World) -> None:
    first = world.notes["first"]
    assert (first.status, first.json) == (world.answer.status, world.answer.json), f"{first}\n{world.answer}"


@then("no second task was made")
def no_second_task(world: World) -> None:
    grown, distinct = world.grown("tasks_enqueued_total"), len(world.admitted)
    if grown != distinct:
        raise ViolationError([Violation("ORCH-3024", f"{distinct} tasks enqueued", f"{grown:.0f}", str(world.answer))])


@then("it ends well")
@then("the task ends well")
def it_ends_well(world: World) -> None:
    world.open("task")
    assert_ended_well(world.read_to_end("task"))


@then(parsers.re(r"its state is (?P<state>[a-z]+)$"))
def its_state_is(world: World, state: str) -> None:
    actual = world.state("task")
    if actual != state:
        raise ViolationError([Violation("ORCH-3017", f"state {state}", actual)])


@then(parsers.parse("its state is {state} within {within_ms:d} ms"))
def its_state_is_soon(world: World, state: str, within_ms: int) -> None:
    world.wait_within(
        lambda: world.state("task") == state, within_ms, what=f"the task to be {state}", figure="state_ms"
    )


@then(parsers.parse("it ends with {code}, and has not started"))
def it_ends_without_a_start(world: World, code: str) -> None:
    """At admission already, or in the queue: both are before any engine."""
    if world.answer.status != 202:
        assert_error(world.answer, code)
        return
    stream = world.read_to_end("task")
    assert_ended_with(stream, code)
    assert [] == stream.of("started"), stream


@then("nothing was enqueued")
def nothing_was_enqueued(world: World) -> None:
    """Neither counted nor known; what the scenario itself has running does not count."""
    admitted = len(world.admitted)
    if (grown := world.grown("tasks_enqueued_total")) != admitted:
        raise ViolationError(
            [Violation("OC-CTRL-2010", "no task enqueued", f"{grown - admitted:.0f} were", str(world.answer))]
        )
    task = world.bodies.get("task")
    if task is not None and task["task_id"] not in world.admitted:
        status = world.client.status(str(task["task_id"])).status
        assert 404 == status, f"the refused task is known: GET answers {status}"


@then("they are served interactive first, and in order of arrival")
def they_are_served_in_order(world: World) -> None:
    lanes = world.notes["lanes"]
    names = [f"waiting {number}" for number in range(len(lanes))]
    started: dict[str, float] = {}
    while len(started) < len(names):
        found = world.wait(lambda: _new_starts(world, names, started), what="the next start")
        for name, at_ms in found.items():
            started[name] = at_ms
            assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")
    require(served_in_order(list(zip(names, lanes, strict=True)), started))


@then("each is told a place behind the one before")
def each_is_told_a_place(world: World) -> None:
    told = [answer.json["queue_position"] for answer in world.answers[-len(world.notes["lanes"]) :]]
    require(positions_follow_arrival(told))


@when("the first of them is canceled")
def the_first_is_canceled(world: World) -> None:
    last = f"waiting {len(world.notes['lanes']) - 1}"
    world.notes["place"] = world.client.status(world.task_id(last)).json["queue_position"]
    assert_status(world.client.cancel(world.task_id("waiting 0")), 204, req="ORCH-2003")


@then("the last of them has moved up by one")
def the_last_has_moved_up(world: World) -> None:
    last = f"waiting {len(world.notes['lanes']) - 1}"
    place = world.notes["place"]
    assert place - 1 == world.client.status(world.task_id(last)).json["queue_position"]


@then(parsers.parse("the task that waits starts within {within_ms:d} ms"))
def the_waiting_task_starts(world: World, within_ms: int) -> None:
    started = ("running", "ended")
    what = "the start of the task that waits"
    world.wait_within(lambda: world.state("task") in started, within_ms, what=what, figure="slot_free_ms")


@then("its answer tells its place and when it will start")
def its_answer_tells_its_place(world: World) -> None:
    told = world.client.status(world.task_id("task")).json
    if told.get("state") != "queued" or told.get("queue_position") != 0 or "predicted_start_ms" not in told:
        raise ViolationError([Violation("ORCH-2009", "queued at 0, with predicted_start_ms", str(told))])


@then("its answer tells the tokens of the stream")
def its_answer_tells_its_tokens(world: World) -> None:
    told, count = world.client.status(world.task_id("task")).json, len(world.stream("task").tokens)
    if (told.get("state"), told.get("tokens_out")) != ("ended", count) or "queue_position" in told:
        raise ViolationError([Violation("ORCH-2009", f"ended, {count} tokens, no place any more", str(told))])


@then("its answer tells the error of the stream")
def its_answer_tells_its_error(world: World) -> None:
    told, error = world.client.status(world.task_id("task")).json, world.stream("task").frames[-1].payload
    if told.get("state") != "failed" or (told.get("error") or {}).get("code") != error["code"]:
        raise ViolationError([Violation("ORCH-2009", f"failed, with {error['code']}", str(told))])


# ── parts ──


def _new_starts(world: World, names: list[str], known: dict[str, float]) -> dict[str, float]:
    """When `started` has come, of those tasks that have started and are not known yet."""
    new = [name for name in names if name not in known]
    return {name: frames[0].at_ms for name in new if (frames := world.stream(name).of("started"))}


def a_task_that_has_ended_with(world: World, changes: dict[str, Any]) -> None:
    """Admit a task and read it to its end."""
    world.admit("task", world.body(**changes))
    assert_ended_well(world.read_to_end("task"))
