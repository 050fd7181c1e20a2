"""Whether a task may be admitted: pure rules over one task and one pool, asked in the order in which they are cheap.

Source: ORCH-3014, ORCH-3015, ORCH-3018, ORCH-3040, ORCH-3046, OC-CORE-1020, OC-CORE-1021, OC-CTRL-2010.
"""

from collections.abc import Sequence
from typing import NoReturn

from reference_server.domain.budgets import Use
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.pool import Pool
from reference_server.domain.task import Task, TaskRequest
from reference_server.domain.transcript import ControlFrame

# Special tokens that an engine adds around a prompt; four cover BOS, EOS and a pair of role markers.
SPECIAL_TOKENS = 4


def tokens_in_at_most(request: TaskRequest) -> int:
    """An upper bound of the tokens of all inputs that needs no tokenizer: a token is at least one byte of UTF-8."""
    return sum(size_of(text) for text in request.inputs) + SPECIAL_TOKENS * (len(request.inputs) - 1)


def size_of(text: str) -> int:
    """An upper bound of one text's tokens."""
    return len(text.encode()) + SPECIAL_TOKENS


def longest(request: TaskRequest, counts: Sequence[int]) -> int:
    """What has to fit one context at a time, of the counts of all inputs (OC-CORE-1036).

    A completion's only input; an embedding's longest; a rerank's query with its longest document.
    """
    if request.workload == "rerank":
        return counts[0] + max(counts[1:], default=0)
    return max(counts)


def require_servable(request: TaskRequest, pool: Pool, now_ms: int) -> None:
    """Check that the pool can serve this task at all, now.

    Raises:
        RefusedError: POOL_UNREADY, POOL_UNAVAILABLE or INVALID_PARAMS.
    """
    if pool.draining:
        message = "pool is reloading" if pool.is_reloading else "pool is draining"
        _refuse(pool, "POOL_UNREADY", message, retry_after_ms=1_000)
    ready = [replica.facts for replica in pool.ready_replicas if replica.facts]
    if not ready:
        if any(replica.state == "loading" for replica in pool.replicas.values()):
            _refuse(pool, "POOL_UNREADY", "pool is loading its model", retry_after_ms=1_000)
        if any(replica.fault and replica.fault.kind == "model-missing" for replica in pool.replicas.values()):
            message = f"the model is not here: {pool.last_error}"
            _refuse(pool, "POOL_UNREADY", message, retry_after_ms=pool.retry_after_ms(now_ms))
        message = f"no replica of the pool can serve: {pool.last_error or 'none is up'}"
        _refuse(pool, "POOL_UNAVAILABLE", message, retry_after_ms=pool.retry_after_ms(now_ms))
    if not any(request.workload in facts.workloads for facts in ready):
        offered = ", ".join(sorted({workload for facts in ready for workload in facts.workloads}))
        _refuse(pool, "INVALID_PARAMS", f"workload {request.workload} is not served here; served: {offered}")
    pinned = request.sampler_profile_version
    if pinned is not None and pinned != pool.sampler_profile_version:
        _refuse(pool, "INVALID_PARAMS", f"sampler_profile_version is {pool.sampler_profile_version} here")
    if any(request.ctx > facts.ctx_max for facts in ready):
        _refuse(pool, "INVALID_PARAMS", f"ctx {request.ctx} is above the model's limit {pool.ctx_max}")


def require_service_level(request: TaskRequest, pool: Pool, now_ms: int) -> None:
    """Check that the pool does not shed this task (OC-POOL-3016, OC-POOL-3017).

    Raises:
        RefusedError: ADMISSION_REJECT, policy `service-level`.
    """
    level = pool.service_level
    if level.is_shedding and request.priority == "batch":
        raise RefusedError(
            Failure(
                code="ADMISSION_REJECT",
                message=f"pool {pool.id} sheds batch tasks: interactive ones wait longer than their objective, "
                f"{level.objective.queue_ms} ms",
                engine=pool.engine,
                pool_id=pool.id,
                retriable=True,
                retry_after_ms=level.retry_after_ms(now_ms),
                policy_label="service-level",
            )
        )


def require_token_budget(request: TaskRequest, pool: Pool, *, tokens_in: int) -> None:
    """Check that prompt and answer fit the context that was asked for (OC-CORE-1021).

    Args:
        tokens_in: of what has to fit at a time (`longest`), exact or an upper bound.

    Raises:
        RefusedError: INVALID_PARAMS.
    """
    needed = tokens_in + request.tokens_out_most
    if needed > request.ctx:
        _refuse(
            pool,
            "INVALID_PARAMS",
            f"token budget infeasible: prompt {tokens_in} + max_tokens {request.tokens_out_most} = {needed} "
            f"is above ctx {request.ctx}",
        )


def require_deadline(request: TaskRequest, pool: Pool, *, predicted_start_ms: int) -> None:
    """Check that the answer can be there in time, by what the pool has measured.

    Raises:
        RefusedError: DEADLINE_UNMET.
    """
    decode_ms = pool.times.service_ms(request.tokens_expected * pool.times.fill)
    needed = int(predicted_start_ms + decode_ms)
    if needed > request.deadline_ms:
        raise RefusedError(
            Failure(
                code="DEADLINE_UNMET",
                message=f"deadline_ms {request.deadline_ms} is shorter than the predicted {needed} ms "
                f"(start in {predicted_start_ms} ms, then {int(decode_ms)} ms of decoding)",
                engine=pool.engine,
                pool_id=pool.id,
                retriable=False,
            )
        )


def most_used(request: TaskRequest, pool: Pool, *, tokens_in: int) -> Use:
    """What a task may use at most: set aside of its session's budgets (ORCH-3099)."""
    tokens_out = request.tokens_out_most
    return Use(
        tokens=tokens_in + tokens_out,
        time_ms=int(pool.times.service_ms(tokens_out)),
        cost=pool.prices.of(tokens_in=tokens_in, tokens_out=tokens_out),
    )


def used(task: Task, pool: Pool) -> Use:
    """What an ended task has used; nothing if it never ran. Broken off, its prompt counts as admission counted it."""
    if task.started_ms is None or task.ended_ms is None:
        return Use()
    tokens_in, tokens_out = task.tokens_in or task.prompt_tokens_most, task.transcript.tokens_total
    return Use(
        tokens=tokens_in + tokens_out,
        time_ms=task.ended_ms - task.started_ms,
        cost=pool.prices.of(tokens_in=tokens_in, tokens_out=tokens_out),
    )


def used_as_told(task: Task, pool: Pool) -> Use:
    """What a task from before a restart has used, by its `end` frame; without one, its tokens are all that is known."""
    tokens_in, tokens_out, time_ms = 0, task.transcript.tokens_total, 0
    match task.transcript.since(max(0, len(task.transcript) - 1), 1):
        case [ControlFrame("end", {"tokens_in": int(counted), "decode_ms": int(decoded)})]:
            tokens_in, time_ms = counted, decoded
    cost = pool.prices.of(tokens_in=tokens_in, tokens_out=tokens_out)
    return Use(tokens=tokens_in + tokens_out, time_ms=time_ms, cost=cost)


def _refuse(pool: Pool, code: str, message: str, *, retry_after_ms: int | None = None) -> NoReturn:
    raise RefusedError(
        Failure(
            code=code,
            message=message,
            engine=pool.engine,
            pool_id=pool.id,
            retriable=retry_after_ms is not None,
            retry_after_ms=retry_after_ms,
        )
    )
