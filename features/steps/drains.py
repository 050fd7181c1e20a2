"""Drain: a pool that closes to new tasks."""

import json
from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.world import World
from harness.expect import assert_ended_well, assert_status
from harness.history import Origin
from harness.outcome import NotApplicableError

DONE_MS = 10_000  # for an idle pool to come to its next phase
OTHER = {"id": "other", "model_ref": "other", "replicas": [{"kind": "mock"}]}


def drain(world: World, body: Any, *, pool_id: str | None = None, origin: Origin = "harness") -> None:
    """Ask for a drain; the answer is the world's last."""
    path = f"/v1/pools/{pool_id or world.service.pool_id}/drain"
    world.answers.append(world.client.request("POST", path, json=body, origin=origin))


def health(world: World) -> dict[str, Any]:
    """The pool's health now."""
    read: dict[str, Any] = world.client.request("GET", f"/v1/pools/{world.service.pool_id}/health").json
    return read


@given("a server of its own with two pools")
def a_server_with_two_pools(world: World) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("pools on one real engine wait for each other")
    world.use_own(world.servers.start({"pools": [{"id": "default", "replicas": [{"kind": "mock"}]}, OTHER]}))


@when("a task is sent to the other pool")
def a_task_is_sent_to_the_other(world: World) -> None:
    world.submit("other", world.body(model_ref=OTHER["model_ref"]))


@then("the task of the other pool ends well")
def the_task_of_the_other_ends_well(world: World) -> None:
    assert_status(world.answer, 202, req="ORCH-2101")
    stream = world.read_to_end("other")
    assert_ended_well(stream)
    assert OTHER["id"] == stream.of("started")[0].payload["pool_id"], stream


@when(parsers.parse("the pool is drained within {deadline_ms:d} ms"))
def the_pool_is_drained(world: World, deadline_ms: int) -> None:
    drain(world, {"deadline_ms": deadline_ms})
    assert_status(world.answer, 202, req="ORCH-2101")


@when(parsers.parse("the pool is drained with {body}"))
def the_pool_is_drained_with(world: World, body: str) -> None:
    drain(world, json.loads(body), origin="hostile")


@when("a pool that does not exist is drained")
def another_pool_is_drained(world: World) -> None:
    drain(world, {"deadline_ms": 1}, pool_id="no-such-pool")


@then("the pool is live and draining, and not ready")
def the_pool_is_draining(world: World) -> None:
    now = world.answer.json
    assert (now["live"], now["draining"], now["ready"]) == (True, True, False), now


@then(
    parsers.re(r"its health shows a (?P<kind>drain|reload) that is (?P<phase>\S+), with (?P<count>\d) tasks? running")
)
def its_health_shows(world: World, kind: str, phase: str, count: str) -> None:
    shown = health(world).get("operation", {})
    assert (kind, phase, int(count), 0) == _progress(shown), shown


@then(
    parsers.re(
        r"its health comes to show a (?P<kind>drain|reload) that is (?P<phase>\S+), with (?P<count>\d) tasks? running"
    )
)
def its_health_comes_to_show(world: World, kind: str, phase: str, count: str) -> None:
    wanted = (kind, phase, int(count), 0)
    world.wait_within(
        lambda: wanted == _progress(health(world).get("operation", {})),
        DONE_MS,
        what=f"the {kind} to be {phase}",
        figure="operation_ms",
    )


@then(parsers.parse("at most {deadline_ms:d} ms are left of it"))
def so_much_is_left(world: World, deadline_ms: int) -> None:
    left = health(world)["operation"]["deadline_ms_remaining"]
    assert deadline_ms / 2 < left <= deadline_ms, left


def _progress(operation: dict[str, Any]) -> tuple[Any, ...]:
    """Kind, phase, and the tasks that run and wait."""
    return tuple(operation.get(name) for name in ("kind", "phase", "tasks_running", "tasks_waiting"))


@then("the health of the pool does not say that it drains")
def the_pool_does_not_drain(world: World) -> None:
    now = health(world)
    assert (now["draining"], now["ready"]) == (False, True), now
