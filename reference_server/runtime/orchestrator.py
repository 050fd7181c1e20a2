"""The asyncio shell around the domain: it asks `Core`, carries out its effects, and owns every task of the event loop.

Rules:
1. Every change goes through `Core`, and every change is followed by `_settle_effects` before the next await.
2. All loop tasks live in one task group: when the server stops, nothing is left running.
3. HTTP handlers call `submit`, `cancel` and `open_reader`; they own nothing here.

Source: ORCH-2001 … 2003, ORCH-3010, ORCH-3016, ORCH-3017.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from reference_server.domain import admission
from reference_server.domain.catalog import Model, ModelState
from reference_server.domain.core import Core
from reference_server.domain.effects import (
    CancelReason,
    Notice,
    PoolChanged,
    StartDecode,
    StopDecode,
    TaskFinished,
    TaskStarted,
)
from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.faults import Fault
from reference_server.domain.pool import Phase, Pool
from reference_server.domain.task import Task, TaskRequest
from reference_server.engines.base import EngineError
from reference_server.policy.hooks import Policies
from reference_server.runtime.clock import now_ms
from reference_server.runtime.launchers import Launcher, Parked
from reference_server.runtime.readers import Reader, Readers
from reference_server.runtime.replica_keeper import ReplicaKeeper
from reference_server.runtime.task_runner import TaskRunner

UNJOURNALED = Failure(code="INTERNAL", message="the journal cannot be written", retriable=False)
TICK_S = 0.05  # how late a deadline or a watchdog may be noticed
STANDSTILL_MS = 50  # a tick later than that by so much was no jitter: this process did not run
TOKENIZE_LIMIT_S = 2.0  # a busy engine that does not count by then is not asked further: the upper bound decides


class Observer(Protocol):
    """Somebody who is told what happened: metrics and logs."""

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Take in one notice. Must not block, and must not raise."""


class Limits(Protocol):
    """The time limits of one pool's running tasks, milliseconds."""

    @property
    def wall_ms(self) -> int: ...
    @property
    def idle_ms(self) -> int: ...
    @property
    def stop_ms(self) -> int: ...


LauncherOf = Callable[[str, str, str], Launcher]
"""From pool id, replica id and model_ref to what brings that engine up with that model. Raises RefusedError."""


