"""The core by example: admission, dispatch, the races, and what is left behind."""

from collections.abc import Callable

import pytest

from reference_server.domain.budgets import Use
from reference_server.domain.core import Core
from reference_server.domain.effects import SlotQuarantined, StartDecode, StopDecode, TaskFinished, TaskRejected
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.faults import Fault
from reference_server.domain.frames import Finish
from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import FACTS, core, pool, request

DONE = Finish(finish_reason="length", tokens_in=3, tokens_out=2, kv_warm=False)
LOST = Failure(code="WORKER_RESET", message="lost", retriable=True)


def started(subject: Core) -> list[str]:
    return [effect.task.id for effect in subject.take_effects() if isinstance(effect, StartDecode)]


def refusal(subject: Core, **changes: object) -> Failure:
    with pytest.raises(RefusedError) as caught:
        subject.submit(request(**changes), tokens_in=1, now_ms=0)  # type: ignore[arg-type]
    return caught.value.failure


@pytest.mark.req("OC-CORE-1004")
def test_interactive_goes_first_and_each_lane_in_order() -> None:
    subject = core()
    for name, priority in (
        ("run", "batch"),
        ("b1", "batch"),
        ("b2", "batch"),
        ("i1", "interactive"),
        ("i2", "interactive"),
    ):
        subject.submit(request(name, priority), tokens_in=1, now_ms=0)  # type: ignore[arg-type]
    order = started(subject)
    while (running := subject.task(order[-1])) is not None and subject.finish(running.id, DONE, 1):
        subject.release(running, 1)
        order += started(subject)

    assert ["run", "i1", "i2", "b1", "b2"] == order


@pytest.mark.req("OC-CORE-1014")
def test_a_slot_is_free_only_after_its_release() -> None:
    subject = core()
    first = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.cancel("a", "client", 1)

    assert ["a"] == started(subject)
    subject.release(first, 2)
    assert ["b"] == started(subject)


@pytest.mark.req("OC-CORE-1015")
def test_a_slot_that_is_not_confirmed_is_quarantined_until_it_is() -> None:
    subject = core()
    first = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.cancel("a", "client", 1)
    subject.quarantine(first)
    subject.quarantine(first)

    effects = subject.take_effects()
    assert 1 == sum(isinstance(effect, SlotQuarantined) for effect in effects)
    subject.release(first, 2)
    assert ["b"] == started(subject)


@pytest.mark.req("OC-CORE-1016", "OC-CTRL-2012")
@pytest.mark.parametrize("winner", ["finish", "fail", "cancel"])
def test_of_three_racing_ends_the_first_wins_and_the_rest_change_nothing(winner: str) -> None:
    subject = core()
    task = subject.submit(request("a"), tokens_in=1, now_ms=0)
    ends: dict[str, Callable[[], bool]] = {
        "finish": lambda: subject.finish("a", DONE, 1),
        "fail": lambda: subject.fail("a", LOST, 1),
        "cancel": lambda: subject.cancel("a", "client", 1),
    }

    assert ends.pop(winner)()
    assert [False, False] == [end() for end in ends.values()]
    assert 1 == sum(isinstance(effect, TaskFinished) for effect in subject.take_effects())
    assert task.transcript.is_closed


@pytest.mark.req("OC-CORE-1005")
def test_a_canceled_waiting_task_is_never_dispatched() -> None:
    subject = core()
    running = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.submit(request("b"), tokens_in=1, now_ms=0)
    assert subject.cancel("b", "client", 1)
    subject.finish("a", DONE, 2)
    subject.release(running, 2)

    assert ["a"] == started(subject)


