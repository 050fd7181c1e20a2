"""The rules of admission, one by one: each refusal whole, and each bound on both of its sides."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reference_server.domain import admission
from reference_server.domain.admission import (
    longest,
    most_used,
    require_deadline,
    require_servable,
    require_token_budget,
    tokens_in_at_most,
    used,
    used_as_told,
)
from reference_server.domain.budgets import Prices, Use
from reference_server.domain.core import Core
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.faults import Fault
from reference_server.domain.pool import Pool
from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.task import Task
from reference_server.domain.tests.builders import FACTS, core, request

PRICES = Prices(in_per_1k=1.0, out_per_1k=10.0)


def failure(code: str, message: str, *, retry_after_ms: int | None = None) -> Failure:
    return Failure(
        code=code,
        message=message,
        engine="llamacpp",
        pool_id="p",
        retriable=retry_after_ms is not None,
        retry_after_ms=retry_after_ms,
    )


def refusal(check: Callable[[], object]) -> Failure:
    with pytest.raises(RefusedError) as caught:
        check()
    return caught.value.failure


def ready() -> Pool:
    return core().pools["p"]


def lost(subject: Core, fault: Fault) -> None:
    """Out since 0 ms, and tried again at 500 ms."""
    subject.replica_lost("p", "r0", fault, 0, jitter=1.0)


@pytest.mark.req("OC-CORE-1021", "OC-CORE-1036")
def test_the_bound_of_a_prompt_is_its_bytes_and_the_special_tokens_of_every_input() -> None:
    several = replace(request(), inputs=("ab", "é", ""))

    assert (2 + 4) + (2 + 4) + (0 + 4) + 2 * admission.SPECIAL_TOKENS == tokens_in_at_most(several)
    assert 2 + 4 == tokens_in_at_most(request(prompt="hi"))


@pytest.mark.req("OC-CORE-1036")
@pytest.mark.parametrize(
    ("workload", "counts", "most"),
    [
        ("completion", [7], 7),
        ("embedding", [3, 9, 5], 9),
        ("rerank", [2, 9, 6], 11),
        ("rerank", [2, 6, 9], 11),
        ("rerank", [2], 2),
    ],
)
def test_what_has_to_fit_the_context_at_a_time(workload: str, counts: list[int], most: int) -> None:
    assert most == longest(request(workload=workload), counts)


@pytest.mark.req("ORCH-3010", "ORCH-3018", "OC-CTRL-2010")
@pytest.mark.parametrize(
    ("bring", "expected"),
    [
        pytest.param(
            lambda subject: subject.drain("p"),
            failure("POOL_UNREADY", "pool is draining", retry_after_ms=1_000),
            id="draining",
        ),
        pytest.param(
            lambda subject: subject.begin_reload("p", "m2", now_ms=0),
            failure("POOL_UNREADY", "pool is reloading", retry_after_ms=1_000),
            id="reloading",
        ),
        pytest.param(
            lambda subject: subject.replica_unloaded("p", "r0"),
            failure("POOL_UNREADY", "pool is loading its model", retry_after_ms=1_000),
            id="loading",
        ),
        pytest.param(
            lambda subject: lost(subject, Fault("model-missing", "no m.gguf")),
            failure("POOL_UNREADY", "the model is not here: no m.gguf", retry_after_ms=400),
            id="model-missing",
        ),
        pytest.param(
            lambda subject: lost(subject, Fault("crashed", "it died")),
            failure("POOL_UNAVAILABLE", "no replica of the pool can serve: it died", retry_after_ms=400),
            id="crashed",
        ),
        pytest.param(
            lambda subject: lost(subject, Fault("lost", "")),
            failure("POOL_UNAVAILABLE", "no replica of the pool can serve: none is up", retry_after_ms=400),
            id="silent",
        ),
    ],
)
def test_a_pool_that_cannot_serve_says_why_and_when_to_come_back(
    bring: Callable[[Core], None], expected: Failure
) -> None:
    subject = core()
    bring(subject)

    assert expected == refusal(lambda: require_servable(request(), subject.pools["p"], 100))


@pytest.mark.req("ORCH-3015", "OC-CORE-1020", "OC-CORE-1031", "OC-CTRL-2013")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workload": "embedding"}, "workload embedding is not served here; served: completion, rerank"),
        ({"sampler_profile_version": "v0"}, "sampler_profile_version is v1 here"),
        ({"ctx": 4_097}, "ctx 4097 is above the model's limit 4096"),
    ],
)
def test_what_the_pool_never_serves_is_invalid(changes: dict[str, object], message: str) -> None:
    of = ready()
    of.replicas["r0"].facts = ReplicaFacts("mock-1", None, 4_096, 1, workloads=("rerank", "completion"))

    asked = request(**changes)  # type: ignore[arg-type]
    assert failure("INVALID_PARAMS", message) == refusal(lambda: require_servable(asked, of, 0))


@pytest.mark.req("ORCH-3014", "OC-CORE-1020")
def test_a_context_as_large_as_the_models_is_served() -> None:
    require_servable(request(ctx=FACTS.ctx_max, sampler_profile_version="v1"), ready(), 0)


@pytest.mark.req("OC-CORE-1021")
def test_prompt_and_answer_may_fill_the_context_and_not_a_token_more() -> None:
    asked, of = request(ctx=100, max_tokens=60), ready()

    require_token_budget(asked, of, tokens_in=40)
    assert failure(
        "INVALID_PARAMS", "token budget infeasible: prompt 41 + max_tokens 60 = 101 is above ctx 100"
    ) == refusal(lambda: require_token_budget(asked, of, tokens_in=41))


@pytest.mark.req("OC-CORE-1029")
def test_a_deadline_counts_the_wait_and_the_part_of_the_answer_that_is_usual() -> None:
    of = ready()
    of.times = ServiceTimes(first_token_ms=100.0, token_ms=10.0, fill=0.5, measured=1)

    require_deadline(request(max_tokens=100, deadline_ms=1_000), of, predicted_start_ms=400)
    tight = request(max_tokens=100, deadline_ms=999)
    message = "deadline_ms 999 is shorter than the predicted 1000 ms (start in 400 ms, then 600 ms of decoding)"
    assert failure("DEADLINE_UNMET", message) == refusal(lambda: require_deadline(tight, of, predicted_start_ms=400))


@pytest.mark.req("ORCH-3099")
def test_the_most_that_a_task_may_use_is_its_prompt_and_its_longest_answer() -> None:
    of = ready()
    of.prices, of.times = PRICES, ServiceTimes(first_token_ms=100.0, token_ms=10.0, measured=1)

    assert Use(tokens=150, time_ms=600, cost=0.6) == most_used(request(max_tokens=50), of, tokens_in=100)


@pytest.mark.req("ORCH-3099")
def test_an_ended_task_has_used_its_tokens_and_its_time_on_the_slot() -> None:
    of = ready()
    of.prices = PRICES
    task = Task(request=request(), pool_id="p", admitted_ms=0, prompt_tokens_most=200)
    task.transcript.append_tokens(["x"] * 10)

    assert Use() == used(task, of)
    task.started_ms = 100
    assert Use() == used(task, of)
    task.ended_ms = 400
    assert Use(tokens=210, time_ms=300, cost=0.3) == used(task, of)
    task.tokens_in = 100
    assert Use(tokens=110, time_ms=300, cost=0.2) == used(task, of)


@pytest.mark.req("OC-CORE-1053", "ORCH-3099")
@pytest.mark.parametrize(
    ("tokens", "ends", "expected"),
    [
        pytest.param(10, [("end", {"tokens_in": 100, "decode_ms": 50})], Use(tokens=110, time_ms=50, cost=0.2)),
        pytest.param(0, [("end", {"tokens_in": 100, "decode_ms": 50})], Use(tokens=100, time_ms=50, cost=0.1)),
        pytest.param(10, [("error", {"code": "WORKER_RESET"})], Use(tokens=10, cost=0.1)),
        pytest.param(10, [("metrics", {"tokens_in": 1, "decode_ms": 1})], Use(tokens=10, cost=0.1)),
        pytest.param(0, [], Use()),
    ],
)
def test_a_task_from_before_a_restart_has_used_what_its_last_frame_says(
    tokens: int, ends: list[tuple[str, dict[str, object]]], expected: Use
) -> None:
    of = ready()
    of.prices = PRICES
    task = Task(request=request(), pool_id="p", admitted_ms=0)
    task.transcript.append_tokens(["x"] * tokens)
    for event, data in ends:
        task.transcript.append(event, data)

    assert expected == used_as_told(task, of)
