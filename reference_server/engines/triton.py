"""Triton Inference Server with a TensorRT-LLM model, on its generate extension.

Three things that its protocol has not, and what stands for them here:
- a final frame: the proper end of the chunked body is the end. A body that is not chunked could be cut unseen, and is
  therefore not accepted; a broken connection is a lost engine.
- token counts: a frame is a token, and the prompt is estimated. `features.token_counts` says so.
- the size of a slot, and TensorRT-LLM's version: both come from our configuration.

Only inputs that the model has are sent, because it refuses a request with any other.

Source: ORCH-3057, OC-ADAPT-5060, OC-ADAPT-5070; the wire format was seen with 2.51.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from reference_server.domain.replica import ReplicaFacts
from reference_server.engines.base import (
    CompletesOnly,
    Completion,
    EngineBusyError,
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    Finished,
    Readiness,
    Took,
    Usage,
)
from reference_server.engines.http import HttpClient, digest_of, error_by_status, frame_of, member, samples
from reference_server.engines.sampling import PROFILES

NOT_LOADED = "has no available versions"  # of a model that it knows; one that it does not know "is not found"
BYTES_A_TOKEN = 4  # of English text, roughly
REQUIRED_INPUTS = frozenset({"text_input", "max_tokens"})
KV_BLOCKS = "nv_trt_llm_kv_cache_block_metrics"


class Triton(CompletesOnly):
    """One model of one Triton server.

    Args:
        url: `http://host:port` of its HTTP service.
        metrics_url: `http://host:port` of its metrics, which are another service; None = not scraped.
        model_name: of the model that takes and gives text.
        slots, ctx_max: of the engine that was built: the protocol does not tell.
        trtllm_version: shown in the features; None where the model is not TensorRT-LLM's.
        model_file: local path of the engine file, for its digest.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        metrics_url: str | None = None,
        model_name: str = "ensemble",
        slots: int = 1,
        ctx_max: int = 2048,
        trtllm_version: str | None = None,
        model_file: str | None = None,
    ) -> None:
        self._http = HttpClient(url, api_key=api_key, error_of=_error_of)
        self._metrics = HttpClient(metrics_url, api_key=None, error_of=_error_of) if metrics_url else None
        self._model_name, self._model_file, self._trtllm_version = model_name, model_file, trtllm_version
        self._slots, self._ctx_max = slots, ctx_max
        self._inputs: frozenset[str] | None = None

    async def readiness(self) -> Readiness:
        """`GET /v2/models/M/ready`: 400 while it loads; and whether the server lives, to tell that from down."""
        if await self._http.status(f"/v2/models/{self._model_name}/ready") == 200:
            return "ready"
        return "loading" if await self._http.status("/v2/health/live") == 200 else "down"

    async def properties(self) -> ReplicaFacts:
        """`GET /v2` and `GET /v2/models/M`."""
        version = member(await self._http.json("GET", "/v2"), "version")
        if not isinstance(version, str) or not version:
            raise EngineFaultError("/v2 does not tell the version")
        self._inputs = None  # another model may have been loaded
        unmapped = sorted(set(_body_of(Completion("", "", 1, 0))) - await self._input_names())
        features: dict[str, bool | str | int] = {
            "seed": "random_seed" not in unmapped,
            "cancel": True,
            "stand_in": version.startswith("mock-"),
            "token_counts": "estimated",
        }
        if unmapped:
            features["sampler_unmapped"] = ",".join(unmapped)
        if self._trtllm_version:
            features["trtllm_version"] = self._trtllm_version
        return ReplicaFacts(
            engine_version=version,
            model_digest=await asyncio.to_thread(digest_of, self._model_file or ""),
            ctx_max=self._ctx_max,
            slots_total=self._slots,
            features=features,
        )

    async def count_tokens(self, text: str) -> int:
        """An estimate from the text's size: Triton has no tokeniser."""
        return _estimate(text)

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """`POST /v2/models/M/generate_stream`. Closing the generator closes the connection: that is the cancel."""
        inputs = await self._input_names()
        body = {name: value for name, value in _body_of(request).items() if name in inputs}
        async with self._http.stream(f"/v2/models/{self._model_name}/generate_stream", body) as stream:
            if not stream.is_chunked:
                raise EngineFaultError("the body is not chunked: its end would prove nothing")
            async with aclosing(stream.events(_Reading(request), took)) as events:
                async for event in events:
                    yield event

    async def confirm_stopped(self, task_id: str) -> None:
        """The closed connection has to be enough: Triton shows no slots."""

    async def usage(self) -> Usage:
        """`GET /metrics` of the metrics service; TensorRT-LLM's figures where the model is one of its."""
        text = await self._metrics.text("/metrics") if self._metrics else ""
        used, total = (sum(samples(text, KV_BLOCKS, kv_cache_block_type=kind)) for kind in ("used", "max"))
        active = samples(text, "nv_trt_llm_request_metrics", request_type="active")
        return Usage(
            kv_cache_ratio=min(1.0, used / total) if total else None,
            slots_active=int(sum(active)) if active else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
        if self._metrics:
            await self._metrics.close()

    async def _input_names(self) -> frozenset[str]:
        """The model's inputs by name, asked for once."""
        if self._inputs is None:
            inputs = member(await self._http.json("GET", f"/v2/models/{self._model_name}"), "inputs")
            names = frozenset(str(entry.get("name")) for entry in inputs or () if isinstance(entry, dict))
            if not names >= REQUIRED_INPUTS:
                raise EngineFaultError("the model does not take text")
            self._inputs = names
        return self._inputs


def _body_of(request: Completion) -> dict[str, object]:
    """Every input that could be sent; the seed's type is UINT64, the contract's own range."""
    profile = PROFILES["v1"]
    return {
        "text_input": request.prompt,
        "max_tokens": request.max_tokens,
        "stream": True,
        "random_seed": request.seed,
        "temperature": profile.temperature,
        "top_k": profile.top_k,
        "top_p": profile.top_p,
        "min_p": profile.min_p,
        "repetition_penalty": profile.repeat_penalty,
    }


def _estimate(text: str) -> int:
    return max(1, -(-len(text.encode()) // BYTES_A_TOKEN))


class _Reading:
    """One stream, whose end is that of the body."""

    def __init__(self, request: Completion) -> None:
        self._request = request
        self._count = 0

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        """The events of one read; none of them is the last."""
        for data in events:
            pieces.append(_text_of(data))
            self._count += 1
        return None

    def ended(self, *, is_inside_event: bool) -> Finished:
        """The end, if a frame came and the last one is whole."""
        if self._count == 0 or is_inside_event:
            raise EngineLostError("the stream ended without a frame, or inside one")
        return Finished(
            finish_reason="length" if self._count >= self._request.max_tokens else "stop",
            tokens_in=_estimate(self._request.prompt),
            tokens_out=self._count,
        )


def _text_of(data: bytes) -> str:
    frame = frame_of(data)
    if "error" in frame:
        raise _error_of(500, data)
    text = frame.get("text_output")
    if not isinstance(text, str):
        raise EngineFaultError("a frame of the stream has no text")
    return text


def _error_of(status: int, raw: bytes) -> EngineError:
    """`{"error": text}` has no type: a full queue is known by its words, and the words are not passed on."""
    try:  # before its first frame a decoupled model's error has a status, and still the form of an event (2.51)
        answer: Any = msgspec.json.decode(raw.strip().removeprefix(b"data:"))
    except msgspec.DecodeError:
        answer = None
    words = str((member(answer, "error") if isinstance(answer, dict) else None) or "").lower()
    if "maximum queue size" in words or "max_queue_size" in words:
        return EngineBusyError(f"{status} queue full")
    if NOT_LOADED in words:
        return EngineBusyError(f"{status} model not loaded")
    return error_by_status(status, "error")
