"""What the core lets out at each step, whole and in order: the only thing that the rest of the server acts on."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from zlib import adler32, crc32

import pytest

from reference_server.domain.budgets import Amounts, Prices
from reference_server.domain.catalog import Entry, Model
from reference_server.domain.core import Core
from reference_server.domain.deadlines import SLACK
from reference_server.domain.effects import (
    BackpressureApplied,
    CancelReason,
    SlotQuarantined,
    StartDecode,
    StopDecode,
    TaskEnqueued,
    TaskFinished,
    TaskForgotten,
    TaskRejected,
    TaskReturned,
    TaskStarted,
)
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.faults import Fault
from reference_server.domain.frames import Finish
from reference_server.domain.pool import Pool
from reference_server.domain.retention import Retention
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Task, TaskRequest
from reference_server.domain.task_queue import FullPolicy
from reference_server.domain.tests.builders import FACTS, core, pool, request
from reference_server.domain.throttle import Throttle, TokenLimits
from reference_server.domain.transcript import ControlFrame

DONE = Finish(finish_reason="length", tokens_in=3, tokens_out=2, kv_warm=True)
LOST = Failure(code="WORKER_RESET", message="lost", retriable=True)


def submit(subject: Core, asked: TaskRequest, now_ms: int = 0) -> Task:
    return subject.submit(asked, tokens_in=1, now_ms=now_ms)


def refusal(ask: Callable[[], object]) -> Failure:
    with pytest.raises(RefusedError) as caught:
        ask()
    return caught.value.failure


def events(task: Task) -> list[str]:
    return [frame.event for frame in task.transcript.since(0, 99) if isinstance(frame, ControlFrame)]


def two_pools(limits: TokenLimits | None = None) -> Core:
    """`p`, which is Ready, and `q` on another engine."""
    other = pool()
    other.id, other.engine, other.model_ref = "q", "vllm", "n"
    subject = Core(
        [pool(), other],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=10),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 20),
        limits=limits,
    )
    subject.replica_preloaded("p", "r0", FACTS, 0)
    subject.take_effects()
    return subject


@pytest.mark.req("ORCH-2001", "OC-CORE-1014")
def test_a_task_that_finds_a_slot_is_enqueued_and_started_in_one_step() -> None:
    subject = two_pools()
    task = subject.submit(request("a"), tokens_in=7, now_ms=5, placement_hint="r0")

    assert [TaskEnqueued(task), TaskStarted(task), StartDecode(task)] == subject.take_effects()
    assert [] == subject.take_effects()
    assert ("p", 5, 5, "r0", 0, 0, 0, 7, "r0") == (
        task.pool_id,
        task.admitted_ms,
        task.started_ms,
        task.replica_id,
        task.queue_position,
        task.predicted_start_ms,
        task.backoff_ms,
        task.prompt_tokens_most,
        task.placement_hint,
    )
    assert ["started", "metrics"] == events(task)
    assert [task] == list(subject.tasks())
    session = subject.sessions.get("s1", 5)
    assert session is not None
    assert "r0" == session.replica_id


@pytest.mark.req("ORCH-2001", "ORCH-2007", "ORCH-3029")
def test_a_task_that_waits_is_told_its_place_and_behind_others_when_to_look_again() -> None:
    subject = two_pools()
    subject.pools["p"].times = ServiceTimes(first_token_ms=0.0, token_ms=10.0, measured=1, spread=0.0)
    submit(subject, request("a", max_tokens=100))
    subject.take_effects()
    second, third = (submit(subject, request(name, max_tokens=50)) for name in "bc")

    assert [TaskEnqueued(second), TaskEnqueued(third)] == subject.take_effects()
    assert [(0, 1_000, 0), (1, 1_500, 1_065)] == [
        (task.queue_position, task.predicted_start_ms, task.backoff_ms) for task in (second, third)
    ]


@pytest.mark.req("ORCH-2006", "OC-CTRL-2013")
@pytest.mark.parametrize("changes", [{"engine": "tgi"}, {"model_ref": "n"}])
def test_what_no_pool_serves_is_refused_with_what_is_served(changes: dict[str, str]) -> None:
    subject = two_pools()
    asked = replace(request("a"), **changes)  # type: ignore[arg-type]
    failure = Failure(
        code="INVALID_PARAMS",
        message="no pool serves this engine and model_ref; served: llamacpp/m, vllm/n",
        engine=asked.engine,
        retriable=False,
    )

    assert failure == refusal(lambda: submit(subject, asked))
    assert [TaskRejected(asked.engine, failure)] == subject.take_effects()
    assert subject.task("a") is None


@pytest.mark.req("ORCH-2012")
def test_a_task_id_that_is_taken_is_a_conflict_and_no_rejection() -> None:
    subject = two_pools()
    submit(subject, request("a"))
    subject.take_effects()
    failure = Failure(
        code="CONFLICT", message="task_id was used before with a different body", engine="llamacpp", retriable=False
    )

    assert failure == refusal(lambda: submit(subject, request("a", fingerprint=b"other")))
    assert [] == subject.take_effects()


@pytest.mark.req("OC-CORE-1036")
def test_what_has_to_fit_is_the_longest_input_where_there_is_one() -> None:
    subject = two_pools()

    subject.submit(request("a", ctx=100), tokens_in=1_000, longest_in=10, now_ms=0)
    with pytest.raises(RefusedError, match="token budget"):
        subject.submit(request("b", ctx=100), tokens_in=1_000, now_ms=0)


@pytest.mark.req("ORCH-3036")
def test_the_limit_of_open_tasks_counts_what_waits_and_runs() -> None:
    subject = two_pools(TokenLimits(open_tasks_max=2))
    submit(subject, request("a"))
    submit(subject, request("b"))

    assert "open-tasks" == refusal(lambda: submit(subject, request("c"))).policy_label
    subject.cancel("b", "client", 1)
    submit(subject, request("d"))
    assert "open-tasks" == refusal(lambda: submit(subject, request("e"))).policy_label


@pytest.mark.req("ORCH-3024", "OC-CORE-1042", "ORCH-3099")
def test_a_task_that_ends_well_is_measured_settled_and_told() -> None:
    subject = two_pools()
    of = subject.pools["p"]
    task = submit(subject, request("a", max_tokens=4), 10)
    subject.take_effects()
    task.transcript.append_tokens(["x", "y"])
    task.first_token_ms = 30

    assert subject.finish("a", DONE, 100)
    assert [TaskFinished(task)] == subject.take_effects()
    assert ("ended", 100, 3, True) == (task.state, task.ended_ms, task.tokens_in, task.kv_warm)
    assert ["started", "metrics", "metrics", "end"] == events(task)
    assert "tokens_out" in task.transcript.since(4, 1)[0][1]
    assert {"tokens_out": 2, "decode_ms": 90, "finish_reason": "length", "tokens_in": 3} == task.transcript.since(5, 1)[
        0
    ][1]
    assert (20.0, 70.0, 0.9) == (of.times.first_token_ms, of.times.token_ms, of.times.fill)
    session = subject.sessions.get("s1", 100)
    assert session is not None
    assert ("r0", True, {}, 5, 90) == (
        session.replica_id,
        session.kv_warm,
        session.account.reserved,
        session.account.spent.tokens,
        session.account.spent.time_ms,
    )


@pytest.mark.req("OC-CORE-1036", "OC-CORE-1042")
def test_what_gives_no_tokens_is_measured_as_one() -> None:
    subject = two_pools()
    facts = replace(FACTS, workloads=("embedding",))
    subject.replica_unloaded("p", "r0")
    subject.replica_preloaded("p", "r0", facts, 0)
    task = submit(subject, request("a", workload="embedding"), 10)
    subject.finish(task.id, replace(DONE, tokens_out=0), 50)
    times = subject.pools["p"].times

    assert (40.0, 0.0, 1.0, 1) == (times.first_token_ms, times.token_ms, times.fill, times.measured)


@pytest.mark.req("OC-CORE-1016")
def test_what_is_unknown_or_waits_cannot_finish() -> None:
    subject = two_pools()
    submit(subject, request("a"))
    waiting = submit(subject, request("b"))
    subject.take_effects()

    assert [False, False, False, False] == [
        subject.finish("b", DONE, 1),
        subject.finish("none", DONE, 1),
        subject.fail("none", LOST, 1),
        subject.cancel("none", "client", 1),
    ]
    assert ("queued", []) == (waiting.state, subject.take_effects())


@pytest.mark.req("ORCH-3024", "OC-CTRL-2012")
def test_a_task_that_fails_leaves_its_engine_or_its_queue() -> None:
    subject = two_pools()
    running, waiting = submit(subject, request("a")), submit(subject, request("b"))
    subject.take_effects()

    assert [True, True] == [subject.fail(name, LOST, 5) for name in "ba"]
    assert [TaskFinished(waiting), StopDecode("a"), TaskFinished(running)] == subject.take_effects()
    assert [(LOST, "failed", 5)] * 2 == [(task.failure, task.state, task.ended_ms) for task in (running, waiting)]
    assert {"code": "WORKER_RESET", "message": "lost", "retriable": True} == waiting.transcript.since(1, 1)[0][1]
    assert [] == subject.pools["p"].queue.ids()


@pytest.mark.req("ORCH-3024", "OC-CTRL-2012")
@pytest.mark.parametrize("reason", ["client", "disconnect", "shutdown"])
def test_a_cancel_is_told_with_its_reason(reason: CancelReason) -> None:
    subject = two_pools()
    task = submit(subject, request("a"))
    subject.take_effects()

    assert subject.cancel("a", reason, 5)
    assert [StopDecode("a"), TaskFinished(task, reason)] == subject.take_effects()
    assert Failure(code="CANCELED", message=f"canceled ({reason})", engine="llamacpp", retriable=False) == task.failure
    assert ("canceled", 5) == (task.state, task.ended_ms)
    assert ["started", "metrics", "metrics", "error"] == events(task)
    assert {"code": "CANCELED", "message": f"canceled ({reason})", "engine": "llamacpp", "retriable": False} == (
        task.transcript.since(3, 1)[0][1]
    )


@pytest.mark.req("OC-CORE-1015")
def test_a_slot_whose_stop_is_not_confirmed_is_told_with_its_replica() -> None:
    subject = two_pools()
    task = submit(subject, request("a"))
    subject.cancel("a", "client", 1)
    subject.take_effects()
    subject.quarantine(task)
    subject.quarantine(task)

    assert [SlotQuarantined("p", "r0")] == subject.take_effects()
    assert 0 == subject.pools["p"].slots_free
    assert "queued" == submit(subject, request("b"), 2).state


@pytest.mark.req("OC-CORE-1009")
def test_a_task_that_is_forgotten_is_told() -> None:
    subject = two_pools()
    submit(subject, request("a"))
    subject.cancel("a", "client", 1)
    subject.take_effects()
    subject.tick(600_001)

    assert [TaskForgotten("a")] == subject.take_effects()
    assert [] == list(subject.tasks())


@pytest.mark.req("OC-CORE-1028")
def test_a_deadline_that_passed_in_the_queue_is_told_whole() -> None:
    subject = two_pools()
    submit(subject, request("a"))
    waiting = submit(subject, request("b", deadline_ms=500))
    subject.tick(500)

    assert waiting.failure == Failure(
        code="DEADLINE_UNMET",
        message="deadline_ms 500 passed while the task was queued",
        engine="llamacpp",
        pool_id="p",
        retriable=False,
    )


def full(policy: FullPolicy) -> Core:
    """One runs, one batch task waits, and there is room for no more."""
    subject = core(pool(interactive=1, batch=1, total=1, policy=policy))
    submit(subject, request("run"))
    submit(subject, request("waits", "batch"))
    subject.take_effects()
    return subject


@pytest.mark.req("ORCH-2007", "ORCH-3005", "OC-CORE-1043")
@pytest.mark.parametrize(
    ("policy", "code"), [("reject", "ADMISSION_REJECT"), ("shed-low-priority", "ADMISSION_REJECT")]
)
def test_a_newcomer_without_room_is_told_by_which_policy(policy: FullPolicy, code: str) -> None:
    subject = full(policy)
    failure = full_failure(code, "the batch queue of pool p is full", policy)

    assert failure == refusal(lambda: submit(subject, request("new", "batch")))
    assert [BackpressureApplied("llamacpp", policy), TaskRejected("llamacpp", failure)] == subject.take_effects()


def full_failure(code: str, message: str, policy: FullPolicy) -> Failure:
    return Failure(
        code=code,
        message=message,
        engine="llamacpp",
        pool_id="p",
        retriable=True,
        retry_after_ms=1_000,
        policy_label=policy,
    )


@pytest.mark.req("ORCH-3005", "OC-CORE-1007")
def test_batch_that_may_drop_no_interactive_task_is_told_by_drop_lru() -> None:
    subject = core(pool(interactive=2, batch=1, total=1, policy="drop-lru"))
    submit(subject, request("run"))
    submit(subject, request("waits"))
    expected = full_failure("QUEUE_FULL_DROP_LRU", "the batch queue of pool p is full", "drop-lru")

    assert expected == refusal(lambda: submit(subject, request("new", "batch")))


@pytest.mark.req("ORCH-3005", "OC-CORE-1006")
@pytest.mark.parametrize(
    ("policy", "code"), [("drop-lru", "QUEUE_FULL_DROP_LRU"), ("shed-low-priority", "ADMISSION_REJECT")]
)
def test_a_victim_is_told_before_the_one_that_takes_its_place(policy: FullPolicy, code: str) -> None:
    subject = full(policy)
    victim = subject.task("waits")
    assert victim is not None
    newcomer = submit(subject, request("new"), 5)

    assert [
        BackpressureApplied("llamacpp", policy),
        TaskFinished(victim),
        TaskEnqueued(newcomer),
    ] == subject.take_effects()
    assert full_failure(code, f"dropped from the full queue of pool p ({policy})", policy) == victim.failure
    assert 5 == victim.ended_ms


@pytest.mark.req("ORCH-3009", "ORCH-3023")
@pytest.mark.parametrize(
    ("reuse_cache", "strict", "is_warm"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_the_cache_is_warm_where_the_session_was_and_may_be_used(
    *, reuse_cache: bool, strict: bool, is_warm: bool
) -> None:
    subject = two_pools()
    asked = [replace(request(name), reuse_cache=reuse_cache, strict=strict) for name in "ab"]
    first = submit(subject, asked[0])
    assert (False, False) == (first.kv_warm, first.failed_over)
    subject.finish("a", DONE, 1)
    subject.release(first, 1)
    second = submit(subject, asked[1], 2)

    assert (is_warm, False) == (second.kv_warm, second.failed_over)
    session = subject.sessions.get("s1", 2)
    assert session is not None
    assert is_warm == session.kv_warm


@pytest.mark.req("ORCH-3009", "OC-CORE-1011")
def test_a_hint_goes_before_the_sessions_own_replica() -> None:
    subject = core(pool(replicas=2))
    first = submit(subject, request("a"))
    subject.finish("a", DONE, 1)
    subject.release(first, 1)
    second = subject.submit(request("b"), tokens_in=1, now_ms=2, placement_hint="r1")

    assert ("r0", "r1", True) == (first.replica_id, second.replica_id, second.failed_over)


def priced() -> Pool:
    of = pool()
    of.prices = Prices(in_per_1k=1_000.0)
    return of


@pytest.mark.req("ORCH-3099", "OC-CORE-1023")
def test_a_budget_is_held_against_the_prompt_before_anything_else_is_reserved() -> None:
    of = priced()
    subject = Core(
        [of],
        sessions=Sessions(ttl_ms=600_000, turns_max=100, sessions_max=10, budget=Amounts(cost=10.0)),
        retention=Retention(ttl_ms=600_000, tasks_max=100, bytes_max=1 << 20),
    )
    subject.replica_preloaded("p", "r0", FACTS, 0)

    subject.submit(request("a"), tokens_in=6, now_ms=0)
    assert "budget-cost" == refusal(lambda: subject.submit(request("b"), tokens_in=5, now_ms=0)).policy_label
    subject.submit(request("c"), tokens_in=4, now_ms=0)
    assert 0.0 == subject.sessions.remaining("s1").cost


@pytest.mark.req("ORCH-3090")
def test_a_pool_is_found_by_what_the_catalog_calls_its_model() -> None:
    subject = two_pools()
    for name, source in (("other", "elsewhere"), ("c", "m")):
        subject.catalog.restore(Model(Entry(id=name, digest="sha256:0", body=b"{}", source_url=source)))

    assert ["p", "p"] == [subject.pool_for("llamacpp", name).id for name in ("m", "c")]
    assert "INVALID_PARAMS" == refusal(lambda: subject.pool_for("vllm", "c")).code


@pytest.mark.req("ORCH-3006")
def test_the_rate_of_admissions_follows_the_clock() -> None:
    subject = two_pools(TokenLimits(Throttle(per_s=1, burst=1)))
    submit(subject, request("a"))

    assert "throttle" == refusal(lambda: submit(subject, request("b"), 999)).policy_label
    submit(subject, request("b"), 1_000)


@pytest.mark.req("OC-CORE-1018", "OC-CORE-1019")
def test_a_task_that_returns_is_told_before_it_starts_again() -> None:
    subject = core(pool(replicas=2))
    task = submit(subject, request("a"))
    subject.take_effects()
    subject.release(task, 5, failed=LOST)

    assert [TaskReturned(task), TaskStarted(task), StartDecode(task)] == subject.take_effects()
    subject.release(task, 9, failed=LOST)
    assert [TaskReturned(task), TaskFinished(task)] == subject.take_effects()
    assert ("failed", 9) == (task.state, task.ended_ms)


@pytest.mark.req("OC-CORE-1019")
def test_a_task_that_waits_for_a_replica_that_is_tripped_ends_then() -> None:
    subject = core(pool(replicas=2))
    task, _ = submit(subject, request("a")), submit(subject, request("b"))
    subject.release(task, 5, failed=LOST)
    assert "queued" == task.state
    for _ in range(5):
        subject.replica_failed("p", "r1", Fault("breaker", "errors"), 7)

    assert ("failed", 7) == (task.state, task.ended_ms)


@pytest.mark.req("OC-CORE-1042", "OC-POOL-3003")
def test_a_slot_that_comes_back_late_from_a_lost_replica_changes_no_prediction() -> None:
    subject = core(pool(replicas=2))
    task, _ = submit(subject, request("a")), submit(subject, request("b"))
    subject.replica_lost("p", "r0", Fault("crashed", "died"), 1, jitter=0.0)
    subject.release(task, 2)

    assert "queued" == submit(subject, request("c"), 3).state


@pytest.mark.req("OC-CORE-1008", "OC-CORE-1028")
def test_deadlines_of_what_runs_or_is_forgotten_come_up_and_change_nothing() -> None:
    subject = two_pools()
    running = submit(subject, request("a", deadline_ms=700_000))
    for number in range(SLACK + 5):
        submit(subject, request(f"b{number}", session_id=f"s{number}", deadline_ms=700_000))
        subject.cancel(f"b{number}", "client", 1)
    subject.tick(2)
    submit(subject, request("c", deadline_ms=700_000), 3)
    subject.cancel("c", "client", 3)
    subject.tick(600_003)
    assert subject.task("c") is None
    subject.tick(800_000)

    assert "running" == running.state


@pytest.mark.req("OC-CORE-1042", "OC-POOL-3003")
def test_an_idle_replica_that_is_lost_changes_what_is_predicted_and_nothing_else() -> None:
    subject = core(pool(replicas=2))
    submit(subject, request("a"))
    subject.replica_lost("p", "r1", Fault("crashed", "died"), 1, jitter=0.0)

    assert "queued" == submit(subject, request("b"), 2).state


@pytest.mark.req("OC-CORE-1027", "ORCH-3009")
def test_a_task_that_outwaits_its_session_is_served_without_affinity() -> None:
    subject = core()
    running = submit(subject, request("a"))
    waiting = submit(subject, request("b", deadline_ms=1_000_000))
    subject.finish("a", DONE, 600_001)
    subject.release(running, 600_001)

    assert ("running", False) == (waiting.state, waiting.failed_over)


@pytest.mark.req("ORCH-2012", "OC-CTRL-2012")
def test_a_cancel_touches_one_task_of_all_whose_ids_differ_in_a_character() -> None:
    base = "7b6a8c1e-6f0f-4f6e-9d58-4c1c1b1f4a10"
    names = [base, *(base[:at] + "d" + base[at + 1 :] for at in range(len(base)) if base[at] not in "-d")]
    subject = core(pool(interactive=len(names)))
    tasks = [submit(subject, request(name, session_id=name)) for name in names]
    subject.cancel(names[7], "client", 1)

    assert [names[7]] == [task.id for task in tasks if task.is_terminal]


def fnv1a(data: bytes) -> int:
    key = 0x811C9DC5
    for byte in data:
        key = (key ^ byte) * 0x01000193 % 2**32
    return key


SAME_HASH = {  # ids that share a hash of 32 bits
    crc32: ("ff05ad15-25f5-4f62-9a7a-3ceeddacab27", "3ba735d7-c172-4bb4-92c7-ee40d6217fdf"),
    adler32: ("41ac50f8-ff26-4ce1-aa9d-1315305498ce", "0df0f24e-386f-46a9-a0d3-a4a1c182d299"),
    fnv1a: ("3fdb86b0-7a3f-49f5-bd16-bf8507541a9c", "96559ca1-dba2-4688-b602-c94a1502eb22"),
}


class ByHash(OrderedDict[Any, Task]):
    """The peer's bug: tasks under a hash of their id."""

    def __init__(self, key_of: Callable[[bytes], int]) -> None:
        super().__init__()
        self._key_of = key_of

    def __setitem__(self, key: str, task: Task) -> None:
        super().__setitem__(self._key_of(key.encode()), task)

    def __getitem__(self, key: str) -> Task:
        return super().__getitem__(self._key_of(key.encode()))

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(self._key_of(key.encode()), default)


