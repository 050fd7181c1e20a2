"""Keeps one replica Ready: bring up, test, watch, probe, bring up again, and change its engine for another model.

Preload = the engine is ready, its properties are read, and it has passed its self-test: it decoded a few tokens and let
go of a decode that was broken off. Ready means that work flows. How long to wait before the next try, and whether the
engine is tried at all, the domain decides: the keeper only carries it out.

Source: ORCH-3002, ORCH-3003, ORCH-3010, ORCH-3031, ORCH-3032, ORCH-3038, ORCH-3049, OC-CONFIG-6021,
OC-POOL-3001 … 3003, 3011, 3014.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from reference_server.domain.core import Core
from reference_server.domain.faults import Fault, kind_of
from reference_server.domain.pins import require_pinned
from reference_server.engines.base import Engine, EngineError, EngineMissingError, Usage
from reference_server.runtime.clock import now_ms
from reference_server.runtime.launchers import FaultError, Launcher
from reference_server.runtime.self_test import SelfTestError, pass_self_test, try_out

PROBE_S = 1.0  # between health questions to a Ready engine
PROBE_LIMIT_S = 5.0  # an engine that does not answer its health question for so long is down
USAGE_LIMIT_S = 1.0
EXIT_GRACE_S = 0.5  # from an engine's broken answer to the end of its process, which tells why
LOADING_PROBE_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Switch:
    launcher: Launcher
    insist: bool
    outcome: "asyncio.Future[Fault | None]"


class ReplicaKeeper:
    """One replica's engine over its restarts.

    Attributes:
        engine: set while the replica is up.
        usage: what the engine's own metrics last said.
        first_outcome: set when the first preload has succeeded or failed.

    Args:
        why_not_emitted: the part of the self-test that shows metrics and log; it gives None where both work.
    """

    def __init__(
        self,
        pool_id: str,
        replica_id: str,
        launcher: Launcher,
        core: Core,
        *,
        start_limit_ms: int,
        pinned: str | None = None,
        changed: Callable[[], None],
        why_not_emitted: Callable[[], Awaitable[str | None]] | None = None,
        rng: random.Random,
    ) -> None:
        self.pool_id = pool_id
        self.replica_id = replica_id
        self.engine: Engine | None = None
        self.usage = Usage()
        self.first_outcome = asyncio.Event()
        self._launcher = launcher
        self._core = core
        self._start_limit_s = start_limit_ms / 1000
        self._pinned = pinned
        self._changed = changed
        self._why_not_emitted = why_not_emitted
        self._rng = rng
        self._suspected = asyncio.Event()
        self._switches: asyncio.Queue[_Switch] = asyncio.Queue()

    @property
    def launcher(self) -> Launcher:
        """What brings the engine up now."""
        return self._launcher

    def suspect(self) -> None:
        """A stream broke: ask the engine for its health now rather than at the next probe."""
        self._suspected.set()

    def engine_failed(self, text: str) -> None:
        """The engine answered a task with an error of its own: so many of them trip the breaker."""
        if self._core.replica_failed(self.pool_id, self.replica_id, Fault("breaker", text), now_ms()):
            self._changed()
            self._suspected.set()

    async def switch(self, launcher: Launcher, *, insist: bool) -> Fault | None:
        """Take the engine down and bring up another. The replica must be idle.

        Args:
            insist: after a fault try again and again, as after a loss; otherwise the engine stays down until the next
                switch.

        Returns:
            Why the first try failed, or None: then the replica is Ready.
        """
        switch = _Switch(launcher, insist=insist, outcome=asyncio.get_running_loop().create_future())
        self._switches.put_nowait(switch)
        return await switch.outcome

    async def run(self) -> None:
        """Keep the replica up until canceled; then take its engine down."""
        try:
            is_wanted = True
            while True:
                switch = await self._until_switch(is_wanted=is_wanted)
                self._core.replica_unloaded(self.pool_id, self.replica_id)
                self._changed()
                await self._take_down()
                self._launcher = switch.launcher
                fault = await self._try_preload()
                if fault is not None:
                    await self._take_down()
                is_wanted = fault is None or switch.insist
                self.first_outcome.set()
                switch.outcome.set_result(fault)
        finally:
            await self._launcher.stop()

    async def _until_switch(self, *, is_wanted: bool) -> "_Switch":
        """Keep the engine up until it is to be changed; leave it down when the last change failed."""
        switch = asyncio.ensure_future(self._switches.get())
        keeping = asyncio.ensure_future(self._keep_up()) if is_wanted else None
        try:
            await asyncio.wait({switch, keeping} if keeping else {switch}, return_when=asyncio.FIRST_COMPLETED)
            if keeping is not None and keeping.done():
                keeping.result()  # it never ends by itself: this raises its defect
            return switch.result()
        finally:
            switch.cancel()
            if keeping is not None:
                keeping.cancel()
                await asyncio.wait({keeping})

    async def _keep_up(self) -> None:
        while True:
            fault = await self._try_preload() if self.engine is None else None
            fault = fault or await self._watch_until_lost()
            pause_ms = self._core.replica_lost(
                self.pool_id, self.replica_id, fault, now_ms(), jitter=self._rng.random()
            )
            self.first_outcome.set()
            self._changed()
            await self._take_down(fault)
            await asyncio.sleep(pause_ms / 1000)
            self._core.replica_restarted(self.pool_id, self.replica_id, now_ms())
            self._changed()

    async def _take_down(self, fault: Fault | None = None) -> None:
        self.engine, self.usage = None, Usage()
        await self._launcher.stop()
        if fault is not None and fault.kind == "vram-oom" and (smaller := self._launcher.shrink()):
            log.warning("replica %s ran out of VRAM: %s from now on", self.replica_id, smaller)

    async def _try_preload(self) -> Fault | None:
        """Bring the engine up once. Returns why that failed, or None: then the replica is Ready."""
        try:
            return await self._preload()
        except (EngineError, SelfTestError, FaultError, TimeoutError) as error:
            return await self._last_words(fault_of(error))
        except Exception as defect:  # a defect in an adapter costs its replica, not the server
            log.exception("defect while bringing replica %s up", self.replica_id)
            return Fault("defect", f"defect of the server: {type(defect).__name__}")

    async def _preload(self) -> Fault | None:
        await self._launcher.prepare()
        async with asyncio.timeout(self._start_limit_s):
            engine = await self._launcher.start()
            ended = asyncio.ensure_future(self._launcher.lost())
            try:
                while await engine.readiness() != "ready":
                    if ended.done():
                        raise FaultError(ended.result())
                    await asyncio.sleep(LOADING_PROBE_S)
            finally:
                ended.cancel()
            facts = replace(await engine.properties(), workloads=await engine.workloads())
            if (fault := require_pinned(self._pinned, facts.engine_version)) is not None:
                raise FaultError(fault)
            times = self._core.pools[self.pool_id].times
            report = await pass_self_test(engine, f"preload-{self.replica_id}", facts, times)
            if self._why_not_emitted is not None and (why := await self._why_not_emitted()) is not None:
                raise SelfTestError(why)
        self.engine, self.usage = engine, await self._usage_of(engine)
        log.info("replica %s passed its self-test: %s", self.replica_id, report)
        self._tell_prefix_cache()
        fault = self._core.replica_preloaded(self.pool_id, self.replica_id, facts, now_ms())
        if fault is not None:
            self.engine = None
            return fault
        self.first_outcome.set()
        self._changed()
        return None

    def _tell_prefix_cache(self) -> None:
        replica = self._core.pools[self.pool_id].replicas[self.replica_id]
        if (tokens := self.usage.prefix_cache_tokens or 0) != replica.prefix_cache_tokens:
            self._core.prefix_cache_seen(self.pool_id, self.replica_id, tokens, now_ms())
            self._changed()

    async def _usage_of(self, engine: Engine) -> Usage:
        """What the engine measures of itself, or what it last said.

        It may be too busy to tell: llama-server answers `/metrics` between two batches only. That is no sign of death.
        """
        try:
            async with asyncio.timeout(USAGE_LIMIT_S):
                return await engine.usage()
        except (EngineError, TimeoutError):
            return self.usage

    async def _watch_until_lost(self) -> Fault:
        try:
            return await self._watch()
        except (EngineError, SelfTestError, TimeoutError) as error:
            return await self._last_words(fault_of(error))
        except Exception as defect:  # as above
            log.exception("defect while watching replica %s", self.replica_id)
            return Fault("defect", f"defect of the server: {type(defect).__name__}")

    async def _watch(self) -> Fault:
        """Return why the engine is gone."""
        assert self.engine is not None  # noqa: S101 - set by `_preload`
        ended = asyncio.ensure_future(self._launcher.lost())
        suspected = asyncio.ensure_future(self._suspected.wait())
        try:
            while True:
                await asyncio.wait({ended, suspected}, timeout=self._pause_s(), return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return ended.result()
                if suspected.done():
                    self._suspected.clear()
                    suspected = asyncio.ensure_future(self._suspected.wait())
                async with asyncio.timeout(PROBE_LIMIT_S):
                    readiness = await self.engine.readiness()
                if readiness == "down":
                    return await self._last_words(Fault("lost", "the engine does not answer its health question"))
                self.usage = await self._usage_of(self.engine)
                self._tell_prefix_cache()
                if self._is_tripped and self._core.replica_probing(self.pool_id, self.replica_id, now_ms()) == 0:
                    await self._probe(self.engine)
        finally:
            ended.cancel()
            suspected.cancel()

    async def _last_words(self, fault: Fault) -> Fault:
        """What its process says of an engine that is lost: a broken answer may be the first sign of its death.

        Source: OC-POOL-3015.
        """
        if fault.kind not in {"lost", "self-test"}:
            return fault
        ended = asyncio.ensure_future(self._launcher.lost())
        await asyncio.wait({ended}, timeout=EXIT_GRACE_S)
        if not ended.done():
            ended.cancel()
            return fault
        return ended.result()

    @property
    def _is_tripped(self) -> bool:
        return self._core.pools[self.pool_id].replicas[self.replica_id].state == "tripped"

    def _pause_s(self) -> float:
        if not self._is_tripped:
            return PROBE_S
        replica = self._core.pools[self.pool_id].replicas[self.replica_id]
        return min(PROBE_S, max(0.01, (replica.retry_at_ms - now_ms()) / 1000))

    async def _probe(self, engine: Engine) -> None:
        """The one probe of a tripped replica: a few tokens. A failure is its loss, and opens its breaker again."""
        facts = self._core.pools[self.pool_id].replicas[self.replica_id].facts
        assert facts is not None  # noqa: S101 - a tripped replica was Ready before
        async with asyncio.timeout(self._start_limit_s):
            await try_out(engine, f"probe-{self.replica_id}", facts)
        self._core.replica_probed(self.pool_id, self.replica_id, now_ms())
        self._changed()


def fault_of(error: Exception) -> Fault:
    """What an error of bringing up or watching means."""
    match error:
        case FaultError():
            return error.fault
        case SelfTestError():
            return Fault("self-test", str(error))
        case TimeoutError():
            return Fault("not-ready", "the engine was not ready in time")
        case EngineMissingError():
            return Fault("misconfigured", str(error))
        case _:
            return Fault(kind_of([str(error)]) or "lost", str(error))
