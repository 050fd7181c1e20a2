"""A stand-in engine on a real socket, in a thread of its own; what it does is scripted.

with stand_in(VllmFormat(), Script(cut_at_byte=200)) as engine:
    httpx.post(engine.url + "/v1/completions", json=…)
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from harness.engines.script import Around, Script
from harness.engines.wire_format import AnswersWhole, Asked, JsonAnswer, WireFormat

START_LIMIT_S = 10.0
BODY_BYTES_MAX = 64 * 2**20  # more than any server in front of it takes
STATE_PATH = "/_pact/state"
STATES = {
    "the model is still loading": Script(is_loading=True),
    "the engine behind the server is dead": Script(is_loading=True),
    "the engine is at its limit of requests": Script(is_busy=True),
    "the engine fails while it generates": Script(error_at=1),
    "the model is TensorRT-LLM's": Script(),
    "the model embeds": Script(),
    "the model reranks": Script(),
}
WORKLOADS = {"the model embeds": "embedding", "the model reranks": "rerank"}
HEALTH_PATHS = ("/health", "/v2/health/ready", "/v2/models/ensemble/ready")


@dataclass(slots=True)
class StandIn:
    """A running one.

    Attributes:
        requests: completions so far.
        paths: everything that it was asked for.
        workload: what its model does.
    """

    wire: WireFormat
    script: Script
    url: str = ""
    requests: int = 0
    paths: set[str] = field(default_factory=set)
    workload: str = "completion"
    _working: int = 0
    _last_prompt: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        self.paths.add(request.path)
        is_completion = request.path in self.wire.stream_paths and request.method == "POST"
        if self.script.is_loading and (is_completion or request.path in HEALTH_PATHS):
            return _json(self.wire.loading_work if is_completion else self.wire.loading)
        if request.method == "GET":
            return self._get(request.path)
        try:
            body = await request.json()
        except ValueError:
            return _json((400, {"error": "not JSON"}))
        if not is_completion:
            return self._change(body) if request.path == STATE_PATH else self._post(request.path, body)
        if refusal := self.wire.busy if self.script.is_busy else self.wire.refusal(body):
            return _json(refusal)
        self.requests += 1
        asked = self.wire.asked(body)
        around = Around(self.requests, asked.prompt == self._last_prompt, asked.is_streamed, lambda: self._working - 1)
        self._last_prompt = asked.prompt
        self._working += 1
        try:
            return await self._completion(request, asked, around)
        finally:
            self._working -= 1

    def _get(self, path: str) -> web.Response:
        if self.script.is_gone:
            return _json((500, None))
        if path == "/metrics":
            return web.Response(text=self.wire.metrics)
        return _json(self.wire.get(path, self.script.version))

    def _post(self, path: str, body: Any) -> web.Response:
        if (found := self.wire.at_once(path, body)) is None:
            return _json(self.wire.post(path, body))
        workload, answer = found
        return _json(answer if workload == self.workload else self.wire.unsupported)

    def _change(self, body: Any) -> web.Response:
        """Bring a pact's provider state about, or end it; `{"state", "action"}` as pact verifiers send it."""
        script = STATES.get(body["state"])
        if script is None:
            return _json((501, {"error": "no such state"}))
        is_over = body["action"] == "teardown"
        self.script = Script() if is_over else script
        self.workload = "completion" if is_over else WORKLOADS.get(body["state"], "completion")
        return _json((200, {}))

    async def _completion(self, request: web.Request, asked: Asked, around: Around) -> web.StreamResponse:
        """In one piece where that was asked for, else as a stream."""
        if asked.is_streamed or not isinstance(self.wire, AnswersWhole):
            return await self._stream(request, asked, around)
        count = self.script.tokens(asked.seed, asked.max_tokens)
        text = "".join(self.script.pieces(asked.prompt, asked.seed, count, around))
        return _json(self.wire.whole(text, count, asked))

    async def _stream(self, request: web.Request, asked: Asked, around: Around) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.script.content_type})
        response.enable_chunked_encoding()
        await response.prepare(request)
        cut, sent = self.script.cut_at_byte, 0
        for frame in self._frames(asked, around):
            if frame is None:
                await asyncio.get_running_loop().create_future()
                continue
            await asyncio.sleep(self.script.delay_s)
            part = frame if cut is None else frame[: cut - sent]
            await response.write(part) if part else None
            sent += len(part)
            if sent == cut:
                if request.transport is not None:
                    request.transport.close()
                break
        return response

    def _frames(self, asked: Asked, around: Around) -> Iterator[bytes | None]:
        """What is sent, in order; None = nothing more, but the connection stays."""
        script = self.script
        asked = replace(asked, max_tokens=script.tokens(asked.seed, asked.max_tokens))
        if script.flood_bytes:
            yield b"data: " + b"x" * script.flood_bytes
        text = ""
        for index, piece in enumerate(script.pieces(asked.prompt, asked.seed, asked.max_tokens, around)):
            if index == script.stall_at:
                yield None
            if index == script.garbage_at:
                yield b"data: \xff{oops\n\n"
                continue
            if index == script.error_at:
                yield self.wire.error()
                return
            text += piece
            yield self.wire.token(piece, index + 1, asked)
        yield self.wire.end(text, asked.max_tokens, asked)


@contextmanager
def stand_in(wire: WireFormat, script: Script | None = None, *, port: int = 0) -> Iterator[StandIn]:
    """Run one until the block ends.

    Args:
        port: on loopback; 0 takes a free one.
    """
    engine = StandIn(wire, script or Script())
    loop, started = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{path:.*}", engine.answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            engine.url = "http://{}:{}".format(*runner.addresses[0][:2])
            started.set()
            await stop.wait()
        finally:
            await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="stand-in", daemon=True)
    thread.start()
    try:
        if not started.wait(START_LIMIT_S):
            raise TimeoutError("the stand-in did not start")
        yield engine
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_LIMIT_S)


def _json(answer: JsonAnswer | None) -> web.Response:
    status, body = answer or (404, {"error": "Not Found"})
    if body is None:
        return web.Response(status=status)
    return web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")
