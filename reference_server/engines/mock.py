"""The embedded mock: a deterministic engine in this process, to try the server out and to test all around it.

It is a stand-in and says so: its version begins with `mock-`, and `features.stand_in` is true.

The same model, prompt, seed and length give the same pieces, and another seed gives others; the vocabulary has
characters of two, three and four bytes and an empty piece, because real engines send them. One word is one token.

Source: ORCH-3058.
"""

import asyncio
import hashlib
import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from reference_server.config import MockEngine
from reference_server.domain.replica import ReplicaFacts
from reference_server.engines.base import (
    Completion,
    EngineBusyError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Readiness,
    Scores,
    Tokens,
    Took,
    Usage,
    Vectors,
    Workload,
)

VERSION = "mock-1.0"

VOCABULARY = (
    *(
        " the",
        " a",
        " queue",
        " task",
        " slot",
        " stream",
        " token",
        " waits",
        " runs",
        " ends",
        " of",
        " in",
        " light",
    ),
    *(" and", " over", ".", ",", " pond", " frog", " leaf", " snow", " naïve", " über", " €", " 水", " 🦙", "\n", ""),
)

log = logging.getLogger(__name__)

BATCH_S = 0.005  # tokens that are due within this are sent together: a timer wakes no more often


class Mock:
    """One embedded engine."""

    def __init__(self, settings: MockEngine, model_ref: str = "default") -> None:
        self._settings = settings
        self._model_ref = model_ref
        self._started_s = time.monotonic()
        self._slots = asyncio.Semaphore(settings.slots)
        self.active: set[str] = set()
        self._asked = 0
        self._faults = (settings.die_after_tokens, settings.stall_after_tokens, settings.defect_after_tokens)

    async def readiness(self) -> Readiness:
        """`loading` for `preload_ms` after the start."""
        age_ms = (time.monotonic() - self._started_s) * 1000
        return "ready" if age_ms >= self._settings.preload_ms else "loading"

    async def properties(self) -> ReplicaFacts:
        """What the settings say."""
        return ReplicaFacts(
            engine_version=VERSION,
            model_digest="sha256:" + hashlib.sha256(f"{VERSION} {self._model_ref}".encode()).hexdigest(),
            ctx_max=self._settings.ctx_max,
            slots_total=self._settings.slots,
            features={"seed": True, "cancel": True, "stand_in": True},
        )

    async def count_tokens(self, text: str) -> int:
        """Words, at least one."""
        return max(1, len(text.split()))

    async def workloads(self) -> tuple[Workload, ...]:
        """What the settings say."""
        return self._settings.workloads

    async def embed(self, inputs: tuple[str, ...]) -> Vectors:
        """A vector of each text's own."""
        async with self._working("embedding"):
            tokens_in = sum([await self.count_tokens(text) for text in inputs])
            return Vectors(tuple(_vector(f"{self._model_ref}\0{text}") for text in inputs), tokens_in)

    async def rerank(self, query: str, documents: tuple[str, ...]) -> Scores:
        """The share of the query's words that a document has."""
        async with self._working("rerank"):
            wanted = set(query.lower().split())
            shares = [len(wanted & set(text.lower().split())) / max(1, len(wanted)) for text in documents]
            tokens_in = sum([await self.count_tokens(query) + await self.count_tokens(text) for text in documents])
            return Scores(tuple(shares), tokens_in)

    @asynccontextmanager
    async def _working(self, workload: Workload) -> AsyncGenerator[None, None]:
        """A slot for as long as the prompt takes."""
        if workload not in self._settings.workloads:
            raise EngineRefusedError(f"501 does not serve {workload}", status=501)
        async with self._slots:
            await asyncio.sleep(self._settings.prompt_ms / 1000)
            yield

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """Send `max_tokens` pieces, paced by the clock; more requests than slots wait, as llama-server has it."""
        self._refuse(request)
        async with self._slots:
            self.active.add(request.task_id)
            try:
                await asyncio.sleep(self._settings.prompt_ms / 1000)
                async for event in self._paced(request):
                    if took is not None and isinstance(event, Tokens):
                        took(event.pieces)
                    else:
                        yield event
            finally:
                self.active.discard(request.task_id)

    async def confirm_stopped(self, task_id: str) -> None:
        """A closed generator has left `active` already."""
        while task_id in self.active:  # noqa: ASYNC110 - true at the first look; a generator is closed before this is asked
            await asyncio.sleep(BATCH_S)

    async def usage(self) -> Usage:
        """Slots in use stand for cache in use; what prefix caches hold is as the settings say."""
        return Usage(
            kv_cache_ratio=len(self.active) / self._settings.slots,
            slots_active=len(self.active),
            prefix_cache_tokens=self._settings.prefix_cache_tokens,
        )

    async def close(self) -> None:
        """There is nothing to close: streams end with their tasks."""
        self.active.clear()

    def _refuse(self, request: Completion) -> None:
        """The first tasks, as often as the settings ask."""
        if not _is_task(request):
            return
        self._asked += 1
        if self._asked <= self._settings.busy_requests:
            _tell("busy_requests")
            raise EngineBusyError("429 mock_busy, as its settings ask")
        if self._asked <= self._settings.refused_requests:
            _tell("refused_requests")
            raise EngineRefusedError("400 mock_refused, as its settings ask", status=400)

    async def _paced(self, request: Completion) -> AsyncGenerator[EngineEvent, None]:
        settings, total = self._settings, request.max_tokens
        pieces = _Pieces(f"{self._model_ref}\0{request.prompt}", request.seed)
        fail_after = settings.fail_after_tokens if _is_task(request) else None
        faults = [tokens for tokens in (*self._faults, fail_after) if tokens is not None]
        loop = asyncio.get_running_loop()
        start_s, sent = loop.time(), 0
        while sent < total:
            due = total if settings.token_ms == 0 else int((loop.time() - start_s) * 1000 / settings.token_ms)
            due = min(due, total, *faults)
            if due > sent:
                yield Tokens(tuple(pieces.take(due - sent)))
                sent = due
            if sent == settings.die_after_tokens:
                _tell("die_after_tokens")
                raise EngineLostError("the mock died, as its settings ask")
            if sent == fail_after:
                _tell("fail_after_tokens")
                raise EngineFaultError("500 mock_error, as its settings ask")
            if sent == settings.defect_after_tokens:
                _tell("defect_after_tokens")
                raise ZeroDivisionError
            if sent == settings.stall_after_tokens:
                _tell("stall_after_tokens")
                await loop.create_future()
            if sent < total:
                await asyncio.sleep(max(BATCH_S, settings.token_ms / 1000))
        yield Finished(finish_reason="length", tokens_in=await self.count_tokens(request.prompt), tokens_out=total)


