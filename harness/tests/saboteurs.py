"""A proxy in front of a good server that makes it a bad one: each fault is one thing that scenarios have to notice."""

import asyncio
import itertools
import json
import math
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "date", "server"}

Event = dict[str, str]


class Fault:
    """Changes nothing: the control. Faults override what they break."""

    def request(self, headers: dict[str, str]) -> None:
        """Change what the server is asked."""

    def status(self, path: str, status: int) -> int:
        """Change the status of an answer."""
        return status

    def headers(self, headers: dict[str, str]) -> None:
        """Change the headers of an answer."""

    def body(self, path: str, body: bytes) -> bytes:
        """Change the body of an answer."""
        return body

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """Change the events of a stream."""
        async for event in events:
            yield event


class NoTerminalFrame(Fault):
    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            if event["event"] not in ("end", "error"):
                yield event


class TwoTerminalFrames(Fault):
    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            yield event
            if event["event"] == "end":
                yield {**event, "id": str(int(event["id"]) + 1)}


class IndexTwice(Fault):
    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            yield {**event, "data": event["data"].replace('"i":3}', '"i":2}')}


class LateTokens(Fault):
    """Holds every event back for a while, as a server does that buffers: tokens leave it after a cancel."""

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        held: asyncio.Queue[Event | None] = asyncio.Queue()

        async def hold() -> None:
            async for event in events:
                asyncio.get_running_loop().call_later(0.3, held.put_nowait, event)
            asyncio.get_running_loop().call_later(0.3, held.put_nowait, None)

        async with asyncio.TaskGroup() as group:
            group.create_task(hold())
            while (event := await held.get()) is not None:
                yield event


class TextOfItsOwn(Fault):
    """The same seed gives another text each time."""

    def __init__(self) -> None:
        self._count = itertools.count()

    async def events(self, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        mark = f"<{next(self._count)}>"
        async for event in events:
            yield {**event, "data": event["data"].replace('{"t":"', '{"t":"' + mark, 1)}


class ForgetsTheReader(Fault):
    """Starts from the beginning for a reader that comes back."""

    def request(self, headers: dict[str, str]) -> None:
        headers.pop("Last-Event-ID", None)


class NoRetryAfter(Fault):
    def headers(self, headers: dict[str, str]) -> None:
        headers.pop("Retry-After", None)


class ScalesRetryAfter(Fault):
    """Tells another wait than the server has worked out, the same in headers and body."""

    def __init__(self, factor: float) -> None:
        self._factor = factor

    def headers(self, headers: dict[str, str]) -> None:
        if "X-Backoff-Ms" in headers:
            wait_ms = max(1, round(int(headers["X-Backoff-Ms"]) * self._factor))
            headers |= {"X-Backoff-Ms": str(wait_ms), "Retry-After": str(math.ceil(wait_ms / 1000))}

    def body(self, path: str, body: bytes) -> bytes:
        told = json.loads(body) if body.startswith(b"{") else {}
        if told.get("retry_after_ms") is None:
            return body
        return json.dumps({**told, "retry_after_ms": max(1, round(told["retry_after_ms"] * self._factor))}).encode()


class SaysConstantStart(Fault):
    """Predicts the same start for everybody."""

    def body(self, path: str, body: bytes) -> bytes:
        told = json.loads(body) if path == "/v1/tasks" else {}
        return json.dumps({**told, "predicted_start_ms": 70}).encode() if "predicted_start_ms" in told else body


class ClaimsLess(Fault):
    """Serves what it does not claim."""

    def body(self, path: str, body: bytes) -> bytes:
        if path != "/v1/capabilities":
            return body
        told = json.loads(body)
        for row in told["engines"]:
            row["supported_workloads"].remove("rerank")
        return json.dumps(told).encode()


class ClaimsMore(Fault):
    """Claims an engine that it does not have."""

    def body(self, path: str, body: bytes) -> bytes:
        if path != "/v1/capabilities":
            return body
        told = json.loads(body)
        return json.dumps({**told, "engines": [*told["engines"], {**told["engines"][0], "engine": "vllm"}]}).encode()


class IdOfItsOwn(Fault):
    def headers(self, headers: dict[str, str]) -> None:
        headers["X-Correlation-Id"] = "0"


class DefectForBadInput(Fault):
    def status(self, path: str, status: int) -> int:
        return 500 if status == 400 else status


class AnyToken(Fault):
    """Lets everybody in."""

    def __init__(self, token: str) -> None:
        self._token = token

    def request(self, headers: dict[str, str]) -> None:
        headers["Authorization"] = f"Bearer {self._token}"


class OtherMetricNames(Fault):
    def body(self, path: str, body: bytes) -> bytes:
        return body.replace(b"queue_depth", b"queue_length") if path == "/metrics" else body


class ForgetsFields(Fault):
    def body(self, path: str, body: bytes) -> bytes:
        return body.replace(b'"backoff_ms"', b'"backoff"') if path == "/v1/tasks" else body


@dataclass
class Proxy:
    """Answers with what `target` answers, as far as `fault` leaves it alone."""

    target: str
    fault: Fault
    url: str = ""
    _session: ClientSession | None = field(default=None, init=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        self.fault.request(headers)
        assert self._session is not None
        url = f"{self.target}{request.raw_path}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False, skip_auto_headers=["Accept"]
        ) as answer:
            given = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            self.fault.headers(given)
            status = self.fault.status(request.path, answer.status)
            if answer.content_type != "text/event-stream":
                content = self.fault.body(request.path, await answer.read())
                return web.Response(status=status, headers=given, body=content or None)
            response = web.StreamResponse(status=status, headers=given)
            await response.prepare(request)
            async for event in self.fault.events(_events(answer.content.iter_any())):
                text = "".join(f"{name}: {value}\n" for name, value in event.items())
                await response.write(text.encode() + b"\n")
            await response.write_eof()
            return response

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        connector, timeout = TCPConnector(limit=0), ClientTimeout(total=None)
        async with ClientSession(connector=connector, timeout=timeout, cookie_jar=DummyCookieJar()) as self._session:
            app = web.Application(client_max_size=2**30)
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        for text in whole:
            yield dict(line.split(": ", 1) for line in text.decode().splitlines() if not line.startswith(":"))


@contextmanager
def sabotaged(target: str, fault: Fault) -> Iterator[str]:
    """The address of a bad server in front of a good one."""
    proxy, ready, loop = Proxy(target, fault), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.run(ready, stop)), daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield proxy.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=5)
        loop.close()
