"""Drives one task from its dispatch to the release of its slot: the hot path, and the end of every race.

How it stays cheap: the engine's tokens come once per socket read, in the very call that read them (`_took`): they are
appended to the transcript and its readers told once; no loop task, timer, log line or metric is touched per token. The
watchdog looks at `last_event_ms`.

How it stays right: only `Core` ends a task, and the transcript refuses tokens after the end. Decoding is a loop task of
its own, so that breaking it off can never hit the clean-up; `run` waits for it to have closed the engine's stream, then
for the engine's confirmation, and releases the slot exactly once.

Source: ORCH-3016, ORCH-3017, ORCH-3026, architecture rules 1 … 4.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from reference_server.domain.core import Core
from reference_server.domain.errors import Failure
from reference_server.domain.frames import Finish
from reference_server.domain.task import Task
from reference_server.domain.transcript import TranscriptClosedError, TranscriptFullError
from reference_server.engines.base import (
    Completion,
    Engine,
    EngineBusyError,
    EngineError,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Tokens,
)
from reference_server.runtime.clock import now_ms

BUSY_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6)  # before an engine that has no room is asked again (OC-CORE-1048)
CONFIRM_PAUSE_S = 0.25  # between questions to an engine that has not confirmed a stop in time

log = logging.getLogger(__name__)


class TaskRunner:
    """One dispatched task on one engine.

    Attributes:
        last_event_ms: when the engine last sent something.
    """

    def __init__(
        self,
        task: Task,
        engine: Engine,
        core: Core,
        *,
        stop_ms: int,
        durable: Callable[[], Awaitable[bool]],
        changed: Callable[[Task], None],
        grown: Callable[[str], None],
        suspect: Callable[[], None],
        engine_failed: Callable[[str], None],
    ) -> None:
        self.task = task
        self.last_event_ms = now_ms()
        self._engine = engine
        self._core = core
        self._stop_s = stop_ms / 1000
        self._durable = durable
        self._changed = changed
        self._grown = grown
        self._suspect = suspect
        self._engine_failed = engine_failed
        self._decoding: asyncio.Task[Failure | None] | None = None
        self._stop_asked = False
        self._engine_finished = False

    def stop(self) -> None:
        """Break the decoding off; a runner that is past it ignores this."""
        self._stop_asked = True
        if self._decoding is not None:
            self._decoding.cancel()

    async def run(self) -> None:
        """Decode, end the task or hand it on unless somebody else has ended it, and give the slot back."""
        failed: Failure | None = None
        if not self._stop_asked:  # it may have been canceled between dispatch and this first step
            async with asyncio.TaskGroup() as group:
                self._decoding = group.create_task(self._decode_or_explain())
            if not self._decoding.cancelled() and (failure := self._decoding.result()) is not None:
                if failure.code == "REPLICA_EXHAUSTED" and self._core.can_go_on(self.task):
                    failed = failure
                else:
                    self._core.fail(self.task.id, failure, now_ms())
                self._changed(self.task)
            if not self._engine_finished:
                await self._confirm_stopped()
        self._core.release(self.task, now_ms(), failed=failed)

    async def _decode_or_explain(self) -> Failure | None:
        # Its start is on disk before its engine is asked: after a crash nothing runs twice (OC-CORE-1052).
        if not await self._durable():
            return self._failure("INTERNAL", "the journal cannot be written", retriable=False)
        try:
            await self._decode_once_there_is_room()
        except TranscriptClosedError:
            return None  # the task was ended while this read was on its way
        except TranscriptFullError:
            return self._failure("INTERNAL", "the answer outgrew the transcript's bound", retriable=False)
        except EngineError as error:
            return self._explain(error)
        except Exception:  # a defect in an adapter ends its task, not the server
            log.exception("defect while decoding")
            return self._failure("INTERNAL", "a defect of the server; see its log", retriable=False)
        return None

    async def _decode_once_there_is_room(self) -> None:
        """Back off from an engine that others have filled, unless another replica could try (OC-CORE-1048)."""
        for pause_s in BUSY_PAUSES_S:
            try:
                return await self._decode()
            except EngineBusyError as error:
                if self.task.first_token_ms is not None or self._core.can_go_on(self.task):
                    raise
                log.warning("the engine has no room; task %s comes again in %.1f s: %s", self.task.id, pause_s, error)
            self.last_event_ms = now_ms()
            await asyncio.sleep(pause_s)
        return await self._decode()

    async def _decode(self) -> None:
        if self.task.request.workload == "completion":
            await self._complete()
        else:
            await self._answer_at_once()

    async def _answer_at_once(self) -> None:
        """An embedding or a rerank: one result, then the end."""
        task, inputs = self.task, self.task.request.inputs
        result: dict[str, object]
        if task.request.workload == "embedding":
            vectors = await self._engine.embed(inputs)
            result, tokens_in = {"embeddings": vectors.embeddings}, vectors.tokens_in
        else:
            scored = await self._engine.rerank(inputs[0], inputs[1:])
            result, tokens_in = {"scores": scored.scores}, scored.tokens_in
        self._engine_finished, self.last_event_ms = True, now_ms()
        task.transcript.append_result(result, size=len(msgspec.json.encode(result)))
        finish = Finish(finish_reason="stop", tokens_in=tokens_in, tokens_out=0, kv_warm=False)
        self._core.finish(task.id, finish, self.last_event_ms)
        self._changed(task)

    async def _complete(self) -> None:
        task, request = self.task, self.task.request
        completion = Completion(
            task_id=task.id,
            prompt=request.inputs[0],
            max_tokens=request.max_tokens,
            seed=request.seed,
            strict=request.strict,
            reuse_cache=request.reuse_cache,
        )
        async with aclosing(self._engine.complete(completion, self._took)) as events:
            async for event in events:
                match event:
                    case Tokens(pieces):
                        self._took(pieces)
                    case Finished():
                        self._engine_finished, self.last_event_ms = True, now_ms()
                        finish = Finish(
                            finish_reason=event.finish_reason,
                            tokens_in=event.tokens_in,
                            tokens_out=event.tokens_out,
                            kv_warm=event.kv_warm,
                        )
                        self._core.finish(task.id, finish, self.last_event_ms)
                        self._changed(task)
                        return
        raise EngineLostError("the engine's stream ended without its final frame")

    def _took(self, pieces: Sequence[str]) -> None:
        """The pieces of one read of the engine."""
        task = self.task
        self.last_event_ms = now = now_ms()
        if task.first_token_ms is None:
            task.first_token_ms = now
        task.transcript.append_tokens(pieces)
        self._grown(task.request.task_id)

    async def _confirm_stopped(self) -> None:
        """Wait until the engine has let go of the task; its slot is quarantined when that takes too long.

        A replica that is lost meanwhile has given up the slot: then there is nothing to wait for.
        """
        replica = self._core.pools[self.task.pool_id].replicas[self.task.replica_id or ""]
        while replica.holds(self.task.id):
            try:
                async with asyncio.timeout(self._stop_s):
                    await self._engine.confirm_stopped(self.task.id)
            except (EngineError, TimeoutError):
                self._core.quarantine(self.task)
                self._changed(self.task)
                self._suspect()
                await asyncio.sleep(CONFIRM_PAUSE_S)
            else:
                return

    def _explain(self, error: EngineError) -> Failure:
        match error:
            case EngineRefusedError():
                return self._failure("INVALID_PARAMS", f"the engine refused the request: {error}", retriable=False)
            case EngineBusyError():
                return self._failure("REPLICA_EXHAUSTED", f"the engine is busy: {error}", retriable=True)
            case EngineFaultError():
                self._engine_failed(f"the engine failed: {error}")
                return self._failure("REPLICA_EXHAUSTED", f"the engine failed: {error}", retriable=True)
            case _:
                self._suspect()
                return self._failure("WORKER_RESET", f"the engine was lost: {error}", retriable=True)

    def _failure(self, code: str, message: str, *, retriable: bool) -> Failure:
        pool = self._core.pools[self.task.pool_id]
        return Failure(code=code, message=message, engine=pool.engine, pool_id=pool.id, retriable=retriable)
