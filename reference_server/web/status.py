"""`GET /v1/status`, and the page at `/` that shows it live: what an operator asks for first.

The page holds no fact of the server, so that it needs no token; what it shows it fetches with the token that the
operator gives it. Its Content-Security-Policy names its own style and script by their digests and lets in nothing else.

Source: OC-CTRL-2072, OC-CTRL-2073; Content Security Policy Level 3, 2.3 (hash sources).
"""

import base64
import hashlib
import re
from importlib.resources import files

from aiohttp import web

from contracts.models.control import API_VERSION
from reference_server.domain.core import Core
from reference_server.domain.pool import Pool
from reference_server.domain.replica import Replica
from reference_server.domain.task import Priority, Task
from reference_server.runtime.clock import now_ms
from reference_server.web.discovery import operation_of
from reference_server.web.keys import ORCHESTRATOR

TASKS_SHOWN_MAX = 100

POLICY = "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = files("reference_server.web").joinpath("status_page.html").read_text(encoding="utf-8")


def _policy(page: str) -> str:
    """The Content-Security-Policy under which this page, and nothing else, works."""
    digests = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)
    }
    sources = "; ".join(f"{name}-src 'sha256-{digest}'" for name, digest in digests.items())
    return f"default-src 'none'; {sources}; {POLICY}"


PAGE_HEADERS = {
    "Content-Security-Policy": _policy(PAGE),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def page(request: web.Request) -> web.Response:
    """The page itself."""
    del request
    return web.Response(text=PAGE, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)


async def status(request: web.Request) -> web.Response:
    """Pools, queues and running tasks now."""
    core, now = request.app[ORCHESTRATOR].core, now_ms()
    running = _running(core)
    report = {
        "api_version": API_VERSION,
        "uptime_ms": now - request.app[ORCHESTRATOR].since_ms,
        "pools": [_pool(pool, now) for pool in core.pools.values()],
        "tasks": [_task(task, now) for task in running[:TASKS_SHOWN_MAX]],
        "tasks_omitted": max(0, len(running) - TASKS_SHOWN_MAX),
    }
    return web.json_response(report, headers={"Cache-Control": "no-store"})


def _running(core: Core) -> list[Task]:
    """Tasks that hold a slot, the oldest first; one that has ended and whose engine has not let go yet is none."""
    replicas = (replica for pool in core.pools.values() for replica in pool.replicas.values())
    holding = (core.task(task_id) for replica in replicas for task_id in replica.leases)
    return sorted(
        (t for t in holding if t is not None and t.state == "running"), key=lambda t: (t.started_ms or 0, t.id)
    )


def _task(task: Task, now: int) -> dict[str, object]:
    return {
        "task_id": task.id,
        "priority": task.request.priority,
        "pool_id": task.pool_id,
        "replica_id": task.replica_id,
        "running_ms": now - (task.started_ms or now),
        "tokens_out": task.transcript.tokens_total,
    }


def _pool(pool: Pool, now: int) -> dict[str, object]:
    capacities: dict[Priority, int] = {"interactive": pool.bounds.interactive, "batch": pool.bounds.batch}
    shown: dict[str, object] = {
        "id": pool.id,
        "engine": pool.engine,
        "engine_version": pool.engine_version,
        "model_ref": pool.model_ref,
        "live": pool.is_live,
        "ready": pool.is_ready,
        "draining": pool.draining,
        "queue_full_policy": pool.bounds.policy,
        "queues": [
            {"priority": priority, "depth": pool.queue.depth(priority), "capacity": capacity}
            for priority, capacity in capacities.items()
        ],
        "replicas": [_replica(replica) for replica in pool.replicas.values()],
    }
    if pool.experimental_cpu:
        shown["experimental_cpu"] = True
    if pool.service_level.is_shedding:
        shown["shedding"] = True
    if pool.last_error is not None:
        shown["last_error"] = pool.last_error
    if pool.operation is not None:
        shown["operation"] = operation_of(pool, pool.operation, now)
    return shown


def _replica(replica: Replica) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": replica.id,
        "state": replica.state,
        "slots_total": replica.slots_total,
        "slots_active": len(replica.leases),
        "slots_quarantined": len(replica.quarantined),
    }
    if replica.last_error is not None:
        shown["last_error"] = replica.last_error
    return shown
