"""The hooks: what a plugin is handed, what it may answer, and what becomes of that.

    admission   {"abi": "1.0", "hook": "admission", "task": {…}, "pool": {…}}       → {"decision": "allow" | "deny"}
    placement   {"abi": "1.0", "hook": "placement", "task": {…}, "replicas": [{…}]} → {"decision": "hint" | "none"}
    outbound    {"abi": "1.0", "hook": "outbound", "request": {…}}                  → {"decision": "allow" | "deny"}

A `deny` has a `reason`, a `hint` a `replica_id`. Plugins are asked in the order of the configuration: the first that
denies, or that hints, has decided. A plugin that fails denies admission and outbound requests, and hints nothing.

No document holds a prompt, an output or a token.

Source: ORCH-3048, OC-POLICY-4001, OC-POLICY-4002, OC-POLICY-4011, OC-POLICY-4020,
OC-POLICY-4046.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import structlog

from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.placement import ReplicaView
from reference_server.domain.pool import Pool
from reference_server.domain.task import TaskRequest
from reference_server.policy.outbound import Request
from reference_server.policy.plugin import ABI, PluginFailedError

if TYPE_CHECKING:
    from reference_server.policy.sandbox import Plugin

Hook = Literal["admission", "placement", "outbound"]
THREADS = 2  # a plugin that loops holds one until its time is up; another's call goes on


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to `admission` and `outbound`."""

    decision: Literal["allow", "deny"]
    reason: str = ""


class Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to `placement`."""

    decision: Literal["hint", "none"]
    replica_id: str | None = None


Answer = TypeVar("Answer", Verdict, Hint)


@dataclass(frozen=True, slots=True)
class Hooked:
    """A plugin and the hooks that it is asked at.

    Attributes:
        id: the operator's name for it.
    """

    id: str
    plugin: "Plugin"
    hooks: frozenset[Hook]


class Policies:
    """All plugins of a server."""

    def __init__(self, plugins: Iterable[Hooked] = ()) -> None:
        self._plugins = tuple(plugins)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="policy")

    def asks(self, hook: Hook) -> bool:
        """Some plugin is asked at this hook."""
        return any(hook in hooked.hooks for hooked in self._plugins)

    async def require_admission(self, request: TaskRequest, pool: Pool) -> None:
        """Ask whether a task may be admitted.

        Raises:
            RefusedError: FORBIDDEN with the plugin's reason; INTERNAL: the plugin failed.
        """
        document = {"task": _task(request), "pool": _pool(pool)}
        for hooked in self._at("admission"):
            try:
                verdict = await self._ask(hooked, "admission", document, Verdict, request.correlation_id)
            except PluginFailedError as error:
                message = f"policy {hooked.id} failed: {error}"
                raise RefusedError(_refusal("INTERNAL", message, pool, hooked.id)) from None
            if verdict.decision == "deny":
                message = f"policy {hooked.id} refused the task: {verdict.reason or 'it gave no reason'}"
                raise RefusedError(_refusal("FORBIDDEN", message, pool, hooked.id))

    async def placement_hint(self, request: TaskRequest, replicas: Sequence[ReplicaView]) -> str | None:
        """Where plugins would rather have a task; only one of `replicas`, and only a hint."""
        document = {"task": _task(request), "replicas": [_replica(replica) for replica in replicas]}
        known = {replica.replica_id for replica in replicas}
        for hooked in self._at("placement"):
            try:
                hint = await self._ask(hooked, "placement", document, Hint, request.correlation_id)
            except PluginFailedError:
                continue  # it is in the log; placement goes on by its own rule
            if hint.decision == "hint" and hint.replica_id in known:
                return hint.replica_id
        return None

    def outbound_refusal(self, request: Request) -> str | None:
        """Why a connection may not leave this host, or None when no plugin minds. Blocks; for the gateway's threads."""
        asked = {"purpose": request.purpose, "scheme": request.scheme, "host": request.host, "port": request.port}
        for hooked in self._at("outbound"):
            try:
                verdict = _call(hooked, "outbound", {"request": asked}, Verdict, "")
            except PluginFailedError as error:
                return f"policy {hooked.id} failed: {error}"
            if verdict.decision == "deny":
                return f"policy {hooked.id} refused it: {verdict.reason or 'it gave no reason'}"
        return None

    def close(self) -> None:
        """Let go of the threads; a call that still runs ends within its bounds."""
        self._threads.shutdown(wait=False)

    def _at(self, hook: Hook) -> Iterable[Hooked]:
        return (hooked for hooked in self._plugins if hook in hooked.hooks)

    async def _ask(
        self, hooked: Hooked, hook: Hook, document: Mapping[str, object], shape: type[Answer], correlation_id: str
    ) -> Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _call, hooked, hook, document, shape, correlation_id)


def _call(
    hooked: Hooked, hook: Hook, document: Mapping[str, object], shape: type[Answer], correlation_id: str
) -> Answer:
    """One question, its answer, and their line in the log. Raises `PluginFailedError`."""
    raw = msgspec.json.encode({"abi": f"{ABI[0]}.{ABI[1]}", "hook": hook, **document})
    began = time.perf_counter_ns()
    decision, last_error, level = "failed", None, logging.INFO
    try:
        answer = _decoded(hooked.plugin.decide(raw), shape)
        decision = answer.decision
    except PluginFailedError as error:
        last_error, level = str(error), logging.WARNING
        raise
    finally:
        structlog.get_logger().log(
            level,
            "policy decision",
            hook=hook,
            plugin_id=hooked.id,
            plugin_name=hooked.plugin.description.name,
            plugin_version=hooked.plugin.description.version,
            decision=decision,
            latency_us=(time.perf_counter_ns() - began) // 1000,
            **({"correlation_id": correlation_id} if correlation_id else {}),
            **({"last_error": last_error} if last_error else {}),
        )
    return answer


def _decoded(raw: bytes, shape: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PluginFailedError("its answer is not the ABI's") from None


def _refusal(code: str, message: str, pool: Pool, label: str) -> Failure:
    return Failure(code=code, message=message, engine=pool.engine, pool_id=pool.id, retriable=False, policy_label=label)


def _task(request: TaskRequest) -> dict[str, object]:
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


def _pool(pool: Pool) -> dict[str, object]:
    return {
        "id": pool.id,
        "queue_depth_interactive": pool.queue.depth("interactive"),
        "queue_depth_batch": pool.queue.depth("batch"),
        "slots_total": pool.slots_total,
        "slots_free": pool.slots_free,
    }


def _replica(view: ReplicaView) -> dict[str, object]:
    return {
        "replica_id": view.replica_id,
        "is_ready": view.is_ready,
        "slots_active": view.slots_active,
        "slots_total": view.slots_total,
        "vram_free_bytes": view.vram_free_bytes,
    }
