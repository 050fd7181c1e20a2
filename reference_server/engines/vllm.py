"""vLLM's server, on the part of OpenAI's API that it speaks; no client of ours sees that part.

A token's text may be empty, and a frame may stand for several tokens: the usage that we ask for in every frame counts
them. Its stream ends with `[DONE]`, after an error too: what came before says which of the two it was.

A server has one model that either generates or embeds: which of the two, an embedding of one word shows.

Source: ORCH-3055, OC-ADAPT-5019, OC-ADAPT-5020, OC-ADAPT-5030; the wire format is vLLM's own and was seen with 0.32.
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
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Readiness,
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
    numbers,
    samples,
)
from reference_server.engines.sampling import PROFILES

SEEDS = 2**63  # the engine's range is that of int64, in which -1 means "any seed": we stay at 0 and above
DONE = b"[DONE]"
KV_RATIO_NAMES = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")  # the newer first; both are 0 … 1


class Vllm(CompletesOnly):
    """One vLLM server.

    Args:
        url: `http://host:port`.
        model_name: as the server calls its model; None = the first that it lists.
        slots: sequences at a time, `--max-num-seqs`: the server does not tell.
        model_file: local path of the weights, for their digest.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        model_name: str | None = None,
        slots: int = 1,
        model_file: str | None = None,
    ) -> None:
        self._http = HttpClient(url, api_key=api_key, error_of=_error_of)
        self._model_name, self._slots, self._model_file = model_name, slots, model_file

    async def readiness(self) -> Readiness:
        """`GET /health`: it listens only once it has loaded, and its 503 says that the engine behind it is dead."""
        return "ready" if await self._http.status("/health") == 200 else "down"

    async def properties(self) -> ReplicaFacts:
        """`GET /version` and `GET /v1/models`."""
        version = member(await self._http.json("GET", "/version"), "version")
        if not isinstance(version, str) or not version:
            raise EngineFaultError("/version does not tell the version")
        model = await self._model()
        ctx_max = model.get("max_model_len")
        if not isinstance(ctx_max, int) or ctx_max < 1:
            raise EngineFaultError("/v1/models does not tell max_model_len")
        return ReplicaFacts(
            engine_version=version,
            model_digest=await asyncio.to_thread(digest_of, self._model_file or ""),
            ctx_max=ctx_max,
            slots_total=self._slots,
            features={"seed": True, "cancel": True, "stand_in": version.startswith("mock-")},
        )

    async def workloads(self) -> tuple[Workload, ...]:
        """By one embedding: a generator has no such path."""
        try:
            await self.embed(("a",))
        except EngineRefusedError:
            return ("completion",)
        return ("embedding",)

    async def count_tokens(self, text: str) -> int:
        """`POST /tokenize`."""
        name = await self._name()
        count = member(await self._http.json("POST", "/tokenize", {"model": name, "prompt": text}), "count")
        if not isinstance(count, int):
            raise EngineFaultError("/tokenize answered without a count")
        return count

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """`POST /v1/completions` as a stream. Closing the generator closes the connection: that is the cancel."""
        async with (
            self._http.stream("/v1/completions", _body_of(request, await self._name())) as stream,
            aclosing(stream.events(_Reading(), took)) as events,
        ):
            async for event in events:
                yield event

    async def embed(self, inputs: tuple[str, ...]) -> Vectors:
        """`POST /v1/embeddings`."""
        body = {"model": await self._name(), "input": list(inputs), "encoding_format": "float"}
        answer = await self._http.json("POST", "/v1/embeddings", body, is_work=True)
        data, counted = (member(answer, *names) for names in (("data",), ("usage", "prompt_tokens")))
        if not isinstance(counted, int):
            raise EngineFaultError("/v1/embeddings answered without its count of tokens")
        return Vectors(tuple(map(numbers, in_order(data, len(inputs), key="embedding"))), tokens_in=counted)

    async def confirm_stopped(self, task_id: str) -> None:
        """The closed connection has to be enough: vLLM shows no slots."""

    async def usage(self) -> Usage:
        """`GET /metrics`, by this version's names; engine cores are added up, and the fullest cache is told."""
        text = await self._http.text("/metrics")
        ratios = next((found for name in KV_RATIO_NAMES if (found := samples(text, name))), [])
        running = samples(text, "vllm:num_requests_running")
        return Usage(
            kv_cache_ratio=min(1.0, max(ratios)) if ratios else None,
            slots_active=int(sum(running)) if running else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _name(self) -> str:
        if self._model_name is None:
            self._model_name = str((await self._model())["id"])
        return self._model_name

    async def _model(self) -> dict[str, Any]:
        """The model's entry in `/v1/models`."""
        models = member(await self._http.json("GET", "/v1/models"), "data")
        for model in models if isinstance(models, list) else ():
            name = model.get("id") if isinstance(model, dict) else None
            if isinstance(name, str) and self._model_name in {None, name}:
                return dict(model)
        raise EngineFaultError("/v1/models does not list the model")


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Choice(msgspec.Struct):
    text: str
    finish_reason: str | None = None
    token_ids: list[int] | None = None


class _Frame(msgspec.Struct):
    """Of a frame, what is looked at: the rest is skipped unread."""

    choices: list[_Choice] | msgspec.UnsetType = msgspec.UNSET
    usage: _Usage | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_frame = msgspec.json.Decoder(_Frame)


class _Reading:
    """One stream: its reason is in one frame, its count in the next, and both have to be there at the end."""

    def __init__(self) -> None:
        self._pieces = PieceCounter()
        self._reason: str | None = None
        self._usage: _Usage | None = None
        self._tokens_out = 0

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        """The events of one read."""
        for data in events:
            if data == DONE:
                return self._finished()
            frame = _checked(data)
            text = ""
            if frame.choices:
                choice = frame.choices[0]
                text = choice.text
                if choice.finish_reason is not None:
                    self._reason = choice.finish_reason
                if frame.usage is None:  # a server that counts only at the end
                    self._tokens_out += len(choice.token_ids) if choice.token_ids is not None else int(bool(text))
            if frame.usage is not None:
                self._usage, self._tokens_out = frame.usage, frame.usage.completion_tokens
            self._pieces.add(pieces, text, self._tokens_out)
        return None

    def ended(self, *, is_inside_event: bool) -> Finished:  # noqa: ARG002 - with or without: no end
        """An end that its protocol does not have."""
        raise EngineLostError("the stream ended without [DONE]")

    def _finished(self) -> Finished:
        """The end, if what is needed to tell it has come."""
        usage = self._usage
        if self._reason is None or usage is None:
            raise EngineLostError("the stream ended without its reason or its usage")
        if self._reason not in {"stop", "length"}:
            raise EngineFaultError("the engine gave the request up")
        return Finished(
            finish_reason="length" if self._reason == "length" else "stop",
            tokens_in=usage.prompt_tokens,
            tokens_out=self._tokens_out,
            kv_warm=usage.prompt_tokens_details is not None and bool(usage.prompt_tokens_details.cached_tokens),
        )


def _body_of(request: Completion, name: str) -> dict[str, object]:
    profile = PROFILES["v1"]
    return {
        "model": name,
        "prompt": request.prompt,
        "max_tokens": request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "return_token_ids": True,
        "seed": request.seed % SEEDS,
        "temperature": profile.temperature,
        "top_k": profile.top_k,
        "top_p": profile.top_p,
        "min_p": profile.min_p,
        "repetition_penalty": profile.repeat_penalty,
    }


def _checked(data: bytes) -> _Frame:
    try:
        frame = _frame.decode(data)
    except msgspec.DecodeError:  # a ValidationError is one
        frame_of(data)
        raise EngineFaultError("a frame of the stream is not vLLM's") from None
    if frame.error is not msgspec.UNSET:
        raise _error_of(500, data)
    if frame.choices is msgspec.UNSET:
        raise EngineFaultError("a frame of the stream has no choices")
    return frame


def _error_of(status: int, raw: bytes) -> EngineError:
    """`{"error":{"type","code"}}`, or what the framework under it says by itself: then the status alone counts."""
    try:
        error = member(msgspec.json.decode(raw), "error")
    except msgspec.DecodeError:
        error = None
    code = member(error, "code") if isinstance(error, dict) else None
    kind = member(error, "type") if isinstance(error, dict) else None
    return error_by_status(code if isinstance(code, int) else status, str(kind or "unknown"))
