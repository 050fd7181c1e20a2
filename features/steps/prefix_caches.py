"""Prefix caches: a mock engine says how much they hold, and tasks ask for more or less of what is left."""

from pytest_bdd import given, then, when

from features.steps.world import PROMPT_TOKENS, World
from harness.checks.violation import Violation
from harness.expect import ViolationError, assert_ended_well, assert_status
from harness.outcome import NotApplicableError, NotTestableError
from harness.target import pool_settings

SLOT_TOKENS = 4096


@given("a server with two slots whose prefix caches hold half of their KV cache")
def a_server_with_prefix_caches(world: World) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("no real engine tells what its prefix caches hold")
    replica = {
        "kind": "mock",
        "slots": 2,
        "ctx_max": SLOT_TOKENS,
        "prefix_cache_tokens": SLOT_TOKENS,
        "token_ms": 20,
    }
    world.use(world.servers.get(pool_settings({}, replica)))


@given("a running task whose ctx is half a slot")
def a_running_task_of_half_a_slot(world: World) -> None:
    half = SLOT_TOKENS // 2
    world.admit("running", world.steady_body(half - PROMPT_TOKENS, ctx=half))
    world.wait_state("running", "running")


@when("a task is submitted whose ctx is a whole slot")
def a_task_of_a_whole_slot(world: World) -> None:
    world.admit("task", world.body(ctx=SLOT_TOKENS))


@when("a task is submitted whose ctx is half a slot")
def a_task_of_half_a_slot(world: World) -> None:
    world.admit("task", world.body(ctx=SLOT_TOKENS // 2))


@when("a second one whose ctx is half a slot")
def a_second_task_of_half_a_slot(world: World) -> None:
    world.admit("second", world.body(ctx=SLOT_TOKENS // 2))


@when("the running task is canceled")
def the_running_task_is_canceled(world: World) -> None:
    for name in ("task", "second"):
        world.open(name)
    assert_status(world.client.cancel(world.task_id("running")), 204, req="ORCH-2003")


@then("both wait, and were told so")
def both_wait(world: World) -> None:
    told = {name: world.client.status(world.task_id(name)).json for name in ("task", "second")}
    _require_running(world)
    shown = [(answer.get("state"), answer.get("queue_position")) for answer in told.values()]
    if shown != [("queued", 0), ("queued", 1)]:
        raise ViolationError([Violation("ORCH-3020", "two that wait, one behind the other", str(shown), str(told))])


@then("both end well, the first one first")
def both_end_well(world: World) -> None:
    started = []
    for name in ("task", "second"):
        assert_ended_well(stream := world.read_to_end(name))
        started.append(stream.of("started")[0].at_ms)
    if started != sorted(started):
        raise ViolationError([Violation("ORCH-3020", "the one that came first first", f"starts at {started} ms")])


@then("it starts at once")
def it_starts_at_once(world: World) -> None:
    state = world.state("task")
    _require_running(world)
    if state not in {"running", "ended"}:
        raise ViolationError([Violation("ORCH-3020", "a start where there is room", f"state {state}")])


def _require_running(world: World) -> None:
    if (state := world.state("running")) != "running":
        raise NotTestableError(f"the task beside it does not run any more: it is {state}")
