"""llama.cpp's `llama-server`, on its native API.

One token of the engine is one piece. The engine holds incomplete characters back, and a frame's text may then stand for
several tokens: an empty piece is put before it for each token that was held back.

Embeddings and reranks are options of the server's start, and it is asked for one of each to see which it has. Started
with `--reranking` it also answers `/embedding`, with vectors of zeros (b11434): it is then taken to rerank only.

Source: ORCH-3054, OC-ADAPT-5001, OC-ADAPT-5011, OC-ADAPT-5019; the wire format is llama.cpp's tools/server/README.md.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from reference_server.domain.replica import ReplicaFacts
from reference_server.engines.base import (
    Completion,
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Readiness,
    Scores,
    Took,
    Usage,
    Vectors,
    Workload,
)
from reference_server.engines.http import (
    HttpClient,
    PieceCounter,
    digest_of,
    error_by_status,
    frame_of,
    in_order,
    member,
    name_of_error,
    numbers,
    samples,
)
from reference_server.engines.sampling import PROFILES

IDLE_POLL_S = 0.02  # between looks at `/slots` while a stop is being confirmed
PROBE = "a"
TOO_LARGE = "too large to process"  # of an input beyond the server's physical batch, which it calls its own error (500)
SEED_RANDOM = 2**32 - 1  # the engine's own word for "any seed": never sent


class LlamaCpp:
    """One llama-server.

    Args:
        url: `http://host:port`.
        model_file: local path of the weights, for their digest; without it the path that the engine tells is tried.
    """

    def __init__(self, url: str, *, api_key: str | None = None, model_file: str | None = None) -> None:
        self._http = HttpClient(url, api_key=api_key, error_of=_error_of)
        self._model_file = model_file
        self._slots_total = 0
        # Which slot each task was given. The engine tells only in its last frame which one it chose by itself (b11434),
        # and a stop can be confirmed only of a slot that is known: so we choose.
        self._slot_of: dict[str, int] = {}

    async def readiness(self) -> Readiness:
        """`GET /health`: 200 ready, 503 loading; anything else, or no answer, is down."""
        readiness: dict[int | None, Readiness] = {200: "ready", 503: "loading"}
        return readiness.get(await self._http.status("/health"), "down")

    async def properties(self) -> ReplicaFacts:
        """`GET /props`, and the digest of the weights where their file can be read here."""
        props = await self._http.json("GET", "/props")
        try:
            settings = props["default_generation_settings"]
            version, slots, ctx_max = str(props["build_info"]), int(props["total_slots"]), int(settings["n_ctx"])
        except (KeyError, TypeError, ValueError) as error:
            raise EngineFaultError(f"/props is not llama-server's: {error!r}") from None
        self._slots_total = slots
        path = self._model_file or str(props.get("model_path") or "")
        return ReplicaFacts(
            engine_version=version,
            model_digest=await asyncio.to_thread(digest_of, path),
            ctx_max=ctx_max,
            slots_total=slots,
            features={"seed": True, "cancel": True, "stand_in": version.startswith("mock-")},
        )

    async def workloads(self) -> tuple[Workload, ...]:
        """By one of each. A server that embeds or reranks may or may not complete: that depends on its version."""
        extra: Workload
        if await _is_taken(self.rerank(PROBE, (PROBE,))):
            extra = "rerank"
        elif await _is_taken(self.embed((PROBE,))):
            extra = "embedding"
        else:
            return ("completion",)
        completion = self._http.json("POST", "/completion", {"prompt": PROBE, "n_predict": 1}, is_work=True)
        return ("completion", extra) if await _is_taken(completion) else (extra,)

    async def count_tokens(self, text: str) -> int:
        """`POST /tokenize`."""
        answer = await self._http.json("POST", "/tokenize", {"content": text, "add_special": True})
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            raise EngineFaultError("/tokenize answered without a list of tokens")
        return len(tokens)

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """`POST /completion` as a stream. Closing the generator closes the connection: that is the cancel."""
        if (slot := self._free_slot()) is not None:
            self._slot_of[request.task_id] = slot
        async with (
            self._http.stream("/completion", _body_of(request, slot)) as stream,
            aclosing(stream.events(_Reading(), took)) as events,
        ):
            async for event in events:
                if isinstance(event, Finished):
                    self._slot_of.pop(request.task_id, None)
                yield event

    async def embed(self, inputs: tuple[str, ...]) -> Vectors:
        """`POST /embedding`, which does not count; `/tokenize` does."""
        answer = await self._http.json("POST", "/embedding", {"content": list(inputs)}, is_work=True)
        # each entry's embedding is a list of vectors: one, unless the server was started without pooling
        rows = in_order(answer, len(inputs), key="embedding")
        if not all(isinstance(row, list) and len(row) == 1 for row in rows):
            raise EngineFaultError("the server does not pool: it embeds tokens, not texts")
        vectors = tuple(numbers(row[0]) for row in rows)
        return Vectors(vectors, tokens_in=sum([await self.count_tokens(text) for text in inputs]))

    async def rerank(self, query: str, documents: tuple[str, ...]) -> Scores:
        """`POST /rerank`, which answers the best first."""
        body = {"query": query, "documents": list(documents)}
        answer = await self._http.json("POST", "/rerank", body, is_work=True)
        results = member(answer, "results") if isinstance(answer, dict) else None
        scores = numbers(in_order(results, len(documents), key="relevance_score"))
        counted = member(answer, "usage", "prompt_tokens")
        if not isinstance(counted, int):
            raise EngineFaultError("/rerank answered without its count of tokens")
        return Scores(scores, tokens_in=counted)

    async def confirm_stopped(self, task_id: str) -> None:
        """Look at `/slots` until the task's slot is idle.

        A server started without `--slots` cannot be asked; there the closed connection has to be enough.
        """
        while (slot := self._slot_of.get(task_id)) is not None:
            if not await self._is_processing(slot):
                self._slot_of.pop(task_id, None)
                return
            await asyncio.sleep(IDLE_POLL_S)

    async def _is_processing(self, slot: int) -> bool:
        try:
            slots = await self._http.json("GET", "/slots")
        except EngineRefusedError:
            return False
        if not isinstance(slots, list) or not all(isinstance(entry, dict) for entry in slots):
            raise EngineFaultError("/slots did not answer a list of slots")
        return any(entry.get("id") == slot and entry.get("is_processing") for entry in slots)

    def _free_slot(self) -> int | None:
        """The lowest slot that none of our tasks has; None lets the engine choose, or wait."""
        return min(set(range(self._slots_total)) - set(self._slot_of.values()), default=None)

    async def usage(self) -> Usage:
        """`GET /metrics`: what this version exports; newer builds have no KV figure any more."""
        text = await self._http.text("/metrics")
        ratio, processing = (
            samples(text, f"llamacpp:{name}") for name in ("kv_cache_usage_ratio", "requests_processing")
        )
        return Usage(
            kv_cache_ratio=min(1.0, ratio[0]) if ratio else None,
            slots_active=int(processing[0]) if processing else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


async def _is_taken(attempt: Awaitable[object]) -> bool:
    """Whether the engine answers this, or refuses it as something that it was not started for."""
    try:
        await attempt
    except EngineRefusedError:
        return False
    return True


def _body_of(request: Completion, slot: int | None) -> dict[str, object]:
    profile = PROFILES["v1"]
    return {
        "id_slot": -1 if slot is None else slot,
        "prompt": request.prompt,
        "n_predict": request.max_tokens,
        "stream": True,
        "seed": request.seed % SEED_RANDOM,
        "cache_prompt": request.reuse_cache and not request.strict,
        "temperature": profile.temperature,
        "top_k": profile.top_k,
        "top_p": profile.top_p,
        "min_p": profile.min_p,
        "repeat_penalty": profile.repeat_penalty,
    }


class _Frame(msgspec.Struct):
    """Of a frame, what is looked at: the rest is skipped unread."""

    content: str | msgspec.UnsetType = msgspec.UNSET
    tokens_predicted: int | msgspec.UnsetType = msgspec.UNSET
    stop: bool = False
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_frame = msgspec.json.Decoder(_Frame)


class _Reading:
    """One stream, whose last frame says so."""

    def __init__(self) -> None:
        self._pieces = PieceCounter()

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        """The events of one read."""
        for data in events:
            frame = _decoded(data)
            if frame.content is msgspec.UNSET or frame.tokens_predicted is msgspec.UNSET:
                raise EngineFaultError("a frame of the stream has no text or no count")
            self._pieces.add(pieces, frame.content, frame.tokens_predicted)
            if frame.stop:
                return _finished_of(frame_of(data))
        return None

    def ended(self, *, is_inside_event: bool) -> Finished:  # noqa: ARG002 - with or without: no end
        """An end that its protocol does not have."""
        raise EngineLostError("the stream ended without its final frame")


def _decoded(data: bytes) -> _Frame:
    try:
        frame = _frame.decode(data)
    except msgspec.DecodeError:  # a ValidationError is one
        frame_of(data)
        raise EngineFaultError("a frame of the stream is not llama-server's") from None
    if frame.error is not msgspec.UNSET:
        raise _error_of(500, data)
    return frame


def _finished_of(frame: dict[str, Any]) -> Finished:
    timings = frame.get("timings") or {}
    return Finished(
        finish_reason="length" if frame.get("stop_type") == "limit" else "stop",
        tokens_in=int(frame.get("tokens_evaluated", 0)),
        tokens_out=int(frame.get("tokens_predicted", 0)),
        kv_warm=int(timings.get("cache_n", 0)) > 0,
    )


def _error_of(status: int, raw: bytes) -> EngineError:
    """What an error answer means; its text is the engine's own and is not passed on, only its type is."""
    try:
        error = msgspec.json.decode(raw)["error"]
        kind = name_of_error(error["type"])
        status = int(error.get("code", status))
        if TOO_LARGE in str(error.get("message")):
            return EngineRefusedError(f"400 {kind}: an input is larger than the engine's batch", status=400)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        kind = "unknown"
    return error_by_status(status, kind)
