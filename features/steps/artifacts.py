"""Artifacts, and transcripts as some of them."""

import hashlib
import json
from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps.world import World
from harness.expect import assert_status
from harness.history import Origin
from harness.target import pool_settings

ARTIFACTS = "/v1/artifacts"
NOTE = {"by": "conformance", "turn": 2}


def store(world: World, origin: Origin = "harness", **fields: Any) -> None:
    """Store an artifact; None takes a field out."""
    artifact = {"kind": "other", "content": "text", "tags": ["conformance"], **fields}
    body = {name: value for name, value in artifact.items() if value is not None}
    world.answers.append(world.client.request("POST", ARTIFACTS, json=body, origin=origin))


def read(world: World, artifact_id: str) -> Any:
    """Read an artifact that is there."""
    world.answers.append(world.client.request("GET", f"{ARTIFACTS}/{artifact_id}"))
    assert_status(world.answer, 200, req="ORCH-3098")
    return world.answer.json


def address(text: str) -> str:
    """What the id of a text has to be."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@given("a server that keeps traces")
def a_server_that_keeps_traces(world: World) -> None:
    world.use(world.servers.get(pool_settings({}, world.servers.replica, artifacts={"traces": True})))


@when(parsers.parse('a {kind} with the text "{text}" is stored'))
def a_text_is_stored(world: World, kind: str, text: str) -> None:
    store(world, kind=kind, content=text)
    world.notes |= {"kind": kind, "text": text}
    assert_status(world.answer, 201, req="ORCH-3097")


@when("a diff of it is stored, with a note")
def a_diff_is_stored(world: World) -> None:
    store(world, kind="diff", content="- then", parent=world.answer.json["id"], metadata=NOTE)
    assert_status(world.answer, 201, req="ORCH-3097")


@when(parsers.re(r"an artifact is stored with (?P<field>[a-z_]+) (?P<value>.+)"))
def an_artifact_is_stored_with(world: World, field: str, value: str) -> None:
    store(world, "hostile", **{field: json.loads(value)})


@when("an unknown artifact is read")
def an_unknown_artifact_is_read(world: World) -> None:
    world.answers.append(world.client.request("GET", f"{ARTIFACTS}/{address('nobody stored this')}"))


@then("its id is the digest of its text")
def its_id_is_the_digest(world: World) -> None:
    assert address(world.notes["text"]) == world.answer.json["id"] == world.answer.json["digest"]


@then("it is read again with its kind and tags")
def it_is_read_again(world: World) -> None:
    stored = world.answer.json
    artifact = read(world, stored["id"])
    assert (world.notes["text"], world.notes["kind"]) == (artifact["content"], artifact["kind"])
    assert ["conformance"] == artifact["tags"]
    assert stored["created_ms"] == artifact["created_ms"]


@then("it is read again with its parent and its note")
def it_is_read_with_its_parent(world: World) -> None:
    plan, diff = world.answers[-2:]
    artifact = read(world, diff.json["id"])
    assert (plan.json["id"], NOTE) == (artifact.get("parent"), artifact.get("metadata")), artifact


@then("both answers are equal")
def both_answers_are_equal(world: World) -> None:
    first, second = world.answers[-2:]
    assert first.json == second.json


@then("its status names an artifact with its frames")
def its_status_names_its_trace(world: World) -> None:
    status = world.client.status(world.task_id("task")).json
    artifact = read(world, status["trace"])
    lines = [json.loads(line) for line in artifact["content"].splitlines()]
    assert "trace" == artifact["kind"]
    assert world.task_id("task") == lines[0]["task_id"]
    assert [[f.event, f.payload] for f in world.stream("task").frames] == [[x["event"], x["data"]] for x in lines[1:]]
