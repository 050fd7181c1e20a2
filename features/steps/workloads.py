"""Embeddings and reranks: tasks that one `result` answers."""

from collections.abc import Sequence
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from features.steps.servers import a_server
from features.steps.world import World
from harness.expect import assert_ended_well
from harness.outcome import NotApplicableError
from harness.target import pool_settings

TEXTS = ("a queue waits", "a slot is free", "snow falls on a pond")
QUERY = "who waits in the queue?"
WORD = "one "  # a token or two on any engine


@given(parsers.re(r"a server that serves (?P<workload>embedding|rerank)$"))
def a_server_that_serves(world: World, workload: str) -> None:
    a_server(world)
    rows = world.target.capabilities()["engines"]
    row = next((row for row in rows if workload in row["supported_workloads"]), None)
    if row is None:
        raise NotApplicableError(f"no engine of this server claims {workload}")
    world.notes["served"] = {
        "workload": workload,
        "engine": row["engine"],
        "model_ref": row.get("model_ref", "default"),
        "ctx": row["ctx_max"],
        "max_tokens": 1,
        "prompt": None,
    }


@given("a server whose engine only completes")
def a_server_that_only_completes(world: World) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("what a real engine offers is not ours to set")
    world.use(world.servers.get(pool_settings({}, {"kind": "mock", "workloads": ["completion"]})))


@when(parsers.re(r"a task for (?P<workload>embedding|rerank) is submitted"))
def a_task_for(world: World, workload: str) -> None:
    world.submit("task", world.body(workload=workload, prompt=None, inputs=list(TEXTS)))


@when(parsers.re(r"an embedding of (?P<count>\d+) texts is read to the end"))
def an_embedding(world: World, count: str) -> None:
    _answer(world, TEXTS[: int(count)])


@when("the same texts are embedded forwards and backwards")
def two_embeddings(world: World) -> None:
    world.notes["results"] = [_answer(world, TEXTS), _answer(world, TEXTS[::-1])]


@when(parsers.re(r"a rerank of (?P<count>\d+) documents is read to the end"))
def a_rerank(world: World, count: str) -> None:
    _answer(world, (QUERY, *TEXTS[: int(count)]))


@when("the same documents are reranked forwards and backwards")
def two_reranks(world: World) -> None:
    world.notes["results"] = [_answer(world, (QUERY, *TEXTS)), _answer(world, (QUERY, *TEXTS[::-1]))]


@when(parsers.re(r"an embedding of (?P<count>\d+) texts that fit the context one by one only is read to the end"))
def an_embedding_that_fits_one_by_one(world: World, count: str) -> None:
    ctx = 64
    world.notes["served"] = {**world.notes["served"], "ctx": ctx}
    _answer(world, [WORD * (ctx * 3 // 8)] * int(count))


@when("an embedding of a text above the context is submitted")
def an_embedding_above_the_context(world: World) -> None:
    served = world.notes["served"]
    world.submit("task", world.body(**{**served, "ctx": 16, "inputs": ["fits", WORD * 64]}))


@then(parsers.re(r"its result has (?P<count>\d+) vectors of one length"))
def it_has_vectors(world: World, count: str) -> None:
    vectors = _result(world)["embeddings"]
    assert int(count) == len(vectors)
    assert 1 == len({len(vector) for vector in vectors}), [len(vector) for vector in vectors]
    assert all(any(vector) for vector in vectors), "a vector of zeros is no embedding"


@then(parsers.re(r"its result has (?P<count>\d+) scores"))
def it_has_scores(world: World, count: str) -> None:
    assert int(count) == len(_result(world)["scores"])


@then("it has no token, and its tokens in are counted")
def it_has_no_token(world: World) -> None:
    stream = world.stream("task")
    end = stream.of("end")[0].payload
    assert not stream.tokens
    assert 0 == end["tokens_out"]
    assert end["tokens_in"] >= len(world.bodies["task"]["inputs"])
    assert end["tokens_in"] == world.grown("tokens_in_total")
    assert 0 == world.grown("tokens_out_total")


@then(parsers.re(r"their (?P<what>vectors|scores) are the same in the other order"))
def they_are_in_the_other_order(world: World, what: str) -> None:
    name = {"vectors": "embeddings", "scores": "scores"}[what]
    first, second = (result[name] for result in world.notes["results"])
    for there, here in zip(first, reversed(second), strict=True):
        assert here == pytest.approx(there, abs=1e-3)  # an engine may batch the two in another way
    assert first[0] != pytest.approx(first[-1], abs=1e-3)


def _answer(world: World, inputs: Sequence[str]) -> dict[str, Any]:
    """Submit what the server serves for these inputs, read it to its end, and give its result."""
    world.streams.pop("task", None)
    world.admit("task", world.body(**{**world.notes["served"], "inputs": list(inputs)}))
    assert_ended_well(world.read_to_end("task"))
    return _result(world)


def _result(world: World) -> dict[str, Any]:
    (frame,) = world.stream("task").of("result")
    return dict(frame.payload)
