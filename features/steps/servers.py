"""Servers: the one under test, and those that a scenario needs with settings of its own."""

from typing import Any

from pytest_bdd import given, parsers, then, when

from features.steps import faults
from features.steps.world import END_MS, World
from harness.client import ANONYMOUS
from harness.expect import assert_error, assert_status
from harness.outcome import NotApplicableError
from harness.stand_in import why_stand_in
from harness.target import pool_settings

SMALL_LANE = 3


@given("a server")
def a_server(world: World) -> None:
    """The server under test, and its metrics before the scenario."""
    world.before = world.scrape()


@given("a server that wants a token")
def a_server_with_a_token(world: World) -> None:
    a_server(world)
    if world.target.token is None:
        raise NotApplicableError("this server runs without a token; give the run one with --token-env")


@given("a server on a real llama-server")
def a_server_on_a_real_engine(world: World) -> None:
    a_server(world)
    if (why := why_stand_in(world.target.capabilities())) is not None:
        raise NotApplicableError(f"the server does not claim a real engine: {why}")
    if world.engine_url is None:
        raise NotApplicableError("the engine behind the server cannot be asked; give its address with --engine-url")


@given("a server of its own")
def a_server_of_its_own(world: World) -> None:
    """Shared with no other scenario: it may be stopped."""
    world.use_own(world.servers.start(pool_settings({}, world.servers.replica)))


@given("a server of its own without a token")
def a_server_without_a_token(world: World) -> None:
    world.use_own(world.servers.start(pool_settings({}, world.servers.replica), token=ANONYMOUS))


@given(parsers.parse("a server that drains for {drain_ms:d} ms"))
def a_server_that_drains(world: World, drain_ms: int) -> None:
    world.use_own(world.servers.start(pool_settings({}, world.servers.replica, http={"drain_ms": drain_ms})))


@given("a server with one slot")
def a_server_with_one_slot(world: World) -> None:
    """A real engine of this run has one anyway."""
    world.use(world.servers.get(pool_settings({}, world.servers.replica or {"kind": "mock", "slots": 1})))


@given(parsers.parse('a server whose queue is small, under "{policy}"'))
def a_server_with_a_small_queue(world: World, policy: str) -> None:
    """Three tasks may wait in all, in whichever lane."""
    queue = {
        "capacity_interactive": SMALL_LANE,
        "capacity_batch": SMALL_LANE,
        # under `reject` each lane has its own bound; the other policies are about who makes room for whom
        "capacity_total": 2 * SMALL_LANE if policy == "reject" else SMALL_LANE,
        "full_policy": policy,
    }
    replica = world.servers.replica or {"kind": "mock", "slots": 1}
    world.use(world.servers.get(pool_settings({"queue": queue}, replica)))


@given(parsers.parse("a server that sends a comment every {every_ms:d} ms"))
def a_server_with_keep_alives(world: World, every_ms: int) -> None:
    _use(world, http={"keep_alive_ms": every_ms})


@given(parsers.parse("a server that allows {readers:d} readers of a stream"))
def a_server_with_few_readers(world: World, readers: int) -> None:
    _use(world, http={"readers_per_task_max": readers})


@given(parsers.parse("a server that waits {body_ms:d} ms for a body"))
def a_server_that_waits_for_bodies(world: World, body_ms: int) -> None:
    _use(world, http={"body_ms": body_ms})


@given("a server whose engine has no model")
def a_server_whose_engine_has_no_model(world: World) -> None:
    """The file that the pool's model names is not there."""
    faults.use_without_model(world)


@given(parsers.parse("a server whose sessions live {ttl_ms:d} ms"))
def a_server_with_short_sessions(world: World, ttl_ms: int) -> None:
    _use(world, sessions={"ttl_ms": ttl_ms})


@given(parsers.parse("a server whose engine dies after {tokens:d} tokens"))
def a_server_whose_engine_dies(world: World, tokens: int) -> None:
    faults.use_failing(world, {"die_after_tokens": tokens})


@given(parsers.parse("a server whose engine fails after {tokens:d} tokens"))
def a_server_whose_engine_fails(world: World, tokens: int) -> None:
    """It answers with an error of its own, and lives on."""
    faults.use_failing(world, {"fail_after_tokens": tokens})


@given(parsers.parse("a server whose adapter has a defect after {tokens:d} tokens"))
def a_server_with_a_defect(world: World, tokens: int) -> None:
    faults.use_failing(world, {"defect_after_tokens": tokens})


@given(parsers.parse("a server whose engine stands still after {tokens:d} tokens"))
def a_server_whose_engine_stands_still(world: World, tokens: int) -> None:
    faults.use_failing(world, {"stall_after_tokens": tokens}, watchdog={"idle_ms": 200})


@given(parsers.parse("a server whose engine does not end a task of {tokens:d} tokens"))
def a_server_whose_engine_does_not_end(world: World, tokens: int) -> None:
    """It sends them all, and holds the connection; the watchdog is far off."""
    faults.use_failing(world, {"stall_after_tokens": tokens})


@given(parsers.parse("a server whose tasks may run {wall_ms:d} ms"))
def a_server_with_a_wall_time(world: World, wall_ms: int) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("a real engine may take longer than that for its first token")
    world.use(world.servers.get(pool_settings({"watchdog": {"wall_ms": wall_ms}}, {"kind": "mock", "token_ms": 2})))


@given("the server has measured its pace")
def the_server_has_measured(world: World) -> None:
    """A finished task gives predictions their figures."""
    world.admit("measured", world.body())
    world.read_to_end("measured")


@when("the server is told to stop")
def the_server_is_told_to_stop(world: World) -> None:
    faults.stop(world)


@then(parsers.parse("it exits with {code:d} within {within_ms:d} ms"))
def it_exits(world: World, code: int, within_ms: int) -> None:
    process = world.target.process
    assert process is not None
    world.wait_within(lambda: process.exit_code is not None, within_ms, what="the server to exit", figure="exit_ms")
    assert code == process.exit_code, (
        f"exit code {process.exit_code}; its log ends with {process.stderr.read_text()[-800:]}"
    )


@then("the server still answers")
def the_server_still_answers(world: World) -> None:
    assert_status(world.client.request("GET", "/v1/capabilities"), 200, req="ORCH-2104")


@then(parsers.parse("the server is idle within {within_ms:d} ms"))
def the_server_is_idle(world: World, within_ms: int) -> None:
    """One moment at which all of it is so: a request of a client that has left may still be on its way before."""

    def is_idle() -> bool:
        health = world.client.request("GET", f"/v1/pools/{world.service.pool_id}/health").json
        return 0 == health["metrics"].get("slots_active", 0) and world.is_idle()

    what = "no waiting task, no slot in use and no open engine connection"
    world.wait_within(is_idle, within_ms, what=what, figure="idle_ms")


@then("a new task is refused with POOL_UNREADY")
def a_new_task_is_refused(world: World) -> None:
    """The signal may reach the server after the first task that follows it."""
    world.wait(lambda: world.submit("late", world.body()).status != 202, what="a refusal", deadline_ms=END_MS)
    assert_error(world.answer, "POOL_UNREADY")


def _use(world: World, **settings: Any) -> None:
    world.use(world.servers.get(pool_settings({}, world.servers.replica, **settings)))
