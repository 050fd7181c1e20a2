"""Reload: a pool that is brought to another model."""

import json
from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.drains import health
from features.steps.world import END_MS, World
from harness.expect import assert_status
from harness.history import Origin
from harness.outcome import NotApplicableError
from harness.service import Service
from harness.target import Settings, pool_settings


def reload(world: World, body: Any, *, pool_id: str | None = None, origin: Origin = "harness") -> None:
    """Ask for a reload; the answer is the world's last."""
    path = f"/v1/pools/{pool_id or world.service.pool_id}/reload"
    world.answers.append(world.client.request("POST", path, json=body, origin=origin))


@given("a server of its own on an engine that takes any model")
def a_server_of_its_own_that_takes_any_model(world: World) -> None:
    """A stand-in: only that takes a model that is not there."""
    world.use_own(world.servers.start(_any_model(world)))


@given("a server on an engine that takes any model")
def a_server_that_takes_any_model(world: World) -> None:
    """Shared: the scenario leaves its pool as it was."""
    world.use(world.servers.get(_any_model(world)))


@when(parsers.parse('the pool is reloaded to "{model_ref}"'))
def the_pool_is_reloaded(world: World, model_ref: str) -> None:
    reload(world, {"new_model_ref": model_ref})
    assert_status(world.answer, 202, req="ORCH-2102")


@when("the pool is reloaded again")
def the_pool_is_reloaded_again(world: World) -> None:
    reload(world, {"new_model_ref": "a-third-model"})


@when(parsers.parse("the pool is reloaded with {body}"))
def the_pool_is_reloaded_with(world: World, body: str) -> None:
    reload(world, json.loads(body), origin="hostile")


@when("a pool that does not exist is reloaded")
def another_pool_is_reloaded(world: World) -> None:
    reload(world, {"new_model_ref": "m"}, pool_id="no-such-pool")


@then(parsers.parse("the pool becomes ready, and its reload is {phase}"))
def the_pool_becomes_ready(world: World, phase: str) -> None:
    now = world.wait(lambda: (h := health(world))["ready"] and h, what="the pool to be ready", deadline_ms=END_MS)
    operation = now.get("operation", {})
    assert ("reload", phase) == (operation.get("kind"), operation.get("phase")), now


@then(parsers.parse('capabilities name the model "{model_ref}"'))
def capabilities_name_the_model(world: World, model_ref: str) -> None:
    rows = world.target.capabilities()["engines"]
    assert model_ref in [row["model_ref"] for row in rows if row["pool_id"] == world.service.pool_id], rows


@then("a task for the old model is refused with INVALID_PARAMS")
def the_old_model_is_gone(world: World) -> None:
    world.submit("old", world.body())
    assert_status(world.answer, 400, req="ORCH-2102")


@then(parsers.parse('a task for "{model_ref}" runs to its end'))
def a_task_for_the_new_model(world: World, model_ref: str) -> None:
    assert_status(world.submit("new", world.body(model_ref=model_ref)), 202, req="ORCH-2102")
    terminal = world.read_to_end("new").terminal
    assert terminal is not None, "the stream was cut"
    assert "end" == terminal.event, terminal


@then("a task runs to its end")
def a_task_runs(world: World) -> None:
    world.service = Service.of(world.target.capabilities())
    a_task_for_the_new_model(world, world.service.model_ref)


@then("the health of the pool says why")
def the_health_says_why(world: World) -> None:
    assert "no such file" in health(world).get("last_error", ""), health(world)


def _any_model(world: World) -> Settings:
    if world.servers.replica is not None:
        raise NotApplicableError("a real engine takes only models that are there")
    return pool_settings({}, {"kind": "mock"})
