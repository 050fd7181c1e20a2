"""JSON log lines on standard error: one a line, with the contract's fields, and never a token, key, prompt or output.

Lines of tasks are as frequent as tasks: they are encoded at once, without structlog's chain, and the lines of one turn
of the event loop leave in one write. What structlog and the libraries log goes the same way, so that order is kept.

Source: ORCH-3027, OC-CORE-1040, OC-CORE-1046, OC-CTRL-2041, OC-CTRL-2050.
"""

import asyncio
import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import msgspec
import structlog

from reference_server.domain.core import Core
from reference_server.domain.effects import (
    BackpressureApplied,
    Notice,
    PoolChanged,
    ReplicaChanged,
    SheddingChanged,
    SlotQuarantined,
    TaskEnqueued,
    TaskFinished,
    TaskRejected,
    TaskReturned,
    TaskStarted,
)
from reference_server.domain.task import Task

_json = msgspec.json.Encoder()


WAITING_BYTES = 4 * 1024 * 1024  # of lines that nobody has taken yet; some 8,000 lines of tasks
END_S = 1.0  # how long a process that ends waits for what is still to be written


class Lines:
    """Lines on their way to standard error; inside an event loop those of one turn of it go together.

    A thread writes them: a pipe that nobody reads and a disk that stands still hold up whoever writes. Lines that
    cannot be written are gone, and so are those beyond what may wait; they cost the log, not the server.

    Args:
        write: writes all of what it is given; OSError or ValueError where it cannot.
        waiting_bytes: how much may wait; what comes beyond is counted and told as soon as there is room again.

    Attributes:
        level: of the least that is written.
        last_error: why the last lines could not be written; None = they were.
    """

    def __init__(self, write: Callable[[bytes], None] | None = None, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self.level = logging.INFO
        self.last_error: str | None = None
        self._write, self._waiting_bytes = write or _to_standard_error, waiting_bytes
        self._adding = threading.Lock()
        self._waiting: list[bytes] = []
        self._size = 0  # of what waits and of what is being written
        self._lost = 0
        self._batches: SimpleQueue[list[bytes] | threading.Event] = SimpleQueue()
        self._writer: threading.Thread | None = None

    def msg(self, line: bytes) -> None:
        """Have one line written, soon."""
        with self._adding:
            if self._size > self._waiting_bytes:
                self._lost += 1
                return
            self._size += len(line)
            self._waiting.append(line)
            is_first = len(self._waiting) == 1
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # before the loop, after it, or in another thread
            self._hand_over()
        else:
            if is_first:
                loop.call_soon(self._hand_over)

    debug = info = warning = error = critical = log = msg

    def flush(self, within_s: float = END_S) -> bool:
        """Wait until all lines so far are written, or cannot be. Returns whether they were taken by then."""
        self._hand_over()
        if self._writer is None:
            return True
        is_done = threading.Event()
        self._batches.put(is_done)
        return is_done.wait(within_s)

    def _hand_over(self) -> None:
        """Give the thread what waits."""
        with self._adding:
            lines, self._waiting = self._waiting, []
            if not lines:
                return
            if self._writer is None:
                self._writer = threading.Thread(target=self._run, name="log", daemon=True)
                self._writer.start()
        self._batches.put(lines)

    def _run(self) -> None:
        while True:
            batch = self._batches.get()
            if isinstance(batch, threading.Event):
                batch.set()
                continue
            try:
                self._write(b"\n".join(batch) + b"\n")
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self.last_error = str(error)
            else:
                self.last_error = None
            self._has_written(batch)

    def _has_written(self, batch: list[bytes]) -> None:
        with self._adding:
            self._size -= sum(map(len, batch))
            lost, self._lost = self._lost, 0
        if lost:
            told = {"event": "log lines lost", "level": "warning", "timestamp": datetime.now(UTC), "count": lost}
            self.msg(_json.encode(told))


def _to_standard_error(data: bytes) -> None:
    """Past Python's buffer: a write that stands still would keep its lock, which the interpreter's end asks for."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stderr.fileno(), rest) :]


LINES = Lines()
atexit.register(LINES.flush)


def configure(level: str = "INFO") -> None:
    """Send everything that this process logs to standard error, as JSON lines; also what libraries log."""
    LINES.level = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=lambda line, **_: _json.encode(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LINES.level),
        logger_factory=lambda *_: LINES,
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
                self._write("task admitted", task, at_ms)
            case TaskStarted(task):
                self._write("task started", task, at_ms)
            case TaskReturned(task):
                self._write("task goes on to another replica", task, at_ms)
            case TaskFinished(task, reason):
                self._write(f"task {task.state}", task, at_ms, reason)
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
            case SheddingChanged(pool_id, True):
                self._log.warning("pool sheds batch tasks: its service level objective is missed", pool_id=pool_id)
            case SheddingChanged(pool_id, False):
                self._log.info("pool sheds no tasks any more", pool_id=pool_id)
            case SlotQuarantined(pool_id, replica_id):
                self._log.warning("slot quarantined", pool_id=pool_id, replica_id=replica_id)

    def _write(self, event: str, task: Task, at_ms: int, reason: str | None = None) -> None:
        if LINES.level > logging.INFO:
            return
        line = self._line(event, task, at_ms)
        if (failure := task.failure or task.tried.get(task.replica_id or "")) is not None:
            line["last_error"] = failure.code
        if reason is not None:
            line["reason"] = reason
        LINES.msg(_json.encode(line))

    def _line(self, event: str, task: Task, at_ms: int) -> dict[str, object]:
        pool, request = self._core.pools[task.pool_id], task.request
        queue_ended_ms = task.started_ms if task.started_ms is not None else at_ms
        decode_ms = None if task.started_ms is None else (task.ended_ms or at_ms) - task.started_ms
        return {
            "event": event,
            "level": "info",
            "timestamp": datetime.now(UTC),
            "job_id": request.task_id,
            "session_id": request.session_id,
            "correlation_id": request.correlation_id,
            "engine": pool.engine,
            "engine_version": pool.engine_version,
            "pool_id": pool.id,
            "replica_id": task.replica_id,
            "model_id": pool.model_ref,
            "quant": None,
            "ctx": request.ctx,
            "kv_warmth": task.kv_warm,
            "queue_position": task.queue_position,
            "predicted_start_ms": task.predicted_start_ms,
            "queue_time_ms": queue_ended_ms - task.admitted_ms,
            "decode_time_ms": decode_ms,
            "tokens_in": task.tokens_in,
            "tokens_out": task.transcript.tokens_total,
        }
