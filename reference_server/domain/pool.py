"""A pool: one queue in front of replicas that share engine, model and sampler profile; and what is being done to it.

Source: ORCH-3004, ORCH-3007, ORCH-3046, OC-CORE-1010, OC-CTRL-2002, OC-CTRL-2003.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from reference_server.domain.budgets import Prices
from reference_server.domain.canary import Canary
from reference_server.domain.devices import Gpu
from reference_server.domain.replica import Replica, ReplicaFacts
from reference_server.domain.service_level import ServiceLevel
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.task_queue import Bounds, TaskQueue

OperationKind = Literal["drain", "reload"]
Phase = Literal["draining", "drained", "loading", "rolling-back", "done", "rolled-back"]


@dataclass(slots=True, kw_only=True)
class Operation:
    """A drain or a reload of a pool, and how far it is.

    Attributes:
        model_ref: that a reload brings the pool to; None for a drain.
        deadline_at_ms: when what still waits or runs is ended; None = never.
        error: why a reload was rolled back.
    """

    kind: OperationKind
    phase: Phase
    started_ms: int
    model_ref: str | None = None
    deadline_at_ms: int | None = None
    ended_ms: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Tokens that running tasks are expected to decode yet: of all together, and of the one that has the least left.

    Attributes:
        slots: of all Ready replicas.
    """

    total: float
    least: float
    slots: int


@dataclass(slots=True, kw_only=True)
class Pool:
    """One pool's state.

    Attributes:
        model_ref: what clients name to get here, together with `engine`.
        canary: where a part of its tasks goes instead.
        operation: the drain or reload that goes on, or the last one that ended.
        reload_drain_ms: how long what waits and runs may take to finish before a reload ends it.
        is_unloading: its model is Retired and its time is up: it is drained and then unloaded.
        experimental_cpu: its engines decode on a host without a GPU, by the explicit switch (ORCH-1102).
        running: what runs, as `forecast` last saw it; None = look anew.
    """

    id: str
    engine: str
    model_ref: str
    sampler_profile_version: str
    bounds: Bounds
    replicas: dict[str, Replica]
    prices: Prices = field(default_factory=Prices)
    reload_drain_ms: int = 30_000
    canary: Canary | None = None
    draining: bool = False
    is_unloading: bool = False
    operation: Operation | None = None
    experimental_cpu: bool = False
    queue: TaskQueue = field(init=False)
    times: ServiceTimes = field(default_factory=ServiceTimes)
    service_level: ServiceLevel = field(default_factory=ServiceLevel)
    running: Running | None = None

    def __post_init__(self) -> None:
        self.queue = TaskQueue(self.bounds)

    def limit(self, bounds: Bounds) -> None:
        """Bound the queue anew; what waits already stays, also above a smaller bound."""
        self.bounds = self.queue.bounds = bounds

    @property
    def ready_replicas(self) -> list[Replica]:
        return [r for r in self.replicas.values() if r.state == "ready"]

    @property
    def is_ready(self) -> bool:
        """It takes new tasks now."""
        return not self.draining and bool(self.ready_replicas)

    @property
    def is_live(self) -> bool:
        """At least one engine is up or coming up."""
        return any(r.state != "unready" for r in self.replicas.values())

    @property
    def is_idle(self) -> bool:
        """Nothing waits or runs; a quarantined slot runs nothing that anybody waits for."""
        return not len(self.queue) and not any(r.leases for r in self.replicas.values())

    @property
    def is_reloading(self) -> bool:
        """A reload goes on."""
        return self.operation is not None and self.operation.kind == "reload" and self.operation.ended_ms is None

    @property
    def model_loading(self) -> str:
        """What an engine that comes up now is to have loaded: during a reload, what it brings the pool to."""
        operation = self.operation
        if operation is not None and operation.kind == "reload" and operation.phase == "loading":
            return operation.model_ref or self.model_ref
        return self.model_ref

    @property
    def slots_total(self) -> int:
        return sum(r.slots_total for r in self.ready_replicas)

    @property
    def slots_free(self) -> int:
        return sum(r.slots_free for r in self.ready_replicas)

    @property
    def has_free_slot(self) -> bool:
        return any(r.state == "ready" and r.slots_free for r in self.replicas.values())

    def has_room(self, ctx: int) -> bool:
        """A task of this context would start at once if none waited before it."""
        return any(replica.view().has_room(ctx) for replica in self.ready_replicas)

    @property
    def ctx_max(self) -> int:
        """What every Ready replica can hold."""
        return min((r.facts.ctx_max for r in self.ready_replicas if r.facts), default=0)

    @property
    def engine_version(self) -> str:
        """The version all replicas share (ORCH-3046); empty before the first preload."""
        for replica in self.replicas.values():
            if replica.facts:
                return replica.facts.engine_version
        return ""

    @property
    def last_error(self) -> str | None:
        """Of a replica that is out, else of the last reload when that was rolled back."""
        of_replica = next((r.last_error for r in self.replicas.values() if r.last_error), None)
        return of_replica or (self.operation.error if self.operation else None)

    def retry_after_ms(self, now_ms: int) -> int:
        """When a replica that is out will be tried again, 1 … 60 000."""
        waits = [r.retry_at_ms - now_ms for r in self.replicas.values() if r.state in {"unready", "tripped"}]
        return min(max(min(waits, default=0), 1), 60_000)

    def mismatch(self, replica_id: str, facts: ReplicaFacts) -> str | None:
        """How a replica that has just come up differs from those of its set that are up, or None (ORCH-3046)."""
        for other in self.replicas.values():
            if other.id == replica_id or other.facts is None or other.state not in {"ready", "tripped"}:
                continue
            for name, value in other.facts.pinned.items():
                if facts.pinned[name] != value:
                    return f"{name} is {facts.pinned[name]}, and replica {other.id} of the same set has {value}"
        return None

    def see_gpus(self, gpus: Sequence[Gpu]) -> None:
        """Take in what the driver reports now."""
        for replica in self.replicas.values():
            replica.gpus = tuple(gpu for gpu in gpus if gpu.index in replica.mask.devices)
