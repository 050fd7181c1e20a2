"""Leases and replica states: one release a lease, no state but by the table."""

import itertools
from typing import get_args

import pytest

from reference_server.domain.devices import DeviceMask, Gpu
from reference_server.domain.errors import IllegalTransitionError
from reference_server.domain.faults import Fault
from reference_server.domain.lifecycle import TRANSITIONS, ReplicaEvent, ReplicaState, following
from reference_server.domain.pool import Pool
from reference_server.domain.replica import LeaseError, Replica, ReplicaFacts
from reference_server.domain.task_queue import Bounds, QueueFullError
from reference_server.domain.tests.builders import FACTS, pool

STATES: tuple[ReplicaState, ...] = get_args(ReplicaState)
EVENTS: tuple[ReplicaEvent, ...] = get_args(ReplicaEvent)


@pytest.mark.req("ORCH-3002")
@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in itertools.product(STATES, EVENTS) if pair not in TRANSITIONS]
)
def test_an_illegal_event_raises(state: ReplicaState, event: ReplicaEvent) -> None:
    with pytest.raises(IllegalTransitionError, match=f"replica: {event} in state {state}"):
        following(state, event)


@pytest.mark.req("ORCH-3002", "OC-POOL-3014")
def test_ready_is_reached_by_a_preload_or_a_probe_alone_and_left_by_every_trouble() -> None:
    into = {event for (state, event), then in TRANSITIONS.items() if then == "ready" and state != "ready"}
    out = {event: then for (state, event), then in TRANSITIONS.items() if state == "ready"}

    assert {"preloaded", "probed"} == into
    assert {"lost": "unready", "tripped": "tripped", "unloaded": "loading"} == out
    assert {"loading"} == {state for (state, event) in TRANSITIONS if event == "preloaded"}


@pytest.mark.req("OC-CORE-1014")
def test_a_lease_is_released_once() -> None:
    replica = Replica("r")
    replica.take("preloaded", facts=FACTS)
    replica.lease("t", ctx=1)
    replica.release("t")

    with pytest.raises(LeaseError, match="replica r: t holds no slot"):
        replica.release("t")


@pytest.mark.req("ORCH-3010", "OC-CORE-1014")
def test_a_full_or_unready_replica_leases_nothing() -> None:
    replica = Replica("r")
    with pytest.raises(LeaseError):
        replica.lease("t", ctx=1)
    replica.take("preloaded", facts=FACTS)
    replica.lease("t", ctx=1)

    with pytest.raises(LeaseError, match="replica r: no slot for u"):
        replica.lease("u", ctx=1)


@pytest.mark.req("OC-POOL-3003")
def test_a_lost_replica_holds_no_lease_and_keeps_its_error_until_the_next_preload() -> None:
    replica = Replica("r")
    replica.take("preloaded", facts=FACTS)
    replica.lease("t", ctx=1)
    replica.take("lost", fault=Fault("crashed", "died"))

    assert (False, "died") == (replica.holds("t"), replica.last_error)
    replica.take("restarted")
    replica.take("preloaded", facts=FACTS)
    assert (None, None) == (replica.fault, replica.last_error)


@pytest.mark.req("OC-CORE-1014")
def test_a_task_has_one_slot_of_a_replica() -> None:
    replica = Replica("r")
    replica.take("preloaded", facts=ReplicaFacts("b1", None, 1, 3))
    replica.lease("t", ctx=1)

    with pytest.raises(LeaseError):
        replica.lease("t", ctx=1)
    assert 2 == replica.slots_free


@pytest.mark.req("OC-CORE-1010", "OC-CORE-1015", "ORCH-3008")
def test_placement_sees_what_is_leased_and_quarantined_and_what_the_devices_have_free() -> None:
    """T14: llm-d #2066 and #1421, where placement saw only what was scraped."""
    replica = Replica("r", mask=DeviceMask((1,)))
    replica.take("preloaded", facts=ReplicaFacts("b1", None, 1, 3))
    replica.gpus = (gpu(1, free=7),)
    replica.lease("t", ctx=1)
    replica.lease("u", ctx=1)
    replica.quarantine("u")
    seen = replica.view()

    assert ("r", True, 2, 3, 7) == (
        seen.replica_id,
        seen.is_ready,
        seen.slots_active,
        seen.slots_total,
        seen.vram_free_bytes,
    )


def gpu(index: int, *, free: int) -> Gpu:
    return Gpu(index=index, uuid=f"GPU-{index}", name="x", vram_total=10, vram_used=10 - free)


@pytest.mark.req("ORCH-3011", "OC-POOL-3020")
def test_a_replica_sees_the_devices_of_its_mask_alone() -> None:
    subject = pool(replicas=2)
    subject.replicas["r0"].mask = DeviceMask((1,))
    subject.see_gpus([gpu(0, free=1), gpu(1, free=2)])

    assert [(gpu(1, free=2),), ()] == [replica.gpus for replica in subject.replicas.values()]


@pytest.mark.req("OC-CORE-1001")
def test_a_smaller_bound_holds_for_the_next_newcomer() -> None:
    subject = pool(interactive=4)
    subject.queue.put("a", "interactive", tokens=1)
    bounds = Bounds(interactive=1, batch=1, total=2)
    subject.limit(bounds)

    assert bounds is subject.bounds
    with pytest.raises(QueueFullError):
        subject.queue.put("b", "interactive", tokens=1)


def out(subject: Pool, replica_id: str, state: ReplicaState, retry_at_ms: int) -> None:
    subject.replicas[replica_id].state, subject.replicas[replica_id].retry_at_ms = state, retry_at_ms


@pytest.mark.req("ORCH-3018", "OC-CORE-1043")
@pytest.mark.parametrize(
    ("states", "hint_ms"),
    [
        pytest.param([("unready", 400), ("tripped", 300)], 200, id="the first that is tried"),
        pytest.param([("unready", 400), ("ready", 200)], 300, id="one that is up is not waited for"),
        pytest.param([("unready", 100), ("ready", 0)], 1, id="now"),
        pytest.param([("loading", 0), ("ready", 0)], 1, id="none is out"),
        pytest.param([("unready", 90_000), ("unready", 80_000)], 60_000, id="at most a minute"),
    ],
)
def test_a_pool_is_tried_again_with_its_next_replica(states: list[tuple[ReplicaState, int]], hint_ms: int) -> None:
    subject = pool(replicas=2)
    for replica_id, (state, retry_at_ms) in zip(subject.replicas, states, strict=True):
        out(subject, replica_id, state, retry_at_ms)

    assert hint_ms == subject.retry_after_ms(100)


@pytest.mark.req("ORCH-3007", "ORCH-3046")
@pytest.mark.parametrize("state", ["ready", "tripped"])
def test_a_newcomer_is_held_against_whichever_of_its_set_is_up(state: ReplicaState) -> None:
    subject = pool(replicas=4)
    other = ReplicaFacts("b2", FACTS.model_digest, FACTS.ctx_max, 1)
    subject.replicas["r0"].facts = other  # its own, of the last time
    subject.replicas["r1"].facts, subject.replicas["r1"].state = other, "unready"
    subject.replicas["r2"].state = "ready"  # and has not said what it is
    subject.replicas["r3"].facts, subject.replicas["r3"].state = FACTS, state

    assert subject.mismatch("r0", FACTS) is None
    assert "engine_version is b2, and replica r3 of the same set has mock-1" == subject.mismatch("r0", other)
