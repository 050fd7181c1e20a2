"""Small builders, so that a test names only what it is about."""

from reference_server.domain.budgets import Amounts
from reference_server.domain.core import Core
from reference_server.domain.pool import Pool
from reference_server.domain.replica import Replica, ReplicaFacts
from reference_server.domain.retention import Retention
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Priority, TaskRequest
from reference_server.domain.task_queue import Bounds, FullPolicy

NO_BUDGET = Amounts()
FACTS = ReplicaFacts(engine_version="mock-1", model_digest="sha256:00", ctx_max=4096, slots_total=1)


def request(
    task_id: str = "t1",
    priority: Priority = "interactive",
    *,
    session_id: str = "s1",
    ctx: int = 2048,
    max_tokens: int = 16,
    deadline_ms: int = 60_000,
    fingerprint: bytes = b"body",
    workload: str = "completion",
    sampler_profile_version: str | None = None,
    prompt: str = "hi",
    cancel_on_disconnect: bool = False,
) -> TaskRequest:
    """A valid request."""
    return TaskRequest(
        task_id=task_id,
        session_id=session_id,
        workload=workload,
        model_ref="m",
        engine="llamacpp",
        ctx=ctx,
        priority=priority,
        max_tokens=max_tokens,
        deadline_ms=deadline_ms,
        seed=1,
        strict=True,
        inputs=(prompt,),
        fingerprint=fingerprint,
        sampler_profile_version=sampler_profile_version,
        cancel_on_disconnect=cancel_on_disconnect,
    )


def pool(
    *,
    interactive: int = 4,
    batch: int = 4,
    total: int | None = None,
    policy: FullPolicy = "reject",
    replicas: int = 1,
) -> Pool:
    """A pool `p` whose replicas `r0` … are still loading."""
    bounds = Bounds(interactive=interactive, batch=batch, total=total or interactive + batch, policy=policy)
    return Pool(
        id="p",
        engine="llamacpp",
        model_ref="m",
        sampler_profile_version="v1",
        bounds=bounds,
        replicas={f"r{n}": Replica(f"r{n}") for n in range(replicas)},
    )


def core(of: Pool | None = None, *, turns_max: int = 1_000, slots: int = 1, is_ready: bool = True) -> Core:
    """A core over one pool, its replicas Ready unless told otherwise."""
    of = of or pool()
    made = Core(
        [of],
        sessions=Sessions(ttl_ms=600_000, turns_max=turns_max, sessions_max=100),
        retention=Retention(ttl_ms=600_000, tasks_max=1_000, bytes_max=1 << 30),
    )
    if is_ready:
        facts = ReplicaFacts(FACTS.engine_version, FACTS.model_digest, FACTS.ctx_max, slots)
        for replica_id in of.replicas:
            made.replica_preloaded(of.id, replica_id, facts, 0)
    return made
