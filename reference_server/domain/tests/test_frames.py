"""The control frames, whole: a name that is missing or misspelt is a different frame."""

import pytest

from reference_server.domain import frames
from reference_server.domain.budgets import Amounts
from reference_server.domain.errors import Failure
from reference_server.domain.frames import Finish
from reference_server.domain.replica import ReplicaFacts
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.task import State, Task
from reference_server.domain.tests.builders import core, pool, request


@pytest.mark.req("ORCH-2002", "OC-CTRL-2021")
def test_started_says_who_decodes_with_what() -> None:
    of = core().pools["p"]
    task = Task(
        request=request(),
        pool_id="p",
        admitted_ms=0,
        queue_position=3,
        predicted_start_ms=40,
        replica_id="r0",
        kv_warm=True,
    )
    expected = {
        "queue_position": 3,
        "predicted_start_ms": 40,
        "engine": "llamacpp",
        "engine_version": "mock-1",
        "pool_id": "p",
        "replica_id": "r0",
        "sampler_profile_version": "v1",
        "seed": 1,
        "kv_warmth": True,
        "model_digest": "sha256:00",
    }

    assert expected == frames.started(task, of)
    task.failed_over = True
    assert expected | {"kv_migrated": False} == frames.started(task, of)


@pytest.mark.req("ORCH-2002")
@pytest.mark.parametrize(
    ("facts", "replica_id", "version"),
    [
        pytest.param(ReplicaFacts("b1", None, 1, 1), "r0", "b1", id="no digest"),
        pytest.param(None, "r0", "", id="not preloaded"),
        pytest.param(None, None, "", id="no replica"),
    ],
)
def test_started_leaves_out_the_digest_that_nobody_knows(
    facts: ReplicaFacts | None, replica_id: str | None, version: str
) -> None:
    of = pool()
    of.replicas["r0"].facts = facts
    frame = frames.started(Task(request=request(), pool_id="p", admitted_ms=0, replica_id=replica_id), of)

    assert (version, replica_id, False) == (frame["engine_version"], frame["replica_id"], "model_digest" in frame)


@pytest.mark.req("OC-METRICS-7110", "OC-CTRL-2023")
def test_metrics_are_the_figures_of_this_moment() -> None:
    of = pool()
    of.times = ServiceTimes(first_token_ms=100.0, token_ms=10.0, measured=1)
    of.queue.put("other", "batch", tokens=1)
    task = Task(request=request(deadline_ms=300), pool_id="p", admitted_ms=1_000, kv_warm=True, tokens_in=7)
    task.transcript.append_tokens(["x"] * 6)

    frame = frames.metrics(task, of, 1_100, left=Amounts(tokens=1, time_ms=2, cost=3.0))

    assert {
        "queue_depth": 1,
        "on_time_probability": 0.5,  # 10 tokens are left, and 200 ms for them
        "kv_warmth": True,
        "tokens_in": 7,
        "tokens_out": 6,
        "tokens_budget_remaining": 1,
        "time_budget_remaining_ms": 2,
        "cost_budget_remaining": 3.0,
    } == frame
    task.replica_id, task.tried = "r1", {"r0": Failure(code="INTERNAL", message="m")}
    went_on = frames.metrics(task, of, 1_100, left=Amounts())
    assert ("r1", False) == (went_on["replica_id"], went_on["kv_migrated"])


@pytest.mark.req("OC-CTRL-2023")
@pytest.mark.parametrize(
    ("state", "tokens_out", "now_ms", "probability"),
    [
        pytest.param("running", 16, 1_299, 1.0, id="all tokens are there"),
        pytest.param("running", 20, 1_299, 1.0, id="more than expected"),
        pytest.param("ended", 6, 1_299, 1.0, id="it has ended"),
        pytest.param("running", 16, 1_300, 0.0, id="the deadline has come"),
        pytest.param("running", 15, 1_299, 0.0, id="one token is missing"),
    ],
)
def test_what_needs_no_time_is_on_time_until_the_deadline(
    state: State, tokens_out: int, now_ms: int, probability: float
) -> None:
    of = pool()
    of.times = ServiceTimes(first_token_ms=100.0, token_ms=10.0, measured=1)
    task = Task(request=request(deadline_ms=300), pool_id="p", admitted_ms=1_000, state=state)
    task.transcript.append_tokens(["x"] * tokens_out)

    assert (
        pytest.approx(probability, abs=0.001) == frames.metrics(task, of, now_ms, left=Amounts())["on_time_probability"]
    )


@pytest.mark.req("ORCH-2002")
def test_end_holds_the_sums() -> None:
    finish = Finish(finish_reason="stop", tokens_in=3, tokens_out=2, kv_warm=True)

    assert {"tokens_out": 2, "decode_ms": 9, "finish_reason": "stop", "tokens_in": 3} == frames.end(finish, decode_ms=9)


@pytest.mark.req("ORCH-2006")
def test_error_holds_what_is_known_and_nothing_of_an_http_answer() -> None:
    bare = Failure(code="INTERNAL", message="m")
    full = Failure(
        code="CANCELED", message="m", engine="e", pool_id="p", retriable=False, retry_after_ms=5, policy_label="x"
    )

    assert {"code": "INTERNAL", "message": "m"} == frames.error(bare)
    assert {"code": "CANCELED", "message": "m", "engine": "e", "retriable": False, "retry_after_ms": 5} == frames.error(
        full
    )
