"""Which replica gets a task: a pure choice over a snapshot.

The rule: a Ready replica with a free slot, and with room for the task's context; the session's own replica first; then
most free VRAM, then fewest active slots, then the smallest replica id, so that equal snapshots always give the same
answer.

Source: ORCH-3008 … 3012, ORCH-3020, OC-CORE-1010 … 1013.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """What placement may know of one replica, at one moment.

    Attributes:
        vram_free_bytes: as the driver reports it; 0 where there is no GPU.
        kv_tokens_free: what running tasks and prefix caches leave of the KV cache; None = all that a free slot needs.
        slots_active: 0 … slots_total; our own leases count, quarantined slots too.
    """

    replica_id: str
    is_ready: bool
    slots_active: int
    slots_total: int
    vram_free_bytes: int = 0
    kv_tokens_free: int | None = None

    @property
    def has_slot(self) -> bool:
        """Ready, with a free slot."""
        return self.is_ready and self.slots_active < self.slots_total

    def has_room(self, ctx: int) -> bool:
        """A free slot, and KV cache for a context of so many tokens (ORCH-3020)."""
        return self.has_slot and (self.kv_tokens_free is None or ctx <= self.kv_tokens_free)


def choose(replicas: Iterable[ReplicaView], *, ctx: int, affine_to: str | None = None) -> str | None:
    """The replica to dispatch to, or None when none is Ready with a free slot and room for `ctx` tokens."""
    free = [r for r in replicas if r.has_room(ctx)]
    best = min(
        free,
        key=lambda r: (r.replica_id != affine_to, -r.vram_free_bytes, r.slots_active, r.replica_id),
        default=None,
    )
    return best.replica_id if best else None
