"""The one owner of all state: facts go in, effects come out, and nothing here waits.

Every method is one synchronous step. It checks and changes together, so that no two racing events can both win, and it
leaves what should happen outside in `take_effects`. Time comes in as `now_ms` (monotonic milliseconds).

Source: ORCH-3004 … 3017, ORCH-3024, ORCH-3026, OC-CORE-1001 … 1022.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reference_server.domain import admission, forecast, frames, placement
from reference_server.domain.budgets import Use
from reference_server.domain.catalog import Catalog, Entry, Model, ModelState, Verdict, unload_at_ms, verify
from reference_server.domain.deadlines import Deadlines
from reference_server.domain.effects import (
    BackpressureApplied,
    CancelReason,
    Effect,
    ModelVerified,
    PoolChanged,
    ReplicaChanged,
    SheddingChanged,
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
from reference_server.domain.lifecycle import ReplicaEvent
from reference_server.domain.pool import Operation, Phase, Pool
from reference_server.domain.replica import Replica, ReplicaFacts
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Task, TaskRequest
from reference_server.domain.task_queue import QueueFullError
from reference_server.domain.throttle import TokenLimits


class Core:
    """Pools, tasks and sessions, and every transition of theirs."""

    def __init__(
        self, pools: Iterable[Pool], *, sessions: Sessions, retention: Retention, limits: TokenLimits | None = None
    ) -> None:
        self.pools: Mapping[str, Pool] = {pool.id: pool for pool in pools}
        self.sessions = sessions
        self.retention = retention
        self.limits = limits or TokenLimits()
        self.catalog = Catalog()
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
        """The pool that serves this model on this engine, by the pool's own name for it or the catalog's (ORCH-3090).

        Raises:
            RefusedError: INVALID_PARAMS, naming what is served.
        """
        for pool in self.pools.values():
            if pool.engine == engine and pool.model_ref == model_ref:
                return pool
        if (model := self.catalog.serving(model_ref)) is not None:
            for pool in self.pools.values():
                if pool.engine == engine and model.entry.serves_as(pool.model_ref):
                    return pool
        served = ", ".join(f"{p.engine}/{p.model_ref}" for p in self.pools.values())
        message = f"no pool serves this engine and model_ref; served: {served}"
        raise RefusedError(Failure(code="INVALID_PARAMS", message=message, engine=engine, retriable=False))

    def route(self, request: TaskRequest, now_ms: int) -> Pool:
        """The pool that a task goes to: the one that serves it, or that one's canary if it draws the task and takes it.

        Raises:
            RefusedError: INVALID_PARAMS: no pool serves it.

        Source: ORCH-3033, OC-POOL-3018.
        """
        pool = self.pool_for(request.engine, request.model_ref)
        if pool.canary is None or not pool.canary.draws(request):
            return pool
        canary = self.pools[pool.canary.pool_id]
        try:
            self._require_model(request, canary, now_ms)
            admission.require_servable(request, canary, now_ms)
        except RefusedError:
            return pool
        return canary

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

    def submit(
        self,
        request: TaskRequest,
        *,
        tokens_in: int,
        now_ms: int,
        longest_in: int | None = None,
        placement_hint: str | None = None,
    ) -> Task:
        """Admit a task, and dispatch it at once when a slot is free.

        Args:
            tokens_in: tokens of all inputs, exact or an upper bound.
            longest_in: of what has to fit the context at a time; None = all of them.
            placement_hint: the replica that gets it if it is Ready and has a slot free.

        Returns:
            The new task; for a repeated request the one that it made first.

        Raises:
            RefusedError: the task was not admitted; nothing but the notices of the refusal was left behind.
        """
        known = self.find_repeat(request)
        if known is not None:
            return known
        try:
            longest = longest_in or tokens_in
            return self._admit(
                request, tokens_in=tokens_in, longest_in=longest, now_ms=now_ms, placement_hint=placement_hint
            )
        except RefusedError as refusal:
            self.note_rejection(request.engine, refusal.failure)
            raise

    def note_rejection(self, engine: str, failure: Failure) -> None:
        """Tell the observers of a refusal, also of one that was decided before `submit`."""
        self._effects.append(TaskRejected(engine, failure))

    def _admit(
        self, request: TaskRequest, *, tokens_in: int, longest_in: int, now_ms: int, placement_hint: str | None
    ) -> Task:
        self.limits.require_admission(now_ms)
        pool = self.route(request, now_ms)
        self._require_model(request, pool, now_ms)
        admission.require_servable(request, pool, now_ms)
        admission.require_token_budget(request, pool, tokens_in=longest_in)
        self._review_level(pool, now_ms)
        admission.require_service_level(request, pool, now_ms)
        self.sessions.require_turn(request.session_id, now_ms)
        most = admission.most_used(request, pool, tokens_in=tokens_in)
        self.sessions.require_budget(request.session_id, most, now_ms)
        predicted_start_ms = forecast.start_ms(request, pool, self._tasks)
        admission.require_deadline(request, pool, predicted_start_ms=predicted_start_ms)
        task = Task(
            request=request,
            pool_id=pool.id,
            admitted_ms=now_ms,
            predicted_start_ms=predicted_start_ms,
            prompt_tokens_most=tokens_in,
            placement_hint=placement_hint,
        )
        try:
            placed = pool.queue.put(task.id, request.priority, tokens=request.tokens_expected)
        except QueueFullError:
            raise RefusedError(self._full(pool, request)) from None
        task.queue_position = placed.position
        if placed.position:
            task.backoff_ms = forecast.retry_after_ms(request, pool, self._tasks)
        self._tasks[task.id] = task
        self._deadlines.add(task.deadline_at_ms, task.id)
        self.sessions.take_turn(request.session_id, now_ms, pool_id=pool.id)
        self.sessions.reserve(request.session_id, task.id, most)
        self.limits.opened()
        if placed.dropped is not None:
            self._drop(pool, placed.dropped, now_ms)
        self._effects.append(TaskEnqueued(task))
        self._dispatch(pool, now_ms)
        return task

    def _require_model(self, request: TaskRequest, pool: Pool, now_ms: int) -> None:
        model = self.catalog.serving(pool.model_ref)
        if model is not None:
            session = self.sessions.get(request.session_id, now_ms)
            model.require_taking(is_known_session=session is not None and pool.id in session.pool_ids, now_ms=now_ms)

    def _dispatch(self, pool: Pool, now_ms: int) -> None:
        passed_over: list[Task] = []
        while len(pool.queue) and pool.has_free_slot:
            task_id = pool.queue.pop()
            if task_id is None:
                break
            task = self._tasks[task_id]
            session = self.sessions.get(task.request.session_id, now_ms)
            affine_to = session.replica_id if session else None
            views = [r.view() for r in pool.replicas.values() if r.id not in task.tried]
            replica_id = placement.choose(views, ctx=task.request.ctx, affine_to=task.placement_hint or affine_to)
            if replica_id is None and any(view.has_slot for view in views):  # no room for its ctx: nobody overtakes it
                pool.queue.put_back(task_id, task.request.priority, tokens=task.request.tokens_expected)
                break
            if replica_id is None:  # those that have a slot free have tried it
                passed_over.append(task)
                continue
            pool.replicas[replica_id].lease(task_id, ctx=task.request.ctx)
            pool.running = None
            task.advance("dispatch")
            task.replica_id = replica_id
            task.started_ms = now_ms
            task.kv_warm = affine_to == replica_id and task.request.reuse_cache and not task.request.strict
            task.failed_over = affine_to not in {None, replica_id}
            self.sessions.served(task.request.session_id, replica_id=replica_id, kv_warm=task.kv_warm)
            if not task.tried:
                self._measure_level(task, pool, now_ms)
                task.transcript.append("started", frames.started(task, pool))
            task.transcript.append("metrics", self._metrics(task, pool, now_ms))
            self._effects += [TaskStarted(task), StartDecode(task)]
        for task in reversed(passed_over):
            self._wait_for_another(task, pool, now_ms)

    # ── after a restart ──

    def restore_ended(self, task: Task) -> None:
        """Take back a task that had ended, for what is left of its retention. Its `ended_ms` is in the past."""
        self._tasks[task.id] = task
        self.retention.ended(task.id, size=task.transcript.bytes_kept, now_ms=task.ended_ms or 0)
        self.sessions.take_turn(task.request.session_id, task.admitted_ms, pool_id=task.pool_id)
        if (pool := self.pools.get(task.pool_id)) is not None:
            self.sessions.reserve(task.request.session_id, task.id, Use())
            self.sessions.settle(task.request.session_id, task.id, admission.used_as_told(task, pool))

    def restore_open(self, task: Task, *, was_running: bool, now_ms: int) -> None:
        """Take back a task that had not ended, in the order of admission: what waited waits again, what ran is over."""
        self._tasks[task.id] = task
        self.limits.opened()
        pool = self.pools[task.pool_id]
        task.prompt_tokens_most = admission.tokens_in_at_most(task.request)
        most = admission.most_used(task.request, pool, tokens_in=task.prompt_tokens_most)
        self.sessions.take_turn(task.request.session_id, task.admitted_ms, pool_id=task.pool_id)
        self.sessions.reserve(task.request.session_id, task.id, most)
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
            tokens_out=finish.tokens_out if task.request.tokens_out_most else 1,
            max_tokens=task.request.tokens_out_most or 1,
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
        self._leave_queue_or_engine(task, now_ms)
        task.advance("fail")
        task.failure = failure
        self._close(task, "error", frames.error(failure), now_ms)
        return True

    def cancel(self, task_id: str, reason: CancelReason, now_ms: int) -> bool:
        """A task is canceled. False when it is unknown or had ended before: then nothing changed."""
        task = self._tasks.get(task_id)
        if task is None or task.is_terminal:
            return False
        self._leave_queue_or_engine(task, now_ms)
        task.advance("cancel")
        engine = self.pools[task.pool_id].engine
        task.failure = Failure(code="CANCELED", message=f"canceled ({reason})", engine=engine, retriable=False)
        self._close(task, "error", frames.error(task.failure), now_ms, reason)
        return True

    def can_go_on(self, task: Task) -> bool:
        """Another replica could decode a task that its own one fails now: nothing has been told of an answer yet."""
        is_untouched = not task.is_terminal and task.transcript.bytes_total == task.transcript.tokens_total == 0
        return is_untouched and self._has_untried(task, besides=task.replica_id)

    def release(self, task: Task, now_ms: int, *, failed: Failure | None = None) -> None:
        """The engine has confirmed that it works for this task no more: its slot is free.

        Args:
            failed: the engine's error, of a task that `can_go_on`; a task that has ended meanwhile stays so.
        """
        pool = self.pools[task.pool_id]
        replica = pool.replicas[task.replica_id or ""]
        if replica.holds(task.id):  # a replica that was lost has given up its leases already
            replica.release(task.id)
        pool.running = None
        if failed is not None and not task.is_terminal:
            task.tried[replica.id] = failed
            task.advance("return")
            self._effects.append(TaskReturned(task))
            self._deadlines.add(task.deadline_at_ms, task.id)
            self._wait_for_another(task, pool, now_ms)
        self._dispatch(pool, now_ms)

    def _wait_for_another(self, task: Task, pool: Pool, now_ms: int) -> None:
        """Put a task at the head of its queue, for a replica that has not tried it; with none Ready it has failed."""
        if self._has_untried(task):
            pool.queue.put_back(task.id, task.request.priority, tokens=task.request.tokens_expected)
        else:
            self.fail(task.id, list(task.tried.values())[-1], now_ms)

    def _has_untried(self, task: Task, *, besides: str | None = None) -> bool:
        replicas = self.pools[task.pool_id].ready_replicas
        return any(replica.id not in {*task.tried, besides} for replica in replicas)

    def quarantine(self, task: Task) -> None:
        """The engine did not confirm in time: its slot is out of use until it does."""
        replica = self.pools[task.pool_id].replicas[task.replica_id or ""]
        if task.id in replica.leases:
            replica.quarantine(task.id)
            self.pools[task.pool_id].running = None
            self._effects.append(SlotQuarantined(task.pool_id, replica.id))

    # ── replicas ──

    def prefix_cache_seen(self, pool_id: str, replica_id: str, tokens: int, now_ms: int) -> None:
        """An engine tells how much its prefix caches hold now: what waits may have room by that (ORCH-3020)."""
        pool = self.pools[pool_id]
        pool.replicas[replica_id].prefix_cache_tokens = tokens
        self._dispatch(pool, now_ms)

    def replica_preloaded(self, pool_id: str, replica_id: str, facts: ReplicaFacts, now_ms: int) -> Fault | None:
        """A replica has come up and is Ready, unless it differs from its set: then that is returned, and it is not.

        Source: ORCH-3007, ORCH-3046, ORCH-3093.
        """
        pool = self.pools[pool_id]
        difference = pool.mismatch(replica_id, facts) or self.catalog.mismatch(pool.model_loading, facts.model_digest)
        if difference is not None:
            return Fault("mismatch", difference)
        replica = pool.replicas[replica_id]
        self._change(pool, replica, "preloaded", facts=facts)
        replica.breaker.succeeded()
        self._dispatch(pool, now_ms)
        return None

    def replica_lost(self, pool_id: str, replica_id: str, fault: Fault, now_ms: int, *, jitter: float) -> int:
        """A replica is gone: what ran on it ends with WORKER_RESET.

        Args:
            jitter: 0 … 1, drawn anew.

        Returns:
            How long to wait before it is started again, milliseconds: longer with each failure in a row, and as long
            as its breaker is open.
        """
        pool = self.pools[pool_id]
        replica = pool.replicas[replica_id]
        running = sorted(replica.leases)
        self._change(pool, replica, "lost", fault=fault)
        replica.breaker.failed(now_ms)
        pause_ms = replica.breaker.pause_ms(now_ms, jitter=jitter)
        replica.retry_at_ms = now_ms + pause_ms
        for task_id in running:
            failure = Failure(
                code="WORKER_RESET", message=fault.text, engine=pool.engine, pool_id=pool_id, retriable=True
            )
            self.fail(task_id, failure, now_ms)
        self._dispatch(pool, now_ms)  # what waited for this replica may have none left
        return pause_ms

    def replica_restarted(self, pool_id: str, replica_id: str, now_ms: int) -> None:
        """A lost replica is loading again; with an open breaker this is its one probe."""
        pool = self.pools[pool_id]
        pool.replicas[replica_id].breaker.try_probe(now_ms)
        self._change(pool, pool.replicas[replica_id], "restarted")

    def replica_failed(self, pool_id: str, replica_id: str, fault: Fault, now_ms: int) -> bool:
        """A Ready replica's engine answered a task with an error of its own. True when that tripped its breaker.

        Then it is given nothing new until a probe has succeeded; what runs on it goes on (OC-POOL-3014).
        """
        pool = self.pools[pool_id]
        replica = pool.replicas[replica_id]
        if not replica.breaker.failed(now_ms) or replica.state != "ready":
            return False
        self._change(pool, replica, "tripped", fault=fault)
        replica.retry_at_ms = now_ms + replica.breaker.wait_ms(now_ms)
        self._dispatch(pool, now_ms)
        return True

    def replica_probing(self, pool_id: str, replica_id: str, now_ms: int) -> int:
        """How long a tripped replica has to wait for its probe; at 0 the probe is the caller's."""
        breaker = self.pools[pool_id].replicas[replica_id].breaker
        return 0 if breaker.try_probe(now_ms) else max(1, breaker.wait_ms(now_ms))

    def replica_probed(self, pool_id: str, replica_id: str, now_ms: int) -> None:
        """A tripped replica has answered its probe: it is Ready again."""
        pool = self.pools[pool_id]
        replica = pool.replicas[replica_id]
        replica.breaker.succeeded()
        self._change(pool, replica, "probed")
        self._dispatch(pool, now_ms)

    def replica_unloaded(self, pool_id: str, replica_id: str) -> None:
        """A replica was stopped to be loaded with something else; nothing runs on it any more."""
        pool = self.pools[pool_id]
        self._change(pool, pool.replicas[replica_id], "unloaded")

    def replica_parked(self, pool_id: str, replica_id: str, text: str) -> None:
        """A replica was stopped to stay down: its model is Retired."""
        pool = self.pools[pool_id]
        self._change(pool, pool.replicas[replica_id], "lost", fault=Fault("retired", text))

    def _change(
        self,
        pool: Pool,
        replica: Replica,
        event: ReplicaEvent,
        *,
        facts: ReplicaFacts | None = None,
        fault: Fault | None = None,
    ) -> None:
        was = replica.state
        replica.take(event, facts=facts, fault=fault)
        pool.running = None
        self._effects.append(ReplicaChanged(pool.id, replica.id, replica.state, was, fault))

    # ── catalog ──

    def set_model_state(self, model: Model, state: ModelState, *, deadline_ms: int, now_ms: int) -> None:
        """Activate or retire a model; set again, a Retired one keeps the earlier deadline.

        Source: ORCH-3069 … ORCH-3073.
        """
        at_ms = unload_at_ms(deadline_ms, now_ms) if state == "Retired" else None
        if at_ms is not None and model.unload_at_ms is not None:
            at_ms = min(at_ms, model.unload_at_ms)
        model.state, model.unload_at_ms = state, at_ms
        for pool in self.pools.values():
            pool.is_unloading = pool.is_unloading and not (state == "Active" and model.entry.serves_as(pool.model_ref))
        self._retire(now_ms)

    def verify_model(self, entry: Entry, found_digests: list[str]) -> Verdict:
        """Judge an entry by its files, and by what is loaded of it (ORCH-3062)."""
        pools = [pool for pool in self.pools.values() if entry.serves_as(pool.model_ref)]
        facts = [replica.facts for pool in pools for replica in pool.ready_replicas if replica.facts]
        verdict = verify(entry, [*found_digests, *(f.model_digest for f in facts if f.model_digest)])
        self._effects.append(ModelVerified(verdict, pools[0].engine if pools else "none"))
        return verdict

    def _retire(self, now_ms: int) -> None:
        """Drain the pools of Retired models whose time is up."""
        for pool in self.pools.values():
            model = self.catalog.serving(pool.model_ref)
            is_over = model is not None and model.is_over(now_ms)
            if is_over and not pool.is_unloading and not pool.is_reloading:
                pool.is_unloading = True
                self.drain(pool.id, deadline_ms=0, now_ms=now_ms)

    def is_retired(self, pool: Pool, now_ms: int) -> bool:
        """The model of the pool is Retired, and its time is up."""
        model = self.catalog.serving(pool.model_ref)
        return model is not None and model.is_over(now_ms)

    # ── drain and reload ──

    def drain(self, pool_id: str, *, deadline_ms: int | None = None, now_ms: int = 0) -> None:
        """Take no new tasks; what waits and runs goes on, until `deadline_ms` from now if there is one.

        Drained again, a pool keeps the earlier of the two deadlines.

        Source: ORCH-2101, OC-CTRL-2002.
        """
        pool = self.pools[pool_id]
        at_ms = None if deadline_ms is None else now_ms + deadline_ms
        known = pool.operation
        if pool.draining and known is not None and known.deadline_at_ms is not None:
            at_ms = known.deadline_at_ms if at_ms is None else min(at_ms, known.deadline_at_ms)
        pool.draining = True
        if known is not None and pool.is_reloading:
            known.deadline_at_ms = at_ms
            return
        pool.operation = Operation(kind="drain", phase="draining", started_ms=now_ms, deadline_at_ms=at_ms)
        self._effects.append(PoolChanged(pool_id, "drain", "draining"))

    def begin_reload(self, pool_id: str, model_ref: str, *, now_ms: int) -> None:
        """Close a pool to bring it to another model: what waits and runs may finish within its `reload_drain_ms`.

        Raises:
            RefusedError: CONFLICT: a reload goes on; INVALID_PARAMS: another pool serves that model on this engine.

        Source: ORCH-2102, ORCH-3031, OC-CTRL-2003.
        """
        pool = self.pools[pool_id]
        if pool.is_reloading:
            raise RefusedError(self._refusal(pool, "CONFLICT", "a reload of the pool goes on"))
        others = [p for p in self.pools.values() if p is not pool and p.engine == pool.engine]
        if any(other.model_ref == model_ref for other in others):
            raise RefusedError(self._refusal(pool, "INVALID_PARAMS", "another pool serves that model on this engine"))
        pool.draining = True
        pool.operation = Operation(
            kind="reload",
            phase="draining",
            started_ms=now_ms,
            model_ref=model_ref,
            deadline_at_ms=now_ms + pool.reload_drain_ms,
        )
        self._effects.append(PoolChanged(pool_id, "reload", "draining"))

    def reload_reached(self, pool_id: str, phase: Phase, now_ms: int, *, error: str | None = None) -> None:
        """A reload has come so far. `done` and `rolled-back` end it and open the pool again."""
        pool = self.pools[pool_id]
        operation = pool.operation
        assert operation is not None, "only a pool that reloads reaches a phase of it"  # noqa: S101
        operation.phase = phase
        operation.error = error or operation.error
        if phase in {"done", "rolled-back"}:
            operation.ended_ms = now_ms
            operation.deadline_at_ms = None
            pool.draining = False
            if phase == "done":
                pool.model_ref = operation.model_ref or pool.model_ref
        self._effects.append(PoolChanged(pool_id, "reload", phase, operation.error))
        self._dispatch(pool, now_ms)

    def end_all(self, pool_id: str, message: str, now_ms: int) -> None:
        """End everything that waits or runs in a pool, with a retriable POOL_UNREADY."""
        pool = self.pools[pool_id]
        running = [task_id for replica in pool.replicas.values() for task_id in sorted(replica.leases)]
        failure = Failure(code="POOL_UNREADY", message=message, engine=pool.engine, pool_id=pool.id, retriable=True)
        for task_id in [*pool.queue.ids(), *running]:
            self.fail(task_id, failure, now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass: deadlines of waiting tasks and of draining pools, sessions, retention."""
        self._retire(now_ms)
        for pool in self.pools.values():
            pool.running = None
            self._tick_operation(pool, now_ms)
            self._review_level(pool, now_ms)
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
        for task_id in self.retention.expired(now_ms):
            self._tasks.pop(task_id, None)
            self._effects.append(TaskForgotten(task_id))

    def _tick_operation(self, pool: Pool, now_ms: int) -> None:
        operation = pool.operation
        if operation is None or operation.ended_ms is not None:
            return
        if operation.deadline_at_ms is not None and now_ms >= operation.deadline_at_ms:
            self.end_all(pool.id, "the pool was drained and its deadline has passed", now_ms)
        if operation.kind == "drain" and operation.phase == "draining" and pool.is_idle:
            operation.phase, operation.ended_ms = "drained", now_ms
            self._effects.append(PoolChanged(pool.id, "drain", "drained"))

    def _is_queued(self, task_id: str) -> bool:
        task = self._tasks.get(task_id)
        return task is not None and task.state == "queued"

    # ── predictions ──

    def predicted_start_ms(self, task: Task) -> int:
        """How long a waiting task is still expected to wait; 0 once it has started."""
        return forecast.start_ms_of(task, self.pools[task.pool_id], self._tasks)

    # ── parts of the above ──

    def _refusal(self, pool: Pool, code: str, message: str) -> Failure:
        return Failure(code=code, message=message, engine=pool.engine, pool_id=pool.id, retriable=code == "CONFLICT")

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

    def _metrics(self, task: Task, pool: Pool, now_ms: int) -> dict[str, object]:
        return frames.metrics(task, pool, now_ms, left=self.sessions.remaining(task.request.session_id))

    def _measure_level(self, task: Task, pool: Pool, now_ms: int) -> None:
        """Hold what a task has waited against the pool's objective, which is one for interactive tasks."""
        if task.request.priority == "interactive":
            pool.service_level.observe(now_ms - task.admitted_ms, now_ms)
            self._review_level(pool, now_ms)

    def _review_level(self, pool: Pool, now_ms: int) -> None:
        if pool.service_level.review(now_ms):
            self._effects.append(SheddingChanged(pool.id, pool.service_level.is_shedding))

    def _leave_queue_or_engine(self, task: Task, now_ms: int) -> None:
        if task.state == "queued":
            pool = self.pools[task.pool_id]
            pool.queue.remove(task.id)
            if not task.tried and pool.service_level.is_late(now_ms - task.admitted_ms):
                self._measure_level(task, pool, now_ms)
        else:
            self._effects.append(StopDecode(task.id))

    def _close(
        self, task: Task, event: str, data: Mapping[str, object], now_ms: int, reason: CancelReason | None = None
    ) -> None:
        pool = self.pools[task.pool_id]
        pool.running = None
        task.ended_ms = now_ms
        self.limits.closed()
        self.sessions.settle(task.request.session_id, task.id, admission.used(task, pool))
        task.transcript.append("metrics", self._metrics(task, pool, now_ms))
        task.transcript.append(event, data)
        task.request = replace(task.request, inputs=())  # the prompt is done with; what is kept for readers is bounded
        self.retention.ended(task.id, size=task.transcript.bytes_kept, now_ms=now_ms)
        self._effects.append(TaskFinished(task, reason))
