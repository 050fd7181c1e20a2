"""The catalog: models that are registered, verified, retired and deleted."""

import json
from typing import Any

from pytest_bdd import parsers, then, when

from features.steps.drains import health
from features.steps.world import World
from harness.client import fresh_id
from harness.expect import assert_ended_well, assert_error, assert_status
from harness.history import Origin
from harness.outcome import NotApplicableError

MODELS = "/v1/catalog/models"
NOBODYS_DIGEST = "sha256:" + "0" * 64


def register(world: World, origin: Origin = "harness", **fields: Any) -> None:
    """Register a model; None takes a field out. It is the scenario's model from here on."""
    entry = {"id": f"model-{fresh_id()}", "digest": NOBODYS_DIGEST, "tags": ["conformance"], **fields}
    world.notes["entry"] = {name: value for name, value in entry.items() if value is not None}
    send(world, origin)


def send(world: World, origin: Origin = "harness") -> None:
    """Send the scenario's registration."""
    world.answers.append(world.client.request("POST", MODELS, json=world.notes["entry"], origin=origin))


def call(world: World, method: str, what: str = "", body: Any = None, origin: Origin = "harness") -> None:
    """Call something of the scenario's model."""
    entry = world.notes.setdefault("entry", {"id": f"model-{fresh_id()}"})
    world.answers.append(world.client.request(method, f"{MODELS}/{entry['id']}{what}", json=body, origin=origin))


@when("a model is registered")
def a_model_is_registered(world: World) -> None:
    register(world)


@when("it is registered again")
def it_is_registered_again(world: World) -> None:
    send(world)


@when("another digest is registered under its id")
def another_digest_is_registered(world: World) -> None:
    register(world, id=world.notes["entry"]["id"], digest="sha256:" + "1" * 64)


@when(parsers.re(r"a model is registered with (?P<field>[a-z_]+) (?P<value>.+)"))
def a_model_is_registered_with(world: World, field: str, value: str) -> None:
    register(world, "hostile", **{field: json.loads(value)})


@when(parsers.re(r'a model of "(?P<source>[^"]+)" is registered$'))
def a_model_of_is_registered(world: World, source: str) -> None:
    register(world, source_url=source)


@when(parsers.parse('a model of "{source}" is registered under {policy}'))
def a_model_is_registered_under(world: World, source: str, policy: str) -> None:
    register(world, source_url=source, trust_policy=json.loads(policy))


def register_the_served(world: World, **named: Any) -> None:
    """Register the weights that the pool serves, by the digest that the server tells of them."""
    digest = world.service.features.get("model_digest")
    if digest is None:
        raise NotApplicableError("the server does not tell the digest of the weights that it serves")
    register(world, digest=digest, **named)


@when("the model that the pool serves is registered")
def the_served_model_is_registered(world: World) -> None:
    register_the_served(world, id=world.service.model_ref)
    assert_status(world.answer, 201, req="ORCH-3060")


@when("the model that the pool serves is registered under an id of its own")
def the_served_model_is_registered_by_another_name(world: World) -> None:
    """What the pool calls it is where it comes from."""
    register_the_served(world, source_url=world.service.model_ref)
    assert_status(world.answer, 201, req="ORCH-3060")


@when("the model that the pool serves is registered with another digest")
def the_served_model_is_registered_wrong(world: World) -> None:
    register(world, id=world.service.model_ref, digest=NOBODYS_DIGEST)
    assert_status(world.answer, 201, req="ORCH-3060")


@when("the model is read")
def the_model_is_read(world: World) -> None:
    call(world, "GET")


@when("the model is verified")
def the_model_is_verified(world: World) -> None:
    call(world, "POST", "/verify")
    assert_status(world.answer, 202, req="ORCH-3062")


@when("the model is deleted")
def the_model_is_deleted(world: World) -> None:
    call(world, "DELETE")
    assert_status(world.answer, 204, req="ORCH-3064")


@when(parsers.parse("the model is retired within {deadline_ms:d} ms"))
def the_model_is_retired(world: World, deadline_ms: int) -> None:
    world.notes["retired"], world.notes["retired_deadline_ms"] = world.stopwatch(), deadline_ms
    call(world, "POST", "/state", {"state": "Retired", "deadline_ms": deadline_ms})
    assert_status(world.answer, 202, req="ORCH-3069")


@when("the model is taken back")
def the_model_is_taken_back(world: World) -> None:
    call(world, "POST", "/state", {"state": "Active"})
    assert_status(world.answer, 202, req="ORCH-3073")


@when(parsers.parse('the model is set to "{state}"'))
def the_model_is_set_to(world: World, state: str) -> None:
    call(world, "POST", "/state", {"state": state}, origin="hostile")


@then("it is registered as it was sent")
def it_is_registered(world: World) -> None:
    assert_status(world.answer, 201, req="ORCH-3060")
    assert world.notes["entry"] == world.answer.json


@then("the model is read as it was sent")
def it_is_read(world: World) -> None:
    the_model_is_read(world)
    assert_status(world.answer, 200, req="ORCH-3060")
    assert world.notes["entry"] == world.answer.json


@then("the model is not known")
def it_is_not_known(world: World) -> None:
    the_model_is_read(world)
    assert_error(world.answer, "NOT_FOUND")


@then(parsers.parse("the verification is {status}"))
def the_verification_is(world: World, status: str) -> None:
    assert status == world.answer.json["status"], world.answer
    world.notes["status"] = status


@then("its warnings name the signature and the SBOM")
def its_warnings_name_both(world: World) -> None:
    warnings = " ".join(world.answer.json["warnings"])
    assert "signature" in warnings, warnings
    assert "SBOM" in warnings, warnings


@then("catalog_verifications_total counts it")
def the_verification_is_counted(world: World) -> None:
    assert 1 == world.grown("catalog_verifications_total", result=world.notes["status"])


@then("a task for that id runs to its end")
def a_task_by_its_id(world: World) -> None:
    body = world.body(model_ref=world.notes["entry"]["id"])
    assert_status(world.submit("by id", body), 202, req="ORCH-3090")
    assert_ended_well(world.read_to_end("by id"))


@then("a task for an id that is in no catalog is refused with INVALID_PARAMS")
def a_task_by_no_id(world: World) -> None:
    world.submit("by no id", world.body(model_ref=f"model-{fresh_id()}"))
    assert_error(world.answer, "INVALID_PARAMS")


@then("a task of the session it has runs to its end")
def a_task_of_the_old_session(world: World) -> None:
    assert_status(world.submit("of the old session", world.body(session_id=world.session_id)), 202, req="ORCH-3072")
    assert_ended_well(world.read_to_end("of the old session"))


@then(parsers.parse("the gauge says that the model is {state}"))
def the_gauge_says(world: World, state: str) -> None:
    scrape, model_id = world.scrape(), world.notes["entry"]["id"]
    shown = {s: int(scrape.total("model_state", model_id=model_id, state=s)) for s in ("Active", "Retired")}
    assert {"Active": int(state == "Active"), "Retired": int(state == "Retired")} == shown


@then(parsers.parse("the pool is unloaded within {within_ms:d} ms of it"))
def the_pool_is_unloaded(world: World, within_ms: int) -> None:
    watch, deadline_ms = world.notes["retired"], world.notes["retired_deadline_ms"]
    left_ms = max(0.0, deadline_ms + within_ms - watch.elapsed_ms)
    world.wait_within(
        lambda: not health(world)["live"], left_ms, what="the pool to be unloaded", figure="unload_wait_ms"
    )
    world.judge(watch, deadline_ms + within_ms, what="the unloading of the pool", figure="unload_ms")
