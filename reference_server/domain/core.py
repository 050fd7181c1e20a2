"""The one owner of all state: facts go in, effects come out, and nothing here waits.

Every method is one synchronous step. It checks and changes together, so that no two racing events can both win, and it
leaves what should happen outside in `take_effects`. Time comes in as `now_ms` (monotonic milliseconds).

Source: ORCH-3004 … 3017, ORCH-3024, ORCH-3026, OC-CORE-1001 … 1022.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reference_server.domain import admission, forecast, frames, placement
from reference_server.domain.deadlines import Deadlines
from reference_server.domain.effects import (
    BackpressureApplied,
    CancelReason,
    Effect,
    ReplicaChanged,
    SlotQuarantined,
    StartDecode,
    StopDecode,
    TaskEnqueued,
    TaskFinished,
    TaskForgotten,
    TaskRejected,
    TaskStarted,
)
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.frames import Finish
from reference_server.domain.pool import Pool, ReplicaFacts
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Task, TaskRequest
from reference_server.domain.task_queue import QueueFullError


class Core:
    """Pools, tasks and sessions, and every transition of theirs."""

    def __init__(self, pools: Iterable[Pool], *, sessions: Sessions, retention: Retention) -> None:
        self.pools: Mapping[str, Pool] = {pool.id: pool for pool in pools}
        self.sessions = sessions
        self._retention = retention
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._deadlines = Deadlines()
        self._effects: list[Effect] = []

    def take_effects(self) -> list[Effect]:
        """All that has happened since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    # ── reading ──

    def task(self, task_id: str) -> Task | None:
        """The task of this id, until its retention ends."""
        return self._tasks.get(task_id)

    def tasks(self) -> Iterable[Task]:
        """All tasks that are not forgotten, oldest first."""
        return self._tasks.values()

    def pool_for(self, engine: str, model_ref: str) -> Pool:
        """The pool that serves this model on this engine.

        Raises:
            RefusedError: INVALID_PARAMS, naming what is served.
        """
        for pool in self.pools.values():
            if pool.engine == engine and pool.model_ref == model_ref:
                return pool
        served = ", ".join(f"{p.engine}/{p.model_ref}" for p in self.pools.values())
        message = f"no pool serves this engine and model_ref; served: {served}"
        raise RefusedError(Failure(code="INVALID_PARAMS", message=message, engine=engine, retriable=False))

    def find_repeat(self, request: TaskRequest) -> Task | None:
        """The task that an identical request made before, or None when the id is new.

        Raises:
            RefusedError: CONFLICT: the id is taken by a different body.
        """
        known = self._tasks.get(request.task_id)
        if known is not None and known.request.fingerprint != request.fingerprint:
            message = "task_id was used before with a different body"
            raise RefusedError(Failure(code="CONFLICT", message=message, engine=request.engine, retriable=False))
        return known

    # ── admission and dispatch ──

    def submit(self, request: TaskRequest, *, tokens_in: int, now_ms: int) -> Task:
        """Admit a task, and dispatch it at once when a slot is free.

        Args:
            tokens_in: tokens of the prompt, exact or an upper bound.

        Returns:
            The new task; for a repeated request the one that it made first.

        Raises:
            RefusedError: the task was not admitted; nothing but the notices of the refusal was left behind.
        """
        known = self.find_repeat(request)
        if known is not None:
            return known
        try:
            return self._admit(request, tokens_in=tokens_in, now_ms=now_ms)
        except RefusedError as refusal:
            self.note_rejection(request.engine, refusal.failure)
            raise

    def note_rejection(self, engine: str, failure: Failure) -> None:
        """Tell the observers of a refusal, also of one that was decided before `submit`."""
        self._effects.append(TaskRejected(engine, failure))

    def _admit(self, request: TaskRequest, *, tokens_in: int, now_ms: int) -> Task:
        pool = self.pool_for(request.engine, request.model_ref)
        admission.require_servable(request, pool)
        admission.require_token_budget(request, pool, tokens_in=tokens_in)
        self.sessions.require_turn(request.session_id, now_ms)
        predicted_start_ms = forecast.start_ms(request, pool, self._tasks)
        admission.require_deadline(request, pool, predicted_start_ms=predicted_start_ms)
        task = Task(request=request, pool_id=pool.id, admitted_ms=now_ms, predicted_start_ms=predicted_start_ms)
        try:
            placed = pool.queue.put(task.id, request.priority, tokens=request.tokens_expected)
        except QueueFullError:
            raise RefusedError(self._full(pool, request)) from None
        task.queue_position = placed.position
        if placed.position:
            task.backoff_ms = forecast.retry_after_ms(request, pool, self._tasks)
        self._tasks[task.id] = task
        self._deadlines.add(task.deadline_at_ms, task.id)
        self.sessions.take_turn(request.session_id, now_ms)
        if placed.dropped is not None:
            self._drop(pool, placed.dropped, now_ms)
        self._effects.append(TaskEnqueued(task))
        self._dispatch(pool, now_ms)
        return task

    def _dispatch(self, pool: Pool, now_ms: int) -> None:
        while len(pool.queue) and pool.slots_free > 0:
            task_id = pool.queue.pop()
            if task_id is None:
                return
            task = self._tasks[task_id]
            session = self.sessions.get(task.request.session_id, now_ms)
            affine_to = session.replica_id if session else None
            replica_id = placement.choose((r.view() for r in pool.replicas.values()), affine_to=affine_to)
            assert replica_id is not None, "slots_free > 0 means that a Ready replica has one"  # noqa: S101
            pool.replicas[replica_id].lease(task_id)
            task.advance("dispatch")
            task.replica_id = replica_id
            task.started_ms = now_ms
            task.kv_warm = affine_to == replica_id and task.request.reuse_cache and not task.request.strict
            self.sessions.served(task.request.session_id, replica_id=replica_id, kv_warm=task.kv_warm)
            task.transcript.append("started", frames.started(task, pool))
            task.transcript.append("metrics", frames.metrics(task, pool, now_ms))
            self._effects += [TaskStarted(task), StartDecode(task)]

    # ── after a restart ──

    def restore_ended(self, task: Task) -> None:
        """Take back a task that had ended, for what is left of its retention. Its `ended_ms` is in the past."""
        self._tasks[task.id] = task
        self._retention.ended(task.id, size=task.transcript.bytes_kept, now_ms=task.ended_ms or 0)

    def restore_open(self, task: Task, *, was_running: bool, now_ms: int) -> None:
        """Take back a task that had not ended, in the order of admission: what waited waits again, what ran is over."""
        self._tasks[task.id] = task
        pool = self.pools[task.pool_id]
        if was_running:
            message = "the server was restarted while the task ran"
            failure = Failure(code="WORKER_RESET", message=message, engine=pool.engine, pool_id=pool.id, retriable=True)
            self.fail(task.id, failure, now_ms)
            return
        pool.queue.restore(task.id, task.request.priority, tokens=task.request.tokens_expected)
        self._deadlines.add(task.deadline_at_ms, task.id)

    # ── what happens to a task ──

    def finish(self, task_id: str, finish: Finish, now_ms: int) -> bool:
        """The engine ended a task well. False when the task had ended before: then nothing changed."""
        task = self._tasks.get(task_id)
        if task is None or task.is_terminal or task.started_ms is None:
            return False
        pool = self.pools[task.pool_id]
        task.tokens_in = finish.tokens_in
        decode_ms = now_ms - task.started_ms
        pool.times.observe(
            first_token_ms=(task.first_token_ms or now_ms) - task.started_ms,
            decode_ms=decode_ms,
            tokens_out=finish.tokens_out,
            max_tokens=task.request.max_tokens,
        )
        task.kv_warm = finish.kv_warm
        if task.replica_id is not None:
            self.sessions.served(task.request.session_id, replica_id=task.replica_id, kv_warm=finish.kv_warm)
        task.advance("finish")
        end = frames.end(finish, decode_ms=decode_ms)
        self._close(task, "end", end, now_ms)
        return True

    def fail(self, task_id: str, failure: Failure, now_ms: int) -> bool:
        """A task ends with an error. False when it had ended before: then nothing changed."""
        task = self._tasks.get(task_id)
        if task is None or task.is_terminal:
            return False
        self._leave_queue_or_engine(task)
        task.advance("fail")
        task.failure = failure
        self._close(task, "error", frames.error(failure), now_ms)
        return True

    def cancel(self, task_id: str, reason: CancelReason, now_ms: int) -> bool:
        """A task is canceled. False when it is unknown or had ended before: then nothing changed."""
        task = self._tasks.get(task_id)
        if task is None or task.is_terminal:
            return False
        self._leave_queue_or_engine(task)
        task.advance("cancel")
        engine = self.pools[task.pool_id].engine
        task.failure = Failure(code="CANCELED", message=f"canceled ({reason})", engine=engine, retriable=False)
        self._close(task, "error", frames.error(task.failure), now_ms, reason)
        return True

    def release(self, task: Task, now_ms: int) -> None:
        """The engine has confirmed that it works for this task no more: its slot is free."""
        pool = self.pools[task.pool_id]
        replica = pool.replicas[task.replica_id or ""]
        if replica.holds(task.id):  # a replica that was lost has given up its leases already
            replica.release(task.id)
        self._dispatch(pool, now_ms)

    def quarantine(self, task: Task) -> None:
        """The engine did not confirm in time: its slot is out of use until it does."""
        replica = self.pools[task.pool_id].replicas[task.replica_id or ""]
        if task.id in replica.leases:
            replica.quarantine(task.id)
            self._effects.append(SlotQuarantined(task.pool_id, replica.id))

    # ── replicas and pools ──

    def replica_preloaded(self, pool_id: str, replica_id: str, facts: ReplicaFacts, now_ms: int) -> None:
        """A replica is Ready."""
        pool = self.pools[pool_id]
        pool.replicas[replica_id].take("preloaded", facts=facts)
        self._effects.append(ReplicaChanged(pool_id, replica_id, "ready"))
        self._dispatch(pool, now_ms)

    def replica_lost(self, pool_id: str, replica_id: str, error: str, now_ms: int) -> None:
        """A replica is gone: what ran on it ends with WORKER_RESET."""
        pool = self.pools[pool_id]
        replica = pool.replicas[replica_id]
        running = sorted(replica.leases)
        replica.take("lost", error=error)
        self._effects.append(ReplicaChanged(pool_id, replica_id, "unready", error))
        for task_id in running:
            failure = Failure(code="WORKER_RESET", message=error, engine=pool.engine, pool_id=pool_id, retriable=True)
            self.fail(task_id, failure, now_ms)

    def replica_restarted(self, pool_id: str, replica_id: str) -> None:
        """A lost replica is loading again."""
        self.pools[pool_id].replicas[replica_id].take("restarted")
        self._effects.append(ReplicaChanged(pool_id, replica_id, "loading"))

    def drain(self, pool_id: str, *, deadline_ms: int | None = None, now_ms: int = 0) -> None:
        """Take no new tasks; what waits and runs goes on, until `deadline_ms` from now if there is one.

        Drained again, a pool keeps the earlier of the two deadlines.

        Source: ORCH-2101, OC-CTRL-2002.
        """
        pool = self.pools[pool_id]
        pool.draining = True
        if deadline_ms is not None:
            at_ms = now_ms + deadline_ms
            pool.drained_at_ms = at_ms if pool.drained_at_ms is None else min(at_ms, pool.drained_at_ms)

    def end_all(self, pool_id: str, message: str, now_ms: int) -> None:
        """End everything that waits or runs in a pool, with a retriable POOL_UNREADY."""
        pool = self.pools[pool_id]
        running = [task_id for replica in pool.replicas.values() for task_id in sorted(replica.leases)]
        failure = Failure(code="POOL_UNREADY", message=message, engine=pool.engine, pool_id=pool.id, retriable=True)
        for task_id in [*pool.queue.ids(), *running]:
            self.fail(task_id, failure, now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass: deadlines of waiting tasks and of draining pools, sessions, retention."""
        for pool in self.pools.values():
            if pool.drained_at_ms is not None and now_ms >= pool.drained_at_ms:
                self.end_all(pool.id, "the pool was drained and its deadline has passed", now_ms)
        for task_id in self._deadlines.due(now_ms):
            if self._is_queued(task_id):
                task = self._tasks[task_id]
                pool = self.pools[task.pool_id]
                message = f"deadline_ms {task.request.deadline_ms} passed while the task was queued"
                failure = Failure(
                    code="DEADLINE_UNMET", message=message, engine=pool.engine, pool_id=pool.id, retriable=False
                )
                self.fail(task_id, failure, now_ms)
        self._deadlines.keep(self._is_queued, expected=sum(len(pool.queue) for pool in self.pools.values()))
        self.sessions.expire(now_ms)
        for task_id in self._retention.expired(now_ms):
            self._tasks.pop(task_id, None)
            self._effects.append(TaskForgotten(task_id))

    def _is_queued(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.state == "queued"

    # ── predictions ──

    def predicted_start_ms(self, task: Task) -> int:
        """How long a waiting task is still expected to wait; 0 once it has started."""
        return forecast.start_ms_of(task, self.pools[task.pool_id], self._tasks)

    # ── parts of the above ──

    def _full(self, pool: Pool, request: TaskRequest) -> Failure:
        policy = pool.bounds.policy
        self._effects.append(BackpressureApplied(pool.engine, policy))
        return Failure(
            code="QUEUE_FULL_DROP_LRU" if policy == "drop-lru" else "ADMISSION_REJECT",
            message=f"the {request.priority} queue of pool {pool.id} is full",
            engine=pool.engine,
            pool_id=pool.id,
            retriable=True,
            retry_after_ms=forecast.retry_after_ms(request, pool, self._tasks),
            policy_label=policy,
        )

    def _drop(self, pool: Pool, task_id: str, now_ms: int) -> None:
        policy = pool.bounds.policy
        self._effects.append(BackpressureApplied(pool.engine, policy))
        victim = self._tasks[task_id]
        failure = Failure(
            code="QUEUE_FULL_DROP_LRU" if policy == "drop-lru" else "ADMISSION_REJECT",
            message=f"dropped from the full queue of pool {pool.id} ({policy})",
            engine=pool.engine,
            pool_id=pool.id,
            retriable=True,
            retry_after_ms=forecast.retry_after_ms(victim.request, pool, self._tasks),
            policy_label=policy,
        )
        self.fail(task_id, failure, now_ms)

    def _leave_queue_or_engine(self, task: Task) -> None:
        if task.state == "queued":
            self.pools[task.pool_id].queue.remove(task.id)
        else:
            self._effects.append(StopDecode(task.id))

    def _close(
        self, task: Task, event: str, data: Mapping[str, object], now_ms: int, reason: CancelReason | None = None
    ) -> None:
        pool = self.pools[task.pool_id]
        task.ended_ms = now_ms
        task.transcript.append("metrics", frames.metrics(task, pool, now_ms))
        task.transcript.append(event, data)
        task.request = replace(task.request, inputs=())  # the prompt is done with; what is kept for readers is bounded
        self._retention.ended(task.id, size=task.transcript.bytes_kept, now_ms=now_ms)
        self._effects.append(TaskFinished(task, reason))
