"""Replicas: those that fail, who takes their tasks over, and when they are left alone."""

from pytest_bdd import given, parsers, then, when

from features.steps import faults
from features.steps.drains import health
from features.steps.world import World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_with

FAILURES_BOUND = 50  # of tasks in a row that an engine may fail before it is left alone


@given(parsers.re(r"a server with (?P<count>\d+) replicas, of which (?P<failing>\d+) fails? before the first token"))
def a_server_with_failing_replicas(world: World, count: str, failing: str) -> None:
    """Those whose ids come first are asked first. The server is the scenario's own: failures open its breakers."""
    healthy = int(count) - int(failing)
    faults.use_failing(world, *[{"fail_after_tokens": 0}] * int(failing), *[{}] * healthy, is_own=True)


@given("a server of its own whose engine fails every task")
def a_server_whose_engine_fails_all(world: World) -> None:
    faults.use_failing(world, {"fail_after_tokens": 0}, is_own=True)


@given(parsers.parse("a server of its own whose engine refuses the first {count:d} tasks"))
def a_server_whose_engine_refuses(world: World, count: int) -> None:
    """As an error of theirs, which says nothing against the engine."""
    faults.use_failing(world, {"refused_requests": count}, is_own=True)


@given(parsers.parse("a server of its own whose engine has no room for the first {count:d} tasks"))
def a_server_whose_engine_has_no_room(world: World, count: int) -> None:
    """As often as it is asked: the same task may come again."""
    faults.use_failing(world, {"busy_requests": count}, is_own=True)


@when(parsers.parse("{count:d} tasks are submitted, each after the end of the one before"))
def so_many_are_submitted(world: World, count: int) -> None:
    for number in range(count):
        if (answer := world.submit(f"failed {number}", world.body())).status != 202:
            wanted = "a pool that is told nothing by errors of its tasks"
            raise ViolationError([Violation("OC-POOL-3014", wanted, f"task {number + 1} was refused", str(answer))])
        world.read_to_end(f"failed {number}")


@when("tasks are submitted, each after the end of the one before, until one is refused")
def until_one_is_refused(world: World) -> None:
    for number in range(FAILURES_BOUND):
        if world.submit(f"failed {number}", world.body()).status != 202:
            return
        world.read_to_end(f"failed {number}")
    shown = f"{FAILURES_BOUND} tasks were admitted, and all of them failed"
    raise ViolationError([Violation("ORCH-3018", "an engine that is left alone when it only fails", shown)])


@then(parsers.parse("each task before it ended with {code}"))
def each_before_ended_with(world: World, code: str) -> None:
    streams = [reader.record for name, reader in world.streams.items() if name.startswith("failed")]
    assert streams, "the first task was refused"
    for stream in streams:
        assert_ended_with(stream, code)


@then(parsers.parse("its first token came at least {wait_ms:d} ms after it was submitted"))
def its_first_token_came_late(world: World, wait_ms: int) -> None:
    """What the harness is late by only adds to it."""
    took_ms = world.stream("task").tokens[0].at_ms - world.answer.sent_ms
    if took_ms < wait_ms:
        raise ViolationError([Violation("OC-CORE-1048", f"{wait_ms} ms or more", f"{took_ms:.0f} ms")])


@then("the pool is not ready, and its health says why")
def the_pool_is_not_ready(world: World) -> None:
    shown = health(world)
    assert (False, True) == (shown["ready"], bool(shown.get("last_error"))), shown


@then(parsers.parse("{count:d} replicas have started it"))
def replicas_have_started_it(world: World, count: int) -> None:
    """By the counter of each replica: one start of each, and no other."""
    replicas = {s.labels["replica_id"] for s in world.scrape().samples if s.name == "tasks_started_total"}
    grown = {replica: world.grown("tasks_started_total", replica_id=replica) for replica in sorted(replicas)}
    assert [1.0] * count == [growth for growth in grown.values() if growth], grown


@then("its metrics name another replica than started, with nothing of its KV cache")
def its_metrics_name_another_replica(world: World) -> None:
    stream = world.stream("task")
    first, (at_start, *later) = stream.of("started")[0].payload["replica_id"], stream.of("metrics")
    assert "kv_migrated" not in at_start.payload, at_start.data
    for frame in later:
        told = frame.payload
        assert told.get("replica_id") not in {None, first}, frame.data
        assert (False, False) == (told.get("kv_warmth"), told.get("kv_migrated")), frame.data
    assert later, stream