def _is_task(request: Completion) -> bool:
    """No self-test, and no probe."""
    return not request.task_id.startswith(("preload-", "probe-"))


def _tell(fault: str) -> None:
    """By this a scenario knows that its fault has happened (OC-TEST-7036)."""
    log.warning("fault injected: %s", fault)


def _vector(text: str) -> tuple[float, ...]:
    """Eight numbers in -1 … 1, of length 1 as a vector, that follow from the text."""
    raw = [byte - 127.5 for byte in hashlib.blake2b(text.encode(), digest_size=8).digest()]
    length = math.hypot(*raw)
    return tuple(value / length for value in raw)


class _Pieces:
    """An endless row of pieces that follows from model, prompt and seed alone."""

    def __init__(self, prompt: str, seed: int) -> None:
        self._key = hashlib.blake2b(prompt.encode(), digest_size=32, salt=seed.to_bytes(8) + bytes(8)).digest()
        self._block, self._left = 0, b""

    def take(self, count: int) -> list[str]:
        """The next pieces."""
        while len(self._left) < count:
            block = hashlib.blake2b(self._block.to_bytes(8), key=self._key, digest_size=64).digest()
            self._left += block
            self._block += 1
        taken, self._left = self._left[:count], self._left[count:]
        return [VOCABULARY[byte % len(VOCABULARY)] for byte in taken]
