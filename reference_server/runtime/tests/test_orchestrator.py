"""The shell around the domain, on the embedded mock and on engines that misbehave to order."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import pytest

from reference_server.config import MockEngine, Watchdog
from reference_server.domain.breaker import BreakerSettings
from reference_server.domain.errors import RefusedError
from reference_server.domain.task import Task, TaskRequest
from reference_server.domain.tests.builders import core as make_core
from reference_server.domain.tests.builders import pool as make_pool
from reference_server.domain.tests.builders import request as make_request
from reference_server.engines.base import (
    Completion,
    Engine,
    EngineBusyError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineMissingError,
    EngineRefusedError,
    Readiness,
    Took,
    Usage,
)
from reference_server.engines.mock import Mock
from reference_server.runtime import replica_keeper, self_test, task_runner
from reference_server.runtime.launchers import Attached
from reference_server.runtime.orchestrator import Orchestrator
from reference_server.runtime.readers import Readers
from reference_server.runtime.replica_keeper import ReplicaKeeper

SLOW = MockEngine(slots=1, token_ms=5, prompt_ms=0)

request = partial(
    make_request, deadline_ms=3_600_000
)  # the pace that a starved self-test measures refuses none of them


async def at_once() -> bool:
    """A journal that is never behind."""
    return True


@asynccontextmanager
async def running(
    engine: Callable[[], Engine],
    *,
    watchdog: Watchdog | None = None,
    durable: Callable[[], Awaitable[bool]] = at_once,
    reloaded: Callable[[str], Engine] | None = None,
) -> AsyncIterator[Orchestrator]:
    """An orchestrator over one pool with one replica, Ready."""
    core = make_core(make_pool(), is_ready=False)
    keepers: dict[tuple[str, str], ReplicaKeeper] = {}
    subject = Orchestrator(
        core,
        keepers=keepers,
        limits={"p": watchdog or Watchdog(stop_ms=200)},
        readers=Readers(per_task_max=2),
        durable=durable,
        launchers=lambda _pool_id, _replica_id, model_ref: Attached(
            lambda: reloaded(model_ref) if reloaded else engine()
        ),
    )
    keepers["p", "r0"] = ReplicaKeeper(
        "p",
        "r0",
        Attached(engine),
        core,
        start_limit_ms=5_000,
        changed=subject.settle_effects,
        rng=random.Random(1),  # noqa: S311 - jitter
    )
    stop = asyncio.Event()
    life = asyncio.ensure_future(subject.run(stop, drain_ms=lambda: 0))
    await subject.first_preloads()
    try:
        yield subject
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await life


async def until(condition: Callable[[], object], limit_s: float = 5) -> None:
    """Wait for something that happens in this very event loop."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - the condition spans several objects
            await asyncio.sleep(0.005)


