"""Readers and clients that go away, at every point of a task's life."""

from typing import Any, Literal

from pytest_bdd import given, parsers, then, when

from features.steps import faults
from features.steps.hostile import JSON, dumped
from features.steps.tasks import every_slot_is_busy
from features.steps.world import END_MS, World
from harness.expect import assert_ended_well, assert_status


@given(parsers.re(r"a task of (?P<tokens>\d+) tokens that is (?P<when>waiting|running)$"))
def a_task_that_is(world: World, tokens: str, when: str) -> None:
    _a_task(world, when, world.steady_body(int(tokens)))


@given(parsers.re(r"a task that is (?P<when>waiting|starting|running) and wants to be canceled on disconnect$"))
def a_task_to_cancel(world: World, when: str) -> None:
    """A long one: it does not end by itself. `starting` is before its first token."""
    _a_task(world, when, world.long_body(on_disconnect="cancel"))
    world.build_on_running("task")


@given(parsers.parse("a task of {tokens:d} tokens that wants to be canceled on disconnect"))
def a_steady_task_to_cancel(world: World, tokens: int) -> None:
    _a_task(world, "finishing", world.steady_body(tokens, on_disconnect="cancel"))


@given(parsers.parse("a reader of it that has all its {tokens:d} tokens"))
def a_reader_that_has_all(world: World, tokens: int) -> None:
    world.open("task")
    world.wait_tokens("task", tokens)


@when(parsers.parse("the reader leaves by {how}"))
def the_reader_leaves(world: World, how: Literal["close", "reset"]) -> None:
    if world.notes.get("when") == "running":
        world.wait_tokens("task", 2)
    faults.leave(world, world.streams["task"], how)


@when(parsers.parse("the first reader leaves by {how}"))
def the_first_reader_leaves(world: World, how: Literal["close", "reset"]) -> None:
    world.wait_tokens("task", 2)
    faults.leave(world, world.streams["task"], how)


@when("the way is free for it")
def the_way_is_free(world: World) -> None:
    for name in [name for name in world.bodies if name.startswith("running")]:
        assert_status(world.client.cancel(world.task_id(name)), 204, req="ORCH-2003")


@when("a client submits a short task and goes away before the answer")
def a_client_submits_and_goes(world: World) -> None:
    body = dumped(world.body())
    head = world.client.raw_head("POST", "/v1/tasks")
    faults.go_away(world, head + JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@when("a client asks for its stream and goes away before the answer")
def a_client_asks_and_goes(world: World) -> None:
    faults.go_away(world, world.client.raw_head("GET", f"/v1/tasks/{world.task_id('task')}/stream") + b"\r\n")


@when(parsers.parse("{count:d} readers come and leave at different points"))
def many_readers_come_and_leave(world: World, count: int) -> None:
    faults.come_and_leave(world, "task", count)


@then(parsers.parse("a late reader gets all its {tokens:d} tokens"))
def a_late_reader_gets_all(world: World, tokens: int) -> None:
    world.open("task")
    stream = world.read_to_end("task")
    assert tokens == len(stream.tokens), stream


@then("the other reader gets the whole stream")
def the_other_reader_gets_all(world: World) -> None:
    world.client.read_to_end([world.streams["other"]], deadline_ms=END_MS)
    assert_ended_well(world.stream("other"))


def _a_task(world: World, when: str, body: dict[str, Any]) -> None:
    world.notes["when"] = when
    if when == "waiting":
        every_slot_is_busy(world)
    world.admit("task", body)
    if when == "running":
        world.wait_state("task", "running", "ended")
