"""Drains, reloads and retirements: how far each is, what it tells, and what it refuses."""

from dataclasses import replace

import pytest

from reference_server.domain.catalog import Entry, Model, Verdict
from reference_server.domain.core import Core
from reference_server.domain.effects import (
    ModelVerified,
    PoolChanged,
    StartDecode,
    TaskFinished,
    TaskStarted,
)
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.pool import Operation
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.tests.builders import FACTS, core, pool, request

DIGEST = "sha256:00"  # that of FACTS


def ready() -> Core:
    subject = core()
    subject.take_effects()
    return subject


def two_pools() -> Core:
    """`p` and `q` on one engine, both Ready; `o` on another engine, loading."""
    second, other = pool(), pool()
    second.id, second.model_ref = "q", "n"
    other.id, other.engine, other.model_ref = "o", "vllm", "m2"
    subject = Core(
        [pool(), second, other],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=10),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 20),
    )
    for name in "pq":
        subject.replica_preloaded(name, "r0", FACTS, 0)
    subject.take_effects()
    return subject


def operation(of: Core, pool_id: str = "p") -> Operation:
    found = of.pools[pool_id].operation
    assert found is not None
    return found


@pytest.mark.req("ORCH-2101", "OC-CTRL-2002")
def test_a_drain_is_told_when_it_begins_and_when_nothing_runs_any_more() -> None:
    subject = ready()
    task = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.take_effects()
    subject.drain("p", deadline_ms=500, now_ms=10)

    assert [PoolChanged("p", "drain", "draining")] == subject.take_effects()
    assert Operation(kind="drain", phase="draining", started_ms=10, deadline_at_ms=510) == operation(subject)
    subject.tick(20)
    assert [] == subject.take_effects()
    subject.cancel("a", "client", 30)
    subject.release(task, 30)
    subject.take_effects()
    subject.tick(40)
    subject.tick(50)
    assert [PoolChanged("p", "drain", "drained")] == subject.take_effects()
    assert ("drained", 40) == (operation(subject).phase, operation(subject).ended_ms)


@pytest.mark.req("ORCH-2101", "OC-CTRL-2002")
@pytest.mark.parametrize(
    ("first", "second", "at_ms"),
    [(500, 9_000, 500), (500, 100, 200), (500, None, 500), (None, 300, 400), (None, None, None)],
)
def test_drained_again_a_pool_keeps_the_earlier_deadline(
    first: int | None, second: int | None, at_ms: int | None
) -> None:
    subject = ready()
    subject.drain("p", deadline_ms=first, now_ms=0)
    subject.drain("p", deadline_ms=second, now_ms=100)

    assert at_ms == operation(subject).deadline_at_ms


@pytest.mark.req("ORCH-2101")
def test_a_drain_of_a_pool_that_is_open_again_has_its_own_deadline() -> None:
    subject = ready()
    subject.begin_reload("p", "m2", now_ms=0)
    subject.reload_reached("p", "done", 1)
    subject.drain("p", deadline_ms=50_000, now_ms=2)

    assert (50_002, "drain") == (operation(subject).deadline_at_ms, operation(subject).kind)


@pytest.mark.req("OC-CTRL-2002", "OC-CTRL-2003")
def test_a_drain_of_a_pool_that_reloads_shortens_the_reload() -> None:
    subject = ready()
    subject.begin_reload("p", "m2", now_ms=0)
    subject.take_effects()
    subject.drain("p", deadline_ms=100, now_ms=50)

    assert ("reload", 150, []) == (operation(subject).kind, operation(subject).deadline_at_ms, subject.take_effects())


@pytest.mark.req("OC-CTRL-2002")
def test_what_is_left_at_the_deadline_ends_in_the_order_of_the_queue() -> None:
    subject = ready()
    running, waiting = (subject.submit(request(name), tokens_in=1, now_ms=0) for name in "ab")
    subject.drain("p", deadline_ms=500, now_ms=0)
    subject.take_effects()
    subject.tick(500)

    ended = [effect.task for effect in subject.take_effects() if isinstance(effect, TaskFinished)]
    assert [waiting, running] == ended
    message = "the pool was drained and its deadline has passed"
    failure = Failure(code="POOL_UNREADY", message=message, engine="llamacpp", pool_id="p", retriable=True)
    assert [(failure, 500)] * 2 == [(task.failure, task.ended_ms) for task in ended]


