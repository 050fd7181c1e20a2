"""What plugins are shown of the server: facts that a decision needs, and no prompt, output or token.

Source: ORCH-3048, OC-POLICY-4002.
"""

from reference_server.domain.placement import ReplicaView
from reference_server.domain.pool import Pool
from reference_server.domain.task import TaskRequest


def task(request: TaskRequest) -> dict[str, object]:
    """A task, without what it says."""
    return {
        "task_id": request.task_id,
        "session_id": request.session_id,
        "engine": request.engine,
        "model_ref": request.model_ref,
        "ctx": request.ctx,
        "priority": request.priority,
        "max_tokens": request.max_tokens,
        "deadline_ms": request.deadline_ms,
        "input_bytes": sum(len(text.encode()) for text in request.inputs),
    }


def pool(of: Pool) -> dict[str, object]:
    """A pool: how full it is."""
    return {
        "id": of.id,
        "queue_depth_interactive": of.queue.depth("interactive"),
        "queue_depth_batch": of.queue.depth("batch"),
        "slots_total": of.slots_total,
        "slots_free": of.slots_free,
    }


def replica(view: ReplicaView) -> dict[str, object]:
    """A replica: where a task could go."""
    return {
        "replica_id": view.replica_id,
        "is_ready": view.is_ready,
        "slots_active": view.slots_active,
        "slots_total": view.slots_total,
        "vram_free_bytes": view.vram_free_bytes,
    }
