"""llama.cpp's `llama-server`, on its native API.

One token of the engine is one piece. The engine holds incomplete characters back, and a frame's text may then stand for
several tokens: an empty piece is put before it for each token that was held back.

Source: ORCH-3054, OC-ADAPT-5001, OC-ADAPT-5011; the wire format is llama.cpp's tools/server/README.md.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from reference_server.engines.base import (
    Completion,
    EngineBusyError,
    EngineError,
    EngineEvent,
    EngineFaultError,
    EngineLostError,
    EngineRefusedError,
    Finished,
    Properties,
    Readiness,
    Tokens,
    Usage,
)
from reference_server.engines.sampling import PROFILES
from reference_server.engines.sse_reader import SseReader

CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 30.0  # for everything but a completion, whose watchdog is the runtime's
IDLE_POLL_S = 0.02  # between looks at `/slots` while a stop is being confirmed
SEED_RANDOM = 2**32 - 1  # the engine's own word for "any seed": never sent

_KV_RATIO = re.compile(r"^llamacpp:kv_cache_usage_ratio(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)
_PROCESSING = re.compile(r"^llamacpp:requests_processing(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.MULTILINE)


class LlamaCpp:
    """One llama-server.

    Args:
        url: `http://host:port`.
        model_file: local path of the weights, for their digest; without it the path that the engine tells is tried.
    """

    def __init__(self, url: str, *, api_key: str | None = None, model_file: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._model_file = model_file
        self._session: aiohttp.ClientSession | None = None
        self._slots_total = 0
        # Which slot each task was given. The engine tells only in its last frame which one it chose by itself (b11434),
        # and a stop can be confirmed only of a slot that is known: so we choose.
        self._slot_of: dict[str, int] = {}

    async def readiness(self) -> Readiness:
        """`GET /health`: 200 ready, 503 loading; anything else, or no answer, is down."""
        try:
            async with self._request("GET", "/health") as answer:
                return {200: "ready", 503: "loading"}.get(answer.status, "down")  # type: ignore[return-value]
        except EngineError:
            return "down"

    async def properties(self) -> Properties:
        """`GET /props`, and the digest of the weights where their file can be read here."""
        props = await self._json("GET", "/props")
        try:
            settings = props["default_generation_settings"]
            version, slots, ctx_max = str(props["build_info"]), int(props["total_slots"]), int(settings["n_ctx"])
        except (KeyError, TypeError, ValueError) as error:
            raise EngineFaultError(f"/props is not llama-server's: {error!r}") from None
        self._slots_total = slots
        path = self._model_file or str(props.get("model_path") or "")
        return Properties(
            engine_version=version,
            model_digest=await asyncio.to_thread(_digest_of, path),
            ctx_max=ctx_max,
            slots_total=slots,
            features={"seed": True, "cancel": True, "stand_in": False},
        )

    async def count_tokens(self, text: str) -> int:
        """`POST /tokenize`."""
        answer = await self._json("POST", "/tokenize", {"content": text, "add_special": True})
        tokens = answer.get("tokens")
        if not isinstance(tokens, list):
            raise EngineFaultError("/tokenize answered without a list of tokens")
        return len(tokens)

    async def complete(self, request: Completion) -> AsyncGenerator[EngineEvent, None]:
        """`POST /completion` as a stream. Closing the generator closes the connection: that is the cancel."""
        reader, pieces_of = SseReader(), _Pieces()
        if (slot := self._free_slot()) is not None:
            self._slot_of[request.task_id] = slot
        try:
            async with self._request("POST", "/completion", _body_of(request, slot), is_stream=True) as answer:
                await _require_stream(answer)
                async for chunk in answer.content.iter_any():
                    pieces: list[str] = []
                    for data in reader.feed(chunk):
                        frame = _frame_of(data)
                        pieces += pieces_of(frame)
                        if frame.get("stop"):
                            if pieces:
                                yield Tokens(tuple(pieces))
                            self._slot_of.pop(request.task_id, None)
                            yield _finished_of(frame)
                            return
                    if pieces:
                        yield Tokens(tuple(pieces))
        except aiohttp.ClientError as error:
            raise EngineLostError(f"the connection broke: {type(error).__name__}") from None
        raise EngineLostError("the stream ended without its final frame")

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
            slots = await self._json("GET", "/slots")
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
        try:
            async with self._request("GET", "/metrics") as answer:
                text = await answer.text() if answer.status == 200 else ""
        except aiohttp.ClientError as error:
            raise EngineLostError(f"the connection broke: {type(error).__name__}") from None
        ratio, processing = _KV_RATIO.search(text), _PROCESSING.search(text)
        return Usage(
            kv_cache_ratio=min(1.0, float(ratio.group(1))) if ratio else None,
            slots_active=int(float(processing.group(1))) if processing else None,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, body: object = None, *, is_stream: bool = False
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        if self._session is None:
            # A connection for each request: llama-server was seen (b11434) to reset one that had carried a stream, and
            # a completion that may have been received must not be sent again.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        total = None if is_stream else ANSWER_LIMIT_S
        limit = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_LIMIT_S)
        try:
            request = self._session.request(method, self._url + path, json=body, timeout=limit, allow_redirects=False)
            async with request as answer:
                yield answer
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise EngineLostError(f"{path}: {type(error).__name__}") from None

    async def _json(self, method: str, path: str, body: object = None) -> Any:
        async with self._request(method, path, body) as answer:
            raw = await answer.read()
        if answer.status != 200:
            raise _error_of(answer.status, raw)
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise EngineFaultError(f"{path} did not answer JSON") from None


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


async def _require_stream(answer: aiohttp.ClientResponse) -> None:
    if answer.status != 200:
        raise _error_of(answer.status, await answer.content.read(64 * 1024))
    if answer.content_type != "text/event-stream":
        raise EngineFaultError(f"/completion answered {answer.content_type}, not an event stream")


def _frame_of(data: bytes) -> dict[str, Any]:
    try:
        frame = msgspec.json.decode(data)
    except msgspec.DecodeError:
        raise EngineFaultError("a frame of the stream is not JSON") from None
    if not isinstance(frame, dict):
        raise EngineFaultError("a frame of the stream is not an object")
    if "error" in frame:
        raise _error_of(500, data)
    return frame


class _Pieces:
    """Counts as the engine counts: `tokens_predicted` runs ahead of the frames while a character is incomplete."""

    def __init__(self) -> None:
        self._counted = 0

    def __call__(self, frame: dict[str, Any]) -> list[str]:
        """The pieces of one frame: an empty one for each token that was held back, then the text."""
        content, predicted = frame.get("content"), frame.get("tokens_predicted")
        if not isinstance(content, str) or not isinstance(predicted, int):
            raise EngineFaultError("a frame of the stream has no text or no count")
        new = predicted - self._counted
        self._counted = max(self._counted, predicted)
        if content:
            return [""] * (new - 1) + [content]
        return [""] * new


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
        kind = str(error["type"])[:64]
        status = int(error.get("code", status))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        kind = "unknown"
    text = f"{status} {kind}"
    if status in {429, 503}:
        return EngineBusyError(text)
    if 400 <= status < 500 or status == 501:
        return EngineRefusedError(text, status=status)
    return EngineFaultError(text)


def _digest_of(path: str) -> str | None:
    file = Path(path)
    if not path or not file.is_file():
        return None
    with file.open("rb") as handle:
        return "sha256:" + hashlib.file_digest(handle, "sha256").hexdigest()
