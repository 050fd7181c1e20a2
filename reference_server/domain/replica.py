"""A replica: one engine, its state, and the leases on its slots.

A slot is a lease with exactly one release. It is taken when a task is dispatched and given back when the engine has
confirmed that it stopped; an engine that does not confirm in time leaves its slot quarantined until it does,
or until the replica restarts.

Source: ORCH-3001, ORCH-3020, ORCH-3032, OC-CORE-1014, OC-CORE-1015.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reference_server.domain.breaker import Breaker
from reference_server.domain.devices import DeviceMask, Gpu, vram_free
from reference_server.domain.faults import Fault
from reference_server.domain.lifecycle import KEEPS_LEASES, ReplicaEvent, ReplicaState, following
from reference_server.domain.placement import ReplicaView


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

    @property
    def pinned(self) -> Mapping[str, object]:
        """What all replicas of a set share (ORCH-3007, ORCH-3046)."""
        return {
            "engine_version": self.engine_version,
            "model_digest": self.model_digest,
            "ctx": self.ctx_max,
            "workloads": self.workloads,
        }


@dataclass(slots=True)
class Replica:
    """One engine, its state and its slots.

    Attributes:
        gpus: those of its mask, by the last look.
        retry_at_ms: when a lost or tripped one is tried again.
        contexts: tokens of context of each task that holds a slot.
        prefix_cache_tokens: what its engine's prefix caches hold, as it last told; 0 where it does not tell.
    """

    id: str
    mask: DeviceMask = field(default_factory=DeviceMask)
    breaker: Breaker = field(default_factory=Breaker)
    state: ReplicaState = "loading"
    facts: ReplicaFacts | None = None
    fault: Fault | None = None
    gpus: tuple[Gpu, ...] = ()
    retry_at_ms: int = 0
    leases: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    contexts: dict[str, int] = field(default_factory=dict)
    prefix_cache_tokens: int = 0

    @property
    def last_error(self) -> str | None:
        """Of the fault that it has not recovered from."""
        return self.fault.text if self.fault else None

    def take(self, event: ReplicaEvent, *, facts: ReplicaFacts | None = None, fault: Fault | None = None) -> None:
        """Change state; a replica that is lost, restarted or unloaded has no leases."""
        self.state = following(self.state, event)
        if event not in KEEPS_LEASES:
            self.leases.clear()
            self.quarantined.clear()
            self.contexts.clear()
        if event == "preloaded":
            self.facts = facts
        if self.state == "ready":
            self.fault = None
        elif fault is not None:
            self.fault = fault

    def lease(self, task_id: str, *, ctx: int) -> None:
        """Take one slot for a task, and as much context."""
        if task_id in self.leases or not self.view().is_ready or self.slots_free < 1:
            raise LeaseError(f"replica {self.id}: no slot for {task_id}")
        self.leases.add(task_id)
        self.contexts[task_id] = ctx

    def release(self, task_id: str) -> None:
        """Give a slot back, once."""
        self._give_back(task_id)

    def quarantine(self, task_id: str) -> None:
        """Keep a slot out of use, with its context: its engine has not confirmed that it stopped."""
        self.contexts[task_id] = self._give_back(task_id)
        self.quarantined.add(task_id)

    def _give_back(self, task_id: str) -> int:
        for held in (self.leases, self.quarantined):
            if task_id in held:
                held.remove(task_id)
                return self.contexts.pop(task_id)
        raise LeaseError(f"replica {self.id}: {task_id} holds no slot")

    def holds(self, task_id: str) -> bool:
        """A slot is leased to this task, or quarantined because of it."""
        return task_id in self.leases or task_id in self.quarantined

    @property
    def slots_total(self) -> int:
        return self.facts.slots_total if self.facts else 0

    @property
    def slots_free(self) -> int:
        return self.slots_total - len(self.leases) - len(self.quarantined)

    @property
    def kv_tokens_free(self) -> int | None:
        """What running tasks and prefix caches leave of the KV cache; None = all that a free slot needs.

        That is so where the engine tells of no prefix cache, for a slot has its context; and where nothing runs, for
        an engine gives its cache up rather than stand idle: a cache alone never keeps a task waiting.
        """
        if self.facts is None or not self.prefix_cache_tokens or not self.contexts:
            return None
        return self.slots_total * self.facts.ctx_max - self.prefix_cache_tokens - sum(self.contexts.values())

    def view(self) -> ReplicaView:
        """What placement may know of this replica now."""
        return ReplicaView(
            replica_id=self.id,
            is_ready=self.state == "ready",
            slots_active=len(self.leases) + len(self.quarantined),
            slots_total=self.slots_total,
            vram_free_bytes=vram_free(self.mask, self.gpus),
            kv_tokens_free=self.kv_tokens_free,
        )
