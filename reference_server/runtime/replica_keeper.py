"""Keeps one replica Ready: bring up, preload, watch, and bring up again with growing pauses.

Preload = the engine is ready, its properties are read, and it has decoded a few tokens: Ready means that work flows.

Source: ORCH-3002, ORCH-3003, ORCH-3010, ORCH-3032, ORCH-3038, OC-POOL-3001 … 3003.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

from reference_server.domain.core import Core
from reference_server.engines.base import Completion, Engine, EngineError, EngineLostError, Finished, Usage
from reference_server.runtime.clock import now_ms
from reference_server.runtime.launchers import Launcher

PROBE_S = 1.0  # between health questions to a Ready engine
PROBE_LIMIT_S = 5.0  # an engine that does not answer its health question for so long is down
USAGE_LIMIT_S = 1.0
EXIT_GRACE_S = 0.2
LOADING_PROBE_S = 0.1
PRELOAD_TOKENS = 4  # enough for a first figure of the time per token
BACKOFF_S, BACKOFF_MAX_S = 0.5, 30.0

log = logging.getLogger(__name__)


class ReplicaKeeper:
    """One replica's engine over its restarts.

    Attributes:
        engine: set while the replica is Ready.
        usage: what the engine's own metrics last said.
        first_outcome: set when the first preload has succeeded or failed.
    """

    def __init__(
        self,
        pool_id: str,
        replica_id: str,
        launcher: Launcher,
        core: Core,
        *,
        start_limit_ms: int,
        changed: Callable[[], None],
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
        self._changed = changed
        self._rng = rng
        self._suspected = asyncio.Event()

    def suspect(self) -> None:
        """A stream broke: ask the engine for its health now rather than at the next probe."""
        self._suspected.set()

    async def run(self) -> None:
        """Keep the replica up until canceled; then take its engine down."""
        failures = 0
        try:
            while True:
                try:
                    await self._preload()
                    failures = 0
                    reason = await self._watch()
                except (EngineError, TimeoutError) as error:
                    reason = str(error) or "the engine was not ready in time"
                except Exception as defect:  # a defect in an adapter costs its replica, not the server
                    log.exception("defect while keeping replica %s up", self.replica_id)
                    reason = f"defect of the server: {type(defect).__name__}"
                failures += 1
                self.engine, self.usage = None, Usage()
                self._core.replica_lost(self.pool_id, self.replica_id, reason, now_ms())
                self.first_outcome.set()
                self._changed()
                await self._launcher.stop()
                pause = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (failures - 1))
                await asyncio.sleep(pause * self._rng.uniform(0.5, 1.0))
                self._core.replica_restarted(self.pool_id, self.replica_id)
                self._changed()
        finally:
            await self._launcher.stop()

    async def _preload(self) -> None:
        async with asyncio.timeout(self._start_limit_s):
            engine = await self._launcher.start()
            ended = asyncio.ensure_future(self._launcher.lost())
            try:
                while await engine.readiness() != "ready":
                    if ended.done():
                        raise EngineLostError(ended.result())
                    await asyncio.sleep(LOADING_PROBE_S)
            finally:
                ended.cancel()
            facts = await engine.properties()
            await self._warm_up(engine)
        self.engine, self.usage = engine, await self._usage_of(engine)
        self._core.replica_preloaded(self.pool_id, self.replica_id, facts, now_ms())
        self.first_outcome.set()
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

    async def _warm_up(self, engine: Engine) -> None:
        """Decode a few tokens: proves that work flows, and gives predictions their first figures."""
        task_id = f"preload-{self.replica_id}"
        started = now_ms()
        first_token_ms: int | None = None
        tokens_out = 0
        request = Completion(task_id=task_id, prompt="Hello", max_tokens=PRELOAD_TOKENS, seed=0)
        async with aclosing(engine.complete(request)) as events:
            async for event in events:
                first_token_ms = first_token_ms if first_token_ms is not None else now_ms() - started
                if isinstance(event, Finished):
                    tokens_out = event.tokens_out
        await engine.confirm_stopped(task_id)
        self._core.pools[self.pool_id].times.observe(
            first_token_ms=first_token_ms or 0,
            decode_ms=now_ms() - started,
            tokens_out=tokens_out,
            max_tokens=max(1, tokens_out),
        )

    async def _watch(self) -> str:
        """Return why the engine is gone."""
        assert self.engine is not None  # noqa: S101 - set by `_preload`
        ended = asyncio.ensure_future(self._launcher.lost())
        suspected = asyncio.ensure_future(self._suspected.wait())
        try:
            while True:
                await asyncio.wait({ended, suspected}, timeout=PROBE_S, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    return ended.result()
                if suspected.done():
                    self._suspected.clear()
                    suspected = asyncio.ensure_future(self._suspected.wait())
                async with asyncio.timeout(PROBE_LIMIT_S):
                    readiness = await self.engine.readiness()
                if readiness == "down":
                    await asyncio.wait({ended}, timeout=EXIT_GRACE_S)  # its process' own end says more
                    return ended.result() if ended.done() else "the engine does not answer its health question"
                self.usage = await self._usage_of(self.engine)
        finally:
            ended.cancel()
            suspected.cancel()
