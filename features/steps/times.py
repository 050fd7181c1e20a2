"""Times that a server tells: when to come again, and when a task will start."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

from pytest_bdd import given, parsers, then, when

from features.steps.world import END_MS, World
from harness.checks.times import (
    Comeback,
    Predicted,
    prediction_figures,
    predictions_come_true,
    predictions_follow_the_queue,
    retry_after_is_kept,
    tokens_flow,
)
from harness.expect import require
from harness.history import Exchange, now_ms
from harness.lateness import Stopwatch
from harness.outcome import NotApplicableError, NotTestableError
from harness.target import pool_settings

TOKEN_MS = 10
FIRST_MS, STEP_MS = 300, 90  # how long the slots of the pools are still busy: evenly over the parts of a second
PREDICTED_TOKENS, PREDICTED_TOKENS_REAL = 200, 24  # some 600 ms: long beside what it takes to submit a few tasks
PREDICTED_PACE = {"kind": "mock", "token_ms": 3}  # no other scenario has this server: its measurements are of these


@dataclass
class Refused:
    """A client that waits exactly as long as it was told."""

    pool: int
    answer: Exchange
    watch: Stopwatch
    again: Exchange | None = None
    late_ms: float = 0.0

    @property
    def due_ms(self) -> float:
        """When it comes again."""
        return self.answer.answered_ms + 1000 * int(self.answer.header("retry-after") or 0)


@given(parsers.parse("a server of {count:d} pools with one slot and one waiting place each"))
def a_server_of_pools(world: World, count: int) -> None:
    """Many queues that drain beside each other: as many samples in the time of one."""
    if world.servers.replica is not None:
        raise NotApplicableError("pools on one real engine wait for each other")
    queue = {"capacity_interactive": 1, "capacity_batch": 1}
    replica = {"kind": "mock", "slots": 1, "token_ms": TOKEN_MS}
    pools = [
        {"id": f"pool-{n}", "model_ref": f"model-{n}", "queue": queue, "replicas": [replica]} for n in range(count)
    ]
    world.use(world.servers.get({"pools": pools}))
    world.notes["pools"] = range(count)


@given(parsers.parse("a server whose engine makes a token every {token_ms:d} ms"))
def a_server_at_a_pace(world: World, token_ms: int) -> None:
    if world.servers.replica is not None:
        raise NotApplicableError("the pace of a real engine is not ours to set")
    world.use(world.servers.get(pool_settings({}, {"kind": "mock", "token_ms": token_ms})))


@given("every pool has measured its pace")
def every_pool_has_measured(world: World) -> None:
    for pool in world.notes["pools"]:
        world.admit(f"measured {pool}", world.body(model_ref=f"model-{pool}", max_tokens=20))
    for pool in world.notes["pools"]:
        world.read_to_end(f"measured {pool}")


@when("a task is refused by every pool, and sent again exactly after Retry-After")
def refused_and_sent_again(world: World) -> None:
    refused: list[Refused] = []
    for pool in world.notes["pools"]:
        refused.append(_refused(world, pool))
        _send_due(world, refused)
    world.wait(lambda: _send_due(world, refused), what="every client's time to come again", deadline_ms=END_MS)
    names = [f"waiting {pool}" for pool in world.notes["pools"]]
    world.client.read_to_end([world.streams[name] for name in names], deadline_ms=END_MS)
    world.notes["comebacks"] = [_comeback(world, client) for client in refused]


@given("a server that has measured its pace on a task like those that follow")
def a_server_that_has_measured(world: World) -> None:
    world.use(world.servers.get(pool_settings({}, world.servers.replica or PREDICTED_PACE)))
    world.notes["tokens"] = PREDICTED_TOKENS if world.servers.replica is None else PREDICTED_TOKENS_REAL
    watch = world.stopwatch()
    world.admit("measured", world.steady_body(world.notes["tokens"]))
    world.read_to_end("measured")
    world.notes["measured_late"] = watch.late_ms() / watch.elapsed_ms


@when(parsers.parse("a task of {tokens:d} tokens is submitted and watched"))
def a_task_is_watched(world: World, tokens: int) -> None:
    world.admit("task", world.steady_body(tokens))
    world.notes["watch"] = world.stopwatch()
    world.read_to_end("task")


@when(parsers.parse("{count:d} more tasks than there are slots are submitted at once and read to their end"))
def tasks_are_predicted(world: World, count: int) -> None:
    names = [f"predicted {number}" for number in range(world.service.slots + count)]
    world.notes["watch"] = world.stopwatch()
    for name in names:
        world.admit(name, world.steady_body(world.notes["tokens"]))
        world.streams[name] = world.client.start_stream(world.task_id(name))
    world.client.read_to_end([world.streams[name] for name in names], deadline_ms=2 * END_MS)
    told = {answer.json["task_id"]: answer for answer in world.answers if answer.status == 202}
    waited = [(told[world.task_id(name)], world.stream(name).of("started")[0]) for name in names[-count:]]
    world.notes["waited"] = [
        Predicted(
            at_ms=answer.answered_ms,
            told_ms=answer.json["predicted_start_ms"],
            took_ms=started.at_ms - answer.answered_ms,
        )
        for answer, started in waited
    ]
    world.history.figures |= prediction_figures(world.notes["waited"])


@then("nine of ten of them are admitted, and none was told to wait much longer than it took")
def nine_of_ten(world: World) -> None:
    comebacks: list[Comeback] = world.notes["comebacks"]
    world.history.figures |= {
        "retry_after_admitted_ratio": round(sum(c.is_admitted for c in comebacks) / len(comebacks), 3),
        "retry_after_error_max_ms": round(max(abs(c.told_ms - c.freed_ms) for c in comebacks), 1),
        "harness_late_ms": round(max(c.late_ms for c in comebacks), 1),
    }
    require(retry_after_is_kept(comebacks))


@then("nine of ten tokens come at most 30 ms after the one before")
def tokens_come_as_they_are_made(world: World) -> None:
    stream, late_ms = world.stream("task"), world.notes["watch"].late_ms()
    assert len(stream.tokens) > 100, stream
    gaps_ms = [later.at_ms - earlier.at_ms for earlier, later in pairwise(stream.tokens)]
    world.history.figures |= {"token_gap_p90_ms": round(quantiles(gaps_ms, n=10)[-1], 1)}
    require(tokens_flow(gaps_ms, late_ms=late_ms))


@then("those that waited longer were predicted to")
def predictions_follow(world: World) -> None:
    require(predictions_follow_the_queue(world.notes["waited"], late_ms=world.notes["watch"].late_ms()))


@then("none was told to wait much longer than it took, or much shorter")
def predictions_are_near(world: World) -> None:
    late, late_ms = world.notes["measured_late"], world.notes["watch"].late_ms()
    require(predictions_come_true(world.notes["waited"], measured_late=late, late_ms=late_ms))


def _refused(world: World, pool: int) -> Refused:
    """Fill one pool: a task that runs for a known time, one that waits, and one that is refused."""
    running_ms = FIRST_MS + STEP_MS * pool
    world.admit(f"running {pool}", world.body(model_ref=f"model-{pool}", max_tokens=running_ms // TOKEN_MS))
    world.wait_state(f"running {pool}", "running")
    world.admit(f"waiting {pool}", world.body(model_ref=f"model-{pool}"))
    world.streams[f"waiting {pool}"] = world.client.start_stream(world.task_id(f"waiting {pool}"))
    watch = world.stopwatch()
    answer = world.submit(f"refused {pool}", world.body(model_ref=f"model-{pool}"))
    if answer.status != 429:
        raise NotTestableError(f"the full queue of pool {pool} did not refuse\n{answer}")
    return Refused(pool, answer, watch)


def _send_due(world: World, refused: list[Refused]) -> bool:
    """Send again whose time has come; whether all have been sent."""
    for client in refused:
        if client.again is None and now_ms() >= client.due_ms:
            client.late_ms = client.watch.late_ms()
            client.again = world.submit(f"again {client.pool}", world.bodies[f"refused {client.pool}"])
    return all(client.again is not None for client in refused)


def _comeback(world: World, client: Refused) -> Comeback:
    assert client.again is not None
    refused_ms = client.answer.answered_ms
    return Comeback(
        told_ms=client.answer.json["retry_after_ms"],
        due_ms=client.due_ms - refused_ms,
        freed_ms=world.stream(f"waiting {client.pool}").of("started")[0].at_ms - refused_ms,
        came_ms=client.again.sent_ms - refused_ms,
        late_ms=client.late_ms,
        is_admitted=client.again.status == 202,
    )
