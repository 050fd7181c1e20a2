"""Which replica gets a task: a pure choice over a snapshot.

The rule: a Ready replica with a free slot; the session's own replica first; then most free VRAM, then fewest active
slots, then the smallest replica id, so that equal snapshots always give the same answer.

Source: ORCH-3008 … 3012, OC-CORE-1010 … 1013.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """What placement may know of one replica, at one moment.

    Attributes:
        vram_free_bytes: as the driver reports it; 0 where there is no GPU.
        slots_active: 0 … slots_total; our own leases count, quarantined slots too.
    """

    replica_id: str
    is_ready: bool
    slots_active: int
    slots_total: int
    vram_free_bytes: int = 0


def choose(replicas: Iterable[ReplicaView], *, affine_to: str | None = None) -> str | None:
    """The replica to dispatch to, or None when none is Ready with a free slot."""
    free = [r for r in replicas if r.is_ready and r.slots_active < r.slots_total]
    best = min(
        free,
        key=lambda r: (r.replica_id != affine_to, -r.vram_free_bytes, r.slots_active, r.replica_id),
        default=None,
    )
    return best.replica_id if best else None