class Orchestrator:
    """Pools, tasks and readers of one server, alive between `start` and `stop`."""

    def __init__(
        self,
        core: Core,
        *,
        keepers: Mapping[tuple[str, str], ReplicaKeeper],
        limits: Mapping[str, Limits],
        readers: Readers,
        durable: Callable[[], Awaitable[bool]],
        launchers: LauncherOf,
        policies: Policies | None = None,
    ) -> None:
        self.core = core
        self.since_ms = now_ms()
        self._launchers = launchers
        self._policies = policies or Policies()
        self.readers = readers
        self._durable = durable
        self._keepers = keepers
        self._limits = limits
        self._observers: list[Observer] = []
        self._runners: dict[str, TaskRunner] = {}
        self._loop_tasks: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._all_idle = asyncio.Event()
        self._all_idle.set()
        self._group: asyncio.TaskGroup | None = None

    # ── what handlers ask for ──

    async def submit(self, request: TaskRequest) -> Task:
        """Admit a task.

        Raises:
            RefusedError: it was not admitted.
        """
        try:
            counts = await self._tokens_in(request)
            longest, hint = admission.longest(request, counts), await self._policy(request)
            task = self.core.submit(
                request, tokens_in=sum(counts), longest_in=longest, now_ms=now_ms(), placement_hint=hint
            )
        finally:
            self.settle_effects()
        await self._require_durable(task)
        return task

    async def _require_durable(self, task: Task) -> None:
        """Return once the admission is on disk (OC-CORE-1050); a task that cannot be made durable is not accepted."""
        if await self._durable():
            return
        self.core.fail(task.id, UNJOURNALED, now_ms())
        self.settle_effects()
        raise RefusedError(UNJOURNALED)

    async def require_told(self) -> None:
        """Return once all that was decided is on disk: what a client is told of it then holds after a kill, too.

        Raises:
            RefusedError: INTERNAL: it cannot be written.

        Source: OC-CORE-1054.
        """
        if not await self._durable():
            raise RefusedError(UNJOURNALED)

    async def cancel(self, task_id: str, reason: CancelReason = "client") -> bool:
        """Cancel a task, and return when that is on disk and none of its tokens is on the way any more.

        Returns:
            False when the task is unknown.

        Raises:
            RefusedError: the cancel cannot be written down.
        """
        if self.core.task(task_id) is None:
            return False
        self.core.cancel(task_id, reason, now_ms())
        self.settle_effects()
        await self.require_told()
        await self.readers.settle(task_id)
        return True

    def reload(self, pool_id: str, model_ref: str) -> None:
        """Begin to bring a pool to another model; how far it is shows in the pool's `operation`.

        Raises:
            RefusedError: its engines cannot be loaded with that model by us, or a reload goes on.
        """
        assert self._group is not None, "handlers are called inside `run` only"  # noqa: S101
        pool = self.core.pools[pool_id]
        launchers = {replica_id: self._launchers(pool_id, replica_id, model_ref) for replica_id in pool.replicas}
        self.core.begin_reload(pool_id, model_ref, now_ms=now_ms())
        self.settle_effects()
        self._spawn(self._group, self._reload(pool, launchers))

    def set_model_state(self, model: Model, state: ModelState, *, deadline_ms: int) -> None:
        """Retire a model, or take it back: pools that it was unloaded from load it again."""
        self.core.set_model_state(model, state, deadline_ms=deadline_ms, now_ms=now_ms())
        self.settle_effects()
        if state == "Retired":
            return
        for pool in self.core.pools.values():
            if model.entry.serves_as(pool.model_ref) and pool.draining and not pool.is_reloading:
                self.reload(pool.id, pool.model_ref)

    @contextmanager
    def open_reader(self, task: Task, *, start: int) -> Iterator[Reader]:
        """Read a task's frames from index `start` on."""
        with self.readers.open(task, start=start, on_last_left=self._last_reader_left) as reader:
            yield reader

    @property
    def engine_connections(self) -> int:
        """Streams open to engines, each with a task of its own."""
        return len(self._runners)

    def running_on(self, pool: Pool) -> int:
        """Slots in use, quarantined ones included."""
        return sum(len(r.leases) + len(r.quarantined) for r in pool.replicas.values())

    # ── life ──

    def add_observers(self, *observers: Observer) -> None:
        """Tell these of every notice from now on."""
        self._observers += observers

    async def first_preloads(self) -> None:
        """Return when every replica has been preloaded once, well or not."""
        for keeper in self._keepers.values():
            await keeper.first_outcome.wait()

    async def run(self, stop: asyncio.Event, *, drain_ms: Callable[[], int]) -> None:
        """Work until `stop` is set, then let running tasks finish within `drain_ms` and end the rest."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._loop_tasks.update(group.create_task(keeper.run()) for keeper in self._keepers.values())
            self._loop_tasks.add(group.create_task(self._tick()))
            await stop.wait()
            self._drain_all()
            try:
                async with asyncio.timeout(drain_ms() / 1000):
                    await self._all_idle.wait()
            except TimeoutError:
                self._end_all()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(limits.stop_ms for limits in self._limits.values()) / 1000):
                        await self._all_idle.wait()
            for task in self._loop_tasks:
                task.cancel()

    def _drain_all(self) -> None:
        """Take nothing new, and tell at once what only waits: it would not be run any more."""
        for pool in self.core.pools.values():
            self.core.drain(pool.id)
            for task_id in pool.queue.ids():
                self.core.fail(task_id, _stopping(pool, "the server is stopping"), now_ms())
        self.settle_effects()

    def _end_all(self) -> None:
        for pool_id in self.core.pools:
            self.core.end_all(pool_id, "the server stopped before the task was done", now_ms())
        self.settle_effects()

    async def _tick(self) -> None:
        seen = now_ms()
        while True:
            await asyncio.sleep(TICK_S)
            now = now_ms()
            late_ms, seen = now - seen - round(TICK_S * 1000), now
            self.core.tick(now)
            for runner in list(self._runners.values()):
                if late_ms > STANDSTILL_MS:  # what the engine sent meanwhile waits in the socket
                    runner.last_event_ms = min(now, runner.last_event_ms + late_ms)
                self._watchdog(runner, now)
            self.settle_effects()

    def _watchdog(self, runner: TaskRunner, now: int) -> None:
        task, limits = runner.task, self._limits[runner.task.pool_id]
        if task.is_terminal or task.started_ms is None:
            return
        if now - task.started_ms > limits.wall_ms:
            message = f"the task ran longer than {limits.wall_ms} ms"
        elif now - runner.last_event_ms > limits.idle_ms:
            message = f"the engine sent nothing for {limits.idle_ms} ms"
        else:
            return
        pool = self.core.pools[task.pool_id]
        failure = Failure(code="DECODE_TIMEOUT", message=message, engine=pool.engine, pool_id=pool.id, retriable=True)
        self.core.fail(task.id, failure, now)

    # ── reload ──

    async def _reload(self, pool: Pool, launchers: Mapping[str, Launcher]) -> None:
        """Ready on the new model, or back on the old one: never on both, and never on none for longer than it takes."""
        before = {replica_id: self._keepers[pool.id, replica_id].launcher for replica_id in pool.replicas}
        while not pool.is_idle:
            self._settled.clear()
            await self._settled.wait()
        fault = await self._switch(pool, "loading", launchers, insist=False)
        if fault is None:
            self.core.reload_reached(pool.id, "done", now_ms())
        else:
            await self._switch(pool, "rolling-back", before, insist=True, error=fault.text)
            self.core.reload_reached(pool.id, "rolled-back", now_ms())
        self.settle_effects()

    async def _switch(
        self, pool: Pool, phase: Phase, launchers: Mapping[str, Launcher], *, insist: bool, error: str | None = None
    ) -> Fault | None:
        """Change the engines of all replicas at once: a set never has two models. Returns the first fault."""
        self.core.reload_reached(pool.id, phase, now_ms(), error=error)
        for replica_id in pool.replicas:
            self.core.replica_unloaded(pool.id, replica_id)
        self.settle_effects()
        switches = [
            self._keepers[pool.id, replica_id].switch(launcher, insist=insist)
            for replica_id, launcher in launchers.items()
        ]
        return next((fault for fault in await asyncio.gather(*switches) if fault is not None), None)

    async def _park(self, pool: Pool) -> None:
        """Unload a pool whose model is Retired; a reload brings it back."""
        text = f"model {pool.model_ref} is Retired"
        for replica_id in pool.replicas:
            await self._keepers[pool.id, replica_id].switch(Parked(Fault("retired", text)), insist=False)
            if self.core.is_retired(pool, now_ms()):  # not taken back meanwhile
                self.core.replica_parked(pool.id, replica_id, text)
        self.settle_effects()

    # ── effects ──

    def settle_effects(self) -> None:
        """Carry out everything the domain has asked for, and tell the observers."""
        self._settled.set()
        while effects := self.core.take_effects():
            at_ms = now_ms()
            for effect in effects:
                match effect:
                    case StartDecode(task):
                        self._start(task)
                    case StopDecode(task_id):
                        if (runner := self._runners.get(task_id)) is not None:
                            runner.stop()
                    case _:
                        if isinstance(effect, PoolChanged) and (effect.kind, effect.phase) == ("drain", "drained"):
                            self._drained(self.core.pools[effect.pool_id])
                        if isinstance(effect, (TaskStarted, TaskFinished)):
                            self.readers.wake(effect.task.id)
                        for observer in self._observers:
                            observer.observe(effect, at_ms)

    def _drained(self, pool: Pool) -> None:
        if self._group is not None and self.core.is_retired(pool, now_ms()):
            self._spawn(self._group, self._park(pool))

    def _start(self, task: Task) -> None:
        assert self._group is not None  # noqa: S101 - replicas are preloaded inside `run` only
        keeper = self._keepers[task.pool_id, task.replica_id or ""]
        assert keeper.engine is not None  # noqa: S101 - only Ready replicas are given work
        runner = TaskRunner(
            task,
            keeper.engine,
            self.core,
            stop_ms=self._limits[task.pool_id].stop_ms,
            durable=self._durable,
            changed=self._task_changed,
            grown=self.readers.wake,
            suspect=keeper.suspect,
            engine_failed=keeper.engine_failed,
        )
        self._runners[task.id] = runner
        self._all_idle.clear()
        self._spawn(self._group, self._run(runner))

    def _spawn(self, group: asyncio.TaskGroup, work: Coroutine[None, None, None]) -> None:
        self._loop_tasks.add(spawned := group.create_task(work))
        spawned.add_done_callback(self._loop_tasks.discard)

    async def _run(self, runner: TaskRunner) -> None:
        try:
            await runner.run()
        finally:
            del self._runners[runner.task.id]
            self.settle_effects()  # it may have started another, or the same task on another replica
            if not self._runners:
                self._all_idle.set()

    def _task_changed(self, task: Task) -> None:
        self.settle_effects()
        self.readers.wake(task.id)

    def _last_reader_left(self, task: Task) -> None:
        if task.request.cancel_on_disconnect and self.core.cancel(task.id, "disconnect", now_ms()):
            self.settle_effects()

    # ── parts ──

    async def _policy(self, request: TaskRequest) -> str | None:
        """Ask the plugins, except about a task that is there already.

        Returns:
            The replica where they would rather have it.

        Raises:
            RefusedError: one of them refused it, or failed.
        """
        asked = self._policies.asks("admission") or self._policies.asks("placement")
        if not asked or self.core.find_repeat(request) is not None:
            return None
        try:
            pool = self.core.route(request, now_ms())
            await self._policies.require_admission(request, pool)
        except RefusedError as refusal:
            self.core.note_rejection(request.engine, refusal.failure)
            raise
        return await self._policies.placement_hint(request, [replica.view() for replica in pool.replicas.values()])

    async def _tokens_in(self, request: TaskRequest) -> list[int]:
        """Count the tokens of each input: by an upper bound where that is enough, else by the pool's own engine."""
        bound, tokens_out = [admission.size_of(text) for text in request.inputs], request.tokens_out_most
        if admission.longest(request, bound) + tokens_out <= request.ctx or tokens_out >= request.ctx:
            return bound
        if self.core.find_repeat(request) is not None:
            return bound
        try:
            pool = self.core.route(request, now_ms())
        except RefusedError as refusal:
            self.core.note_rejection(request.engine, refusal.failure)
            raise
        engine = next((k.engine for (pool_id, _), k in self._keepers.items() if pool_id == pool.id and k.engine), None)
        if engine is None:
            return bound
        try:
            async with asyncio.timeout(TOKENIZE_LIMIT_S):
                return [await engine.count_tokens(text) for text in request.inputs]
        except (EngineError, TimeoutError):
            return bound


def _stopping(pool: Pool, message: str) -> Failure:
    return Failure(code="POOL_UNREADY", message=message, engine=pool.engine, pool_id=pool.id, retriable=True)