def canceled_of(subject: Core, names: tuple[str, str]) -> list[str]:
    """Which of two tasks a cancel of the second one ends."""
    tasks = [submit(subject, request(name)) for name in names]
    subject.cancel(names[1], "client", 1)
    return [name for name, task in zip(names, tasks, strict=True) if task.is_terminal]


@pytest.mark.req("ORCH-2012", "OC-CTRL-2012")
@pytest.mark.parametrize("names", SAME_HASH.values(), ids=[key_of.__name__ for key_of in SAME_HASH])
def test_a_cancel_touches_one_task_of_two_whose_ids_share_a_hash(names: tuple[str, str]) -> None:
    """T21: tasks of two clients that shared a hash of 32 bits."""
    assert [names[1]] == canceled_of(core(), names)


@pytest.mark.req("OC-TEST-7006")
@pytest.mark.parametrize(("key_of", "names"), SAME_HASH.items(), ids=[key_of.__name__ for key_of in SAME_HASH])
def test_tasks_under_a_hash_of_their_id_are_found(key_of: Callable[[bytes], int], names: tuple[str, str]) -> None:
    subject = core()
    subject._tasks = ByHash(key_of)

    with pytest.raises((AssertionError, RefusedError)):
        assert [names[1]] == canceled_of(subject, names)


@pytest.mark.req("OC-POOL-3011", "OC-POOL-3013")
def test_who_asks_for_a_model_that_cannot_come_up_is_told_to_wait_twice_as_long_each_time() -> None:
    """T11: LocalAI #10719, where each request started a broken model anew."""
    subject, at_ms, told = core(), 0, []
    for number in range(4):
        pause_ms = subject.replica_lost("p", "r0", Fault("crashed", "died"), at_ms, jitter=1.0)
        polls = range(0, pause_ms, 100)
        waits = [refusal(partial(submit, subject, request(f"{number}"), at_ms + ms)).retry_after_ms for ms in polls]
        assert [pause_ms - ms for ms in polls] == waits
        told.append(waits[0])
        at_ms += pause_ms
        subject.replica_restarted("p", "r0", at_ms)

    assert [500, 1_000, 2_000, 4_000] == told
