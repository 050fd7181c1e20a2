"""A pool: one queue in front of replicas that share engine, model and sampler profile; and the leases on their slots.

A slot is a lease with exactly one release. It is taken when a task is dispatched and given back when the engine has
confirmed that it stopped; an engine that does not confirm in time leaves its slot quarantined until it does,
or until the replica restarts.

Source: ORCH-3004, ORCH-3007, ORCH-3046, OC-CORE-1010.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference_server.domain.lifecycle import ReplicaEvent, ReplicaState, following
from reference_server.domain.placement import ReplicaView
from reference_server.domain.service_times import ServiceTimes
from reference_server.domain.task_queue import Bounds, TaskQueue


class LeaseError(Exception):
    """A slot was released twice, or taken where none is free: a defect of ours."""


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """What a replica's engine said of itself when it was preloaded (ORCH-3032).

    Attributes:
        engine_version: never empty; a mock's begins with `mock-`.
        model_digest: `sha256:…` of the weights, or None where neither the engine nor a local file tells.
        ctx_max: tokens one slot can hold, prompt and answer together.
        slots_total: sequences decoded at the same time, ≥ 1.
        workloads: of `completion`, `embedding`, `rerank`.
        features: shown in `GET /v1/capabilities`; `stand_in: True` on anything that is not the real engine.
    """

    engine_version: str
    model_digest: str | None
    ctx_max: int
    slots_total: int
    workloads: tuple[str, ...] = ("completion",)
    features: Mapping[str, bool | str | int] = field(default_factory=dict)


@dataclass(slots=True)
class Replica:
    """One engine, its state and its slots."""

    id: str
    state: ReplicaState = "loading"
    facts: ReplicaFacts | None = None
    last_error: str | None = None
    leases: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)

    def take(self, event: ReplicaEvent, *, facts: ReplicaFacts | None = None, error: str | None = None) -> None:
        """Change state; a replica that is lost or restarted has no leases."""
        self.state = following(self.state, event)
        if event == "preloaded":
            self.facts, self.last_error = facts, None
        else:
            self.last_error = error or self.last_error
            self.leases.clear()
            self.quarantined.clear()

    def lease(self, task_id: str) -> None:
        """Take one slot for a task."""
        if task_id in self.leases or not self.view().is_ready or self.slots_free < 1:
            raise LeaseError(f"replica {self.id}: no slot for {task_id}")
        self.leases.add(task_id)

    def release(self, task_id: str) -> None:
        """Give a slot back, once."""
        for held in (self.leases, self.quarantined):
            if task_id in held:
                held.remove(task_id)
                return
        raise LeaseError(f"replica {self.id}: {task_id} holds no slot")

    def quarantine(self, task_id: str) -> None:
        """Keep a slot out of use: its engine has not confirmed that it stopped."""
        self.release(task_id)
        self.quarantined.add(task_id)

    def holds(self, task_id: str) -> bool:
        """A slot is leased to this task, or quarantined because of it."""
        return task_id in self.leases or task_id in self.quarantined

    @property
    def slots_total(self) -> int:
        return self.facts.slots_total if self.facts else 0

    @property
    def slots_free(self) -> int:
        return self.slots_total - len(self.leases) - len(self.quarantined)

    def view(self) -> ReplicaView:
        """What placement may know of this replica now."""
        return ReplicaView(
            replica_id=self.id,
            is_ready=self.state == "ready",
            slots_active=len(self.leases) + len(self.quarantined),
            slots_total=self.slots_total,
        )


@dataclass(slots=True, kw_only=True)
class Pool:
    """One pool's state.

    Attributes:
        model_ref: what clients name to get here, together with `engine`.
        drained_at_ms: when what still waits or runs in a draining pool is ended; None = never.
    """

    id: str
    engine: str
    model_ref: str
    sampler_profile_version: str
    bounds: Bounds
    replicas: dict[str, Replica]
    draining: bool = False
    drained_at_ms: int | None = None
    queue: TaskQueue = field(init=False)
    times: ServiceTimes = field(default_factory=ServiceTimes)

    def __post_init__(self) -> None:
        self.queue = TaskQueue(self.bounds)

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
    def slots_total(self) -> int:
        return sum(r.slots_total for r in self.ready_replicas)

    @property
    def slots_free(self) -> int:
        return sum(r.slots_free for r in self.ready_replicas)

    @property
    def ctx_max(self) -> int:
        """What every Ready replica can hold."""
        return min((r.facts.ctx_max for r in self.ready_replicas if r.facts), default=0)

    @property
    def engine_version(self) -> str:
        """The version all replicas share (ORCH-3046); empty before the first preload."""
        return next((r.facts.engine_version for r in self.replicas.values() if r.facts), "")

    @property
    def last_error(self) -> str | None:
        return next((r.last_error for r in self.replicas.values() if r.last_error), None)