@pytest.mark.req("ORCH-2102", "OC-CTRL-2003", "ORCH-3031")
def test_a_reload_goes_through_its_phases_and_opens_the_pool() -> None:
    subject = ready()
    of = subject.pools["p"]
    running, waiting = (subject.submit(request(name), tokens_in=1, now_ms=0) for name in "ab")
    subject.take_effects()
    subject.begin_reload("p", "m2", now_ms=10)

    assert [PoolChanged("p", "reload", "draining")] == subject.take_effects()
    assert operation(subject) == Operation(
        kind="reload", phase="draining", started_ms=10, model_ref="m2", deadline_at_ms=30_010
    )
    assert (True, True, "m") == (of.draining, of.is_reloading, of.model_loading)
    subject.cancel("a", "client", 11)
    of.replicas["r0"].release(running.id)
    subject.take_effects()
    subject.reload_reached("p", "loading", 20)
    assert [
        PoolChanged("p", "reload", "loading"),
        TaskStarted(waiting),
        StartDecode(waiting),
    ] == subject.take_effects()
    assert (20, "m2", True, None) == (
        waiting.started_ms,
        of.model_loading,
        of.draining,
        operation(subject).ended_ms,
    )
    subject.reload_reached("p", "done", 30)
    assert [PoolChanged("p", "reload", "done")] == subject.take_effects()
    assert ("m2", False, 30, None, "done") == (
        of.model_ref,
        of.draining,
        operation(subject).ended_ms,
        operation(subject).deadline_at_ms,
        operation(subject).phase,
    )


@pytest.mark.req("OC-CTRL-2003")
def test_why_a_reload_is_rolled_back_is_kept_to_its_end() -> None:
    subject = ready()
    subject.begin_reload("p", "m2", now_ms=0)
    subject.take_effects()
    subject.reload_reached("p", "rolling-back", 1, error="no such file")
    subject.reload_reached("p", "rolled-back", 2)

    assert [
        PoolChanged("p", "reload", "rolling-back", "no such file"),
        PoolChanged("p", "reload", "rolled-back", "no such file"),
    ] == subject.take_effects()
    assert ("m", False, 2) == (subject.pools["p"].model_ref, subject.pools["p"].draining, operation(subject).ended_ms)


@pytest.mark.req("OC-CTRL-2003")
@pytest.mark.parametrize(
    ("model_ref", "failure"),
    [
        pytest.param(
            "n",
            Failure(
                code="INVALID_PARAMS",
                message="another pool serves that model on this engine",
                engine="llamacpp",
                pool_id="p",
                retriable=False,
            ),
            id="served by another pool",
        ),
        pytest.param("m", None, id="its own model again"),
        pytest.param("m2", None, id="served on another engine"),
    ],
)
def test_a_reload_to_what_another_pool_serves_is_refused(model_ref: str, failure: Failure | None) -> None:
    subject = two_pools()
    found = None
    try:
        subject.begin_reload("p", model_ref, now_ms=0)
    except RefusedError as refused:
        found = refused.failure

    assert (failure, failure is None) == (found, subject.pools["p"].draining)


@pytest.mark.req("OC-CTRL-2003")
def test_one_reload_goes_on_at_a_time() -> None:
    subject = two_pools()
    subject.begin_reload("p", "m2", now_ms=0)
    with pytest.raises(RefusedError) as refused:
        subject.begin_reload("p", "m3", now_ms=0)

    assert refused.value.failure == Failure(
        code="CONFLICT",
        message="a reload of the pool goes on",
        engine="llamacpp",
        pool_id="p",
        retriable=True,
    )


def entry(model_id: str = "m") -> Entry:
    return Entry(id=model_id, digest=DIGEST, body=b"{}", is_signed=True, has_sbom=True)


