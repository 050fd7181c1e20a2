"""The objective of a pool's interactive tasks, and the load that is shed while it stays missed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.domain.core import Core
from reference_server.domain.effects import BackpressureApplied, SheddingChanged, TaskRejected
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.frames import Finish
from reference_server.domain.service_level import Objective, ServiceLevel
from reference_server.domain.task import Priority, Task
from reference_server.domain.tests.builders import core, pool, request

OBJECTIVE = Objective(queue_ms=100, percent=50, window_ms=1_000, tasks_min=2)
DONE = Finish(finish_reason="length", tokens_in=1, tokens_out=1, kv_warm=False)


def after(*measured: tuple[int, int], objective: Objective = OBJECTIVE) -> ServiceLevel:
    """Queue times, each with when it was measured."""
    subject = ServiceLevel(objective)
    for queue_time_ms, at_ms in measured:
        subject.observe(queue_time_ms, at_ms)
        subject.review(at_ms)
    return subject


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
@pytest.mark.parametrize(
    ("queue_times", "is_shedding"),
    [
        pytest.param([], False, id="nothing-measured"),
        pytest.param([101], False, id="one-is-too-few"),
        pytest.param([101, 101], True, id="all-late"),
        pytest.param([100, 101], False, id="as-many-in-time-as-asked"),
        pytest.param([100, 101, 101], True, id="one-too-many-late"),
    ],
)
def test_load_is_shed_when_too_few_are_in_time(queue_times: list[int], is_shedding: bool) -> None:
    assert is_shedding is after(*((queue_time_ms, 0) for queue_time_ms in queue_times)).is_shedding


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_a_hundred_of_a_hundred_forgives_none_of_any_number() -> None:
    strict = replace(OBJECTIVE, percent=100)

    assert [True, False] == [strict.is_met(measured=1_000, missed=missed) for missed in (0, 1)]


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_without_an_objective_nothing_is_shed() -> None:
    subject = after(*[(10**9, 0)] * 9, objective=replace(OBJECTIVE, queue_ms=None))

    assert (False, False) == (subject.is_shedding, subject.is_late(10**9))
    subject.limit(OBJECTIVE)
    assert not subject.review(0)


@pytest.mark.req("ORCH-3040", "OC-POOL-3017")
def test_it_ends_when_the_objective_is_met_again() -> None:
    subject = after((500, 0), (500, 0))
    subject.observe(0, 10)

    assert (False, True) == (subject.review(10), subject.is_shedding)
    subject.observe(0, 10)
    assert (True, False) == (subject.review(10), subject.is_shedding)
    assert not subject.review(10)


@pytest.mark.req("ORCH-3040", "OC-POOL-3017")
def test_one_late_task_that_is_left_keeps_it_and_an_empty_window_ends_it() -> None:
    subject = after((500, 0), (500, 600))

    assert (False, True) == (subject.review(1_599), subject.is_shedding)
    assert (True, False) == (subject.review(1_600), subject.is_shedding)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_the_wait_that_is_told_ends_where_the_window_meets_it_by_itself() -> None:
    subject = after((500, 0), (500, 100), (500, 200), (0, 300), (0, 400))

    assert subject.is_shedding
    assert 500 == subject.retry_after_ms(500)
    assert (False, True) == (subject.review(999), subject.review(1_000))


@pytest.mark.req("OC-POOL-3016", "ORCH-2007")
def test_the_wait_that_is_told_is_within_a_minute() -> None:
    slow = replace(OBJECTIVE, window_ms=600_000)

    assert 60_000 == after((500, 0), (500, 0), objective=slow).retry_after_ms(0)
    assert [1, 1] == [after((500, 0), (500, 0)).retry_after_ms(5_000), after().retry_after_ms(0)]


@pytest.mark.req("ORCH-3040", "OC-POOL-3017")
@given(
    percent=st.integers(1, 100),
    steps=st.lists(st.tuples(st.integers(0, 400), st.sampled_from([0, 101])), max_size=40),
)
def test_who_comes_again_as_told_is_let_in(percent: int, steps: list[tuple[int, int]]) -> None:
    subject, now = ServiceLevel(replace(OBJECTIVE, percent=percent)), 0
    for gap, queue_time_ms in steps:
        now += gap
        subject.observe(queue_time_ms, now)
        subject.review(now)
        assert 1 <= subject.retry_after_ms(now) <= 1_000
    wait_ms = subject.retry_after_ms(now)
    if subject.is_shedding:
        subject.review(now + wait_ms - 1)
        assert subject.is_shedding
    subject.review(now + wait_ms)
    assert not subject.is_shedding


@pytest.mark.req("OC-CONFIG-6006", "ORCH-3040")
def test_another_objective_forgets_what_was_measured_and_the_same_does_not() -> None:
    subject = after((500, 0), (500, 0))
    subject.limit(replace(OBJECTIVE))

    assert (False, True) == (subject.review(1), subject.is_shedding)
    subject.limit(replace(OBJECTIVE, queue_ms=1_000))
    assert (True, False) == (subject.review(1), subject.is_shedding)
    subject.observe(0, 2)
    assert not subject.review(2)


# ── in the core ──


def pool_with_objective(**changes: int | None) -> Core:
    """One slot, which a batch task has; two interactive tasks wait behind it since 0 ms, and a batch task."""
    of = pool()
    of.service_level.limit(replace(OBJECTIVE, **changes))  # type: ignore[arg-type]
    subject = core(of)
    for name, priority in (("slot", "batch"), ("a", "interactive"), ("b", "interactive"), ("c", "batch")):
        submit(subject, name, priority, 0)  # type: ignore[arg-type]
    subject.take_effects()
    return subject


def submit(subject: Core, name: str, priority: Priority, now_ms: int) -> Task:
    return subject.submit(request(name, priority, max_tokens=1), tokens_in=1, now_ms=now_ms)


def end(subject: Core, name: str, now_ms: int) -> None:
    subject.finish(name, DONE, now_ms)
    task = subject.task(name)
    assert task is not None
    subject.release(task, now_ms)


def missed(**changes: int | None) -> Core:
    """The objective is missed by both, at 200 ms and 300 ms; `b` runs."""
    subject = pool_with_objective(**changes)
    end(subject, "slot", 200)
    end(subject, "a", 300)
    return subject


def shedding(subject: Core) -> list[object]:
    return [effect for effect in subject.take_effects() if isinstance(effect, SheddingChanged)]


@pytest.mark.req("ORCH-3040", "OC-POOL-3016", "ORCH-2007")
def test_a_batch_task_is_refused_while_the_objective_stays_missed() -> None:
    subject = missed()
    assert [SheddingChanged("p", True)] == shedding(subject)
    failure = Failure(
        code="ADMISSION_REJECT",
        message="pool p sheds batch tasks: interactive ones wait longer than their objective, 100 ms",
        engine="llamacpp",
        pool_id="p",
        retriable=True,
        retry_after_ms=900,
        policy_label="service-level",
    )

    with pytest.raises(RefusedError) as refused:
        submit(subject, "new", "batch", 400)

    assert failure == refused.value.failure
    effects = subject.take_effects()
    assert [TaskRejected("llamacpp", failure)] == effects
    assert not any(isinstance(effect, BackpressureApplied) for effect in effects)
    assert subject.task("new") is None


@pytest.mark.req("ORCH-3040", "OC-POOL-3017")
def test_interactive_tasks_and_what_was_admitted_go_on() -> None:
    subject = missed()

    assert 0 == submit(subject, "new", "interactive", 400).queue_position
    assert ["queued", "running"] == [task.state for name in "cb" if (task := subject.task(name))]


@pytest.mark.req("ORCH-3040", "OC-POOL-3017")
@pytest.mark.parametrize("is_ticked", [True, False], ids=["tick", "the-next-task"])
def test_it_ends_by_time_alone(is_ticked: bool) -> None:
    subject = missed()
    subject.take_effects()
    subject.tick(1_299)
    assert [] == shedding(subject)

    if is_ticked:
        subject.tick(1_300)
    else:
        submit(subject, "new", "batch", 1_300)

    assert [SheddingChanged("p", False)] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_batch_tasks_are_not_measured() -> None:
    subject = pool_with_objective(tasks_min=1)
    subject.cancel("a", "client", 50)
    subject.cancel("b", "client", 100)
    end(subject, "slot", 900)  # `c` starts now, far too late for an interactive one

    assert [] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_the_queue_time_begins_with_the_admission() -> None:
    of = pool()
    of.service_level.limit(replace(OBJECTIVE, tasks_min=1))
    subject = core(of)
    submit(subject, "slot", "batch", 0)
    for name in "abcd":
        submit(subject, name, "interactive", 950)
    end(subject, "slot", 1_050)  # `a` starts in time
    for name, now_ms in (("b", 1_050), ("c", 1_051)):
        subject.cancel(name, "client", now_ms)

    assert [] == shedding(subject)
    subject.cancel("d", "client", 1_051)
    assert [SheddingChanged("p", True)] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_one_that_leaves_the_queue_too_late_has_missed_it_and_sooner_counts_as_nothing() -> None:
    subject = pool_with_objective(tasks_min=1)
    subject.cancel("a", "client", 100)

    assert [] == shedding(subject)
    subject.cancel("b", "client", 101)
    assert [SheddingChanged("p", True)] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_a_deadline_that_passes_in_the_queue_has_missed_it() -> None:
    subject = pool_with_objective(tasks_min=3)
    subject.submit(request("d", max_tokens=1, deadline_ms=150), tokens_in=1, now_ms=0)
    subject.cancel("a", "client", 150)
    subject.cancel("b", "client", 150)

    subject.tick(151)

    assert [SheddingChanged("p", True)] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_a_task_that_ran_is_measured_once() -> None:
    subject = missed(tasks_min=3)
    subject.cancel("b", "client", 500)

    assert [] == shedding(subject)


@pytest.mark.req("ORCH-3040", "OC-POOL-3016")
def test_a_task_that_waits_for_another_replica_is_measured_once() -> None:
    of = pool(replicas=2)
    of.service_level.limit(replace(OBJECTIVE, tasks_min=1))
    subject = core(of)
    task = submit(subject, "a", "interactive", 0)
    submit(subject, "other", "batch", 0)
    subject.release(task, 500, failed=Failure(code="WORKER_RESET", message="lost", retriable=True))
    assert "queued" == task.state

    subject.cancel("a", "client", 900)

    assert [] == shedding(subject)
