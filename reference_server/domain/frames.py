"""The data of the control frames: what a reader is told at the start, on the way, and at the end.

Source: ORCH-2002, ORCH-3029, OC-CTRL-2021, OC-CTRL-2023, OC-METRICS-7110.
"""

from dataclasses import dataclass

from reference_server.domain.budgets import Amounts
from reference_server.domain.errors import Failure
from reference_server.domain.pool import Pool
from reference_server.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How an engine ended a task well.

    Attributes:
        finish_reason: `stop` or `length`.
    """

    finish_reason: str
    tokens_in: int
    tokens_out: int
    kv_warm: bool


def started(task: Task, pool: Pool) -> dict[str, object]:
    """`started`: the figures of admission, and who decodes with what."""
    facts = pool.replicas[task.replica_id].facts if task.replica_id else None
    frame: dict[str, object] = {
        "queue_position": task.queue_position,
        "predicted_start_ms": task.predicted_start_ms,
        "engine": pool.engine,
        "engine_version": facts.engine_version if facts else "",
        "pool_id": pool.id,
        "replica_id": task.replica_id,
        "sampler_profile_version": pool.sampler_profile_version,
        "seed": task.request.seed,
        "kv_warmth": task.kv_warm,
    }
    if task.failed_over:
        frame["kv_migrated"] = False
    if facts and facts.model_digest:
        frame["model_digest"] = facts.model_digest
    return frame


def metrics(task: Task, pool: Pool, now_ms: int, *, left: Amounts) -> dict[str, object]:
    """`metrics`: the planning figures of one task now, and what is left of its session's budgets."""
    tokens_out = task.transcript.tokens_total
    tokens_left = 0 if task.is_terminal else max(0, task.request.tokens_expected - tokens_out)
    needed_ms = pool.times.service_ms(tokens_left) if tokens_left else 0.0
    return {
        "queue_depth": len(pool.queue),
        "on_time_probability": pool.times.on_time_probability(
            needed_ms=needed_ms, left_ms=task.deadline_at_ms - now_ms
        ),
        "kv_warmth": task.kv_warm,
        "tokens_in": task.tokens_in,
        "tokens_out": tokens_out,
        **({"replica_id": task.replica_id, "kv_migrated": False} if task.tried else {}),
        **budgets(left),
    }


def budgets(left: Amounts) -> dict[str, object]:
    """What is left of the budgets that a session has (ORCH-3100, OC-CORE-1024)."""
    named = {
        "tokens_budget_remaining": left.tokens,
        "time_budget_remaining_ms": left.time_ms,
        "cost_budget_remaining": left.cost,
    }
    return {name: value for name, value in named.items() if value is not None}


def end(finish: Finish, *, decode_ms: int) -> dict[str, object]:
    """`end`: the sums, as the engine counted them."""
    return {
        "tokens_out": finish.tokens_out,
        "decode_ms": decode_ms,
        "finish_reason": finish.finish_reason,
        "tokens_in": finish.tokens_in,
    }


def error(failure: Failure) -> dict[str, object]:
    """`error`: the failure, without what only an HTTP answer carries."""
    frame: dict[str, object] = {"code": failure.code, "message": failure.message}
    for name in ("engine", "retriable", "retry_after_ms"):
        value = getattr(failure, name)
        if value is not None:
            frame[name] = value
    return frame
