"""Service levels: interactive tasks that wait too long, and what a pool refuses meanwhile."""

from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.world import END_MS, World
from harness.expect import assert_ended_well, assert_status
from harness.target import pool_settings

WINDOW_MS = 600_000  # nothing that is measured in a scenario is forgotten in it


@given(parsers.parse("a server whose interactive tasks are to start within {queue_ms:d} ms"))
def a_server_with_an_objective(world: World, queue_ms: int) -> None:
    """Half of them, so that as many in time as were late are enough. A server of its own: it has measured nothing."""
    level = {"queue_ms": queue_ms, "percent": 50, "window_ms": WINDOW_MS, "tasks_min": 2}
    replica = world.servers.replica or {"kind": "mock", "slots": 1}
    world.use_own(world.servers.start(pool_settings({"service_level": level}, replica)))
    world.notes["queue_ms"] = queue_ms


@given("a batch task that waits")
def a_batch_task_that_waits(world: World) -> None:
    world.admit("batch", world.body(priority="batch"))


@when("interactive tasks start later than that")
def interactive_tasks_start_late(world: World) -> None:
    """They have waited for longer than the objective by the clock of their client, which saw them admitted."""
    names = [f"late {number}" for number in range(_late_tasks(world))]
    for name in names:
        world.admit(name, world.body())
    watch = world.stopwatch()
    world.wait(lambda: watch.elapsed_ms > world.notes["queue_ms"], what="the objective to be missed")
    for name in [name for name in world.bodies if name.startswith("running")]:
        assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")
    for name in names:
        assert_ended_well(world.read_to_end(name))


@when("interactive tasks start at once, as many as were late")
def interactive_tasks_start_at_once(world: World) -> None:
    """One after the other, each on a free slot."""
    for number in range(_late_tasks(world)):
        world.wait(world.is_idle, what="a free slot", deadline_ms=END_MS)
        world.admit(f"prompt {number}", world.body())
        assert_ended_well(world.read_to_end(f"prompt {number}"))


@then("the batch task that waited ends well")
def the_batch_task_ends_well(world: World) -> None:
    assert_ended_well(world.read_to_end("batch"))


@then("the pool's health tells that it sheds load")
def health_tells_of_shedding(world: World) -> None:
    assert True is _health(world).get("shedding"), _health(world)


@then("the status tells so of the pool, too")
def the_status_tells_of_shedding(world: World) -> None:
    rows = world.client.request("GET", "/v1/status").json["pools"]
    (row,) = [row for row in rows if row["id"] == world.service.pool_id]
    assert True is row.get("shedding"), row


@then("the pool's health tells of no shedding")
def health_tells_of_none(world: World) -> None:
    assert not _health(world).get("shedding"), _health(world)


def _late_tasks(world: World) -> int:
    """More than half of the interactive tasks: those that fill the slots have started at once."""
    return max(1, world.service.slots) + 2


def _health(world: World) -> Any:
    return world.client.request("GET", f"/v1/pools/{world.service.pool_id}/health").json