@pytest.mark.req("OC-CORE-1028")
def test_a_deadline_that_passes_in_the_queue_ends_the_task() -> None:
    subject = core()
    subject.submit(request("a"), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b", deadline_ms=500), tokens_in=1, now_ms=0)

    subject.tick(499)
    assert "queued" == waiting.state
    subject.tick(500)
    assert ("failed", "DEADLINE_UNMET") == (waiting.state, waiting.failure and waiting.failure.code)


@pytest.mark.req("ORCH-2012")
def test_the_same_body_gets_the_same_task_and_another_body_a_conflict() -> None:
    subject = core()
    first = subject.submit(request("a"), tokens_in=1, now_ms=0)

    assert first is subject.submit(request("a"), tokens_in=1, now_ms=5)
    assert "CONFLICT" == refusal(subject, task_id="a", fingerprint=b"other").code


@pytest.mark.req("ORCH-2007", "OC-CORE-1043")
def test_a_full_queue_says_when_to_come_back_and_enqueues_nothing() -> None:
    subject = core(pool(interactive=1))
    subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.submit(request("b"), tokens_in=1, now_ms=0)

    failure = refusal(subject, task_id="c")
    assert ("ADMISSION_REJECT", "reject", True) == (failure.code, failure.policy_label, failure.retriable)
    assert failure.retry_after_ms
    assert subject.task("c") is None
    assert any(isinstance(effect, TaskRejected) for effect in subject.take_effects())


@pytest.mark.req("OC-CORE-1006")
def test_the_task_that_is_dropped_is_told() -> None:
    subject = core(pool(interactive=1, policy="drop-lru"))
    subject.submit(request("a"), tokens_in=1, now_ms=0)
    victim = subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.submit(request("c"), tokens_in=1, now_ms=0)

    assert ("failed", "QUEUE_FULL_DROP_LRU") == (victim.state, victim.failure and victim.failure.code)
    assert victim.transcript.is_closed


@pytest.mark.req("ORCH-3010", "ORCH-3018")
@pytest.mark.parametrize(("event", "code"), [("none", "POOL_UNREADY"), ("lost", "POOL_UNAVAILABLE")])
def test_a_pool_without_a_ready_replica_refuses_with_a_hint(event: str, code: str) -> None:
    subject = core(is_ready=False)
    if event == "lost":
        subject.replica_lost("p", "r0", Fault("lost", "no such file"), 0, jitter=0)

    failure = refusal(subject)
    assert code == failure.code
    assert failure.retry_after_ms


@pytest.mark.req("ORCH-3014", "ORCH-3015", "OC-CORE-1020", "OC-CORE-1021", "OC-CORE-1031", "OC-CTRL-2013")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"ctx": FACTS.ctx_max + 1}, id="ctx-above-limit"),
        pytest.param({"ctx": 16, "max_tokens": 16}, id="budget-infeasible"),
        pytest.param({"workload": "embedding"}, id="workload-not-served"),
        pytest.param({"sampler_profile_version": "v0"}, id="other-sampler"),
    ],
)
def test_what_cannot_be_served_is_refused_before_the_queue(changes: dict[str, object]) -> None:
    subject = core()

    assert "INVALID_PARAMS" == refusal(subject, **changes).code
    assert 0 == len(subject.pools["p"].queue)
    assert subject.task("t1") is None


@pytest.mark.req("OC-CORE-1029")
def test_a_deadline_shorter_than_the_measured_decode_is_refused() -> None:
    subject = core()
    subject.pools["p"].times.observe(first_token_ms=100, decode_ms=1_000, tokens_out=10, max_tokens=10)

    assert "DEADLINE_UNMET" == refusal(subject, max_tokens=16, deadline_ms=1_000).code
    assert "running" == subject.submit(request("ok", deadline_ms=2_000), tokens_in=1, now_ms=0).state


@pytest.mark.req("OC-CORE-1026")
def test_a_session_that_has_had_its_turns_is_refused_with_its_remaining_time() -> None:
    subject = core(turns_max=1)
    subject.submit(request("a"), tokens_in=1, now_ms=0)

    failure = refusal(subject, task_id="b")
    assert ("ADMISSION_REJECT", "session-turns", 600_000) == (
        failure.code,
        failure.policy_label,
        failure.retry_after_ms,
    )


@pytest.mark.req("ORCH-3038", "OC-CORE-1016")
def test_a_lost_replica_ends_what_ran_on_it_and_keeps_what_waits() -> None:
    subject = core()
    running = subject.submit(request("a"), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.take_effects()
    subject.replica_lost("p", "r0", Fault("crashed", "the engine died"), 1, jitter=0)

    assert ("failed", "WORKER_RESET") == (running.state, running.failure and running.failure.code)
    assert any(isinstance(effect, StopDecode) for effect in subject.take_effects())
    subject.release(running, 2)
    subject.replica_restarted("p", "r0", 2)
    assert "queued" == waiting.state
    subject.replica_preloaded("p", "r0", FACTS, 3)
    assert ["b"] == started(subject)


@pytest.mark.req("OC-CORE-1009")
def test_an_ended_task_is_forgotten_after_its_retention_and_its_prompt_at_once() -> None:
    subject = core()
    task = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.finish("a", DONE, 1)

    assert () == task.request.inputs
    subject.tick(600_000)
    assert subject.task("a") is task
    subject.tick(600_001)
    assert subject.task("a") is None


@pytest.mark.req("ORCH-2101", "OC-CTRL-2002")
def test_a_draining_pool_takes_nothing_new_and_ends_the_rest_at_its_deadline() -> None:
    subject = core()
    running = subject.submit(request("a"), tokens_in=1, now_ms=0)
    waiting = subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.drain("p", deadline_ms=500, now_ms=0)
    subject.drain("p", deadline_ms=9_000, now_ms=0)

    assert "POOL_UNREADY" == refusal(subject, task_id="c").code
    subject.tick(499)
    assert ("running", "queued") == (running.state, waiting.state)
    subject.tick(500)
    ends = [(task.state, task.failure and (task.failure.code, task.failure.retriable)) for task in (running, waiting)]
    assert [("failed", ("POOL_UNREADY", True))] * 2 == ends


@pytest.mark.req("ORCH-2101")
def test_a_draining_pool_still_runs_what_waits() -> None:
    subject = core()
    first = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.submit(request("b"), tokens_in=1, now_ms=0)
    subject.drain("p", deadline_ms=500, now_ms=0)
    subject.finish("a", DONE, 1)
    subject.release(first, 1)

    assert ["a", "b"] == started(subject)


@pytest.mark.req("ORCH-3007", "ORCH-3046")
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ReplicaFacts("b2", FACTS.model_digest, FACTS.ctx_max, 1), id="engine_version"),
        pytest.param(ReplicaFacts(FACTS.engine_version, "sha256:0", FACTS.ctx_max, 1), id="model_digest"),
        pytest.param(ReplicaFacts(FACTS.engine_version, FACTS.model_digest, 1, 1), id="ctx"),
    ],
)
def test_a_replica_that_differs_from_its_set_stays_out(other: ReplicaFacts) -> None:
    subject = core(pool(replicas=2), is_ready=False)

    assert subject.replica_preloaded("p", "r0", FACTS, 0) is None
    fault = subject.replica_preloaded("p", "r1", other, 0)
    assert ("mismatch", "loading") == (fault and fault.kind, subject.pools["p"].replicas["r1"].state)
    subject.replica_lost("p", "r0", Fault("crashed", "gone"), 0, jitter=0)
    assert subject.replica_preloaded("p", "r1", other, 0) is None, "with the old set gone, the new version is the set"


