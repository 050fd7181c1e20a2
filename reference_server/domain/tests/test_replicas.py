"""What happens to a replica, by the notices that the core gives of it."""

from dataclasses import replace

import pytest

from reference_server.domain.core import Core
from reference_server.domain.effects import ReplicaChanged, StartDecode, StopDecode, TaskFinished, TaskStarted
from reference_server.domain.errors import Failure
from reference_server.domain.faults import Fault
from reference_server.domain.frames import Finish
from reference_server.domain.replica import Replica
from reference_server.domain.tests.builders import FACTS, core, pool, request

DONE = Finish(finish_reason="stop", tokens_in=1, tokens_out=1, kv_warm=False)
DIED = Fault("crashed", "it died")
BAD = Fault("breaker", "too many errors")


def ready() -> Core:
    subject = core()
    subject.take_effects()
    return subject


def replica(of: Core) -> Replica:
    return of.pools["p"].replicas["r0"]


@pytest.mark.req("ORCH-3001", "ORCH-3002", "ORCH-3010")
def test_a_replica_that_has_come_up_is_told_and_given_what_waits() -> None:
    subject = core()
    subject.submit(request("a"), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.replica_unloaded("p", "r0")
    subject.take_effects()

    assert subject.replica_preloaded("p", "r0", replace(FACTS, ctx_max=9_000), 7) is None
    assert [
        ReplicaChanged("p", "r0", "ready", "loading"),
        TaskStarted(waiting),
        StartDecode(waiting),
    ] == subject.take_effects()
    assert (9_000, 7) == (subject.pools["p"].ctx_max, waiting.started_ms)


@pytest.mark.req("ORCH-3038", "OC-POOL-3003", "OC-POOL-3011")
def test_a_replica_that_is_lost_ends_its_tasks_and_is_tried_again_after_a_pause() -> None:
    subject = ready()
    task = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.take_effects()

    assert 375 == subject.replica_lost("p", "r0", DIED, 1_000, jitter=0.5)
    assert [
        ReplicaChanged("p", "r0", "unready", "ready", DIED),
        StopDecode("a"),
        TaskFinished(task),
    ] == subject.take_effects()
    assert task.failure == Failure(
        code="WORKER_RESET", message="it died", engine="llamacpp", pool_id="p", retriable=True
    )
    assert (1_375, "it died", 1_000) == (replica(subject).retry_at_ms, replica(subject).last_error, task.ended_ms)
    assert 1_000 == subject.replica_lost("p", "r0", DIED, 2_000, jitter=1.0)


@pytest.mark.req("OC-POOL-3003", "OC-POOL-3014")
def test_a_restart_with_an_open_breaker_is_its_one_probe() -> None:
    subject = ready()
    for at in range(5):
        subject.replica_lost("p", "r0", DIED, at, jitter=0.0)
    subject.take_effects()
    subject.replica_restarted("p", "r0", 5_004)

    assert [ReplicaChanged("p", "r0", "loading", "unready")] == subject.take_effects()
    assert not replica(subject).breaker.try_probe(5_004)
    subject.replica_preloaded("p", "r0", FACTS, 5_005)
    assert replica(subject).breaker.is_closed


@pytest.mark.req("OC-POOL-3014")
def test_too_many_errors_trip_a_replica_and_a_good_probe_brings_it_back() -> None:
    subject = ready()
    subject.submit(request("a"), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.take_effects()

    assert [False, False, False, False, True] == [subject.replica_failed("p", "r0", BAD, 10) for _ in range(5)]
    assert [ReplicaChanged("p", "r0", "tripped", "ready", BAD)] == subject.take_effects()
    assert (5_010, {"a"}) == (replica(subject).retry_at_ms, replica(subject).leases)
    assert [1_010, 0, 1] == [subject.replica_probing("p", "r0", at) for at in (4_000, 5_010, 5_010)]
    subject.finish("a", DONE, 5_011)
    replica(subject).release("a")
    subject.take_effects()
    subject.replica_probed("p", "r0", 5_012)
    assert [
        ReplicaChanged("p", "r0", "ready", "tripped"),
        TaskStarted(waiting),
        StartDecode(waiting),
    ] == subject.take_effects()
    assert (5_012, True) == (waiting.started_ms, replica(subject).breaker.is_closed)


@pytest.mark.req("OC-POOL-3014")
def test_a_replica_that_is_out_already_is_not_tripped() -> None:
    subject = core(is_ready=False)

    assert [False] * 5 == [subject.replica_failed("p", "r0", BAD, 10) for _ in range(5)]
    assert ([], "loading") == (subject.take_effects(), replica(subject).state)


@pytest.mark.req("ORCH-3031", "ORCH-3071")
def test_a_replica_is_unloaded_for_another_model_and_parked_for_none() -> None:
    subject = core(pool(replicas=2))
    subject.take_effects()
    subject.replica_unloaded("p", "r0")
    subject.replica_parked("p", "r1", "model m is Retired")

    assert [
        ReplicaChanged("p", "r0", "loading", "ready"),
        ReplicaChanged("p", "r1", "unready", "ready", Fault("retired", "model m is Retired")),
    ] == subject.take_effects()
