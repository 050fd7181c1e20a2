"""The metrics contract, filled from the domain's notices and, for gauges, from its state when it is asked.

Names and labels are those of `contracts/metrics/series.yaml`. A label never holds a task, session, prompt or user.
Counters begin at 0 as soon as the engine's version is known: a rate over a missing series is no rate.

Source: ORCH-3028, OC-CORE-1041, OC-METRICS-7101, OC-METRICS-7102.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from reference_server.domain.catalog import MODEL_STATES
from reference_server.domain.core import Core
from reference_server.domain.effects import (
    BackpressureApplied,
    ModelVerified,
    Notice,
    ReplicaChanged,
    SlotQuarantined,
    TaskEnqueued,
    TaskFinished,
    TaskRejected,
    TaskStarted,
)
from reference_server.domain.faults import DRIVER_FAULTS
from reference_server.domain.pool import Pool
from reference_server.domain.replica import Replica
from reference_server.domain.task import Priority, Task
from reference_server.engines.base import Usage

M = TypeVar("M", Counter, Histogram)

UNASSIGNED = "unassigned"  # replica_id of a task that no replica has been chosen for

POOL = ("engine", "engine_version", "pool_id")
REPLICA = (*POOL, "replica_id")
KEPT = ("engine", "pool_id", "replica_id")  # of a replica whose version may not be known yet
PRIORITIES: tuple[Priority, ...] = ("interactive", "batch")

FIRST_TOKEN_BUCKETS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
DECODE_BUCKETS_MS = (10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000)


class Metrics:
    """All series of one server, in a registry of its own.

    What moves with every task is found by its labels once (`_child`): the library's own way there is ten times longer.
    """

    def __init__(
        self, core: Core, *, usage: Callable[[str, str], Usage], engine_connections: Callable[[], int]
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._core = core
        self._usage = usage
        self._engine_connections = engine_connections
        self.registry = registry = CollectorRegistry()
        self._children: dict[tuple[object, ...], Any] = {}

        def counter(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self.enqueued = counter("tasks_enqueued_total", "Tasks admitted.", (*REPLICA, "priority"))
        self.started = counter("tasks_started_total", "Tasks dispatched to a replica.", (*REPLICA, "priority"))
        self.canceled = counter("tasks_canceled_total", "Tasks canceled, by reason.", (*REPLICA, "reason"))
        self.failed = counter(
            "tasks_failed_total", "Admitted tasks that ended with an error, by its code.", (*REPLICA, "reason")
        )
        self.rejected = counter("tasks_rejected_total", "Requests refused, by error code.", ("engine", "reason"))
        self.backpressure = counter(
            "admission_backpressure_events_total", "Times a full queue refused or dropped a task.", ("engine", "policy")
        )
        self.tokens_in = counter("tokens_in_total", "Prompt tokens of finished tasks.", REPLICA)
        self.tokens_out = counter("tokens_out_total", "Tokens decoded.", REPLICA)
        self.verifications = counter(
            "catalog_verifications_total", "Catalog entries verified, by result.", ("result", "reason", "engine")
        )
        self.preloads = counter("pool_preloads_total", "Preloads of replicas, by result.", (*KEPT, "result"))
        self.restarts = counter("pool_restarts_total", "Replicas started again after a loss.", KEPT)
        self.driver_faults = counter(
            "driver_faults_total", "Replicas lost to a CUDA error, a driver reset or an ECC error.", (*KEPT, "reason")
        )
        self.leaked = counter("slots_leaked_total", "Slots whose engine did not confirm a stop in time.", REPLICA)
        self.breaker = gauge(
            "breaker_open", "1 while the breaker of a replica keeps tasks from it, its probe included.", KEPT
        )
        self.queue_depth = gauge("queue_depth", "Tasks waiting.", (*POOL, "priority"))
        self.model_state = gauge("model_state", "1 for the state a model is in.", ("model_id", "state"))
        self.kv_cache = gauge("kv_cache_usage_ratio", "Share of the KV cache in use, 0 to 1.", REPLICA)
        self.gpu = gauge("gpu_utilization", "GPU utilization in percent.", (*REPLICA, "device"))
        self.vram = gauge("vram_used_bytes", "GPU memory in use.", (*REPLICA, "device"))
        self.connections = gauge("engine_connections_open", "Streams open to engines, each with a task of its own.")
        self.first_token = Histogram(
            "latency_first_token_ms",
            "From dispatch to the first token, milliseconds.",
            (*POOL, "priority"),
            registry=registry,
            buckets=FIRST_TOKEN_BUCKETS_MS,
        )
        self.decode = Histogram(
            "latency_decode_ms",
            "From dispatch to the end, milliseconds.",
            (*POOL, "priority"),
            registry=registry,
            buckets=DECODE_BUCKETS_MS,
        )

    def observe(self, notice: Notice, at_ms: int) -> None:
        """Count one notice."""
        del at_ms
        match notice:
            case TaskEnqueued(task):
                self._child(self.enqueued, *self._pool(task), UNASSIGNED, task.request.priority).inc()
            case TaskStarted(task):
                self._child(self.started, *self._replica(task), task.request.priority).inc()
            case TaskFinished(task, reason):
                self._finished(task, reason)
            case TaskRejected(engine, failure):
                self.rejected.labels(engine, failure.code).inc()
            case BackpressureApplied(engine, policy):
                self.backpressure.labels(engine, policy).inc()
            case ReplicaChanged():
                self._replica_changed(notice)
            case ModelVerified(verdict, engine):
                self.verifications.labels(verdict.status, verdict.reason, engine).inc()
            case SlotQuarantined(pool_id, replica_id):
                self.leaked.labels(*_labels(self._core.pools[pool_id]), replica_id).inc()

    def _replica_changed(self, change: ReplicaChanged) -> None:
        labels = (self._core.pools[change.pool_id].engine, change.pool_id, change.replica_id)
        is_parked = change.fault is not None and change.fault.kind == "retired"
        if change.was == "loading" and change.state in {"ready", "unready"} and not is_parked:
            self.preloads.labels(*labels, "ok" if change.state == "ready" else "failed").inc()
        if change.was == "unready" and change.state == "loading":
            self.restarts.labels(*labels).inc()
        if change.fault is not None and change.fault.kind in DRIVER_FAULTS:
            self.driver_faults.labels(*labels, change.fault.kind).inc()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """All series as text, in the format that `accept` asks for, and its content type."""
        self._refresh()
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _child(self, series: M, *labels: str) -> M:
        key = (series, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = series.labels(*labels)
        return cast("M", child)

    def _finished(self, task: Task, reason: str | None) -> None:
        if reason is not None:
            self._child(self.canceled, *self._replica(task), reason).inc()
        if task.state == "failed" and task.failure is not None:
            self._child(self.failed, *self._replica(task), task.failure.code).inc()
        if task.started_ms is None or task.ended_ms is None:
            return
        self._child(self.tokens_out, *self._replica(task)).inc(task.transcript.tokens_total)
        self._child(self.tokens_in, *self._replica(task)).inc(task.tokens_in)
        labels = (*self._pool(task), task.request.priority)
        if task.first_token_ms is not None:
            self._child(self.first_token, *labels).observe(task.first_token_ms - task.started_ms)
        if task.state == "ended":
            self._child(self.decode, *labels).observe(task.ended_ms - task.started_ms)

    def _refresh(self) -> None:
        """Set the gauges from the state now, and let every series of a known replica exist."""
        self.connections.set(self._engine_connections())
        self._refresh_models()
        for pool in self._core.pools.values():
            for replica in pool.replicas.values():
                self._refresh_kept(pool, replica)
            if not pool.engine_version:
                continue
            labels = _labels(pool)
            self.backpressure.labels(pool.engine, pool.bounds.policy)
            for priority in PRIORITIES:
                self.queue_depth.labels(*labels, priority).set(pool.queue.depth(priority))
                self.enqueued.labels(*labels, UNASSIGNED, priority)
                self.first_token.labels(*labels, priority)
                self.decode.labels(*labels, priority)
            for replica in pool.replicas.values():
                self._refresh_replica(pool, replica)

    def _refresh_models(self) -> None:
        """A model of the catalog under its id; one that a pool serves without an entry, under its model_ref."""
        self.model_state.clear()
        states = {model.entry.id: model.state for model in self._core.catalog}
        for pool in self._core.pools.values():
            if self._core.catalog.serving(pool.model_ref) is None:
                states[pool.model_ref] = "Active"
        for model_id, state in states.items():
            for each in MODEL_STATES:
                self.model_state.labels(model_id, each).set(int(each == state))

    def _refresh_kept(self, pool: Pool, replica: Replica) -> None:
        kept = (pool.engine, pool.id, replica.id)
        self.restarts.labels(*kept)
        self.breaker.labels(*kept).set(int(not replica.breaker.is_closed))
        for result in ("ok", "failed"):
            self.preloads.labels(*kept, result)
        for kind in sorted(DRIVER_FAULTS):
            self.driver_faults.labels(*kept, kind)

    def _refresh_replica(self, pool: Pool, replica: Replica) -> None:
        labels = (*_labels(pool), replica.id)
        for series in (self.tokens_in, self.tokens_out, self.leaked):
            series.labels(*labels)
        for priority in PRIORITIES:
            self.started.labels(*labels, priority)
        self.canceled.labels(*labels, "client")
        ratio = self._usage(pool.id, replica.id).kv_cache_ratio
        for gpu in replica.gpus:
            self.gpu.labels(*labels, str(gpu.index)).set(gpu.utilization)
            self.vram.labels(*labels, str(gpu.index)).set(gpu.vram_used)
        self.kv_cache.labels(*labels).set(
            ratio if ratio is not None else len(replica.leases) / max(1, replica.slots_total)
        )

    def _pool(self, task: Task) -> tuple[str, ...]:
        return _labels(self._core.pools[task.pool_id])

    def _replica(self, task: Task) -> tuple[str, ...]:
        return (*self._pool(task), task.replica_id or UNASSIGNED)


def _labels(pool: Pool) -> tuple[str, ...]:
    return (pool.engine, pool.engine_version, pool.id)