@pytest.mark.req("ORCH-3069", "ORCH-3071")
def test_retired_again_a_model_keeps_the_earlier_deadline_and_active_again_none() -> None:
    subject = two_pools()
    model = Model(entry())
    subject.catalog.restore(model)

    found = []
    for deadline_ms in (40_000, 90_000, 20_000):
        subject.set_model_state(model, "Retired", deadline_ms=deadline_ms, now_ms=0)
        found.append(model.unload_at_ms)
    assert [39_000, 39_000, 19_000] == found
    subject.set_model_state(model, "Active", deadline_ms=0, now_ms=1)
    assert ("Active", None) == (model.state, model.unload_at_ms)


@pytest.mark.req("ORCH-3071")
def test_only_the_pools_of_a_model_whose_time_is_up_are_drained_once() -> None:
    subject = two_pools()
    model = Model(entry())
    subject.catalog.restore(model)
    subject.set_model_state(model, "Retired", deadline_ms=0, now_ms=5)

    assert [PoolChanged("p", "drain", "draining")] == subject.take_effects()
    assert [True, False, False] == [of.is_unloading for of in subject.pools.values()]
    assert [True, False, False] == [subject.is_retired(of, 5) for of in subject.pools.values()]
    assert (5, 5) == (operation(subject).started_ms, operation(subject).deadline_at_ms)
    subject.tick(6)
    assert [PoolChanged("p", "drain", "drained")] == subject.take_effects()
    subject.tick(7)
    assert [] == subject.take_effects()
    subject.set_model_state(Model(entry("n")), "Active", deadline_ms=0, now_ms=8)
    subject.set_model_state(model, "Retired", deadline_ms=0, now_ms=8)
    assert [] == subject.take_effects(), (
        "neither another model's activation nor its own retirement again drains it anew"
    )
    assert subject.pools["p"].is_unloading
    subject.set_model_state(model, "Active", deadline_ms=0, now_ms=8)
    assert not subject.pools["p"].is_unloading


@pytest.mark.req("ORCH-3071", "OC-CTRL-2003")
def test_a_pool_that_reloads_is_not_drained_for_the_model_that_it_leaves() -> None:
    subject = two_pools()
    subject.begin_reload("p", "m2", now_ms=0)
    model = Model(entry())
    subject.catalog.restore(model)
    subject.set_model_state(model, "Retired", deadline_ms=0, now_ms=5)

    assert (False, "reload") == (subject.pools["p"].is_unloading, operation(subject).kind)


@pytest.mark.req("ORCH-3062")
@pytest.mark.parametrize(
    ("model_id", "found", "status", "engine"),
    [
        pytest.param("m", [], "verified", "llamacpp", id="loaded"),
        pytest.param("m", ["sha256:ff"], "failed", "llamacpp", id="loaded, and a file differs"),
        pytest.param("m2", [], "pending", "vllm", id="its pool is not up"),
        pytest.param("other", [DIGEST], "verified", "none", id="no pool serves it"),
    ],
)
def test_a_verification_looks_at_files_and_at_what_is_loaded(
    model_id: str, found: list[str], status: str, engine: str
) -> None:
    subject = two_pools()
    verdict = subject.verify_model(entry(model_id), found)

    assert status == verdict.status
    assert [ModelVerified(verdict, engine)] == subject.take_effects()


@pytest.mark.req("ORCH-3062")
def test_a_replica_that_does_not_know_its_digest_says_nothing_of_it() -> None:
    subject = core(is_ready=False)
    subject.replica_preloaded("p", "r0", replace(FACTS, model_digest=None), 0)

    assert Verdict("pending", "not-here", ("the weights are not on this host yet",)) == subject.verify_model(
        entry(), []
    )


@pytest.mark.req("OC-CTRL-2002")
def test_a_drain_without_a_clock_begins_at_0() -> None:
    subject = ready()
    subject.drain("p", deadline_ms=500)

    assert (0, 500) == (operation(subject).started_ms, operation(subject).deadline_at_ms)
