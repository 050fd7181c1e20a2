"""Full queues: how they are filled, who has to go, and what the refusal says."""

from pytest_bdd import given, parsers, then, when

from features.steps.servers import SMALL_LANE
from features.steps.tasks import every_slot_is_busy
from features.steps.world import QUEUE_BOUND, World
from harness.checks import answer as rules
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_with, assert_error, assert_status, require

WAIT_MS = (50, 60_000)  # of a full queue, whatever its pace


@given("a full batch lane")
@given("a queue full of batch tasks")
def a_full_batch_lane(world: World) -> None:
    _fill(world, "batch")


@given("a queue full of interactive tasks")
def a_queue_full_of_interactive(world: World) -> None:
    _fill(world, "interactive")


@when("batch tasks are submitted until one is refused")
def until_one_is_refused(world: World) -> None:
    for number in range(QUEUE_BOUND):
        if world.submit(f"waiting {number}", world.body(priority="batch")).status != 202:
            world.bodies["refused"] = world.bodies.pop(f"waiting {number}")
            return
    raise ViolationError([Violation("OC-CORE-1001", "a queue that is bounded", f"it took {QUEUE_BOUND} tasks")])


@when("room is made in the batch lane")
def room_is_made(world: World) -> None:
    assert_status(world.client.cancel(world.task_id("waiting 0")), 204, req="ORCH-2003")


@then("the refusal says when to come back, and by which policy")
def the_refusal_says(world: World) -> None:
    """Its shape is a rule of every 429; its policy is the one that capabilities name."""
    if world.answer.status != 429:
        raise ViolationError([Violation("ORCH-2007", "status 429", f"{world.answer.status}", str(world.answer))])
    require(violation for check in rules.CHECKS for violation in check(world.answer))
    named = world.service.features.get("queue_full_policy", world.answer.json["policy_label"])
    assert named == world.answer.json["policy_label"], world.answer
    if not WAIT_MS[0] <= (wait_ms := world.answer.json["retry_after_ms"]) <= WAIT_MS[1]:
        expected = "a wait of {} ms to {} ms".format(*WAIT_MS)
        raise ViolationError([Violation("OC-CORE-1043", expected, f"{wait_ms} ms", str(world.answer))])


@then("the refused task is not known")
def the_refused_task_is_not_known(world: World) -> None:
    assert_error(world.client.status(world.task_id("refused")), "NOT_FOUND")


@then("the refusal is counted")
def the_refusal_is_counted(world: World) -> None:
    assert 1 == world.grown("tasks_rejected_total", reason=world.answer.json["code"])
    assert 1 == world.grown("admission_backpressure_events_total", policy=world.answer.json["policy_label"])


@then(parsers.parse('the policy label is "{label}"'))
def the_policy_label_is(world: World, label: str) -> None:
    assert label == world.answer.json["policy_label"], world.answer


@then("every task that waited still waits")
def all_still_wait(world: World) -> None:
    states = {name: world.state(name) for name in _waiting(world)}
    assert {"queued"} == set(states.values()), states


@then("the other tasks still wait")
def the_others_still_wait(world: World) -> None:
    states = {name: world.state(name) for name in _waiting(world) if name != world.notes["dropped"]}
    assert {"queued"} == set(states.values()), states


@then(parsers.parse("the task that came {which} ends with {code}, retriable"))
def the_dropped_task_ends(world: World, which: str, code: str) -> None:
    name = _waiting(world)[0 if which == "first" else -1]
    world.notes["dropped"] = name
    stream = world.read_to_end(name)
    assert_ended_with(stream, code)
    assert [] == stream.of("started"), stream
    assert stream.terminal is not None
    assert True is stream.terminal.payload.get("retriable"), stream.terminal.data
    assert "failed" == world.state(name)


@then(parsers.parse('capabilities name the policy "{policy}"'))
def capabilities_name_the_policy(world: World, policy: str) -> None:
    assert policy == world.service.features.get("queue_full_policy")


@then(parsers.parse('admission_backpressure_events_total has grown for "{policy}"'))
def backpressure_has_grown(world: World, policy: str) -> None:
    assert world.grown("admission_backpressure_events_total", policy=policy) >= 1


def _fill(world: World, priority: str) -> None:
    every_slot_is_busy(world)
    for number in range(SMALL_LANE):
        world.admit(f"waiting {number}", world.body(priority=priority))


def _waiting(world: World) -> list[str]:
    return [name for name in world.bodies if name.startswith("waiting")]
