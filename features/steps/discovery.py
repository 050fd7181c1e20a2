"""Capabilities and health."""

from pytest_bdd import then, when

from features.steps.world import World
from harness.expect import assert_status
from harness.schema import contract
from harness.stand_in import why_stand_in


@when("the health of the pool is read")
def the_health_is_read(world: World) -> None:
    world.answers.append(world.client.request("GET", f"/v1/pools/{world.service.pool_id}/health"))


@then("api_version is the contract's")
def api_version_is_the_contracts(world: World) -> None:
    assert contract().api_version == world.answer.json["api_version"]


@then("every engine names its version, context, workloads and concurrency")
def every_engine_is_described(world: World) -> None:
    """Their types are the contract's; that something is served at all is asked here."""
    rows = world.answer.json["engines"]
    assert rows, world.answer
    for row in rows:
        assert row["engine_version"], row
        assert row["ctx_max"] > 0, row
        assert row["declared_concurrency"] > 0, row
        assert row["supported_workloads"], row


@then("an engine is a stand-in by its version exactly when it is one by its features")
def stand_ins_say_so(world: World) -> None:
    rows = world.answer.json["engines"]
    assert rows, world.answer
    for row in rows:
        by_version = row["engine_version"].startswith("mock-")
        assert by_version == bool(row["features"].get("stand_in")), row
        assert by_version == (why_stand_in({"engines": [row]}) is not None), row


@then("a task's started frame names the same engine_version")
def started_names_the_same_version(world: World) -> None:
    versions = {row["engine_version"] for row in world.answer.json["engines"]}
    world.admit("task", world.body())
    started = world.read_to_end("task").frames[0].payload
    assert started["engine_version"] in versions, started


@then("the pool is live and ready, and not draining")
def the_pool_is_ready(world: World) -> None:
    assert_status(world.answer, 200, req="ORCH-2103")
    health = world.answer.json
    assert (True, True, False) == (health["live"], health["ready"], health["draining"]), health
