"""JSON log lines on standard error: one a line, with the contract's fields, and never a token, key, prompt or output.

Source: ORCH-3027, OC-CORE-1040, OC-CTRL-2041, OC-CTRL-2050.
"""

import logging
import sys
from typing import Any

import msgspec
import structlog

from reference_server.domain.core import Core
from reference_server.domain.effects import (
    BackpressureApplied,
    Notice,
    PoolChanged,
    ReplicaChanged,
    SlotQuarantined,
    TaskEnqueued,
    TaskFinished,
    TaskRejected,
    TaskStarted,
)
from reference_server.domain.task import Task

_json = msgspec.json.Encoder()


def configure(level: str = "INFO") -> None:
    """Send everything that this process logs to standard error, as JSON lines; also what libraries log."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=lambda line, **_: _json.encode(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Lines of the standard library's logging, in our format.

    A traceback shows where, not what: its message could quote what a client sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["last_error"] = type(error).__name__
            line["at"] = _where(error)
        structlog.get_logger().log(record.levelno, record.getMessage(), **line)


def _where(error: BaseException) -> list[str]:
    steps, trace = [], error.__traceback__
    while trace is not None:
        steps.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno} {trace.tb_frame.f_code.co_name}")
        trace = trace.tb_next
    return steps[-8:]


class TaskLog:
    """Logs the domain's notices."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._log = structlog.get_logger()

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Write the line of one notice."""
        match notice:
            case TaskEnqueued(task):
                self._log.info("task admitted", **self._fields(task, at_ms))
            case TaskStarted(task):
                self._log.info("task started", **self._fields(task, at_ms))
            case TaskFinished(task, reason):
                extra = {"reason": reason} if reason else {}
                self._log.info(f"task {task.state}", **self._fields(task, at_ms), **extra)
            case TaskRejected(engine, failure):
                self._log.info("task rejected", engine=engine, pool_id=failure.pool_id, last_error=failure.code)
            case BackpressureApplied(engine, policy):
                self._log.info("queue full", engine=engine, policy=policy)
            case ReplicaChanged(pool_id, replica_id, state, _, fault):
                write = self._log.info if fault is None else self._log.warning
                why = {} if fault is None else {"fault": fault.kind, "last_error": fault.text}
                write(f"replica {state}", pool_id=pool_id, replica_id=replica_id, **why)
            case PoolChanged(pool_id, kind, phase, error):
                write = self._log.info if error is None else self._log.warning
                write(f"pool {kind}: {phase}", pool_id=pool_id, **({} if error is None else {"last_error": error}))
            case SlotQuarantined(pool_id, replica_id):
                self._log.warning("slot quarantined", pool_id=pool_id, replica_id=replica_id)

    def _fields(self, task: Task, at_ms: int) -> dict[str, object]:
        pool = self._core.pools[task.pool_id]
        queue_ended_ms = task.started_ms if task.started_ms is not None else at_ms
        decode_ms = None if task.started_ms is None else (task.ended_ms or at_ms) - task.started_ms
        fields: dict[str, object] = {
            "job_id": task.id,
            "session_id": task.request.session_id,
            "correlation_id": task.request.correlation_id,
            "engine": pool.engine,
            "engine_version": pool.engine_version,
            "pool_id": pool.id,
            "replica_id": task.replica_id,
            "model_id": pool.model_ref,
            "quant": None,
            "ctx": task.request.ctx,
            "kv_warmth": task.kv_warm,
            "queue_position": task.queue_position,
            "predicted_start_ms": task.predicted_start_ms,
            "queue_time_ms": queue_ended_ms - task.admitted_ms,
            "decode_time_ms": decode_ms,
            "tokens_in": task.tokens_in,
            "tokens_out": task.transcript.tokens_total,
        }
        if task.failure is not None:
            fields["last_error"] = task.failure.code
        return fields
