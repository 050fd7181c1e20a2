"""The composition root: the only place that knows every part, and the life of the server process.

Source: HME-001, HME-002, ORCH-3035.
"""

import asyncio
import contextlib
import gc
import ipaddress
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import structlog

from reference_server import config as configuration
from reference_server import plugins
from reference_server.config import Config, ConfigError, Current
from reference_server.domain.core import Core
from reference_server.domain.devices import DeviceMask
from reference_server.domain.pool import Pool
from reference_server.domain.replica import Replica
from reference_server.domain.retention import Retention
from reference_server.domain.service_level import ServiceLevel
from reference_server.domain.sessions import Sessions
from reference_server.domain.task import Task
from reference_server.launching import EngineConfig, Launching, start_limit_ms
from reference_server.policy.clients import unused_proxies
from reference_server.policy.plugin import PluginRefusedError
from reference_server.provision import console, network
from reference_server.runtime.clock import now_ms
from reference_server.runtime.engine_install import KeepPlan
from reference_server.runtime.gpus import read_gpus, watch_gpus
from reference_server.runtime.orchestrator import Orchestrator
from reference_server.runtime.orphans import end_orphans
from reference_server.runtime.readers import Readers
from reference_server.runtime.replica_keeper import ReplicaKeeper
from reference_server.settings import (
    NeedsRestartError,
    Running,
    bounds_of,
    budget_of,
    canary_of,
    limits_of,
    objective_of,
    prices_of,
    take_over,
)
from reference_server.store import documents
from reference_server.store.base import Record, TaskStore
from reference_server.store.database import Database, StoreError
from reference_server.store.documents import Documents, MemoryDocuments, SqliteDocuments
from reference_server.store.memory import MemoryStore
from reference_server.store.recorder import Recorder
from reference_server.store.sqlite import SCHEMA, SqliteStore
from reference_server.telemetry import log
from reference_server.telemetry.emission import why_not_emitted
from reference_server.telemetry.metrics import Metrics
from reference_server.web import artifacts, catalog, server
from reference_server.web.artifacts import Tracer

TOKEN_ENV = "LLORCH_API_TOKEN"  # noqa: S105 - the variable's name, not a token

# Requests and tokens make next to no cycles; by Python's own figures (700, 10, 10) every 30 of them are a collection.
GC_THRESHOLDS = (50_000, 20, 20)

EXIT_OK, EXIT_COULD_NOT_RUN = 0, 3


class CannotServeError(Exception):
    """The server cannot start as it was told to; the text says what to do."""