async def turns() -> None:
    """Let all go on that waits for nothing but its turn of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def ended(subject: Orchestrator, task: Task) -> Task:
    await until(lambda: task.is_terminal and not subject.engine_connections)
    return task


@pytest.mark.req("ORCH-2001", "OC-CORE-1014")
async def test_a_task_runs_to_its_end_and_gives_its_slot_back() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await ended(subject, await subject.submit(request(max_tokens=5)))

        assert ("ended", 5) == (task.state, task.transcript.tokens_total)
        assert 0 == subject.running_on(subject.core.pools["p"])


@pytest.mark.req("ORCH-3026", "ORCH-3017")
async def test_a_cancel_ends_the_task_at_once_and_the_slot_is_free_soon() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        await until(lambda: task.transcript.tokens_total)
        await subject.cancel(task.id)
        count = task.transcript.tokens_total

        assert "canceled" == task.state
        await ended(subject, task)
        assert (count, 0) == (task.transcript.tokens_total, subject.running_on(subject.core.pools["p"]))


@pytest.mark.req("ORCH-3026", "OC-CTRL-2024")
async def test_a_reader_that_lags_sees_no_token_once_the_task_is_canceled() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        await until(lambda: task.transcript.tokens_total > 3)
        with subject.open_reader(task, start=0) as lagging:
            subject.core.cancel(task.id, "client", 0)
            batch = lagging.take()

        assert batch is not None
        assert not [frame for frame in batch[2] if isinstance(frame, str)]
        assert lagging.is_done


@pytest.mark.req("OC-CTRL-2012")
async def test_a_cancel_is_answered_after_its_readers_are_gone_and_cuts_one_that_takes_nothing() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        cut = asyncio.Event()
        with subject.open_reader(task, start=0) as stalled:
            stalled.abort = cut.set
            await subject.cancel(task.id)

            assert cut.is_set()


@pytest.mark.req("ORCH-2010")
async def test_a_defect_in_one_readers_writing_ends_that_reader_and_neither_the_task_nor_another() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        cut, grown = asyncio.Event(), asyncio.Event()

        def broken() -> None:
            raise ZeroDivisionError

        with subject.open_reader(task, start=0) as one, subject.open_reader(task, start=0) as other:
            one.abort, one.on_growth = cut.set, broken
            await cut.wait()
            other.on_growth = grown.set
            await grown.wait()

        assert "running" == task.state


@pytest.mark.req("ORCH-2010", "OC-CORE-1017")
@pytest.mark.parametrize(("cancels", "state"), [(True, "canceled"), (False, "running")])
async def test_the_last_reader_that_leaves_cancels_only_where_the_task_asked_for_it(cancels: bool, state: str) -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000, cancel_on_disconnect=cancels))
        with subject.open_reader(task, start=0):
            with subject.open_reader(task, start=0):
                pass
            assert "running" == task.state

        assert state == task.state


@pytest.mark.req("ORCH-3016", "OC-CORE-1022")
@pytest.mark.parametrize("limit", ["idle", "wall"])
async def test_the_watchdog_ends_a_task_that_stalls_or_runs_too_long(limit: str) -> None:
    stalling = MockEngine(slots=1, token_ms=1, prompt_ms=0, stall_after_tokens=8)
    watchdog = Watchdog(idle_ms=100) if limit == "idle" else Watchdog(wall_ms=100)
    settings = stalling if limit == "idle" else SLOW
    async with running(lambda: Mock(settings), watchdog=watchdog) as subject:
        task = await ended(subject, await subject.submit(request(max_tokens=1_000)))

        assert "DECODE_TIMEOUT" == (task.failure and task.failure.code)
        assert 0 == subject.running_on(subject.core.pools["p"])


@pytest.mark.req("ORCH-3016", "OC-CORE-1022")
async def test_the_watchdog_does_not_blame_an_engine_for_a_standstill_of_the_server() -> None:
    slow_start = MockEngine(slots=1, token_ms=1, prompt_ms=200)
    async with running(lambda: Mock(slow_start), watchdog=Watchdog(idle_ms=300)) as subject:
        task = await subject.submit(request(max_tokens=4))
        await until(lambda: subject.engine_connections)
        time.sleep(0.6)  # noqa: ASYNC251 - the standstill: a full disk queue, a suspended machine
        await ended(subject, task)

        assert ("ended", None) == (task.state, task.failure)


class Broken(Mock):
    """A mock whose streams fail after the preload, in a way that a test chooses."""

    def __init__(self, error: Exception, *, alive: bool = True) -> None:
        super().__init__(SLOW)
        self.error = error
        self.alive = alive
        self.preloads = 0

    async def readiness(self) -> Readiness:
        return "ready" if self.alive or not self.preloads else "down"

    async def complete(self, completion: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        is_preload = completion.task_id.startswith("preload")
        self.preloads += is_preload
        async for event in super().complete(completion):
            yield event
            if not is_preload:
                raise self.error


@pytest.mark.req("ORCH-2006", "OC-CTRL-2030")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(EngineLostError("cut"), "WORKER_RESET", id="lost"),
        pytest.param(EngineFaultError("500"), "REPLICA_EXHAUSTED", id="fault"),
        pytest.param(ZeroDivisionError(), "INTERNAL", id="defect"),
    ],
)
async def test_an_engine_failure_ends_its_task_alone_and_is_typed(error: Exception, code: str) -> None:
    engine = Broken(error)
    async with running(lambda: engine) as subject:
        task = await ended(subject, await subject.submit(request("a", max_tokens=1_000)))

        assert code == (task.failure and task.failure.code)
        assert (True, 0) == (subject.core.pools["p"].is_ready, subject.running_on(subject.core.pools["p"]))


@pytest.mark.req("ORCH-3010", "ORCH-3038", "OC-POOL-3001")
async def test_a_dead_engine_makes_the_pool_unready_and_its_return_ready_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_keeper, "LOADING_PROBE_S", 0.01)
    engine = Broken(EngineLostError("cut"), alive=False)
    async with running(lambda: engine) as subject:
        pool = subject.core.pools["p"]
        pool.replicas["r0"].breaker.settings = BreakerSettings(pause_ms=10)
        await subject.submit(request(max_tokens=1_000))
        await until(lambda: not pool.is_ready)

        assert pool.last_error
        engine.alive = True
        await until(lambda: pool.is_ready)
        assert pool.last_error is None


class Failing(Mock):
    """A mock that answers tasks with errors of its own while it is told to, and its preload and probes well."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(MockEngine(slots=4, token_ms=0, prompt_ms=0))
        self.error = error or EngineFaultError("500")
        self.fails = True
        self.probes = 0

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        self.probes += request.task_id.startswith("probe")
        if self.fails and not request.task_id.startswith("preload"):
            raise self.error
        async for event in super().complete(request):
            yield event


