"""Capabilities, health, drain and reload of a pool, liveness, metrics.

Source: ORCH-2101 … ORCH-2103, ORCH-2104, ORCH-3028, ORCH-3095, ORCH-3096, OC-CTRL-2001, OC-CTRL-2060, OC-POOL-3019.
"""

from aiohttp import web

from contracts.models.control import API_VERSION, DrainRequest, ReloadRequest
from reference_server.domain.canary import Canary
from reference_server.domain.pool import Operation, Pool
from reference_server.domain.throttle import TokenLimits
from reference_server.runtime.clock import now_ms
from reference_server.web import body
from reference_server.web.errors import EdgeError
from reference_server.web.keys import METRICS, ORCHESTRATOR


async def capabilities(request: web.Request) -> web.Response:
    """What this server can do, a row a pool."""
    core = request.app[ORCHESTRATOR].core
    rows = [_capability(pool, core.limits) for pool in core.pools.values()]
    return web.json_response({"api_version": API_VERSION, "engines": rows})


def _rate_limits(limits: TokenLimits) -> dict[str, object]:
    """What one API token may ask for (ORCH-3006, ORCH-3036)."""
    shown: dict[str, object] = {}
    if limits.throttle is not None:
        shown |= {"tasks_per_s": limits.throttle.per_s, "burst": limits.throttle.burst}
    if limits.open_tasks_max is not None:
        shown["open_tasks_max"] = limits.open_tasks_max
    return shown


def _capability(pool: Pool, limits: TokenLimits) -> dict[str, object]:
    facts = next((replica.facts for replica in pool.replicas.values() if replica.facts), None)
    return {
        "engine": pool.engine,
        "engine_version": pool.engine_version,
        "ctx_max": pool.ctx_max,
        "supported_workloads": list(facts.workloads) if facts else [],
        "declared_concurrency": pool.slots_total,
        "rate_limits": _rate_limits(limits),
        "features": {
            "queue_full_policy": pool.bounds.policy,
            "sampler_profile_version": pool.sampler_profile_version,
            **({"experimental_cpu": True} if pool.experimental_cpu else {}),
            **({"canary": pool.canary.pool_id} if pool.canary else {}),
            **({"model_digest": facts.model_digest} if facts and facts.model_digest else {}),
            **(facts.features if facts else {}),
        },
        "pool_id": pool.id,
        "model_ref": pool.model_ref,
    }


async def pool_health(request: web.Request) -> web.Response:
    """Whether a pool takes work, and why not."""
    orchestrator = request.app[ORCHESTRATOR]
    pool = orchestrator.core.pools.get(request.match_info["id"])
    if pool is None:
        raise EdgeError("NOT_FOUND", "no such pool")
    health: dict[str, object] = {
        "live": pool.is_live,
        "ready": pool.is_ready,
        "draining": pool.draining,
        "metrics": {
            "queue_depth": len(pool.queue),
            "queue_depth_interactive": pool.queue.depth("interactive"),
            "queue_depth_batch": pool.queue.depth("batch"),
            "slots_total": pool.slots_total,
            "slots_active": orchestrator.running_on(pool),
            "slots_quarantined": sum(len(replica.quarantined) for replica in pool.replicas.values()),
            "replicas_ready": len(pool.ready_replicas),
            "replicas_total": len(pool.replicas),
        },
    }
    if pool.experimental_cpu:
        health["experimental_cpu"] = True
    if pool.service_level.is_shedding:
        health["shedding"] = True
    if pool.canary is not None:
        health["canary"] = _canary(pool.canary, orchestrator.core.pools[pool.canary.pool_id])
    if pool.last_error is not None:
        health["last_error"] = pool.last_error
    if pool.operation is not None:
        health["operation"] = operation_of(pool, pool.operation, now_ms())
    return web.json_response(health)


def _canary(canary: Canary, pool: Pool) -> dict[str, object]:
    """Where a new version is tried, on what, and whether it takes work."""
    label = {"label": canary.label} if canary.label is not None else {}
    return {"pool_id": pool.id, "share": canary.share, "ready": pool.is_ready, **label}


def operation_of(pool: Pool, operation: Operation, now: int) -> dict[str, object]:
    """How far a drain or a reload is."""
    shown: dict[str, object] = {
        "kind": operation.kind,
        "phase": operation.phase,
        "elapsed_ms": (operation.ended_ms if operation.ended_ms is not None else now) - operation.started_ms,
        "tasks_waiting": len(pool.queue),
        "tasks_running": sum(len(replica.leases) for replica in pool.replicas.values()),
    }
    if operation.model_ref is not None:
        shown["new_model_ref"] = operation.model_ref
    if operation.deadline_at_ms is not None and operation.ended_ms is None:
        shown["deadline_ms_remaining"] = max(0, operation.deadline_at_ms - now)
    if operation.error is not None:
        shown["error"] = operation.error
    return shown


async def drain(request: web.Request) -> web.Response:
    """Close a pool to new tasks; what runs may finish until the deadline."""
    orchestrator = request.app[ORCHESTRATOR]
    wanted = await body.read(request, DrainRequest)
    if (pool := orchestrator.core.pools.get(request.match_info["id"])) is None:
        raise EdgeError("NOT_FOUND", "no such pool")
    orchestrator.core.drain(pool.id, deadline_ms=wanted.deadline_ms, now_ms=now_ms())
    orchestrator.settle_effects()
    return web.Response(status=202)


async def reload(request: web.Request) -> web.Response:
    """Bring a pool to another model; health shows how far it is."""
    orchestrator = request.app[ORCHESTRATOR]
    wanted = await body.read(request, ReloadRequest)
    if (pool := orchestrator.core.pools.get(request.match_info["id"])) is None:
        raise EdgeError("NOT_FOUND", "no such pool")
    orchestrator.reload(pool.id, wanted.new_model_ref)
    return web.Response(status=202)


async def liveness(request: web.Request) -> web.Response:
    """The process answers. Says nothing of pools: ask their health."""
    del request
    return web.json_response({"status": "ok"})


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text, or OpenMetrics when `Accept` asks for it."""
    text, content_type = request.app[METRICS].expose(request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": content_type})