def serve(config: Config, *, state_dir: Path | None, reread: Callable[[], Config] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        state_dir: for what outlives the process; None = nothing does.
        reread: the configuration anew, for SIGHUP; None = there is no file. Raises `ConfigError`.

    Returns:
        The exit code: 0 after a clean stop, 3 when the server could not start.
    """
    token = os.environ.get(TOKEN_ENV) or None
    try:
        _require_safe_bind(config.host, token)
        with contextlib.ExitStack() as stack, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, token, *_stores(state_dir, stack), reread))
    except (CannotServeError, PluginRefusedError, StoreError, OSError) as error:  # a policy that is named is asked
        sys.stderr.write(f"llama-orch serve: {error}\n")
        return EXIT_COULD_NOT_RUN
    return EXIT_OK


def _stores(state_dir: Path | None, stack: contextlib.ExitStack) -> tuple[TaskStore, Documents]:
    """What keeps tasks and documents, open until the stack is left. Raises `StoreError`."""
    if state_dir is None:
        return MemoryStore(), MemoryDocuments()
    database = Database(state_dir, schema=(*SCHEMA, *documents.SCHEMA))
    stack.callback(database.close)
    return SqliteStore(database), SqliteDocuments(database)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _require_safe_bind(host: str, token: str | None) -> None:
    if token is not None:
        return
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host != "localhost":
        raise CannotServeError(
            f"without a token only loopback is served, and {host} is not loopback: "
            f"set {TOKEN_ENV}, or use --host 127.0.0.1"
        )


async def _serve(
    config: Config, token: str | None, store: TaskStore, shelf: Documents, reread: Callable[[], Config] | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    core = Core(
        [_pool(pool) for pool in config.pools],
        sessions=Sessions(
            ttl_ms=config.sessions.ttl_ms,
            turns_max=config.sessions.turns_max,
            sessions_max=config.sessions.sessions_max,
            budget=budget_of(config.sessions),
        ),
        retention=Retention(
            ttl_ms=config.retention.ttl_ms,
            tasks_max=config.retention.tasks_max,
            bytes_max=config.retention.bytes_max,
        ),
        limits=limits_of(config.token_limits),
    )
    current = Current(config)
    policies = plugins.load(config.plugins, secrets=_secrets(config, token))
    network.follow(lambda: current.config.outbound, ask=policies.outbound_refusal)
    console.CONSOLE.quiet = True  # standard error is the log's
    if (unused := unused_proxies()) is not None:
        structlog.get_logger().warning(unused)
    readers = Readers(per_task_max=config.http.readers_per_task_max)
    watchdogs = {pool.id: pool.watchdog for pool in config.pools}
    running = Running(current=current, core=core, readers=readers, watchdogs=watchdogs)
    loop.add_signal_handler(signal.SIGHUP, partial(_reload, running, reread))
    keepers: dict[tuple[str, str], ReplicaKeeper] = {}
    launching = Launching(config, core.catalog, keep=_plans_into(shelf, config.artifacts.artifacts_max))
    orchestrator = Orchestrator(
        core,
        keepers=keepers,
        limits=watchdogs,
        readers=readers,
        durable=store.durable,
        launchers=launching.again,
        policies=policies,
    )
    metrics = Metrics(
        core,
        usage=lambda pool_id, replica_id: keepers[pool_id, replica_id].usage,
        engine_connections=lambda: orchestrator.engine_connections,
    )
    orchestrator.add_observers(metrics, log.TaskLog(core), Recorder(store))
    if config.artifacts.traces:
        orchestrator.add_observers(Tracer(shelf, keep=config.artifacts.artifacts_max))
    for model in await catalog.restored(shelf):
        core.catalog.restore(model)
    restore(core, await store.snapshot(), now_ms())
    orchestrator.settle_effects()
    for pool in config.pools:
        for number, engine in enumerate(pool.replicas):
            keepers[pool.id, replica_id(pool, number)] = ReplicaKeeper(
                pool.id,
                replica_id(pool, number),
                launching.first(pool, engine),
                core,
                start_limit_ms=start_limit_ms(engine),
                pinned=pool.provisioning.version if pool.provisioning else None,
                changed=orchestrator.settle_effects,
                why_not_emitted=partial(why_not_emitted, metrics, pool.id, replica_id(pool, number)),
                rng=random.Random(),  # noqa: S311 - jitter
            )
    await asyncio.to_thread(end_orphans)
    runner, port = await server.listen(
        server.build(orchestrator, current, metrics, shelf, token=token), host=config.host, port=config.port
    )
    try:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(orchestrator.run(stop, drain_ms=lambda: current.config.http.drain_ms))
            if any(replica.mask.devices for pool in core.pools.values() for replica in pool.replicas.values()):
                watching = group.create_task(watch_gpus(list(core.pools.values()), look=read_gpus))
                serving.add_done_callback(lambda _: watching.cancel())
            announcing = group.create_task(_announce(config, port, orchestrator, is_open=token is None))
            serving.add_done_callback(lambda _: announcing.cancel())  # it may be stopped before its pools have come up
    finally:
        policies.close()
        await runner.cleanup()


def _reload(running: Running, reread: Callable[[], Config] | None) -> None:
    """Read the configuration anew; a server that cannot take it over goes on with the one it has."""
    logger = structlog.get_logger()
    if reread is None:
        logger.warning("configuration not reloaded", last_error="the server was started without --config")
        return
    try:
        changes = take_over(reread(), running)
    except (ConfigError, NeedsRestartError) as error:
        logger.warning("configuration not reloaded", last_error=str(error))
        return
    logger.info("configuration reloaded", changes=[{"field": c.field, "was": c.was, "now": c.now} for c in changes])


async def _announce(config: Config, port: int, orchestrator: Orchestrator, *, is_open: bool) -> None:
    await orchestrator.first_preloads()
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"http://{host}:{port}"
    gc.freeze()  # what is here now stays: no collection has to look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    pools = {pool.id: pool.is_ready for pool in orchestrator.core.pools.values()}
    sys.stdout.write(json.dumps({"event": "ready", "url": url, "pools_ready": pools}) + "\n")
    sys.stdout.flush()
    if is_open:
        structlog.get_logger().warning("no token is set: whoever reaches this loopback address may use it", url=url)


def _secrets(config: Config, token: str | None) -> list[str]:
    """What this server was given to keep to itself."""
    engines = [engine for pool in config.pools for engine in pool.replicas]
    names = [e.api_key_env for e in engines if isinstance(e, configuration.ExternalEngine) and e.api_key_env]
    found = [os.environ.get(name) for name in (*names, "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    return [secret for secret in (token, *found) if secret]


def restore(core: Core, records: Sequence[Record], now: int) -> None:
    """Take back what the store kept over a restart (OC-CORE-1051).

    Raises:
        CannotServeError: open tasks belong to a pool that is no longer configured.
    """
    strays = {r.pool_id for r in records if r.ended_age_ms is None} - set(core.pools)
    if strays:
        raise CannotServeError(
            f"the state folder holds open tasks of pool {', '.join(sorted(strays))}, which the configuration no longer "
            "has: bring the pool back, or use another --state-dir"
        )
    for record in records:
        task = Task(
            request=record.request,
            pool_id=record.pool_id,
            admitted_ms=now - record.age_ms,
            queue_position=record.answer.queue_position,
            predicted_start_ms=record.answer.predicted_start_ms,
            backoff_ms=record.answer.backoff_ms,
        )
        if record.ended_age_ms is None:
            core.restore_open(task, was_running=record.state == "running", now_ms=now)
            continue
        task.state, task.failure = record.state, record.failure
        task.ended_ms = now - record.ended_age_ms
        task.transcript = record.transcript or task.transcript
        core.restore_ended(task)


def replica_id(pool: configuration.Pool, number: int) -> str:
    """The id of a pool's replica: `default-0`, `default-1` …"""
    return f"{pool.id}-{number}"


def _pool(pool: configuration.Pool) -> Pool:
    replicas = [Replica(replica_id(pool, number), _mask(engine)) for number, engine in enumerate(pool.replicas)]
    return Pool(
        id=pool.id,
        engine=pool.engine,
        model_ref=pool.model_ref,
        sampler_profile_version=pool.sampler_profile_version,
        bounds=bounds_of(pool),
        reload_drain_ms=pool.reload_drain_ms,
        prices=prices_of(pool),
        service_level=ServiceLevel(objective_of(pool)),
        canary=canary_of(pool),
        replicas={replica.id: replica for replica in replicas},
        experimental_cpu=any(_decodes_on_cpu(engine) for engine in pool.replicas),
    )


def _decodes_on_cpu(engine: EngineConfig) -> bool:
    """Of what we start ourselves: what an attached engine runs on is not ours to see."""
    return isinstance(engine, configuration.SupervisedEngine) and not engine.devices


def _mask(engine: EngineConfig) -> DeviceMask:
    if isinstance(engine, configuration.SupervisedEngine):
        return DeviceMask(engine.devices, engine.tensor_split)
    return DeviceMask()


def _plans_into(shelf: Documents, artifacts_max: int) -> KeepPlan:
    """Plans become artifacts of kind `plan`, tagged with pool and engine; from whatever thread they come."""
    loop = asyncio.get_running_loop()

    def keep(text: str, pool_id: str, engine: str) -> None:
        put = partial(artifacts.put, shelf, "plan", text, tags=(pool_id, engine), keep=artifacts_max)
        loop.call_soon_threadsafe(put)

    return keep
