"""What prefix caches hold counts as used: who gets which replica, who waits, and that no cache alone lets one wait."""

import pytest

from reference_server.domain.core import Core
from reference_server.domain.errors import Failure
from reference_server.domain.faults import Fault
from reference_server.domain.task import Priority, Task
from reference_server.domain.tests.builders import core, pool, request

SLOT = 4096  # the builders' context of one slot
SMALL = 32


def held(tokens: int, *, replicas: int = 1, slots: int = 2) -> Core:
    """A core whose first replica tells of a prefix cache."""
    subject = core(pool(replicas=replicas), slots=slots)
    subject.prefix_cache_seen("p", "r0", tokens, 0)
    return subject


def submit(subject: Core, name: str, ctx: int, priority: Priority = "interactive") -> Task:
    return subject.submit(request(name, priority, session_id=name, ctx=ctx), tokens_in=1, now_ms=0)


@pytest.mark.req("ORCH-3020")
@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param(0, "running", id="nothing-told"),
        pytest.param(SLOT, "running", id="just-room"),
        pytest.param(SLOT + 1, "queued", id="one-token-too-many"),
    ],
)
def test_a_context_has_to_fit_beside_prefix_caches_and_running_tasks(tokens: int, expected: str) -> None:
    subject = held(tokens)
    submit(subject, "a", SLOT // 2)

    assert expected == submit(subject, "b", SLOT // 2).state


@pytest.mark.req("ORCH-3020")
def test_what_is_left_is_not_known_where_nothing_was_told() -> None:
    subject = held(0)
    submit(subject, "a", SLOT)

    assert subject.pools["p"].replicas["r0"].view().kv_tokens_free is None


@pytest.mark.req("ORCH-3020")
def test_a_full_cache_alone_keeps_no_task_waiting() -> None:
    assert "running" == submit(held(2 * SLOT), "a", SLOT).state


@pytest.mark.req("ORCH-3020", "ORCH-3004")
def test_nobody_overtakes_a_task_that_waits_for_room() -> None:
    subject = held(SLOT)
    running = submit(subject, "a", SLOT // 2)
    large, small = submit(subject, "large", SLOT), submit(subject, "small", SMALL)
    assert [("queued", 0), ("queued", 1)] == [(task.state, task.queue_position) for task in (large, small)]

    subject.cancel("a", "client", 1)
    subject.release(running, 1)
    assert ["running", "queued"] == [large.state, small.state]  # 4096 + 4096 leave no room for more


@pytest.mark.req("ORCH-3020")
def test_a_cache_that_shrinks_lets_waiting_tasks_start() -> None:
    subject = held(SLOT + 1)
    submit(subject, "a", SLOT // 2)
    task = submit(subject, "b", SLOT // 2)

    subject.prefix_cache_seen("p", "r0", SLOT, 5)
    assert ("running", 5) == (task.state, task.started_ms)


@pytest.mark.req("ORCH-3020")
def test_a_replica_with_room_is_taken_before_one_without() -> None:
    """Also by a session that was served by the one without."""
    subject = held(2 * SLOT, replicas=2)
    assert "r0" == submit(subject, "a", SLOT).replica_id

    again = subject.submit(request("b", session_id="a", ctx=SLOT), tokens_in=1, now_ms=1)
    assert "r1" == again.replica_id


@pytest.mark.req("ORCH-3020", "OC-CORE-1018")
def test_a_task_without_room_leaves_those_before_it_in_the_queue() -> None:
    """One waits for the only replica that has not tried it, the one behind it for room on the other."""
    subject = held(0, replicas=2)
    tasks = {name: submit(subject, name, SLOT // 2) for name in ("on r0", "on r1", "tried", "on r1 too")}
    subject.prefix_cache_seen("p", "r0", 2 * SLOT, 1)
    subject.release(tasks["tried"], 1, failed=Failure(code="REPLICA_EXHAUSTED", message="500", retriable=True))
    submit(subject, "large", SLOT)

    assert ["r0", "r1", "r0", "r1"] == [task.replica_id for task in tasks.values()]
    assert ["tried", "large"] == subject.pools["p"].queue.ids()


@pytest.mark.req("ORCH-3020")
def test_a_slot_in_quarantine_keeps_its_context() -> None:
    subject = held(SLOT)
    stuck = submit(subject, "a", SLOT)
    subject.cancel("a", "client", 1)
    subject.quarantine(stuck)
    task = submit(subject, "b", SMALL)
    assert task.started_ms is None

    subject.release(stuck, 2)
    assert 2 == task.started_ms


@pytest.mark.req("ORCH-3020")
def test_a_lost_replica_has_no_contexts() -> None:
    subject = held(SLOT)
    submit(subject, "a", SLOT)
    subject.replica_lost("p", "r0", Fault("lost", "died"), 1, jitter=0.5)

    assert {} == subject.pools["p"].replicas["r0"].contexts


@pytest.mark.req("ORCH-3020", "ORCH-2007")
def test_the_predicted_start_of_a_task_without_room_is_not_now() -> None:
    subject = held(2 * SLOT, slots=3)
    subject.pools["p"].times.observe(first_token_ms=10, decode_ms=1_000, tokens_out=16, max_tokens=16)
    submit(subject, "a", SLOT // 2)

    fits, waits = submit(subject, "b", SMALL), submit(subject, "c", SLOT)
    assert 0 == fits.predicted_start_ms < waits.predicted_start_ms
