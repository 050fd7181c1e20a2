"""Hugging Face's Text Generation Inference.

Each frame is one token; a special one is no text, but is counted. The last frame has the whole text and the details,
and nothing follows it. An error inside a stream is the same object as one before it.

Source: ORCH-3056, OC-ADAPT-5040, OC-ADAPT-5050; the wire format is TGI's own API description, version 3.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
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
    EngineRefusedError,
    Finished,
    Readiness,
    Took,
    Usage,
)
from reference_server.engines.http import HttpClient, frame_of, member, name_of_error, samples
from reference_server.engines.sampling import PROFILES

UNTOLD = -1  # of tokens_in: version 2 did not tell
SEEDS = 2**64 - 1  # the engine's are 1 … 2**64-1: 0 is not one of them


class Tgi(CompletesOnly):
    """One TGI router.

    Args:
        url: `http://host:port`.
        slots: sequences at a time; None = the server's own bound of requests.
    """

    def __init__(self, url: str, *, api_key: str | None = None, slots: int | None = None) -> None:
        self._http = HttpClient(url, api_key=api_key, error_of=_error_of)
        self._slots = slots

    async def readiness(self) -> Readiness:
        """`GET /health`: 200 ready; 503 while the model's shards are not healthy, at the start or later."""
        readiness: dict[int | None, Readiness] = {200: "ready", 503: "loading"}
        return readiness.get(await self._http.status("/health"), "down")

    async def properties(self) -> ReplicaFacts:
        """`GET /info`. The model's revision is no digest of its weights, and is told as a feature."""
        info = await self._http.json("GET", "/info")
        version, ctx_max = member(info, "version"), member(info, "max_total_tokens")
        slots = self._slots or member(info, "max_concurrent_requests")
        if not isinstance(version, str) or not version:
            raise EngineFaultError("/info does not tell the version")
        if not isinstance(ctx_max, int) or not isinstance(slots, int) or min(ctx_max, slots) < 1:
            raise EngineFaultError("/info does not tell its limits")
        build, revision = member(info, "sha"), member(info, "model_sha")
        features: dict[str, bool | str | int] = {
            "seed": True,
            "cancel": True,
            "stand_in": version.startswith("mock-"),
            "sampler_unmapped": "min_p",
        }
        if isinstance(revision, str):
            features["model_revision"] = revision
        return ReplicaFacts(
            engine_version=f"{version}+{build}" if isinstance(build, str) and build else version,
            model_digest=None,
            ctx_max=ctx_max,
            slots_total=slots,
            features=features,
        )

    async def count_tokens(self, text: str) -> int:
        """`POST /tokenize`."""
        tokens = await self._http.json("POST", "/tokenize", {"inputs": text})
        if not isinstance(tokens, list):
            raise EngineFaultError("/tokenize answered without a list of tokens")
        return len(tokens)

    async def complete(self, request: Completion, took: Took | None = None) -> AsyncGenerator[EngineEvent, None]:
        """`POST /generate_stream`. Closing the generator closes the connection: that is the cancel."""
        async with (
            self._http.stream("/generate_stream", _body_of(request)) as stream,
            aclosing(stream.events(_Reading(), took)) as events,
        ):
            async for event in events:
                if isinstance(event, Finished) and event.tokens_in == UNTOLD:
                    yield replace(event, tokens_in=await self.count_tokens(request.prompt))
                else:
                    yield event

    async def confirm_stopped(self, task_id: str) -> None:
        """The closed connection has to be enough: TGI shows no slots."""

    async def usage(self) -> Usage:
        """`GET /metrics`: the batch in work; there is no figure of the cache."""
        running = samples(await self._http.text("/metrics"), "tgi_batch_current_size")
        return Usage(slots_active=int(sum(running)) if running else None)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class _Reading:
    """One stream, whose last frame has the whole text."""

    def read(self, events: Sequence[bytes], pieces: list[str]) -> Finished | None:
        """The events of one read."""
        for data in events:
            frame = _checked(data)
            token = frame["token"]
            pieces.append("" if token.get("special") else token["text"])
            if frame.get("generated_text") is not None:
                return _finished_of(frame)
        return None

    def ended(self, *, is_inside_event: bool) -> Finished:  # noqa: ARG002 - with or without: no end
        """An end that its protocol does not have."""
        raise EngineLostError("the stream ended without its final frame")


def _finished_of(frame: dict[str, Any]) -> Finished:
    reason, tokens_out = member(frame, "details", "finish_reason"), member(frame, "details", "generated_tokens")
    if reason not in {"length", "eos_token", "stop_sequence"} or not isinstance(tokens_out, int):
        raise EngineFaultError("the final frame does not tell how the stream ended")
    tokens_in = member(frame, "details", "input_length")
    return Finished(
        "length" if reason == "length" else "stop",
        tokens_in=tokens_in if isinstance(tokens_in, int) else UNTOLD,
        tokens_out=tokens_out,
    )


def _body_of(request: Completion) -> dict[str, object]:
    profile = PROFILES["v1"]
    parameters = {
        "max_new_tokens": request.max_tokens,
        "do_sample": True,
        "seed": 1 + request.seed % SEEDS,
        "temperature": profile.temperature,
        "top_k": profile.top_k,
        "top_p": profile.top_p,
        "repetition_penalty": profile.repeat_penalty,
        "return_full_text": False,
        "details": True,
    }
    return {"inputs": request.prompt, "parameters": parameters, "stream": True}


def _checked(data: bytes) -> dict[str, Any]:
    frame = frame_of(data)
    if "error" in frame:
        raise _error_of(500, data)
    if not isinstance(member(frame, "token", "text"), str):
        raise EngineFaultError("a frame of the stream has no token")
    return frame


def _error_of(status: int, raw: bytes) -> EngineError:
    """By the error's type where it has one: inside a stream there is no status."""
    try:
        answer = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        answer = None
    kind = name_of_error(member(answer, "error_type") if isinstance(answer, dict) else None)
    text = f"{status} {kind}"
    if kind == "overloaded" or status in {429, 503}:
        return EngineBusyError(text)
    if kind == "validation" or (kind == "unknown" and 400 <= status < 500):
        return EngineRefusedError(text, status=status if 400 <= status < 500 else 422)
    return EngineFaultError(text)