@pytest.mark.req("OC-POOL-3014", "ORCH-3038")
async def test_an_engine_that_only_answers_errors_trips_its_breaker_until_one_probe_succeeds() -> None:
    engine = Failing()
    async with running(lambda: engine) as subject:
        pool = subject.core.pools["p"]
        replica = pool.replicas["r0"]
        replica.breaker.settings = BreakerSettings(failures_max=3, open_ms=30, pause_ms=10)
        for number in range(3):
            await ended(subject, await subject.submit(request(f"t{number}")))

        assert ("tripped", "breaker") == (replica.state, replica.fault and replica.fault.kind)
        with pytest.raises(RefusedError) as refused:
            await subject.submit(request("late"))
        assert "POOL_UNAVAILABLE" == refused.value.failure.code
        engine.fails = False
        await until(lambda: pool.is_ready)
        assert 1 == engine.probes
        assert "ended" == (await ended(subject, await subject.submit(request("after")))).state


@pytest.mark.req("OC-POOL-3014")
@pytest.mark.parametrize(
    ("error", "code", "state"),
    [
        pytest.param(EngineRefusedError("no such thing", status=400), "INVALID_PARAMS", "ready", id="400"),
        pytest.param(EngineBusyError("too many"), "REPLICA_EXHAUSTED", "ready", id="429"),
        pytest.param(EngineFaultError("500"), "POOL_UNAVAILABLE", "tripped", id="500"),
    ],
)
async def test_of_a_hundred_errors_of_the_engine_only_faults_open_its_breaker(
    error: Exception, code: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T2: SGLang #25811."""
    monkeypatch.setattr(task_runner, "BUSY_PAUSES_S", ())
    engine = Failing(error)
    async with running(lambda: engine) as subject:
        replica = subject.core.pools["p"].replicas["r0"]
        replica.breaker.settings = BreakerSettings(failures_max=2)
        codes = [await code_of(subject, request(f"t{number}")) for number in range(100)]

        assert (code, state) == (codes[-1], replica.state)
        assert state == "tripped" or {code} == set(codes)


@pytest.mark.req("OC-CORE-1048")
@pytest.mark.parametrize(("busy", "state", "asked"), [(5, "ended", 6), (6, "failed", 6)])
async def test_an_engine_without_room_is_asked_again_after_pauses_that_double(
    busy: int, state: str, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses_s = [pause_s / 20 for pause_s in task_runner.BUSY_PAUSES_S]
    assert [100, 200, 400, 800, 1_600] == [round(20_000 * pause_s) for pause_s in pauses_s]
    monkeypatch.setattr(task_runner, "BUSY_PAUSES_S", pauses_s)
    engine = Full(busy)
    async with running(lambda: engine) as subject:
        task = await ended(subject, await subject.submit(request(max_tokens=3)))

        gaps_s = [later - earlier for earlier, later in pairwise(engine.asked_s)]
        assert (state, asked) == (task.state, len(engine.asked_s))
        assert all(gap_s >= pause_s * 0.9 for gap_s, pause_s in zip(gaps_s, pauses_s, strict=True)), gaps_s
        assert 0 == subject.running_on(subject.core.pools["p"])


@pytest.mark.req("OC-CORE-1048", "ORCH-3026", "OC-CORE-1014")
async def test_a_cancel_ends_the_wait_for_an_engine_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "BUSY_PAUSES_S", (3_600.0,))
    engine = Full(1)
    async with running(lambda: engine) as subject:
        task = await subject.submit(request("a"))
        await until(lambda: engine.asked_s)
        await turns()
        assert ("running", 1) == (task.state, subject.running_on(subject.core.pools["p"]))

        await subject.cancel(task.id)

        assert "canceled" == (await ended(subject, task)).state
        assert "ended" == (await ended(subject, await subject.submit(request("b")))).state


class Full(Mock):
    """A mock that has no room for the first so many tasks, and knows when it was asked."""

    def __init__(self, busy: int) -> None:
        super().__init__(MockEngine(slots=1, token_ms=0, prompt_ms=0, busy_requests=busy))
        self.asked_s: list[float] = []

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        if not request.task_id.startswith("preload"):
            self.asked_s.append(time.monotonic())
        async for event in super().complete(request):
            yield event


async def code_of(subject: Orchestrator, asked: TaskRequest) -> str | None:
    """How a task is refused, or ends."""
    try:
        task = await ended(subject, await subject.submit(asked))
    except RefusedError as refused:
        return refused.failure.code
    return task.failure.code if task.failure else None


class Clinging(Mock):
    """A mock that never confirms that it let go."""

    async def confirm_stopped(self, task_id: str) -> None:
        if task_id.endswith("-cancel"):
            await asyncio.get_running_loop().create_future()


@pytest.mark.req("ORCH-3049")
async def test_an_engine_that_does_not_let_go_does_not_pass_its_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "CANCEL_LIMIT_S", 0.05)
    async with running(lambda: Clinging(SLOW)) as subject:
        replica = subject.core.pools["p"].replicas["r0"]

        assert "self-test" == (replica.fault and replica.fault.kind)
        assert not subject.core.pools["p"].is_ready


