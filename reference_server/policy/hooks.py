"""The hooks: what a plugin is handed, what it may answer, and what becomes of that.

    admission   {"abi": "1.1", "hook": "admission", "task": {…}, "pool": {…}}       → {"decision": "allow" | "deny"}
    placement   {"abi": "1.1", "hook": "placement", "task": {…}, "replicas": [{…}]} → {"decision": "hint" | "none"}
    outbound    {"abi": "1.1", "hook": "outbound", "request": {…}}                  → {"decision": "allow" | "deny"}

A `deny` has a `reason`, a `hint` a `replica_id`. Plugins are asked in the order of the configuration: the first that
denies, or that hints, has decided. A plugin that fails denies admission and outbound requests, and hints nothing.

At admission and placement a plugin may answer `{"decision": "fetch", "tool": "1.0", "url": …}` instead. The host
fetches (`fetch`), and asks again with the same document and `"fetched": {"outcome": "answered", "status": 200, …}` in
it: the decision stays a function of what the plugin is handed. A second fetch is a failure.

No document holds a prompt, an output or a token.

Source: ORCH-3048, OC-POLICY-4001, OC-POLICY-4002, OC-POLICY-4011, OC-POLICY-4020, OC-POLICY-4034, OC-POLICY-4046.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import structlog

from reference_server.domain.errors import Failure, RefusedError
from reference_server.domain.placement import ReplicaView
from reference_server.domain.pool import Pool
from reference_server.domain.task import TaskRequest
from reference_server.policy import documents
from reference_server.policy.outbound import Request
from reference_server.policy.plugin import ABI, PluginFailedError

if TYPE_CHECKING:
    from reference_server.policy.fetch import FetchTool
    from reference_server.policy.sandbox import Plugin

Hook = Literal["admission", "placement", "outbound"]
THREADS = 2  # a plugin that loops holds one until its time is up; another's call goes on


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to `admission` and `outbound`; `tool` and `url` are those of a fetch."""

    decision: Literal["allow", "deny", "fetch"]
    reason: str = ""
    tool: str = ""
    url: str = ""


class Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to `placement`; `tool` and `url` are those of a fetch."""

    decision: Literal["hint", "none", "fetch"]
    replica_id: str | None = None
    tool: str = ""
    url: str = ""


Answer = TypeVar("Answer", Verdict, Hint)


@dataclass(frozen=True, slots=True)
class Hooked:
    """A plugin and the hooks that it is asked at.

    Attributes:
        id: the operator's name for it.
        tool: fetches for it; None = there is nothing that it may fetch.
    """

    id: str
    plugin: "Plugin"
    hooks: frozenset[Hook]
    tool: "FetchTool | None" = None

    def described(self, hook: Hook, correlation_id: str) -> dict[str, object]:
        """Who was asked what, for the log."""
        about = self.plugin.description
        asked = {"hook": hook, "plugin_id": self.id, "plugin_name": about.name, "plugin_version": about.version}
        return {**asked, **({"correlation_id": correlation_id} if correlation_id else {})}


class Policies:
    """All plugins of a server."""

    def __init__(self, plugins: Iterable[Hooked] = ()) -> None:
        self._plugins = tuple(plugins)
        self._asked = frozenset(hook for hooked in self._plugins for hook in hooked.hooks)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="policy")

    def asks(self, hook: Hook) -> bool:
        """Some plugin is asked at this hook."""
        return hook in self._asked

    async def require_admission(self, request: TaskRequest, pool: Pool) -> None:
        """Ask whether a task may be admitted.

        Raises:
            RefusedError: FORBIDDEN with the plugin's reason; INTERNAL: the plugin failed.
        """
        document = {"task": documents.task(request), "pool": documents.pool(pool)}
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
        document = {"task": documents.task(request), "replicas": [documents.replica(view) for view in replicas]}
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
                verdict = _call(hooked, "outbound", {"request": asked}, Verdict)
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
        """The answer to a question, after the fetch that the plugin may want first. Raises `PluginFailedError`."""
        loop = asyncio.get_running_loop()

        async def call(document: Mapping[str, object], *, may_fetch: bool) -> Answer:
            ask = partial(_call, hooked, hook, document, shape, correlation_id, may_fetch=may_fetch)
            return await loop.run_in_executor(self._threads, ask)

        answer = await call(document, may_fetch=hooked.tool is not None)
        if hooked.tool is None or answer.decision != "fetch":
            return answer
        asker = hooked.described(hook, correlation_id)
        fetched = await hooked.tool.fetch(tool=answer.tool, url=answer.url, asker=asker)
        return await call({**document, "fetched": fetched}, may_fetch=False)


def _call(
    hooked: Hooked,
    hook: Hook,
    document: Mapping[str, object],
    shape: type[Answer],
    correlation_id: str = "",
    *,
    may_fetch: bool = False,
) -> Answer:
    """One question, its answer, and their line in the log. Raises `PluginFailedError`."""
    raw = msgspec.json.encode({"abi": f"{ABI[0]}.{ABI[1]}", "hook": hook, **document})
    began = time.perf_counter_ns()
    decision, last_error, level = "failed", None, logging.INFO
    try:
        answer = _decoded(hooked.plugin.decide(raw), shape, may_fetch=may_fetch)
        decision = answer.decision
    except PluginFailedError as error:
        last_error, level = str(error), logging.WARNING
        raise
    finally:
        structlog.get_logger().log(
            level,
            "policy decision",
            **hooked.described(hook, correlation_id),
            decision=decision,
            latency_us=(time.perf_counter_ns() - began) // 1000,
            **({"last_error": last_error} if last_error else {}),
        )
    return answer


def _decoded(raw: bytes, shape: type[Answer], *, may_fetch: bool) -> Answer:
    try:
        answer = msgspec.json.decode(raw, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PluginFailedError("its answer is not the ABI's") from None
    if answer.decision == "fetch" and not may_fetch:
        raise PluginFailedError("it asks for a fetch that it may not have here")
    return answer


def _refusal(code: str, message: str, pool: Pool, label: str) -> Failure:
    return Failure(code=code, message=message, engine=pool.engine, pool_id=pool.id, retriable=False, policy_label=label)
