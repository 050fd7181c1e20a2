"""After a restart: what ended stays readable for the rest of its time, what waited waits again, what ran is over."""

import pytest

from reference_server.domain.budgets import Amounts, Use
from reference_server.domain.core import Core
from reference_server.domain.effects import StopDecode, TaskFinished
from reference_server.domain.errors import Failure
from reference_server.domain.frames import Finish
from reference_server.domain.retention import Retention
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import core, pool, request
from reference_server.domain.throttle import TokenLimits


def restarted() -> Core:
    """A new core whose pool is still loading; sessions have 1,000 tokens."""
    of = pool()
    of.times = ServiceTimes(first_token_ms=100.0, token_ms=10.0, measured=1)
    return Core(
        [of],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=10, budget=Amounts(tokens=1_000)),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 20),
        limits=TokenLimits(open_tasks_max=2),
    )


def ended(ended_ms: int | None = 50) -> Task:
    task = Task(request=request("a"), pool_id="p", admitted_ms=10, state="ended", ended_ms=ended_ms)
    task.transcript.append_tokens(["x", "y"])
    task.transcript.append("end", {"tokens_in": 4, "decode_ms": 30})
    return task


@pytest.mark.req("OC-CORE-1050", "OC-CORE-1053")
@pytest.mark.parametrize("ended_ms", [50, None])
def test_what_had_ended_is_readable_for_the_rest_of_its_time(ended_ms: int | None) -> None:
    subject, task = restarted(), ended(ended_ms)
    subject.restore_ended(task)

    subject.tick(600_000 + (ended_ms or 0) - 1)
    assert subject.task("a") is task
    subject.tick(600_000 + (ended_ms or 0))
    assert subject.task("a") is None


@pytest.mark.req("OC-CORE-1053")
def test_the_session_of_what_had_ended_knows_its_pool_and_what_was_used() -> None:
    subject = restarted()
    subject.restore_ended(ended())
    session = subject.sessions.get("s1", 50)

    assert session is not None
    assert ({"p"}, 600_010, 1) == (session.pool_ids, session.expires_ms, session.turns)
    assert (Use(tokens=6, time_ms=30), {}) == (session.account.spent, session.account.reserved)
    assert 0 == subject.limits.open_tasks


@pytest.mark.req("OC-CORE-1053")
def test_what_had_ended_in_a_pool_that_is_gone_is_readable_still() -> None:
    subject, task = restarted(), ended()
    task.pool_id = "gone"
    subject.restore_ended(task)

    assert (task, 1_000) == (subject.task("a"), subject.sessions.remaining("s1").tokens)


@pytest.mark.req("OC-CORE-1050", "OC-CORE-1051")
def test_what_ran_when_the_server_went_down_has_failed() -> None:
    subject = restarted()
    task = Task(request=request("a"), pool_id="p", admitted_ms=10, state="running", replica_id="r0", started_ms=20)
    subject.restore_open(task, was_running=True, now_ms=90)

    assert [StopDecode("a"), TaskFinished(task)] == subject.take_effects()
    assert task.failure == Failure(
        code="WORKER_RESET",
        message="the server was restarted while the task ran",
        engine="llamacpp",
        pool_id="p",
        retriable=True,
    )
    assert ("failed", 90, task, [], 0) == (
        task.state,
        task.ended_ms,
        subject.task("a"),
        subject.pools["p"].queue.ids(),
        subject.limits.open_tasks,
    )


@pytest.mark.req("OC-CORE-1050", "OC-CORE-1053")
def test_what_waited_waits_again_with_its_reservation_and_its_deadline() -> None:
    subject = restarted()
    task = Task(request=request("a", "batch", deadline_ms=500, prompt="four"), pool_id="p", admitted_ms=10)
    subject.restore_open(task, was_running=False, now_ms=90)

    assert (["a"], 16, task, 1) == (
        subject.pools["p"].queue.ids(),
        subject.pools["p"].queue.tokens_ahead("batch"),
        subject.task("a"),
        subject.limits.open_tasks,
    )
    session = subject.sessions.get("s1", 90)
    assert session is not None
    assert ({"p"}, 600_010, 8) == (session.pool_ids, session.expires_ms, task.prompt_tokens_most)
    assert {"a": Use(tokens=8 + 16, time_ms=260)} == session.account.reserved
    subject.tick(509)
    assert "queued" == task.state
    subject.tick(510)
    assert ("failed", "DEADLINE_UNMET") == (task.state, task.failure and task.failure.code)


@pytest.mark.req("OC-CORE-1050")
def test_after_a_restart_ids_are_still_taken() -> None:
    subject = core(is_ready=False)
    task = Task(request=request("a"), pool_id="p", admitted_ms=10)
    subject.restore_open(task, was_running=False, now_ms=90)

    assert task is subject.submit(request("a"), tokens_in=1, now_ms=91)
    assert not subject.finish("a", Finish(finish_reason="stop", tokens_in=1, tokens_out=1, kv_warm=False), 92)