class Deaf(Mock):
    """A mock that does not confirm a stop until it is told to."""

    def __init__(self) -> None:
        super().__init__(SLOW)
        self.confirms = asyncio.Event()

    async def confirm_stopped(self, task_id: str) -> None:
        if not task_id.startswith("preload"):
            await self.confirms.wait()


@pytest.mark.req("OC-CORE-1015")
async def test_an_unconfirmed_stop_quarantines_the_slot_until_it_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "CONFIRM_PAUSE_S", 0.01)
    engine = Deaf()
    async with running(lambda: engine, watchdog=Watchdog(stop_ms=50)) as subject:
        replica = subject.core.pools["p"].replicas["r0"]
        first = await subject.submit(request("a", max_tokens=1_000))
        await subject.submit(request("b", max_tokens=2))
        await until(lambda: first.transcript.tokens_total)
        await subject.cancel("a")
        await until(lambda: replica.quarantined)
        assert 0 == replica.slots_free

        engine.confirms.set()
        second = subject.core.task("b")
        assert second is not None
        assert "ended" == (await ended(subject, second)).state


@pytest.mark.req("ORCH-2001")
async def test_a_stopping_orchestrator_leaves_no_runner_behind() -> None:
    async with running(lambda: Mock(SLOW)) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        waiting = await subject.submit(request("b", max_tokens=1_000))
        await until(lambda: task.transcript.tokens_total)

    assert ["POOL_UNREADY"] * 2 == [t.failure.code for t in (task, waiting) if t.failure]
    assert 0 == subject.engine_connections


@pytest.mark.req("OC-CORE-1050", "OC-CORE-1052")
async def test_neither_answer_nor_engine_comes_before_the_journal() -> None:
    written = asyncio.Event()
    waiting: list[str] = []
    engine = Mock(SLOW)

    async def durable() -> bool:
        waiting.append("one")
        await written.wait()
        return True

    async with running(lambda: engine, durable=durable) as subject:
        answer = asyncio.ensure_future(subject.submit(request(max_tokens=2)))
        await until(lambda: len(waiting) == 2)  # the answer, and the decode
        await turns()
        assert (False, set()) == (answer.done(), engine.active)

        written.set()
        assert "ended" == (await ended(subject, await answer)).state


@pytest.mark.req("OC-CORE-1050")
async def test_a_task_that_cannot_be_journaled_is_not_accepted() -> None:
    async def durable() -> bool:
        return False

    async with running(lambda: Mock(SLOW), durable=durable) as subject:
        with pytest.raises(RefusedError) as caught:
            await subject.submit(request())

        assert "INTERNAL" == caught.value.failure.code
        await until(lambda: not subject.running_on(subject.core.pools["p"]))