@pytest.mark.req("ORCH-2102", "OC-CTRL-2003", "ORCH-3031")
def test_a_reload_closes_the_pool_and_opens_it_on_the_new_model() -> None:
    subject = core()
    subject.begin_reload("p", "m2", now_ms=0)

    with pytest.raises(RefusedError, match="reloading"):
        subject.submit(request("a"), tokens_in=1, now_ms=1)
    with pytest.raises(RefusedError, match="CONFLICT"):
        subject.begin_reload("p", "m3", now_ms=1)
    subject.reload_reached("p", "done", 2)
    assert ("m2", False) == (subject.pools["p"].model_ref, subject.pools["p"].draining)


@pytest.mark.req("OC-CTRL-2003")
def test_a_reload_that_is_rolled_back_opens_the_pool_on_the_old_model_and_says_why() -> None:
    subject = core()
    subject.begin_reload("p", "m2", now_ms=0)
    subject.reload_reached("p", "rolled-back", 2, error="no such file")
    found = subject.pools["p"]

    assert ("m", False, "no such file") == (found.model_ref, found.draining, found.last_error)
    subject.submit(request("a"), tokens_in=1, now_ms=3)


@pytest.mark.req("OC-CTRL-2002", "OC-CTRL-2003")
def test_what_does_not_finish_before_the_deadline_of_a_reload_ends_retriably() -> None:
    subject = core()
    subject.pools["p"].reload_drain_ms = 100
    task = subject.submit(request("a"), tokens_in=1, now_ms=0)
    subject.begin_reload("p", "m2", now_ms=0)
    subject.tick(99)
    assert not task.is_terminal
    subject.tick(100)

    assert ("POOL_UNREADY", True) == (task.failure and task.failure.code, task.failure and task.failure.retriable)


@pytest.mark.req("OC-CTRL-2002")
def test_a_drained_pool_says_that_it_is_drained() -> None:
    subject = core()
    subject.drain("p", deadline_ms=100, now_ms=0)
    subject.tick(1)

    operation = subject.pools["p"].operation
    assert operation is not None
    assert "drained" == operation.phase


@pytest.mark.req("ORCH-3009", "ORCH-3023")
def test_a_failover_says_that_the_cache_did_not_move() -> None:
    subject = core(pool(replicas=2))
    first = subject.submit(request("a"), tokens_in=1, now_ms=0)
    end(subject, first)
    subject.replica_lost("p", "r0", Fault("crashed", "died"), 2, jitter=0)
    second = subject.submit(request("b"), tokens_in=1, now_ms=3)
    end(subject, second)
    third = subject.submit(request("c"), tokens_in=1, now_ms=5)

    started = [task.transcript.since(0, 1)[0][1] for task in (first, second, third)]
    assert [None, False, None] == [frame.get("kv_migrated") for frame in started]  # type: ignore[union-attr]
    assert (False, "r1") == (started[1]["kv_warmth"], started[1]["replica_id"])  # type: ignore[index]


def end(of: Core, task: Task) -> None:
    """The engine ended it well, and its slot is free again."""
    of.finish(task.id, Finish(finish_reason="stop", tokens_in=1, tokens_out=1, kv_warm=False), 1)
    of.release(task, 1)


@pytest.mark.req("OC-CORE-1053")
def test_sessions_come_back_with_their_tasks() -> None:
    old = core()
    done = old.submit(request("a"), tokens_in=1, now_ms=1_000)
    done.transcript.append_tokens(["x"] * 3)
    old.finish("a", Finish(finish_reason="stop", tokens_in=4, tokens_out=3, kv_warm=False), 1_050)
    open_task = Task(request=request("b"), pool_id="p", admitted_ms=1_100)

    subject = core(is_ready=False)
    subject.restore_ended(done)
    subject.restore_open(open_task, was_running=False, now_ms=2_000)
    session = subject.sessions.get(done.request.session_id, 2_000)

    assert session is not None
    assert (2, 601_100) == (session.turns, session.expires_ms)
    assert Use(tokens=7, time_ms=50) == session.account.spent
    assert ["b"] == list(session.account.reserved)