@pytest.mark.req("OC-CORE-1054")
async def test_a_cancel_is_answered_when_it_is_on_disk() -> None:
    """A cancel that was answered and is forgotten by a kill would let its task run after the restart."""
    gate = asyncio.Event()
    gate.set()
    is_behind = asyncio.Event()

    async def durable() -> bool:
        if not gate.is_set():
            is_behind.set()
        await gate.wait()
        return True

    async with running(lambda: Mock(SLOW), durable=durable) as subject:
        task = await subject.submit(request(max_tokens=1_000))
        await until(lambda: task.transcript.tokens_total)
        gate.clear()
        canceling = asyncio.ensure_future(subject.cancel(task.id))
        await until(lambda: task.is_terminal and is_behind.is_set())
        await turns()
        assert not canceling.done()

        gate.set()
        assert await canceling


@pytest.mark.req("OC-CORE-1054")
async def test_a_cancel_that_cannot_be_written_down_is_an_error() -> None:
    is_full: list[bool] = []

    async def durable() -> bool:
        return not is_full

    async with running(lambda: Mock(SLOW), durable=durable) as subject:
        task = await subject.submit(request())
        is_full.append(True)

        with pytest.raises(RefusedError) as caught:
            await subject.cancel(task.id)

    assert "INTERNAL" == caught.value.failure.code


class Busy(Mock):
    """A mock that is too busy to tell its metrics."""

    def __init__(self) -> None:
        super().__init__(SLOW)
        self.asked = 0

    async def usage(self) -> Usage:
        self.asked += 1
        await asyncio.Event().wait()
        return Usage()


@pytest.mark.req("ORCH-3010")
async def test_an_engine_too_busy_for_its_metrics_stays_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_keeper, "USAGE_LIMIT_S", 0.01)
    monkeypatch.setattr(replica_keeper, "PROBE_S", 0.01)
    engine = Busy()
    async with running(lambda: engine) as subject:
        await until(lambda: engine.asked > 3)

        assert subject.core.pools["p"].is_ready
        assert subject.core.pools["p"].last_error is None


class Caching(Mock):
    """A mock whose prefix caches grow and shrink."""

    held = 2 * 4_096

    async def usage(self) -> Usage:
        return Usage(prefix_cache_tokens=self.held)


@pytest.mark.req("ORCH-3020")
async def test_a_task_starts_once_the_engine_tells_that_its_prefix_caches_leave_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica_keeper, "PROBE_S", 0.01)
    engine = Caching(MockEngine(slots=2, ctx_max=4_096, token_ms=50))
    async with running(lambda: engine) as subject:
        beside = await subject.submit(request("a", max_tokens=1_000))
        task = await subject.submit(request("b", max_tokens=1))
        assert ("running", "queued") == (beside.state, task.state)

        engine.held = 0
        await until(lambda: task.state == "ended")
        assert "running" == beside.state


def other_model(model_ref: str) -> Engine:
    """A mock of another model; there is none called `missing`."""
    if model_ref == "missing":
        raise EngineMissingError("no such model")
    return Mock(MockEngine(slots=2, ctx_max=2_048, token_ms=0), model_ref)


@pytest.mark.req("ORCH-2102", "ORCH-3031", "OC-CTRL-2003")
async def test_a_reload_lets_what_runs_finish_and_ends_ready_on_the_new_model() -> None:
    async with running(lambda: Mock(SLOW), reloaded=other_model) as subject:
        pool = subject.core.pools["p"]
        task = await subject.submit(request("a", max_tokens=20))
        waiting = await subject.submit(request("b", max_tokens=3))
        subject.reload("p", "m2")

        assert not pool.is_ready
        await until(lambda: pool.is_ready)
        assert ("ended", "ended") == (task.state, waiting.state)
        assert ("m2", "done", 2) == (pool.model_ref, pool.operation and pool.operation.phase, pool.slots_total)


@pytest.mark.req("ORCH-3031", "OC-CTRL-2003")
async def test_a_reload_that_fails_ends_ready_on_the_old_model_and_says_why() -> None:
    async with running(lambda: Mock(SLOW), reloaded=other_model) as subject:
        pool = subject.core.pools["p"]
        subject.reload("p", "missing")
        await until(lambda: pool.is_ready)

        assert ("m", "no such model") == (pool.model_ref, pool.last_error)
        assert "rolled-back" == (pool.operation and pool.operation.phase)
        assert "ended" == (await ended(subject, await subject.submit(request("a", max_tokens=3)))).state


@pytest.mark.req("ORCH-3031")
async def test_a_server_that_stops_in_the_middle_of_a_reload_stops() -> None:
    async with running(lambda: Mock(SLOW), reloaded=other_model) as subject:
        await subject.submit(request("a", max_tokens=2_000))
        subject.reload("p", "m2")

    assert 0 == subject.engine_connections
